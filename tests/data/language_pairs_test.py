# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The instruction language: annotators, label noise, files and speed."""

import json
import math
import time

import numpy as np
import pytest
from scipy import stats

from prefjax.core import errors
from prefjax.data import language as lang
from prefjax.data.language import people

# --- annotators -------------------------------------------------------------


@pytest.mark.parametrize("flip_rate", [0.0, 0.1, 0.3])
def test_flip_rate_statistics(flip_rate):
  n = 8000
  records = lang.pair_records(5, n, flip_rate=flip_rate)
  assert {r["flip_rate"] for r in records} == {flip_rate}
  flipped = np.array([r["metadata"]["flipped"] for r in records])
  contradicts = np.array(
    [
      r["metadata"]["gold_chosen"] < r["metadata"]["gold_rejected"]
      for r in records
    ]
  )
  np.testing.assert_array_equal(flipped, contradicts)
  sigma = math.sqrt(flip_rate * (1 - flip_rate) / n)
  assert abs(flipped.mean() - flip_rate) <= 5 * sigma
  for record in records[:200]:
    assert record["chosen"] != record["rejected"]
    for side in ("chosen", "rejected"):
      gold = lang.gold_reward(record["prompt"], record[side])
      assert record["metadata"][f"gold_{side}"] == pytest.approx(gold, abs=1e-6)


def test_bradley_terry_noise_is_calibrated():
  n = 8000
  records = lang.pair_records(6, n, flip_rate=0.05, temperature=0.25)
  rate = np.array([r["flip_rate"] for r in records])
  flipped = np.array([r["metadata"]["flipped"] for r in records])
  sigma = math.sqrt(np.sum(rate * (1 - rate)))
  assert abs(flipped.sum() - rate.sum()) < 5 * sigma
  gaps = np.array(
    [
      abs(r["metadata"]["gold_chosen"] - r["metadata"]["gold_rejected"])
      for r in records
    ]
  )
  # Close pairs are mislabelled more often, and the records say so.
  assert stats.spearmanr(gaps, rate).statistic < -0.99
  assert flipped[gaps < 0.2].mean() > flipped[gaps > 0.6].mean() + 0.1
  base = 1 / (1 + np.exp(-gaps / 0.25))
  np.testing.assert_allclose(
    rate, 1 - (base * 0.95 + (1 - base) * 0.05), atol=1e-5
  )


def test_majority_of_raters():
  n = 6000
  one = lang.pair_records(7, n, flip_rate=0.3)
  five = lang.pair_records(7, n, flip_rate=0.3, raters=5)
  expected = sum(math.comb(5, k) * 0.3**k * 0.7 ** (5 - k) for k in (3, 4, 5))
  assert five[0]["flip_rate"] == pytest.approx(expected, abs=1e-6)
  share = np.mean([r["metadata"]["flipped"] for r in five])
  assert abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / n)
  assert share < np.mean([r["metadata"]["flipped"] for r in one]) - 0.08
  assert {r["agreement"] for r in five} == {0.6, 0.8, 1.0}
  assert "agreement" not in one[0]
  assert people.majority_error(0.2, 4) == pytest.approx(
    (0.2**4 + 4 * 0.2**3 * 0.8)
    / (0.2**4 + 4 * 0.2**3 * 0.8 + 0.8**4 + 4 * 0.8**3 * 0.2)
  )


def test_ties_are_redrawn_or_kept():
  redrawn = lang.pair_records(8, 500, tie_band=0.2, flip_rate=0.0)
  for record in redrawn:
    meta = record["metadata"]
    assert abs(meta["gold_chosen"] - meta["gold_rejected"]) > 0.2 - 2e-6
    assert "tie" not in record
  kept = lang.pair_records(8, 500, tie_band=0.2, flip_rate=0.0, keep_ties=True)
  ties = [r for r in kept if r.get("tie")]
  assert 30 < len(ties) < 300
  for record in ties:
    assert record["agreement"] == record["flip_rate"] == 0.5
    meta = record["metadata"]
    assert abs(meta["gold_chosen"] - meta["gold_rejected"]) <= 0.2 + 1e-6


def test_length_biased_annotator():
  def longer(records):
    return np.mean([len(r["chosen"]) > len(r["rejected"]) for r in records])

  plain = lang.pair_records(9, 3000, flip_rate=0.0)
  biased = lang.pair_records(9, 3000, flip_rate=0.0, length_bias=0.05)
  averse = lang.pair_records(9, 3000, flip_rate=0.0, length_bias=-0.05)
  assert longer(biased) > longer(plain) + 0.2 > longer(averse) + 0.25
  # The bias makes wrong labels, and the recorded rate says which.
  wrong = [r for r in biased if r["metadata"]["flipped"]]
  assert len(wrong) > 300
  assert {r["flip_rate"] for r in wrong} == {1.0}


def test_min_gap():
  for record in lang.pair_records(1, 300, min_gap=0.3):
    meta = record["metadata"]
    assert abs(meta["gold_chosen"] - meta["gold_rejected"]) >= 0.3 - 2e-6
  with pytest.raises(errors.ConfigError, match="min_gap"):
    lang.pair_records(1, 1, min_gap=1.5)


@pytest.mark.parametrize(
  "keywords",
  [
    {"flip_rate": 0.6},
    {"flip_rate": float("nan")},
    {"temperature": -1.0},
    {"tie_band": -0.1},
    {"length_bias": float("inf")},
    {"raters": 0},
    {"start": -1},
  ],
)
def test_bad_pair_options_are_refused(keywords):
  with pytest.raises(errors.ConfigError, match=next(iter(keywords))):
    lang.pair_records(0, 2, **keywords)


# --- files and speed --------------------------------------------------------


def test_write_jsonl(tmp_path):
  path = tmp_path / "deep" / "pairs.jsonl"
  records = lang.pair_records(0, 20)
  assert lang.write_jsonl(path, records) == 20
  lines = path.read_text().splitlines()
  assert [json.loads(line) for line in lines] == records
  with pytest.raises(errors.DataError, match="record 1 cannot be written"):
    lang.write_jsonl(path, [{"a": 1}, {"a": float("nan")}])
  # A failed write leaves the old file and no litter.
  assert path.read_text().splitlines() == lines
  assert [p.name for p in path.parent.iterdir()] == ["pairs.jsonl"]
  with pytest.raises(errors.DataError, match="cannot be written"):
    lang.write_jsonl(path / "below-a-file.jsonl", records)


def test_write_demo(tmp_path):
  paths = lang.write_demo(tmp_path, sft=50, pairs=60, heldout=20)
  counts = {name: len(p.read_text().splitlines()) for name, p in paths.items()}
  assert counts == {
    "sft": 50,
    "pairs": 60,
    "heldout_pairs": 20,
    "heldout_prompts": 20,
  }
  again = lang.write_demo(tmp_path / "b", sft=50, pairs=60, heldout=20)
  assert all(
    paths[name].read_bytes() == again[name].read_bytes() for name in paths
  )


def test_20k_pairs_in_two_seconds():
  times = []
  for seed in range(2):
    start = time.process_time()
    assert len(lang.pair_records(seed, 20_000)) == 20_000
    times.append(time.process_time() - start)
  # 0.7 s of CPU where this was written, alone on a core.
  assert min(times) < 2.0
