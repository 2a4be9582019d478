# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax eval`: rankings of held-out pairs against numbers made by hand."""

import json
import math

import numpy as np
import policy_support as support
import pytest

from prefjax import runs
from prefjax.cli import main
from prefjax.core import errors
from prefjax.data import encoding, readers
from prefjax.runs import held_out

_LENGTHS = encoding.Lengths(prompt=64, response=64)
_PAIRS = [
  {
    "id": f"p{i}",
    "prompt": f"say {'x' * (i % 4)} {i}: ",
    "chosen": "yes " * (1 + i % 3),
    "rejected": "no " * (1 + i % 5),
  }
  for i in range(9)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("eval")
  support.save_model(path / "a", 0)
  support.save_model(path / "b", 1)
  support.write(path / "pairs.jsonl", _PAIRS)
  return path


@pytest.fixture(scope="module")
def by_hand(folder):
  """name -> [N, 2] log-probs, and [N, 2] lengths."""
  out = {}
  for name in ("a", "b"):
    rows = [
      [
        support.log_prob(folder / name, p["prompt"], p[side])
        for side in ("chosen", "rejected")
      ]
      for p in _PAIRS
    ]
    out[name] = np.asarray(rows)
  return out


@pytest.fixture(scope="module")
def result(folder):
  records = readers.read(folder / "pairs.jsonl").records
  return held_out.evaluate(
    runs.open_policy(folder / "a"),
    records,
    reference=runs.open_policy(folder / "b"),
    lengths=_LENGTHS,
    batch_size=4,
    beta=0.5,
  )


def test_ranking_is_that_of_the_log_probs(result, by_hand):
  logps, lengths = by_hand["a"][..., 0], by_hand["a"][..., 1]
  assert (result["records"], result["pairs"]) == (9, 9)
  assert result["logps/chosen"] == pytest.approx(logps[:, 0].mean(), rel=1e-5)
  assert result["logps/rejected"] == pytest.approx(logps[:, 1].mean(), rel=1e-5)
  gap = logps[:, 0] - logps[:, 1]
  found = result["ranking_accuracy"]
  assert found["mean"] == pytest.approx((gap > 0).mean())
  assert found["low"] <= found["mean"] <= found["high"]
  means = logps / lengths
  assert result["ranking_accuracy_per_token"]["mean"] == pytest.approx(
    (means[:, 0] > means[:, 1]).mean()
  )
  longer = lengths[:, 0] - lengths[:, 1]
  assert result["length_bias"]["pearson"] == pytest.approx(
    np.corrcoef(gap, longer)[0, 1], abs=1e-5
  )
  rows = result["length_bias"]["accuracy_by_length"]
  assert sum(row["count"] for row in rows) == 9
  equal = next(row for row in rows if row["low"] == -0.5)
  assert equal["count"] == (longer == 0).sum()


def test_rewards_are_changes_against_the_reference(result, by_hand):
  change = by_hand["a"][..., 0] - by_hand["b"][..., 0]
  margins = 0.5 * (change[:, 0] - change[:, 1])
  found = result["reference"]
  assert found["reward_margin"] == pytest.approx(margins.mean(), abs=1e-4)
  assert found["reward_accuracy"]["mean"] == pytest.approx((margins > 0).mean())
  assert found["chosen_drift"] == pytest.approx(change[:, 0].mean(), abs=1e-4)
  stated = 1 / (1 + np.exp(-np.abs(margins)))
  assert found["brier_score"] == pytest.approx(
    ((stated - (margins > 0)) ** 2).mean(), abs=1e-5
  )
  assert 0 <= found["calibration_error"] <= 1


def test_a_model_is_no_better_than_itself(folder):
  records = readers.read(folder / "pairs.jsonl").records
  policy = runs.open_policy(folder / "a")
  result = held_out.evaluate(
    policy, records, reference=policy, lengths=_LENGTHS, batch_size=4
  )
  found = result["reference"]
  assert found["reward_accuracy"]["mean"] == 0.5
  assert found["reward_margin"] == found["chosen_drift"] == 0


def test_each_record_counts_once():
  pairs = held_out.Pairs(
    record=np.asarray([7, 7, 7, 9]),
    chosen=np.asarray([1.0, 1.0, 1.0, 0.0]),
    rejected=np.asarray([0.0, 0.0, 2.0, 5.0]),
    chosen_length=np.asarray([1.0, 0.0, 1.0, 2.0]),
    rejected_length=np.ones(4),
  )
  result = held_out.summarise(pairs)
  assert result["ranking_accuracy"]["mean"] == pytest.approx((2 / 3 + 0) / 2)
  assert (result["records"], result["pairs"]) == (2, 4)
  assert "reference" not in result
  ties = held_out.Pairs(*([np.zeros(2, np.int64)] + [np.zeros(2)] * 4))
  assert held_out.summarise(ties)["ranking_accuracy"]["mean"] == 0.5


def test_ranked_records_give_all_their_pairs(folder, tmp_path):
  path = support.write(tmp_path / "ranked.jsonl", support.ROWS[1:2])
  result = held_out.evaluate(
    runs.open_policy(folder / "a"),
    readers.read(path).records,
    lengths=_LENGTHS,
  )
  assert (result["records"], result["pairs"]) == (1, 3)
  values = [
    support.log_prob(folder / "a", "say hi: ", text)[0]
    for text in ("hello there", "no", "hi")
  ]
  right = [values[0] > values[1], values[0] > values[2], values[1] > values[2]]
  assert result["ranking_accuracy"]["mean"] == pytest.approx(np.mean(right))


def test_what_cannot_be_compared(folder, tmp_path, monkeypatch):
  policy = runs.open_policy(folder / "a")
  demos = support.write(tmp_path / "demos.jsonl", support.ROWS[3:])
  with pytest.raises(errors.DataError, match="no example is left"):
    held_out.evaluate(policy, readers.read(demos).records, lengths=_LENGTHS)
  other = runs.open_policy(folder / "b")
  monkeypatch.setattr(
    type(other.tokenizer), "fingerprint", property(lambda s: str(id(s)))
  )
  records = readers.read(folder / "pairs.jsonl").records
  with pytest.raises(errors.ConfigError, match="has another tokenizer"):
    held_out.evaluate(policy, records, reference=other, lengths=_LENGTHS)


@pytest.mark.parametrize(
  ("low", "high", "said"),
  [
    (None, -16.0, "-17 or less"),
    (-4.0, -0.5, "-4 to -1"),
    (-0.5, 0.5, "0"),
    (0.5, 4.0, "1 to 3"),
    (16.0, None, "16 or more"),
  ],
)
def test_buckets_in_words(low, high, said):
  assert held_out._range(low, high) == said


def test_command(folder, tmp_path, capsys, result):
  out = tmp_path / "new" / "eval.json"
  words = [f"--model={folder / 'a'}", f"--reference={folder / 'b'}"]
  words += [f"--data={folder / 'pairs.jsonl'}", "--beta=0.5", "--batch=4"]
  words += ["--max_prompt=64", "--max_response=64", f"--out={out}"]
  assert main.main(["eval", *words]) == 0
  printed = capsys.readouterr().out
  assert "9 pairs of 9 records" in printed
  assert "calibration error of rewards" in printed
  written = json.loads(out.read_text())
  assert written["model"] == str(folder / "a")
  for key in ("ranking_accuracy", "reference", "length_bias", "margin"):
    assert written[key] == result[key]
  assert all(math.isfinite(v) for v in written["ranking_accuracy"].values())


def test_command_without_a_checkpoint(tmp_path, capsys, folder):
  words = ["eval", f"--data={folder / 'pairs.jsonl'}"]
  assert main.main([*words, f"--workdir={tmp_path}"]) == 2
  assert "give the work directory of a run" in capsys.readouterr().err
  from prefjax import config as config_lib

  text = json.dumps(config_lib.to_json(config_lib.Config()))
  (tmp_path / "config.json").write_text(text)
  assert main.main([*words, f"--workdir={tmp_path}"]) == 1
  assert "has no checkpoint yet" in capsys.readouterr().err
  step = ["--step=3", f"--model={folder / 'a'}"]
  assert main.main([*words, *step]) == 2
  assert "has no steps" in capsys.readouterr().err
