# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Beam search against enumeration and against a plain search on the host."""

import functools
import itertools

import jax
import jax.numpy as jnp
import model_support
import numpy as np
import pytest

from prefjax import generation, models
from prefjax.core import errors

VOCAB, EOS, LIMIT = 6, 5, 4
PROMPTS = [[1, 2, 3], [4]]


@pytest.fixture(scope="module")
def tiny():
  model = models.Model(
    model_support.config(vocab_size=VOCAB, init_std=1.0, eos_id=EOS)
  )
  params = model.init(jax.random.key(5))
  run = jax.jit(lambda t, m: models.logits(model, params, t, m))

  @functools.cache
  def logps(tokens):
    """Next-token log-probs after a tuple of tokens."""
    row = np.zeros((1, 8), np.int32)
    row[0, : len(tokens)] = tokens
    out = run(row, np.arange(8)[None] < len(tokens))
    return np.asarray(jax.nn.log_softmax(out[0, len(tokens) - 1]), np.float64)

  return model, params, logps


def _score(logps, prompt, response):
  return sum(
    logps(tuple(prompt) + response[:t])[token]
    for t, token in enumerate(response)
  )


def _all_responses():
  """Every response of at most LIMIT tokens that ends, or is cut off."""
  body = range(VOCAB - 1)
  for length in range(LIMIT):
    for start in itertools.product(body, repeat=length):
      yield (*start, EOS)
  yield from itertools.product(body, repeat=LIMIT)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0, -1.0])
def test_a_wide_beam_finds_the_best_of_all(tiny, penalty):
  model, params, logps = tiny
  made = generation.beam_search(
    model, params, PROMPTS, max_new_tokens=LIMIT, num_beams=150,
    length_penalty=penalty,
  )  # fmt: skip
  for i, prompt in enumerate(PROMPTS):
    ranked = sorted(
      (-_score(logps, prompt, r) / len(r) ** penalty, r)
      for r in _all_responses()
    )
    for k in range(5):
      want, response = ranked[k]
      assert made.generations.responses()[i][k] == list(response)
      np.testing.assert_allclose(made.scores[i, k], -want, rtol=1e-4)


def _plain_search(logps, prompt, width, penalty):
  """The same rules, one beam at a time."""
  running, finished = [((), 0.0)], []
  for step in range(LIMIT):
    options = sorted(
      (
        (score + logps(tuple(prompt) + tokens)[v], (*tokens, v))
        for tokens, score in running
        for v in range(VOCAB)
      ),
      reverse=True,
    )[: 2 * width]
    running = []
    for rank, (score, tokens) in enumerate(options):
      if tokens[-1] == EOS:
        if rank < width:
          finished.append((score / len(tokens) ** penalty, tokens))
      elif len(running) < width:
        running.append((tokens, score))
    finished = sorted(finished, reverse=True)[:width]
    longest = LIMIT if penalty > 0 else step + 1
    if len(finished) == width and (
      running[0][1] / longest**penalty <= finished[-1][0]
    ):
      return finished
  cut = [(score / LIMIT**penalty, tokens) for tokens, score in running]
  return sorted(finished + cut, reverse=True)[:width]


@pytest.mark.parametrize("width,penalty", [(1, 1.0), (2, 1.0), (3, 0.5)])
def test_narrow_beams(tiny, width, penalty):
  model, params, logps = tiny
  prompts = [*PROMPTS, [0, 4, 2], [3, 3]]
  made = generation.beam_search(
    model, params, prompts, max_new_tokens=LIMIT, num_beams=width,
    length_penalty=penalty,
  )  # fmt: skip
  for i, prompt in enumerate(prompts):
    want = _plain_search(logps, prompt, width, penalty)
    assert made.generations.responses()[i] == [list(t) for _, t in want]
    np.testing.assert_allclose(
      made.scores[i], [score for score, _ in want], rtol=1e-4
    )
    for k, (_, tokens) in enumerate(want):
      n = len(tokens)
      each = [logps(tuple(prompt) + tokens[:t])[tokens[t]] for t in range(n)]
      np.testing.assert_allclose(
        made.generations.policy_logps[i, k, :n], each, atol=1e-5
      )
      reason = made.generations.finish_reasons()[i][k]
      assert (reason == "eos") == (tokens[-1] == EOS)


def test_one_beam_is_greedy(tiny):
  model, params, _ = tiny
  prompts = [[i, j] for i in range(4) for j in range(4)]
  made = generation.beam_search(
    model, params, prompts, max_new_tokens=LIMIT, num_beams=1,
    length_penalty=0.0,
  )  # fmt: skip
  greedy = generation.generate(
    model, params, prompts, max_new_tokens=LIMIT, greedy=True
  )
  assert made.generations.responses() == greedy.responses()


def test_processors_and_fewer_responses_than_beams(tiny):
  model, params, _ = tiny
  allowed = np.zeros(VOCAB, bool)
  allowed[[2, EOS]] = True
  made = generation.beam_search(
    model, params, PROMPTS, max_new_tokens=2, num_beams=4,
    processors=[generation.Allowed(jnp.asarray(allowed))],
  )  # fmt: skip
  for row in made.generations.responses():
    assert sorted(r for r in row if r) == [[2, 2], [2, EOS], [EOS]]
    assert row[3] == []
  assert np.isneginf(made.scores[:, 3]).all()


def test_mistakes(tiny):
  model, params, _ = tiny
  for options, match in (
    ({"num_beams": 0}, "num_beams=0"),
    ({"length_penalty": float("nan")}, "length_penalty"),
  ):
    with pytest.raises(errors.ConfigError, match=match):
      generation.beam_search(
        model, params, PROMPTS, max_new_tokens=2, **options
      )
