# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Malformed records on their whole way: file, store, batch, command line.

Whatever is in a file, good rows reach the batches and nothing but one-line
errors comes out.
"""

import contextlib
import io
import json

import hypothesis
import malformed_test
import numpy as np
import pytest
from hypothesis import strategies as st

from prefjax import data
from prefjax.cli import main
from prefjax.core import errors
from prefjax.data import inspection

BYTES = data.load_tokenizer("bytes")
GOOD = malformed_test.GOOD


def run_through(path, cache_dir=None, view=None):
  """Ids of the records behind all batches of an epoch."""
  loaded = data.read(path, on_bad="skip", max_bad_fraction=1)
  assert loaded.report.seen == (
    loaded.report.kept
    + loaded.report.bad
    + loaded.report.duplicates
    + loaded.report.equal_sides
  )
  view = view or inspection.default_view(loaded.records)
  encoder = data.Encoder(
    BYTES,
    view,
    data.Lengths(prompt=24, response=24),
    template="chatml" if any(r.is_chat for r in loaded) else None,
  )
  store = data.open_store(encoder, loaded.records, cache_dir)
  report = store.report
  assert report.seen == report.kept + report.dropped
  assert all("\n" not in reason for _, _, reason in report.dropped_records)
  source = data.Source(
    store, data.Options(batch_size=4, epochs=1, remainder="fill")
  )
  prepared = view.prepare(loaded.records)
  found = set()  # rows that only fill a batch up repeat others
  for step in range(source.num_steps):
    batch = source.batch(step)
    for group in batch.groups.values():
      assert group.prompt_mask.any(-1).all()
      present = group.response_mask
      assert (group.token_weights.sum(-1) > 0)[present].all()
      assert np.isfinite(group.token_weights).all()
      assert (group.response < BYTES.vocab_size).all()
    found.update(batch.example_id.tolist())
  assert len(found) == report.kept
  return [prepared[number].id for number in found]


@pytest.mark.parametrize("layout", GOOD)
def test_good_rows_reach_the_batches_past_all_bad_ones(tmp_path, layout):
  """The 300 bad rows of `malformed_test`, all in one file."""
  bad = [
    malformed_test.with_wrong_field(layout, field, wrong)
    for name, field, wrong in malformed_test.CASES
    if name == layout
  ]
  good = malformed_test.good_rows(layout, 20)
  rows = [row for pair in zip(good[:10], bad, strict=False) for row in pair]
  path = malformed_test.write(
    tmp_path / "x.jsonl", [*rows, *bad[10:], *good[10:]]
  )
  loaded = data.read(path, on_bad="skip", max_bad_fraction=1)
  assert loaded.report.bad == len(bad)
  ids = run_through(path, tmp_path / "cache")
  assert sorted(ids) == sorted(f"good{i}" for i in range(20))


# Rows that are valid records, yet nothing a model can be trained on.
UNUSABLE = {
  "only white space to say": {"prompt": "p", "chosen": "a", "rejected": " x"},
  "equal after cutting": {
    "prompt": "p",
    "chosen": "x" * 30 + "a",
    "rejected": "x" * 30 + "b",
  },
  "tool turn last": {
    "prompt": [{"role": "user", "content": "p"}],
    "chosen": [{"role": "tool", "content": "a"}],
    "rejected": [{"role": "assistant", "content": "b"}],
  },
  "odd characters": {
    "prompt": "\x00\u202e\ufeff",
    "chosen": "\x1b[2J",
    "rejected": "\u2028",
  },
  "template syntax": {
    "prompt": [{"role": "user", "content": "{{ 7 * 7 }}{% raw %}"}],
    "chosen": [{"role": "assistant", "content": "{{ ''.__class__ }}"}],
    "rejected": [{"role": "assistant", "content": "<|im_end|>"}],
  },
  "prefixes that do not fit": {
    "prompt": "p",
    "chosen": "a",
    "rejected": "b",
    "metadata": {"context_prefixes": ["only one"]},
  },
  "everything is context": {
    "prompt": "p",
    "chosen": "a",
    "rejected": "b" * 40,
    "metadata": {"context_prefixes": ["a" * 99, "b" * 99]},
  },
  "tools that are none": {
    "prompt": "p",
    "chosen": "a",
    "rejected": "b",
    "tools": "x",
  },
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_valid_records_that_cannot_be_used_cost_nobody_else(tmp_path, name):
  rows = [*malformed_test.good_rows("trl_preference", 6)]
  rows.insert(3, json.dumps({"id": "odd", **UNUSABLE[name]}))
  path = malformed_test.write(tmp_path / "x.jsonl", rows)
  ids = run_through(path)
  assert sorted(i for i in ids if i != "odd") == [f"good{i}" for i in range(6)]


@hypothesis.settings(max_examples=80, deadline=None, derandomize=True)
@hypothesis.given(
  layout=st.sampled_from(sorted(GOOD)),
  number=st.integers(1, 3),
  choices=st.data(),
)
def test_any_values_anywhere_reach_batches_or_are_named(
  tmp_path_factory, layout, number, choices
):
  row, required = GOOD[layout]
  rows = malformed_test.good_rows(layout, 7)
  for index in range(number):
    wild = dict(row, id=f"wild{index}")
    for field in choices.draw(
      st.lists(
        st.sampled_from([*required, "weight", "metadata", "tools"]),
        min_size=1,
        max_size=2,
        unique=True,
      )
    ):
      wild[field] = choices.draw(malformed_test.JSON)
    rows.insert(1, json.dumps(wild))
  path = malformed_test.write(tmp_path_factory.mktemp("wild") / "x.jsonl", rows)
  view = inspection.default_view(
    data.read(
      malformed_test.write(path.with_name("y.jsonl"), rows[-1:])
    ).records
  )
  ids = run_through(path, view=view)
  assert {f"good{i}" for i in range(7)} <= {i.split("/")[0] for i in ids}


def run(*words):
  out, err = io.StringIO(), io.StringIO()
  with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
    status = main.main(list(words))
  return status, out.getvalue(), err.getvalue()


def test_commands_never_show_a_traceback(tmp_path):
  good = malformed_test.good_rows("trl_preference", 3)
  for number, (layout, field, wrong) in enumerate(malformed_test.CASES[::7]):
    bad = malformed_test.with_wrong_field(layout, field, wrong)
    path = malformed_test.write(tmp_path / f"{number}.jsonl", [*good, bad])
    status, out, err = run("inspect", f"--data={path}", "--rows=1")
    assert (status, err) == (0, ""), err
    assert "3 records of 4 rows" in out and "line 4" in out
    status, out, err = run("inspect", f"--data={path}", "--on_bad=stop")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1 and "line 4" in err and "Trace" not in err


def test_nothing_left_names_the_first_row(tmp_path):
  path = malformed_test.write(tmp_path / "x.jsonl", ['{"prompt": 3}'])
  status, _, err = run("inspect", f"--data={path}")
  assert status == 2 and "line 1" in err and err.count("\n") == 1
  with pytest.raises(errors.DataError, match=r"line 1 \(id 'row1'\): prompt"):
    data.read(path, on_bad="skip", max_bad_fraction=1)
