# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rollouts from a completion server in another process."""

import completion_stub
import jax
import numpy as np
import pytest

from prefjax import generation, models
from prefjax.core import errors
from prefjax.data import tokenizers

SETTINGS = generation.Settings(
  max_new_tokens=6, num_samples=3, eos_ids=(257,), seed=4
)
PROMPTS = [[97, 98, 99], [100, 101]]


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
  """(model, weights, folder)."""
  folder = tmp_path_factory.mktemp("policy")
  model = models.Model(
    models.preset(
      "tiny",
      hidden_size=16,
      intermediate_size=32,
      num_layers=1,
      num_heads=2,
      num_kv_heads=1,
      head_dim=8,
      query_scale=8**-0.5,
    )
  )
  weights = model.init(jax.random.key(0))
  models.save_pretrained(folder, model, weights, tokenizers.ByteTokenizer())
  return model, weights, folder


@pytest.fixture(params=["ids", "names", "busy"])
def server(request, policy):
  process, address = completion_stub.start(policy[2], request.param)
  yield address
  process.kill()
  process.communicate()


def _engine(address, **options):
  return generation.CompletionEngine(
    address, "tiny", tokenizers.ByteTokenizer().encode, **options
  )


def _score(model, weights, made):
  """Log-probs of the responses by plain forward passes."""
  out = np.zeros(made.tokens.shape)
  run = jax.jit(lambda t, m: models.logits(model, weights, t, m))
  for i, prompt in enumerate(PROMPTS):
    for k in range(3):
      n = int(made.lengths[i, k])
      row = np.zeros((1, 12), np.int32)
      text = [*prompt, *made.tokens[i, k, :n].tolist()]
      row[0, : len(text)] = text
      mask = np.arange(12)[None] < len(text)
      logps = jax.nn.log_softmax(run(row, mask)[0], -1)
      at = np.arange(len(prompt) - 1, len(text) - 1)
      out[i, k, :n] = logps[at, made.tokens[i, k, :n]]
  return out


def test_a_server_is_an_engine(policy, server):
  model, weights, _ = policy
  engine = _engine(server)
  engine.load(weights)
  made = engine.sample(PROMPTS, SETTINGS, step=2)
  want = _score(model, weights, made)
  np.testing.assert_allclose(made.policy_logps, want, atol=1e-5)
  np.testing.assert_array_equal(made.logps, made.policy_logps)
  again = engine.sample(PROMPTS, SETTINGS, step=2)
  np.testing.assert_array_equal(made.tokens, again.tokens)
  other = engine.sample(PROMPTS, SETTINGS, step=3)
  assert not np.array_equal(made.tokens, other.tokens)


def test_what_a_server_cannot_say(policy):
  """Tokens come from the text, log-probs and distributions may be unknown."""
  model, weights, folder = policy
  process, address = completion_stub.start(folder, "text")
  try:
    cool = generation.Settings(
      max_new_tokens=6, num_samples=3, temperature=0.5, eos_ids=(257,)
    )
    made = _engine(address).sample(PROMPTS, cool)
    assert np.isnan(made.logps[made.mask]).all()
    texts = tokenizers.ByteTokenizer()
    # A random model says bytes that are no text: they come back as U+FFFD.
    assert made.lengths.min() > 0 and made.lengths.max() == 6
    with pytest.raises(errors.ConfigError, match="cannot mix two models"):
      partner = generation.Partner(weights, None, np.float32(0.5))
      _engine(address).sample(PROMPTS, cool, partner=partner)
    wrong = generation.CompletionEngine(address, "other", texts.encode)
    with pytest.raises(errors.TrainingError, match="404.*no model other"):
      wrong.sample(PROMPTS, SETTINGS)
  finally:
    process.kill()
    process.communicate()
  with pytest.raises(errors.TrainingError, match="does not answer"):
    _engine(address, timeout=1).sample(PROMPTS[:1], SETTINGS)
  with pytest.raises(errors.ConfigError, match="neither 'own' nor an address"):
    _engine("localhost:8000")


@pytest.mark.parametrize(
  "reload", [True, pytest.param(False, marks=pytest.mark.slow)]
)
def test_a_run_on_a_server(policy, reload, tmp_path):
  """With its weights renewed every round the server stays on policy."""
  import online_support
  import run_support

  process, address = completion_stub.start(policy[2])
  c = online_support.config(
    model={"source": str(policy[2]), "overrides": {}},
    rl={
      "engine": address,
      "engine_model": "tiny",
      "engine_reload": "sglang" if reload else "none",
      "epochs": 1,
    },
    train={"steps": 6},
    opt={"learning_rate": 0.01},
    method={"kwargs": {"importance_cap": 2.0}},
  )
  try:
    run_support.train(c, tmp_path / "run")
  finally:
    process.kill()
    process.communicate()
  gaps = [
    row["sampling/sampling_logp_difference/max"]
    for row in online_support.round_rows(tmp_path / "run")
  ]
  assert len(gaps) == 3 and gaps[0] < 1e-4
  assert (max(gaps[1:]) < 1e-4) == reload
