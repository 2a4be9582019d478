# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What an inspection says is what training would see."""

import json

import numpy as np
import pytest

from prefjax import data
from prefjax.core import errors
from prefjax.data import inspection, pipeline, views

BYTES = data.load_tokenizer("bytes")


def read(tmp_path, rows, **options):
  path = tmp_path / "x.jsonl"
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return data.read(path, **options)


def pairs(number):
  return [
    {
      "id": f"r{i}",
      "prompt": "p" * (1 + i % 20),
      "chosen": "y" * (1 + i),
      "rejected": "n",
    }
    for i in range(number)
  ]


def test_lengths_are_those_before_cutting(tmp_path):
  seen = inspection.inspect(
    read(tmp_path, pairs(40)),
    BYTES,
    lengths=data.Lengths(prompt=16, response=16),
  )
  prompt, response = seen.lengths
  assert (prompt.part, prompt.number, prompt.limit) == ("main prompt", 40, 16)
  assert prompt.over == 8 and prompt.quantiles[-1] == 20
  assert (response.number, response.quantiles[-1]) == (80, 41)
  assert response.over == 25  # of 40 chosen with EOS
  values = [i + 2 for i in range(40)] + [2] * 40
  assert response.mean == pytest.approx(np.mean(values))
  assert seen.encoded.cut_prompts == 8 and seen.encoded.cut_responses == 25


def test_buckets_account_for_every_token(tmp_path):
  loaded = read(tmp_path, pairs(50))
  seen = inspection.inspect(
    loaded, BYTES, options=pipeline.Options(batch_size=4, seed=3)
  )
  assert sum(bucket.examples for bucket in seen.buckets) == 50
  assert sum(bucket.batches for bucket in seen.buckets) == 13
  store = data.MemoryStore(
    data.Encoder(BYTES, data.view("pair"), data.Lengths()), loaded.records
  )
  source = data.Source(
    store,
    data.Options(batch_size=4, seed=3, epochs=1, remainder="fill"),
  )
  slots, tokens = {}, {}
  for step in range(source.num_steps):
    batch = source.batch(step)
    level, main = source.level(step), batch.main
    real = batch.example_weight > 0
    slots[level] = slots.get(level, 0) + main.prompt.size + main.response.size
    tokens[level] = (
      tokens.get(level, 0)
      + main.prompt_mask[real].sum()
      + main.token_mask[real].sum()
    )
  for level, bucket in enumerate(seen.buckets):
    assert bucket.slots == slots.get(level, 0)
    assert bucket.tokens == tokens.get(level, 0)
    if bucket.slots:
      assert bucket.padding == 1 - bucket.tokens / bucket.slots


def test_shown_examples_read_like_the_record(tmp_path):
  talk = [
    {"role": "assistant", "content": "AA"},
    {"role": "user", "content": "UU"},
    {"role": "assistant", "content": "BB"},
  ]
  rows = [
    {"id": "a", "prompt": [{"role": "user", "content": "hi"}], "chosen": talk,
     "rejected": [talk[0]], "weight": 2},
    *({**row, "id": f"s{i}"} for i, row in enumerate(pairs(4))),
  ]  # fmt: skip
  seen = inspection.inspect(read(tmp_path, rows), BYTES, rows=2)
  assert seen.template == "chatml"
  assert [s.record_id for s in seen.shown] == ["a", "s3"]
  first = seen.shown[0]
  assert first.weight == 2
  assert [p.name for p in first.parts] == [
    "main prompt", "main response 0", "main response 1"
  ]  # fmt: skip
  prompt, chosen, rejected = first.parts
  assert "hi" in prompt.spans[0].text and prompt.counted == 0
  said = "".join(s.text for s in chosen.spans if s.weight)
  free = "".join(s.text for s in chosen.spans if not s.weight)
  assert "AA" in said and "BB" in said and "UU" in free and "UU" not in said
  assert sum(s.tokens for s in chosen.spans) == chosen.tokens
  assert rejected.counted == rejected.tokens
  assert seen.report.kept == 5 and seen.kinds == {"pair": 5}


def test_control_tokens_are_visible(tmp_path):
  seen = inspection.inspect(read(tmp_path, pairs(1)), BYTES)
  assert seen.shown[0].parts[1].spans[0].text == "y<257>"
  assert seen.template == "none"


@pytest.mark.parametrize(
  "row,name",
  [
    ({"prompt": "p", "chosen": "a", "rejected": "b"}, "pair"),
    ({"prompt": "p", "responses": ["a", "b"], "scores": [1, 2]}, "ranked"),
    ({"prompt": "p", "completion": "a", "label": True}, "unpaired"),
    ({"prompt": "p", "completions": ["a", "b"], "labels": [True, False]},
     "steps"),
    ({"prompt": "p", "completion": "a"}, "sft"),
    ({"text": "a"}, "text"),
    ({"prompt": "p"}, "prompt"),
    ({"prompt_chosen": "p", "chosen": "a", "prompt_rejected": "q",
      "rejected": "b"}, "joint"),
    ({"prompt": "p", "responses": ["a"], "ratings": [{"y": 1, "x": 2}]},
     "rated"),
  ],
)  # fmt: skip
def test_every_kind_has_a_view(tmp_path, row, name):
  loaded = read(tmp_path, [row])
  assert inspection.default_view(loaded.records).name.startswith(f"{name}(")
  seen = inspection.inspect(loaded, BYTES)
  assert seen.encoded.kept == 1 and len(seen.shown) == 1
  if name == "rated":
    assert seen.shown[0].extras["ratings"] == [[2.0, 1.0]]  # x, then y


def test_views_that_split_records_name_the_parts(tmp_path):
  seen = inspection.inspect(
    read(tmp_path, pairs(3)), BYTES, view=views.view("kto"), rows=99
  )
  assert [s.record_id for s in seen.shown] == [
    f"r{i}/{k}" for i in range(3) for k in range(2)
  ]
  assert [s.parts[1].score for s in seen.shown[:2]] == [1.0, 0.0]


def test_options_are_checked(tmp_path):
  loaded = read(tmp_path, pairs(2))
  assert inspection.inspect(loaded, BYTES, rows=0).shown == ()
  with pytest.raises(errors.ConfigError, match="rows"):
    inspection.inspect(loaded, BYTES, rows=-1)
