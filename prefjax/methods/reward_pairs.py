# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Arrays and metrics that methods of reward models share."""

from typing import Any

import jax
import jax.numpy as jnp

from prefjax.core import errors, types
from prefjax.methods import adapters, diagnostics


def settings_of(name: str, defaults: dict[str, Any], kwargs) -> dict[str, Any]:
  """Defaults with the hyper-parameters of a config, names and types checked.

  Raises:
    ConfigError: an unknown name, or a value of another type.
  """
  adapters.check_kwargs(name, defaults, kwargs)
  for key, value in kwargs.items():
    kind = type(defaults[key])
    numbers = kind in (int, float) and type(value) in (int, float)
    if type(value) is not kind and not (numbers and kind is float):
      raise errors.ConfigError(
        f"method.kwargs.{key}: is {value!r}, expected a {kind.__name__}"
      )
  return {**defaults, **kwargs}


def one_of(key: str, value: Any, known) -> None:
  """Checks that a hyper-parameter is one of some words.

  Raises:
    ConfigError: it is not.
  """
  if value not in known:
    raise errors.ConfigError(
      f"method.kwargs.{key}: {value!r} is not one of {', '.join(known)}"
      f"{errors.nearest(str(value), known)}"
    )


def extra(name: str, batch, key: str, times: int = 1) -> jax.Array:
  """A number of each record, once for each of its pairs: [B * times].

  Raises:
    DataError: the batch does not have it.
  """
  if key not in batch.extras:
    raise errors.DataError(
      f"{name}: the batch has no extra {key!r}; the records need a field {key}"
    )
  value = jnp.asarray(batch.extras[key])
  fill = jnp.zeros((), value.dtype)
  kept = (batch.example_weight != 0).reshape(-1, *[1] * (value.ndim - 1))
  return jnp.repeat(jnp.where(kept, value, fill), times, axis=0)


def pair_arrays(values: jax.Array, batch, name: str = "rewards"):
  """Values of both sides of every pair, and what goes with a pair.

  Args:
    values: [B, K, ...], one a response, such as rewards.
    batch: with the group 'main'.
    name: of the values.

  Returns:
    chosen_<name>, rejected_<name> [B * M, ...], chosen_lengths,
    rejected_lengths, chosen_scores and rejected_scores (where there are
    scores) and pair_valid, all [B * M]. What is no pair holds 0.
  """
  group = batch.main
  pairs, valid = group.pair_indices()
  valid = valid & (batch.example_weight[:, None] != 0)
  arrays = {}
  for side, word in enumerate(("chosen", "rejected")):
    index = pairs[..., side]
    arrays[f"{word}_{name}"] = adapters.select(values, index)
    arrays[f"{word}_lengths"] = adapters.select(group.lengths(), index)
    if group.scores is not None:
      arrays[f"{word}_scores"] = adapters.select(group.scores, index)
  flat = {}
  for key, value in arrays.items():
    kept = valid.reshape(*valid.shape, *[1] * (value.ndim - 2))
    value = jnp.where(kept, value, 0)
    flat[key] = value.reshape(-1, *value.shape[2:])
  flat["pair_valid"] = valid.reshape(-1)
  return flat


def score_gaps(name: str, arrays) -> jax.Array:
  """Annotated gaps [B * M].

  Raises:
    DataError: the records have no scores.
  """
  if "chosen_scores" not in arrays:
    raise errors.DataError(
      f"{name} needs a score for every response, and these records have none;"
      " train on records with scores"
    )
  return arrays["chosen_scores"] - arrays["rejected_scores"]


def weights_of(arrays, batch) -> jax.Array:
  """[B * M], how much each pair counts in a metric."""
  valid = arrays["pair_valid"]
  m = valid.shape[0] // batch.example_weight.shape[0]
  return valid * jnp.repeat(batch.example_weight, m)


def metrics(chosen, rejected, arrays, batch) -> dict[str, Any]:
  """Rewards, accuracy and length bias over the valid pairs.

  Args:
    chosen: [B * M], or one number a pair that plays the reward.
    rejected: [B * M].
    arrays: of `pair_arrays`.
    batch: they came from.
  """
  return diagnostics.margin_metrics(
    chosen, rejected, arrays, weights_of(arrays, batch)
  )


def sft_term(outputs, batch, coefficient: float) -> types.Term:
  """Cross-entropy of the chosen responses, each token alike."""
  group = batch.main
  sums = adapters.sequence_sums(outputs, adapters.POLICY, group)
  arrays = pair_arrays(sums, batch, "logps")
  valid = arrays["pair_valid"]
  b = batch.example_weight.shape[0]
  lengths = (arrays["chosen_lengths"] * valid).reshape(b, -1).sum(1)
  total = -(arrays["chosen_logps"] * valid).reshape(b, -1).sum(1)
  return types.Term(
    value=total / jnp.maximum(lengths, 1),
    weight=lengths * batch.example_weight,
    coefficient=jnp.float32(coefficient),
  )
