# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Regularised relevance: parts, formula and scorer."""

import numpy as np
import pytest

from prefjax import rewards
from prefjax.core import errors

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


@pytest.mark.parametrize(
  ("text", "clean"),
  [
    (" \n fine \n", "fine"),
    ("a USER: b ASSISTANT: c", "a"),
    ("a\n\n--\nb USER:", "a"),
    ("a\n\n\n\nb", "a"),
    ("a\n\nb", "a\n\nb"),
    ("USER: b", ""),
    ("", ""),
  ],
)
def test_cleaning(text, clean):
  assert rewards.clean_response(text=text) == clean


def test_own_stops():
  assert rewards.clean_response(text="a # b", stops=("#", "")) == "a"


def test_words():
  words = rewards.tokenize_words(text="Don't... stop_it, 3.5!")
  assert words == ["Don", "'", "t", "...", "stop_it", ",", "3", ".", "5", "!"]


def _diversity(tokens, n):
  grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
  return len(set(grams)) / len(grams) if grams else 1.0


@pytest.mark.parametrize("n", [1, 2, 3, 9, 11])
def test_diversity_by_sets(n):
  rng = np.random.default_rng(0)
  tokens = rng.integers(3, size=(12, 10))
  mask = rng.random((12, 10)) < 0.8
  mask[0], mask[1] = True, False
  out = rewards.ngram_diversity(tokens, mask, n=n)
  expected = [
    _diversity(row[m].tolist(), n) for row, m in zip(tokens, mask, strict=True)
  ]
  np.testing.assert_allclose(out, expected, **CLOSE)


def test_pooling_and_relevance():
  hidden = np.random.default_rng(1).normal(size=(3, 4, 5))
  mask = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0]])
  holes = np.where(mask[..., None], hidden, np.nan)
  pooled = np.asarray(rewards.mean_pool(holes, mask))
  np.testing.assert_allclose(pooled[0], hidden[0].mean(0), **CLOSE)
  np.testing.assert_allclose(pooled[1], hidden[1, [0, 2]].mean(0), **CLOSE)
  np.testing.assert_array_equal(pooled[2], 0)
  np.testing.assert_allclose(
    rewards.relevance(pooled, pooled[::-1]), (pooled * pooled[::-1]).sum(-1)
  )


def test_the_formula_and_its_switches():
  relevance = np.array([2.0, 3.5, 0.0, -1.0])
  lengths = np.array([50, 200, 10, 100])
  diversity = np.array([0.5, 1.0, 1.0, 0.5])
  is_open = np.array([1, 0, 0, 1])

  def r3(lengths=lengths, **keywords):
    return rewards.r3(relevance, lengths, diversity, is_open, **keywords)

  np.testing.assert_allclose(r3(), [0.5, 5.12, 0, -0.5], **CLOSE)
  doubled = r3(2 * lengths)
  np.testing.assert_allclose(doubled, [1.0, 5.12, 0, -1.0], **CLOSE)
  off = {"use_length": False, "use_repetition": False, "use_relevance": False}
  np.testing.assert_array_equal(r3(**off), 1)
  np.testing.assert_allclose(r3(branch=False), [0.5, 7, 0, -0.5], **CLOSE)
  np.testing.assert_allclose(r3(unit=50.0), [1.0, 5.12, 0, -1.0], **CLOSE)
  with pytest.raises(ValueError, match="expected low < high"):
    r3(relevance_range=(1.0, 1.0))


def test_a_scorer_of_texts():
  words = ["cat", "dog", "sun"]

  def encode(texts):
    return np.array([[text.count(w) for w in words] for text in texts], float)

  score = rewards.relevance_scorer(encode, max_length=100)
  prompts = ["a cat", "a dog?", "the sun"]
  responses = ["cat naps cat naps cat naps", "dog USER: dog dog", ""]
  out = score(prompts, responses)
  # Six words, of four trigrams two are distinct; three cats.
  np.testing.assert_allclose(out, [0.06 * 3 * 0.5, 0.01, 0], **CLOSE)
  closed = score(
    prompts, responses, [None, "dog dog", None], [True, False, True]
  )
  np.testing.assert_allclose(closed, [0.09, 2 / 3.5, 0], **CLOSE)
  with pytest.raises(errors.DataError, match="row 1 is closed, but has no"):
    score(prompts, responses, None, [True, False, True])
  with pytest.raises(errors.DataError, match="1 responses for 3 prompts"):
    score(prompts, responses[:1])


def test_errors():
  with pytest.raises(ValueError, match="ngram_diversity: n=0"):
    rewards.ngram_diversity(np.ones((1, 3)), np.ones((1, 3)), n=0)
  with pytest.raises(ValueError, match="length_incentive: unit=0"):
    rewards.length_incentive([1], unit=0)
