# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The table of scorers on real data, on files made here."""

import importlib
import json
import pathlib
import sys

import numpy as np
import pytest

from prefjax.data import schema

SCRIPTS = str(pathlib.Path(__file__).resolve().parents[2] / "scripts")
sys.path.insert(0, SCRIPTS)  # as where the script is run
real_scores = importlib.import_module("real_scores")
scorers = importlib.import_module("real_data.scorers")
sets = importlib.import_module("real_data.sets")
sys.path.remove(SCRIPTS)


def _write(folder, rows):
  path = folder / sets.SETS["llmbar"].path
  path.parent.mkdir(parents=True)
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _rows(number):
  """The longer answer is right in all but the first row."""
  for i in range(number):
    long, short = f"a longer answer, number {i}", f"short {i}"
    yield {
      "id": f"r{i}",
      "subset": "natural",
      "input": f"question {i}",
      "output_1": long,
      "output_2": short,
      "label": 2 if i == 0 else 1,
    }


def _run(folder, *flags):
  return real_scores.main(
    [
      f"--data={folder / 'data'}",
      f"--work={folder / 'work'}",
      f"--out={folder}",
      "--sets=llmbar",
      *flags,
    ]
  )


def test_a_table_is_written_and_never_measured_again(tmp_path, capsys):
  _write(tmp_path / "data", _rows(10))
  assert _run(tmp_path, "--scorers=length") == 0
  table = json.loads((tmp_path / "real-data.json").read_text())
  found = table["sets"]["llmbar"]["scorers"]["length"]
  assert found["accuracy"] == 0.9
  assert found["low"] <= 0.9 <= found["high"]
  assert (found["prompts"], found["pairs"], found["left_out"]) == (10, 10, 0)
  capsys.readouterr()
  assert _run(tmp_path, "--scorers=random,length") == 0
  said = capsys.readouterr().out
  assert "random on llmbar" in said and "length on" not in said
  page = (tmp_path / "real-data.md").read_text()
  assert "| length | 0.900 [" in page and "| random | " in page
  assert "| length | 1 | llmbar | none |" in page  # against a coin


def test_an_unknown_scorer_is_refused(tmp_path, capsys):
  _write(tmp_path / "data", _rows(2))
  assert _run(tmp_path, "--scorers=lenght") == 2
  assert "did you mean 'length'" in capsys.readouterr().err


def _pair(name, prompt="p", responses=("a", "b")):
  return schema.Record(
    id=str(name),
    kind="pair",
    prompt=prompt,
    responses=responses,
    pairs=((0, 1),),
  )


@pytest.mark.parametrize("limit,number", [(0, 10), (4, 4), (99, 10)])
def test_a_sample_is_the_same_every_time(limit, number):
  records = [_pair(i) for i in range(10)]
  first = sets.sample(records, limit)
  again = sets.sample(records[::-1], limit)
  assert len(first) == number
  assert {r.id for r in first} == {r.id for r in again}


def test_rated_responses_are_grouped_by_prompt():
  rows = [
    schema.Record(
      id=f"{prompt}{score}",
      kind="rated",
      prompt=prompt,
      responses=(f"answer {score}",),
      attributes=({"overall": score},),
    )
    for prompt, score in (("p", 1.0), ("q", 2.0), ("p", 3.0), ("p", 3.0))
  ]
  (group,) = sets._grouped(rows, "overall")
  assert group.scores == (1.0, 3.0, 3.0)
  assert sorted(sets.pairs_of(group)) == [(1, 0), (2, 0)]
  assert sets.accuracy(group, [0.0, 1.0, 0.0]) == 0.75


def test_records_of_one_prompt_count_as_one():
  rows = [_pair(i, prompt) for i, prompt in enumerate("pqpp")]
  right, wrong = [1.0, 0.0], [0.0, 1.0]
  found = sets.by_prompt(rows, [right, wrong, right, wrong])
  assert found == pytest.approx([2 / 3, 0.0])


def test_heads_learn_a_direction():
  rng = np.random.default_rng(0)
  w = rng.normal(size=5)
  x = rng.normal(size=(400, 5))
  delta = x * np.sign(x @ w)[:, None]
  found = scorers._bradley_terry(delta)
  cosine = found @ w / np.linalg.norm(found) / np.linalg.norm(w)
  assert cosine > 0.98


def test_a_held_out_part_shares_no_prompt_with_what_trains():
  records = [_pair(i, f"p{i // 2}") for i in range(40)]
  held_out, train = sets.split(records, 10)
  assert len(held_out) == 10
  assert held_out == sets.sample(records, 10)
  seen = {record.prompt for record in held_out}
  assert not seen & {record.prompt for record in train}
  # All of the other prompts train.
  assert {r.prompt for r in records} - seen == {r.prompt for r in train}
  assert sets.split(records, 0) == (records, [])


def test_a_head_trained_on_other_records_scores_new_ones():
  def encode(texts):
    return np.asarray([[float("good" in t), float(len(t))] for t in texts])

  def record(i):
    return _pair(i, responses=(f"good {i}", f"evil {i}"))

  train, new = [record(i) for i in range(8)], [record(i) for i in range(8, 12)]
  heads = scorers._Heads(encode, train, folds=1)
  for row in heads.score(new):
    good, evil = row["scores"]
    assert good > evil
  assert sets.was_trained_on("hh-rlhf-harmless")
  assert not sets.was_trained_on("hh-rlhf-harmless-held-out")
  assert not sets.was_trained_on("llmbar")
