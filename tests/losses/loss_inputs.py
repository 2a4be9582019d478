# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Example inputs of any loss, made from the names of its arguments.

Every axis has its own size, so that an array's shape says which mask rules
it. A new loss gets the generic tests as soon as its argument names follow
the package's conventions; an unusual one adds a row to a table below.
"""

import inspect

import jax
import numpy as np

from prefjax import losses

B, T, U, V, K, D, P = 6, 5, 7, 11, 4, 8, 3

# Losses whose rows meet: not independent of who shares the batch.
COUPLED = frozenset({"aot", "aot_unpaired", "beta_dpo", "simcse", "swav"})

# Losses of groups [B, K] outside the listwise family.
GROUPED = frozenset({"gpo", "steerlm2"})

# Arguments with the batch on their last axis; examples keep it first.
TRANSPOSED = frozenset({"scores_a", "scores_b"})

# Losses of arrays that belong to the batch as a whole (no leading B).
SHARED = frozenset({"prototypes"})

# Positional arguments that the names do not explain: loss -> argument ->
# shape (floats) or a function of the generator.
SPECIAL = {
  "attribute_regression": {
    "predictions": (B, K),
    "targets": (B, K),
    "mask": lambda rng: _ragged(rng, (B, K)),
  },
  "gpm": {
    "chosen_embeddings": (B, 2 * P),
    "rejected_embeddings": (B, 2 * P),
    "gates": lambda rng: _shares(rng, (B, P)),
  },
  "strength_bt": {"strength": lambda rng: _shares(rng, (B,)) + 1},
  "p2c": {"logits_a": (B, V), "logits_b": (B, V)},
  "adpa_objective": {
    **dict.fromkeys(
      ("logits", "teacher_logits", "ref_teacher_logits"), (B, U, V)
    ),
    "mask": lambda rng: _ragged(rng, (B, U)),
  },
  "adpa_sparse": {
    "indices": lambda rng: rng.integers(0, V, (B, T, K)).astype(np.int32),
    "values": (B, T, K),
  },
  "simcse": {"anchor": (B, D), "positive": (B, D)},
  "swav": {"view_a": (B, D), "view_b": (B, D), "prototypes": (P, D)},
}

# Keywords without a default.
REQUIRED = {"kto": {"reference_point": 1.5}}

# What to flip a keyword to, and which other keywords make it matter:
# (loss, keyword) -> (value, base keywords).
FLIPS = {
  ("f_dpo", "divergence"): ("js", {}),
  ("f_dpo", "alpha"): (0.9, {"divergence": "alpha"}),
  ("tdpo", "variant"): (1, {}),
  ("odpo", "offset"): ("linear", {}),
  ("aot", "mask"): (np.array([1, 1, 0, 1, 0, 1]), {}),
  ("aot_unpaired", "mask"): (np.array([1, 1, 0, 1, 0, 1]), {}),
  ("aot", "sort_rows"): (2, {}),
  ("aot_unpaired", "sort_rows"): (2, {}),
  ("wpo", "max_weight"): (None, {}),
  ("beta_dpo", "min_beta"): (50.0, {}),
  ("simcse", "mask"): (np.array([1, 1, 0, 1, 0, 1]), {}),
  ("swav", "mask"): (np.array([1, 1, 0, 1, 0, 1]), {}),
  ("swav", "iterations"): (1, {}),
  ("nextquill", "threshold"): (-1.0, {}),
  ("nextquill", "weighting"): ("js", {}),
  ("gpo", "log_z"): ("mean", {}),
  ("gpo", "clip_score"): (0.1, {}),
  ("strength_bt", "variant"): ("margin", {}),
  ("lipo_lambda", "gain"): ("linear", {}),
  ("token_kl", "direction"): ("reverse", {}),
  ("adpa", "clip_advantage"): (0.5, {}),
  ("adpa_objective", "clip_advantage"): (0.5, {}),
  ("rationale_dpo", "rationale_form"): ("logsigmoid", {}),
}


def parameters(name: str):
  return inspect.signature(losses.get(name)).parameters.values()


def array_names(name: str) -> list[str]:
  return [p.name for p in parameters(name) if p.kind != p.KEYWORD_ONLY]


def keyword_names(name: str) -> list[str]:
  return [p.name for p in parameters(name) if p.kind == p.KEYWORD_ONLY]


def token_axis(argument: str) -> int:
  """Rejected (and other second) sides have another number of tokens."""
  return U if "rejected" in argument else T


def _ragged(rng, shape) -> np.ndarray:
  """Masks with a prefix of ones; row 0 full, row 1 empty, holes in row 2."""
  mask = np.zeros(shape, np.int32)
  for i in range(shape[0]):
    mask[i, : 1 + rng.integers(shape[1])] = 1
  mask[0] = 1
  mask[2] = 1
  mask[2, 1] = 0
  mask[1] = 0
  return mask


def _is_token_loss(name: str) -> bool:
  return any(
    "token_" in p.name or p.name.endswith("logits") for p in parameters(name)
  )


def _is_listwise(name: str) -> bool:
  module = getattr(losses.get(name), "__module__", "")
  return module.endswith("listwise") or name in GROUPED


def _array(name: str, argument: str, rng) -> np.ndarray:
  """One argument of a loss; floats are float32."""
  if argument in SPECIAL.get(name, {}):
    special = SPECIAL[name][argument]
    return special(rng) if callable(special) else _normal(rng, special)
  tokens = (B, token_axis(argument))
  if argument.endswith("lengths"):
    shape = (B, K) if _is_listwise(name) else (B,)
    return rng.integers(0, 30, shape).astype(np.int32)
  if argument == "labels":
    if _is_token_loss(name):
      return rng.integers(0, V, tokens).astype(np.int32)
    return (np.arange(B) % 2).astype(np.int32)
  if argument.endswith("wins"):
    return (np.arange(B) % 2).astype(np.int32)
  if argument.endswith("win_prob"):
    return rng.uniform(0.1, 0.9, B).astype(np.float32)
  if argument == "advantages":
    return _normal(rng, (B,))
  if argument in TRANSPOSED:
    return _normal(rng, (B, P))
  if argument.startswith(("probs_", "soft_")):
    return _shares(rng, (B, V))
  if argument == "preference":
    return np.resize([1, 0, 2], B).astype(np.int32)
  if argument == "direction":
    return np.resize([1, -1, 0], B).astype(np.int32)
  if argument.endswith(("mask", "select")):
    if _is_listwise(name):
      return _ragged(rng, (B, K))
    if _is_token_loss(name):
      return _ragged(rng, tokens)
    return (np.arange(B) % 3 != 1).astype(np.int32)
  if argument.endswith("logits"):
    return 2 * _normal(rng, (*tokens, V))
  if argument.endswith("segments"):
    return rng.integers(0, 5, tokens).astype(np.int32)
  if argument.endswith("token_logps"):
    return -np.abs(_normal(rng, tokens)) - np.float32(0.05)
  if argument.endswith(("logps", "logps_ref_sample")):
    shape = (B, K) if _is_listwise(name) else (B,)
    return -np.abs(8 * _normal(rng, shape)) - np.float32(3)
  if argument.endswith("kl"):
    return np.abs(_normal(rng, (B,)))
  if argument.endswith("weights"):
    return rng.uniform(0.5, 1.6, B).astype(np.float32)
  if argument.endswith("rewards"):
    # A positive gap where a loss needs one.
    shift = 3.0 if "chosen" in argument else 0.0
    return _normal(rng, (B,)) + np.float32(shift)
  if argument == "scores":
    return _normal(rng, (B, K))
  if argument == "margin":
    return _normal(rng, (B,))
  if argument == "smoothing":
    return rng.uniform(0, 0.4, B).astype(np.float32)
  raise AssertionError(
    f"{name}: no rule makes an example of {argument!r}; add one to SPECIAL"
  )


def _normal(rng, shape) -> np.ndarray:
  return rng.normal(size=shape).astype(np.float32)


def _shares(rng, shape) -> np.ndarray:
  """Positive numbers that sum to 1 over the last axis."""
  values = rng.uniform(0.1, 1, shape)
  return (values / values.sum(-1, keepdims=True)).astype(np.float32)


def example(name: str, seed: int = 0) -> dict[str, np.ndarray]:
  """All array arguments of a loss by name."""
  rng = np.random.default_rng(seed)
  return {a: _array(name, a, rng) for a in array_names(name)}


def is_float(array) -> bool:
  return np.issubdtype(np.asarray(array).dtype, np.floating)


def values(output):
  """The per-example losses of an output."""
  return output["losses"] if isinstance(output, dict) else output


def call(name: str, arrays, **keywords):
  """The losses [B] for arrays by name."""
  keywords = {**REQUIRED.get(name, {}), **keywords}
  arrays = {k: v.T if k in TRANSPOSED else v for k, v in arrays.items()}
  return values(losses.get(name)(**arrays, **keywords))


def gradients(name: str, arrays, **keywords):
  """Gradient of the summed loss into every float argument."""
  floats = {k: v for k, v in arrays.items() if is_float(v)}
  rest = {k: v for k, v in arrays.items() if k not in floats}

  def total(floats):
    return call(name, {**floats, **rest}, **keywords).sum()

  return jax.grad(total)(floats)


def flip(name: str, keyword: str):
  """(base keywords, another value) such that the keyword should matter."""
  if (name, keyword) in FLIPS:
    value, base = FLIPS[name, keyword]
    return base, value
  parameter = inspect.signature(losses.get(name)).parameters[keyword]
  default = parameter.default
  if default is inspect.Parameter.empty:
    default = REQUIRED[name][keyword]
  if isinstance(default, bool):
    return {}, not default
  if isinstance(default, (int, float)):
    if "smoothing" in keyword or keyword == "epsilon":
      return {}, 0.3
    return {}, 0.6 * default if default else 0.25
  raise AssertionError(
    f"{name}: no rule flips {keyword}={default!r}; add one to FLIPS"
  )


def pair(seed: int = 0, size: int = 6, spread: float = 8.0):
  """chosen, rejected, ref_chosen, ref_rejected log-probs, float32 [size]."""
  rng = np.random.default_rng(seed)
  return tuple(
    -np.abs(spread * _normal(rng, (size,))) - np.float32(1) for _ in range(4)
  )


def pair_of(c, r):
  """A pair with log-ratios c and r, over references of -20 nats."""
  c = np.atleast_1d(np.asarray(c, np.float32))
  r = np.atleast_1d(np.asarray(r, np.float32))
  ref = np.full(np.broadcast_shapes(c.shape, r.shape), -20, np.float32)
  return ref + c, ref + r, ref, ref
