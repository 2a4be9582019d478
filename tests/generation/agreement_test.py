# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The sampler says of its tokens what the training code says of them."""

import jax
import jax.numpy as jnp
import model_support
import numpy as np
import pytest

from prefjax import generation, models
from prefjax.core import types
from prefjax.generation import processing, sampling
from prefjax.methods import language_model

VOCAB, SLOTS = 32, 10
PROMPTS = [[3, 1, 4, 1, 5], [9, 2], [6, 5, 3, 5, 8, 9, 7]]
# An automaton: even tokens, then odd ones, and so on; 7 ends it anywhere.
_PARITY = np.where(
  np.arange(VOCAB) % 2 == np.arange(2)[:, None],
  1 - np.arange(2)[:, None],
  -1,
).astype(np.int32)
_PARITY[:, 7] = 0

OPTIONS = {
  "plain": {},
  "greedy": {"greedy": True},
  "cool": {"temperature": 0.6},
  "hot": {"temperature": 1.7},
  "top_k": {"top_k": 3},
  "top_p": {"top_p": 0.7},
  "min_p": {"min_p": 0.2},
  "repetition": {"repetition_penalty": 1.5},
  "greedy repetition": {"greedy": True, "repetition_penalty": 1.5},
  "mask": {"processors": [generation.Allowed(np.arange(VOCAB) % 3 > 0)]},
  "grammar": {"processors": [generation.Grammar(_PARITY)]},
  "stop": {"stop": [[5], [2, 3]]},
  "all": {
    "temperature": 0.8,
    "top_k": 20,
    "top_p": 0.95,
    "min_p": 0.01,
    "repetition_penalty": 1.2,
    "stop": [[5]],
  },
}


@pytest.fixture(scope="module")
def tiny():
  model = models.Model(model_support.config(init_std=0.6))
  return model, model.init(jax.random.key(2))


def _group(made, prompts) -> types.Group:
  ids, mask = sampling.align(prompts, 8, len(prompts))
  token_mask = made.mask
  return types.Group(
    prompt=ids,
    prompt_mask=mask,
    response=made.tokens,
    token_mask=token_mask,
    token_weights=token_mask.astype(np.float32),
    response_mask=np.ones(made.lengths.shape, bool),
  )


def _train_logps(model, params, made, **compute):
  run = jax.jit(
    lambda params, group: language_model.token_logps_of(
      model, params, group, compute=language_model.Compute(**compute)
    )
  )
  return np.asarray(run(params, _group(made, PROMPTS)))


def _sampled_from(model, params, made, processors):
  """Log-probs under the processed distribution, by plain forward passes."""
  group = _group(made, PROMPTS)
  n, k, r = made.tokens.shape
  out = np.zeros((n, k, r))
  rows = np.concatenate(
    [np.repeat(group.prompt[:, None], k, 1), made.tokens], -1
  ).reshape(n * k, -1)
  mask = np.concatenate(
    [np.repeat(group.prompt_mask[:, None], k, 1), np.ones((n, k, r), bool)], -1
  ).reshape(n * k, -1)
  logits = jax.jit(lambda p, t, m: models.logits(model, p, t, m))(
    params, rows, mask
  )
  logits = np.asarray(logits).reshape(n, k, -1, VOCAB)
  apply = jax.jit(
    lambda scores, step: processing.apply(
      processors,
      scores,
      processing.History(group.prompt, group.prompt_mask, made.tokens, step),
    )
  )
  for t in range(r):
    scores = apply(jnp.asarray(logits[:, :, 7 + t]), t)
    logps = np.asarray(jax.nn.log_softmax(scores, -1))
    out[:, :, t] = np.take_along_axis(logps, made.tokens[:, :, t, None], -1)[
      ..., 0
    ]
  return np.where(made.mask, out, 0)


@pytest.mark.parametrize("name", OPTIONS)
def test_sampler_log_probs_equal_the_training_primitive(tiny, name):
  """To 1e-5 in float32, for every sampling option."""
  model, params = tiny
  options = dict(OPTIONS[name])
  made = generation.generate(
    model,
    params,
    PROMPTS,
    max_new_tokens=SLOTS,
    num_samples=3,
    eos_ids=(7,),
    seed=3,
    **options,
  )
  for layout in ("shared", "concat"):
    want = _train_logps(model, params, made, layout=layout)
    np.testing.assert_allclose(made.policy_logps, want, atol=1e-5)
  if options.get("greedy"):
    assert not made.logps.any()
    return
  processors = (
    *processing.standard(
      **{
        key: options[key]
        for key in (
          "temperature",
          "top_k",
          "top_p",
          "min_p",
          "repetition_penalty",
        )
        if key in options
      }
    ),
    *options.get("processors", ()),
  )
  want = _sampled_from(model, params, made, processors)
  np.testing.assert_allclose(made.logps, want, atol=1e-5)
  changed = np.abs(made.logps - made.policy_logps).max()
  assert (changed > 1e-3) == (name not in ("plain", "stop"))


def test_the_trained_temperature_is_that_of_the_sampler(tiny):
  model, params = tiny
  made = generation.generate(
    model, params, PROMPTS, max_new_tokens=SLOTS, num_samples=2,
    temperature=0.6, eos_ids=(7,),
  )  # fmt: skip
  want = _train_logps(model, params, made, temperature=0.6)
  np.testing.assert_allclose(made.logps, want, atol=1e-5)


def test_a_mixture_of_two_models(tiny):
  """Sampled from the mixture; `policy_logps` are the first model's."""
  model, params = tiny
  other = model.init(jax.random.key(8))
  options = dict(max_new_tokens=SLOTS, num_samples=2, eos_ids=(7,), seed=1)

  def mixed(coef):
    partner = generation.Partner(other, None, np.float32(coef))
    return generation.generate(
      model, params, PROMPTS, partner=partner, **options
    )

  alone = generation.generate(model, params, PROMPTS, **options)
  second = generation.generate(model, other, PROMPTS, **options)
  np.testing.assert_array_equal(mixed(0.0).tokens, alone.tokens)
  np.testing.assert_array_equal(mixed(1.0).tokens, second.tokens)
  half = mixed(0.5)
  np.testing.assert_allclose(
    half.policy_logps, _train_logps(model, params, half), atol=1e-5
  )
  first, last = (
    _all_logps(model, weights, half) for weights in (params, other)
  )
  mixture = jax.nn.log_softmax(0.5 * first + 0.5 * last, -1)
  want = np.take_along_axis(np.asarray(mixture), half.tokens[..., None], -1)[
    ..., 0
  ]
  np.testing.assert_allclose(half.logps, want * half.mask, atol=1e-5)


def _all_logps(model, params, made):
  """Log-probs of all tokens at every place of the responses."""
  group = _group(made, PROMPTS)
  hidden = jax.jit(lambda p, g: model.hidden(p, g).predict)(params, group)
  return jax.nn.log_softmax(model.scores(params, hidden), -1)


def test_the_grammar_is_kept_to_and_the_mask_too(tiny):
  model, params = tiny
  options = dict(max_new_tokens=SLOTS, num_samples=8, eos_ids=(7,))
  made = generation.generate(
    model, params, PROMPTS,
    processors=[generation.Grammar(_PARITY)], **options,
  )  # fmt: skip
  seen = set()
  for row in made.responses():
    for tokens in row:
      body = [t for t in tokens if t != 7]
      assert [t % 2 for t in body] == [t % 2 for t in range(len(body))]
      seen.update(body)
  assert len(seen) > 4
  allowed = np.zeros(VOCAB, bool)
  allowed[[4, 5]] = True
  made = generation.generate(
    model, params, PROMPTS, processors=[generation.Allowed(allowed)], **options
  )
  assert set(made.tokens.ravel().tolist()) <= {4, 5}
