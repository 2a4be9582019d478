# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Generation against plain forward passes, batches, keys and endings."""

import collections
import dataclasses

import jax
import jax.numpy as jnp
import model_support
import numpy as np
import pytest

from prefjax import generation, models
from prefjax.core import errors
from prefjax.generation import decoding
from prefjax.models import lora as lora_lib

TINY_P = 1e-6  # top-p that leaves only the likeliest token


def _tiny(**changes):
  """(model, params) of two layers and 32 tokens."""
  model = models.Model(model_support.config(**changes))
  return model, model.init(jax.random.key(1))


def _prompts(lengths, vocab=32, seed=0):
  rng = np.random.default_rng(seed)
  return [rng.integers(0, vocab, n).tolist() for n in lengths]


def _forward_logps(run, params, prompts, made):
  """Log-probs of generated tokens by plain forward passes, [N, S, T].

  Args:
    run: (params, tokens [2, 20], mask) -> logits.
    params: the parameters.
    prompts: two of them.
    made: of `generate`.
  """
  n, samples, slots = made.tokens.shape
  out = np.zeros(made.tokens.shape)
  for s in range(samples):
    tokens, mask = np.zeros((n, 20), np.int32), np.zeros((n, 20), bool)
    starts = []
    for i, prompt in enumerate(prompts):
      row = prompt + made.tokens[i, s].tolist()
      tokens[i, : len(row)], mask[i, : len(row)] = row, True
      starts.append(np.arange(len(prompt), len(row)) - 1)
    logps = np.asarray(jax.nn.log_softmax(run(params, tokens, mask)))
    for i, places in enumerate(starts):
      out[i, s] = logps[i, places, made.tokens[i, s]]
  return out


def _forward(model):
  return jax.jit(lambda p, t, m: models.logits(model, p, t, m))


@pytest.mark.parametrize("family", model_support.FAMILIES)
def test_every_family_says_what_its_forward_pass_says(family):
  model, params = model_support.load(family)
  numbers = model_support.expected(family)
  options = dict(max_new_tokens=8, num_samples=2, temperature=3.0, eos_ids=())
  greedy = generation.generate(
    model, params, numbers["input_ids"].tolist(), top_p=TINY_P, **options
  )
  for s in range(2):
    np.testing.assert_array_equal(greedy.tokens[:, s], numbers["greedy8_ids"])
  # Ragged prompts, drawn tokens; long enough for the windows to matter.
  prompts = _prompts((12, 4), vocab=512)
  made = generation.generate(model, params, prompts, top_p=0.95, **options)
  assert not np.array_equal(made.tokens[:, 0], made.tokens[:, 1])
  run = model_support.logits_function(family)
  want = _forward_logps(run, params, prompts, made)
  np.testing.assert_allclose(made.policy_logps, want, atol=1e-5)
  assert np.abs(made.logps - made.policy_logps).max() > 0.1


@pytest.mark.parametrize(
  "rope",
  [
    models.Rope(kind="dynamic", factor=4.0, original_positions=6),
    models.Rope(
      kind="longrope",
      factor=4.0,
      original_positions=6,
      short_factor=(1.0, 1.5),
      long_factor=(2.0, 6.0),
    ),
  ],
  ids=lambda rope: rope.kind,
)
def test_frequencies_that_depend_on_the_length(rope):
  """They take the planned length, whether or not it is reached."""
  model, params = _tiny(pattern=(models.Slot(rope=rope),))
  prompts = _prompts((3, 5))
  options = dict(max_new_tokens=8, eos_ids=())
  made = generation.generate(model, params, prompts, **options)
  want = _forward_logps(_forward(model), params, prompts, made)
  np.testing.assert_allclose(made.policy_logps, want, atol=1e-5)
  eos = int(made.tokens[0, 0, 2])
  cut = generation.generate(
    model, params, prompts, **{**options, "eos_ids": [eos]}
  )
  length = cut.lengths[0, 0]
  assert length <= 3
  np.testing.assert_array_equal(
    cut.policy_logps[0, 0, :length], made.policy_logps[0, 0, :length]
  )


def test_layers_after_the_last_full_block():
  slots = (
    models.Slot(window=3, rope=models.Rope()),
    models.Slot(rope=models.Rope()),
  )
  model, params = _tiny(pattern=slots, num_layers=3)
  prompts = _prompts((7, 2))
  made = generation.generate(
    model, params, prompts, max_new_tokens=6, eos_ids=()
  )
  want = _forward_logps(_forward(model), params, prompts, made)
  np.testing.assert_allclose(made.policy_logps, want, atol=1e-5)


def test_a_draw_does_not_depend_on_its_batch():
  model, params = _tiny()
  prompts = _prompts((3, 9, 1, 5, 12))
  options = dict(max_new_tokens=6, num_samples=2, seed=5, eos_ids=(7,))
  whole = generation.generate(model, params, prompts, **options)
  small = generation.generate(model, params, prompts, batch_size=2, **options)
  alone = [
    generation.generate(model, params, [p], prompt_ids=[i], **options)
    for i, p in enumerate(prompts)
  ]
  order = [4, 0]
  some = generation.generate(
    model, params, [prompts[i] for i in order], prompt_ids=order, **options
  )
  for name in ("tokens", "lengths", "finish"):
    want = getattr(whole, name)
    np.testing.assert_array_equal(getattr(small, name), want)
    np.testing.assert_array_equal(
      np.concatenate([getattr(a, name) for a in alone]), want
    )
    np.testing.assert_array_equal(getattr(some, name), want[order])
  np.testing.assert_allclose(small.logps, whole.logps, atol=1e-5)
  assert len({tuple(t) for t in whole.tokens.reshape(10, 6).tolist()}) > 7


def test_more_samples_leave_the_first_ones_as_they_are():
  model, params = _tiny()
  prompts = _prompts((4, 6))
  few, many = (
    generation.generate(
      model, params, prompts, max_new_tokens=5, num_samples=n, eos_ids=()
    )
    for n in (1, 3)
  )
  np.testing.assert_array_equal(few.tokens, many.tokens[:, :1])


@pytest.mark.parametrize("name", ["seed", "step", "prompt_ids"])
def test_what_a_draw_depends_on(name):
  model, params = _tiny()
  values = ([3, 5], [4, 6]) if name == "prompt_ids" else (3, 4)
  first, again, other = (
    generation.generate(
      model,
      params,
      [[1, 2, 3], [1, 2, 3]],
      max_new_tokens=8,
      eos_ids=(),
      **{name: value},
    ).tokens
    for value in (values[0], values[0], values[1])
  )
  np.testing.assert_array_equal(first, again)
  assert not np.array_equal(first[0], other[0])
  assert not np.array_equal(first[0], first[1])  # another prompt id


def _flops(samples: int, slots: int) -> float:
  """Of compiled decoding whose loop body is counted once."""
  model = models.Model(model_support.config(max_positions=1024))
  n, width = 1, 512
  request = decoding.Request(
    prompt=jnp.zeros((n, width), jnp.int32),
    prompt_mask=jnp.ones((n, width), bool),
    keys=jax.random.split(jax.random.key(0), n),
    real=jnp.ones(n, bool),
    limit=jnp.int32(slots),
    eos=jnp.zeros(0, jnp.int32),
    stop=jnp.zeros((0, 0), jnp.int32),
    processors=(),
  )
  lowered = decoding.decode.lower(
    model,
    model.shapes(),
    None,
    request,
    samples=samples,
    slots=slots,
    greedy=True,
  )
  return lowered.compile().cost_analysis()["flops"]


def test_samples_share_their_prompt():
  assert _flops(8, 16) < 1.5 * _flops(1, 16)


def test_other_lengths_and_numbers_compile_nothing():
  model, params = _tiny()

  def run(lengths, new, **options):
    generation.generate(
      model, params, _prompts(lengths), max_new_tokens=new, **options
    )

  run((3, 9), 5, temperature=0.7, top_p=0.9)
  before = decoding.decode._cache_size()
  run((11, 16), 5, temperature=0.7, top_p=0.9)
  run((1, 2), 16, temperature=1.3, top_p=0.5, seed=9, eos_ids=(4,))
  assert decoding.decode._cache_size() == before
  run((17, 2), 5, temperature=0.7, top_p=0.9)  # the next bucket
  assert decoding.decode._cache_size() == before + 1


def _greedy(model, params, prompts, **options):
  return generation.generate(
    model, params, prompts, greedy=True, **{"eos_ids": (), **options}
  )


def test_eos_ends_a_response_and_is_part_of_it():
  model, params = _tiny()
  prompts = _prompts((5, 3))
  free = _greedy(model, params, prompts, max_new_tokens=12)
  assert (free.lengths == 12).all() and (free.logps == 0).all()
  assert free.finish_reasons() == [["length"], ["length"]]
  rows = free.tokens[:, 0]
  eos = next(t for t in rows[0] if (rows[1] != t).all())
  first = rows[0].tolist().index(eos)
  made = _greedy(
    model, params, prompts, max_new_tokens=12, eos_ids=(31, int(eos))
  )
  length = (
    min([first] + [i for i, t in enumerate(rows[0].tolist()) if t == 31]) + 1
  )
  assert made.lengths[0, 0] == length
  assert made.finish_reasons()[0] == ["eos"]
  np.testing.assert_array_equal(made.tokens[0, 0, :length], rows[0, :length])
  assert (made.tokens[0, 0, length:] == 0).all()
  assert (made.policy_logps[0, 0, length:] == 0).all()
  assert made.responses()[0][0] == rows[0, :length].tolist()


def test_the_models_own_eos_is_the_default():
  model, params = _tiny()
  prompts = _prompts((5, 3))
  free = _greedy(model, params, prompts, max_new_tokens=4)
  config = dataclasses.replace(model.config, eos_id=int(free.tokens[0, 0, 0]))
  made = _greedy(
    models.Model(config), params, prompts, max_new_tokens=4, eos_ids=None
  )
  assert made.lengths[0, 0] == 1
  assert made.finish_reasons()[0] == ["eos"]


def test_stop_sequences():
  model, params = _tiny()
  prompts = _prompts((5, 3))
  free = _greedy(model, params, prompts, max_new_tokens=12).tokens[:, 0]
  stop = free[1, 4:7].tolist()
  spots = [i + 3 for i in range(10) if free[1, i : i + 3].tolist() == stop]
  made = _greedy(
    model,
    params,
    prompts,
    max_new_tokens=12,
    stop=[[31, 30, 29, 28], stop],
  )
  assert made.lengths[1, 0] == spots[0]
  assert made.finish_reasons()[1] == ["stop"]
  assert made.responses()[1][0][-3:] == stop
  # A sequence that the prompt began is not one of the response.
  ending = prompts[0][-1:] + free[0, :1].tolist()
  made = _greedy(model, params, prompts, max_new_tokens=12, stop=[ending])
  twice = [i for i in range(11) if free[0, i : i + 2].tolist() == ending]
  assert made.lengths[0, 0] == (twice[0] + 2 if twice else 12)


def test_frequencies_of_draws():
  """Counts of 4,000 draws of one token against the exact distribution."""
  model, params = _tiny()
  prompt = [3, 1, 4]
  draws = 4000
  logits = np.asarray(models.logits(model, params, np.array([prompt])))[0, -1]
  for temperature in (0.8, 0.4):
    made = generation.generate(
      model,
      params,
      [prompt],
      max_new_tokens=1,
      num_samples=draws,
      temperature=temperature,
      eos_ids=(),
    )
    probs = np.exp(logits.astype(np.float64) / temperature)
    probs /= probs.sum()
    tokens = made.tokens[0, :, 0]
    np.testing.assert_allclose(
      made.logps[0, :, 0], np.log(probs[tokens]), atol=1e-4
    )
    counts = collections.Counter(tokens.tolist())
    kept = probs * draws > 5
    seen = np.array([counts[i] for i in range(32)])
    error = ((seen - probs * draws) ** 2 / (probs * draws))[kept].sum()
    # The 1 - 1e-6 quantile of chi-square with 31 degrees of freedom is 82.
    assert error < 82


def test_top_k_and_processors_change_the_distribution():
  model, params = _tiny()
  options = dict(max_new_tokens=1, num_samples=200, eos_ids=())
  prompt = [[3, 1, 4]]
  free = generation.generate(model, params, prompt, **options)
  few = generation.generate(model, params, prompt, top_k=2, **options)
  assert len(set(free.tokens.ravel())) > 2
  assert len(set(few.tokens.ravel())) == 2
  best = set(few.tokens.ravel().tolist())

  made = generation.generate(
    model, params, prompt, processors=(_Without(min(best)),), **options
  )
  assert min(best) not in made.tokens
  assert max(best) in made.tokens


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Without:
  """Rules one token out."""

  token: int

  def __call__(self, logits, history):
    assert history.tokens.shape[:2] == logits.shape[:2]
    ids = jnp.arange(logits.shape[-1])
    return jnp.where(ids == self.token, -jnp.inf, logits)


def test_zero_temperature_is_greedy():
  model, params = _tiny()
  prompts = _prompts((4, 3))
  cold = generation.generate(
    model, params, prompts, max_new_tokens=5, temperature=0, eos_ids=()
  )
  want = _greedy(model, params, prompts, max_new_tokens=5)
  np.testing.assert_array_equal(cold.tokens, want.tokens)
  drawn = generation.generate(
    model, params, prompts, max_new_tokens=5, eos_ids=()
  )
  assert not np.array_equal(drawn.tokens, want.tokens)


def test_the_likeliest_token_is_the_first_of_the_greatest():
  inf, nan = np.inf, np.nan
  scores = np.asarray(
    [
      [1, 3, 3, 2],
      [-inf, -inf, -inf, -inf],
      [-inf, -5, -inf, -5],
      [0, 1, inf, inf],
      [nan, 1, 2, 3],
    ],
    np.float32,
  )
  found = jax.jit(decoding.likeliest)(scores)
  assert found.tolist() == [1, 0, 1, 2, 0]
  assert found.tolist() == np.argmax(scores, axis=-1).tolist()
  # No token is right where a score is not a number, but it is one.
  assert decoding.likeliest(jnp.asarray([1.0, nan, 2.0])) == 0


def test_low_precision_computes_and_caches():
  model, params = _tiny()
  prompts = _prompts((6, 3))
  options = dict(max_new_tokens=6, eos_ids=())
  want = generation.generate(model, params, prompts, **options)
  for changes in ({"dtype": jnp.bfloat16}, {"cache_dtype": jnp.bfloat16}):
    made = generation.generate(model, params, prompts, **options, **changes)
    same = np.cumprod(made.tokens == want.tokens, axis=-1) == 1
    gap = np.abs(made.policy_logps - want.policy_logps)[same]
    assert same[0, 0, 0]
    assert 0 < gap.max() < 0.1


def test_adapters():
  base, params = _tiny()
  spec = lora_lib.LoraSpec(rank=2, targets="attention/.*")
  model = models.Model(base.config, lora=spec)
  adapter = lora_lib.init(jax.random.key(0), base.config, spec)
  prompts, options = _prompts((6, 3)), dict(max_new_tokens=6, eos_ids=())
  plain = generation.generate(model, params, prompts, **options)
  fresh = generation.generate(model, params, prompts, lora=adapter, **options)
  np.testing.assert_array_equal(plain.policy_logps, fresh.policy_logps)
  adapter = jax.tree.map(lambda x: x + 0.3, adapter)
  made = generation.generate(model, params, prompts, lora=adapter, **options)
  merged = generation.generate(
    base, lora_lib.merge(params, adapter, spec), prompts, **options
  )
  np.testing.assert_array_equal(made.tokens, merged.tokens)
  np.testing.assert_allclose(made.policy_logps, merged.policy_logps, atol=1e-5)
  assert np.abs(made.policy_logps - plain.policy_logps).max() > 0.1


def test_no_prompts_give_no_responses():
  model, params = _tiny()
  made = generation.generate(model, params, [], max_new_tokens=3)
  assert made.tokens.shape == (0, 1, 3)
  assert made.responses() == []


@pytest.mark.parametrize(
  "changes, error, message",
  [
    ({"max_new_tokens": 0}, errors.ConfigError, "max_new_tokens=0"),
    ({"num_samples": 1.5}, errors.ConfigError, "num_samples=1.5"),
    ({"batch_size": 0}, errors.ConfigError, "batch_size=0"),
    ({"temperature": -1.0}, errors.ConfigError, "temperature=-1.0"),
    ({"top_k": 0}, errors.ConfigError, "top_k=0"),
    ({"top_p": 1.5}, errors.ConfigError, "top_p=1.5"),
    ({"prompt_ids": [1, 2]}, errors.ConfigError, "2 entries for 1 prompts"),
    ({"stop": [[]]}, errors.ConfigError, "empty sequence"),
    ({"prompts": [[]]}, errors.DataError, r"prompts\[0\]: is empty"),
    ({"prompts": [[1], [32]]}, errors.DataError, r"prompts\[1\]: id 32"),
    ({"max_new_tokens": 30}, errors.ModelError, "32 positions: shorten"),
    ({"lora": {"blocks": {}}}, errors.ModelError, "without a LoraSpec"),
  ],
)
def test_what_cannot_be_done(changes, error, message):
  model, params = _tiny()
  options = {"prompts": [[1, 2, 3]], "max_new_tokens": 4, **changes}
  with pytest.raises(error, match=message):
    generation.generate(model, params, **options)


def test_buckets_are_few_and_close():
  from prefjax.generation import sampling

  sizes = sorted({sampling.bucket(n) for n in range(1, 1025)})
  assert sizes == [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024]
  assert all(sampling.bucket(n) >= n for n in range(1, 1025))
