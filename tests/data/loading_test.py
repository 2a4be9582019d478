# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""From the data section of a config to sources, in one call."""

import json

import numpy as np
import pytest

from prefjax import data
from prefjax.core import errors


def write(path, number, start=0, bad=False):
  rows = [
    {"id": f"r{i}", "prompt": f"p{i}?", "chosen": f"yes {i}", "rejected": "no"}
    for i in range(start, start + number)
  ]
  if bad:
    rows.append({"prompt": "p"})
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return str(path)


def make_encoder():
  return data.Encoder(
    data.load_tokenizer("bytes"),
    data.view("pair"),
    data.Lengths(prompt=16, response=16),
  )


def load(files, **options):
  return data.load(
    files, make_encoder(), data.Options(batch_size=4, seed=1), **options
  )


def ids_of(source):
  batches = [source.batch(step) for step in range(source.num_steps)]
  return [
    int(i)
    for batch in batches
    for i, weight in zip(batch.example_id, batch.example_weight, strict=True)
    if weight > 0
  ]


def test_files_become_sources(tmp_path):
  train = write(tmp_path / "train.jsonl", 30)
  more = write(tmp_path / "more.jsonl", 7)  # the same ids are no clash
  held = write(tmp_path / "eval.jsonl", 10, start=100)
  seen = []
  loaded = load(
    data.Files(paths=(train, more), eval_paths=(held,), max_eval=9),
    eval_batch_size=6,
    progress=lambda done, number: seen.append((done, number)),
  )
  assert loaded.train.num_examples == 37 and loaded.train.num_steps is None
  assert (loaded.held.num_examples, loaded.held.num_steps) == (9, 2)
  assert sorted(ids_of(loaded.held)) == list(range(9))
  assert loaded.held.batch(1).example_id.shape == (6,)
  lines = loaded.lines()
  assert len(lines) == 5 and "trl_preference" in lines[0]
  assert lines[3].startswith("train: 37 examples")
  assert lines[4].startswith("eval: 9 examples")
  assert seen[-1] == (37, 37) and (9, 9) in seen


def test_a_cache_gives_the_same_batches(tmp_path):
  files = data.Files(
    paths=(write(tmp_path / "x.jsonl", 40),), eval_fraction=0.25
  )
  cache = tmp_path / "cache"
  memory, first, again = (
    load(files),
    *(load(files, cache_dir=cache) for _ in range(2)),
  )
  assert len(list(cache.iterdir())) == 2
  for other in (first, again):
    for mine, theirs in (
      (memory.train, other.train),
      (memory.held, other.held),
    ):
      assert mine.fingerprint == theirs.fingerprint
      assert np.array_equal(
        mine.batch(1).main.response, theirs.batch(1).main.response
      )
  train = {r.prompt for r in memory.records.train}
  assert not train & {r.prompt for r in memory.records.held}


def test_processes_share_batches(tmp_path):
  files = data.Files(paths=(write(tmp_path / "x.jsonl", 10),))
  whole = load(files).train.batch(0).example_id
  parts = [
    load(files, process_index=i, process_count=2).train.batch(0).example_id
    for i in range(2)
  ]
  assert np.concatenate(parts).tolist() == whole.tolist()
  assert load(files).held is None


def test_splits_of_a_folder(tmp_path):
  write(tmp_path / "train.jsonl", 8)
  write(tmp_path / "test.jsonl", 3, start=50)
  loaded = load(
    data.Files(paths=(str(tmp_path),), split="train", eval_split="test")
  )
  assert (loaded.train.num_examples, loaded.held.num_examples) == (8, 3)


def test_options_reach_the_reader(tmp_path):
  path = write(tmp_path / "x.jsonl", 20, bad=True)
  with pytest.raises(errors.DataError, match="line 21"):
    load(data.Files(paths=(path,)))
  files = data.Files(paths=(path,), on_bad="skip", limit=5)
  assert load(files).train.num_examples == 5
  with pytest.raises(errors.DataError, match="max_bad_fraction"):
    load(data.Files(paths=(path,), on_bad="skip", max_bad_fraction=0.01))
  with pytest.raises(errors.DataError, match="layout 'x'"):
    load(data.Files(paths=(path,), layout="x"))
  columns = {"prompt": "prompt", "completion": "chosen"}
  loaded = data.read_files(
    data.Files(paths=(path,), columns=columns, on_bad="skip")
  )
  assert {r.kind for r in loaded.train} == {"sft"}


def test_seeds_hold_other_prompts_out(tmp_path):
  path = write(tmp_path / "x.jsonl", 40)
  held = [
    {r.id for r in data.read_files(
      data.Files(paths=(path,), eval_fraction=0.3, seed=seed)).held}
    for seed in (0, 0, 1)
  ]  # fmt: skip
  assert held[0] == held[1] != held[2]


@pytest.mark.parametrize(
  "options,key",
  [
    ({"paths": ()}, "train"),
    ({"paths": "x.jsonl"}, "train"),
    ({"eval_fraction": 0.1, "eval_paths": ("y",)}, "eval_fraction"),
    ({"eval_fraction": 0.1, "eval_split": "y"}, "eval_fraction"),
    ({"max_eval": 0}, "eval_limit"),
  ],
)
def test_bad_options_name_the_key(options, key):
  with pytest.raises(errors.ConfigError, match=f"data.{key}"):
    data.Files(**{"paths": ("x",), **options})
