# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""One number from ratings of several attributes, and their likelihood."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from prefjax.core import checks, numerics

# helpfulness, correctness, coherence, complexity, verbosity
HELPSTEER_WEIGHTS = (0.65, 0.8, 0.45, 0.55, -0.4)


def attribute_reward(
  attributes, *, weights: Sequence[float] = HELPSTEER_WEIGHTS
) -> jax.Array:
  """A weighted sum of attributes.

  Args:
    attributes: [..., A], ratings or predictions.
    weights: [A]; the default is for helpfulness, correctness, coherence,
      complexity and verbosity.

  Returns:
    [...] float32.

  Raises:
    ValueError: there are not A weights.

  Reference:
    Wang et al., "HelpSteer2", arXiv:2406.08673; weights of the published
    reward model.
  """
  attributes, weights = numerics.to_float32(attributes, jnp.asarray(weights))
  if weights.shape != attributes.shape[-1:]:
    raise ValueError(
      f"attribute_reward: weights has shape {weights.shape}, expected"
      f" {attributes.shape[-1:]}"
    )
  return attributes @ weights


def attribute_log_likelihood(
  predictions, attributes, *, scale=0.5, levels=(0, 1, 2, 3, 4)
) -> jax.Array:
  """Log-probability of wanted ratings under a regression reward model.

    sum over attributes of log softmax_l( -(l - prediction)^2 / (2 scale^2) )

  A discretised normal distribution around each prediction, our choice.

  Args:
    predictions: [B, A], outputs of the reward model.
    attributes: int [B, A], wanted ratings, as indices into levels.
    scale: > 0, standard deviation in units of the levels.
    levels: possible ratings.

  Returns:
    [B] float32 nats, for `losses.steerlm2`.

  Raises:
    ValueError: shapes differ or scale is out of range.

  Reference:
    Wang et al., "HelpSteer2", arXiv:2406.08673 (SteerLM 2.0).
  """
  name = "attribute_log_likelihood"
  checks.in_range(name, 0, low_open=True, scale=scale)
  checks.same_shape(name, predictions=predictions, attributes=attributes)
  predictions, grid = numerics.to_float32(predictions, jnp.asarray(levels))
  grid = grid.reshape((1,) * predictions.ndim + (-1,))
  # Without the square of the prediction, which all levels share and which
  # would take the digits of a large one.
  energy = grid * (2 * predictions[..., None] - grid) / (2 * scale**2)
  logps = jax.nn.log_softmax(energy, axis=-1)
  index = jnp.asarray(attributes)[..., None]
  return jnp.sum(jnp.take_along_axis(logps, index, axis=-1)[..., 0], axis=-1)
