# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Optimisers without a learning rate, and schedules of it.

The step multiplies updates by minus the rate, so that the rate is a function
of `state.step` alone and the same at every resume.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from prefjax.core import checks, errors

OPTIMIZERS = ("adamw", "adafactor", "lion", "sgd")
SCHEDULES = ("constant", "linear", "cosine", "inverse_sqrt")


def tree_paths(tree: Any) -> Any:
  """The tree with the path 'a/b/c' of every leaf in its place."""
  return jax.tree_util.tree_map_with_path(
    lambda path, _: jax.tree_util.keystr(path, simple=True, separator="/"),
    tree,
  )


def decay_mask(pattern: str) -> Callable[[Any], Any]:
  """params -> bool tree: where the path matches, weight decay applies.

  Raises:
    ConfigError: not a regular expression.
  """
  try:
    expression = re.compile(pattern)
  except re.error as error:
    raise errors.ConfigError(
      f"opt.decay_pattern={pattern!r} is not a regular expression: {error}"
    ) from None

  def mask(params):
    return jax.tree.map(
      lambda path: expression.search(path) is not None, tree_paths(params)
    )

  return mask


def make_optimizer(
  name: str = "adamw",
  *,
  b1: float = 0.9,
  b2: float = 0.999,
  eps: float = 1e-8,
  weight_decay: float = 0.0,
  decay_pattern: str = r"kernel|tokens|weight",
  clip_norm: float | None = None,
  moment_dtype: Any = None,
  role_scales: Mapping[str, float] | None = None,
) -> optax.GradientTransformation:
  """A gradient transformation whose updates are to be scaled by -rate.

  Args:
    name: "adamw" (arXiv:1711.05101), "adafactor" (arXiv:1804.04235), "lion"
      (arXiv:2302.06675) or "sgd" (b1 is its momentum).
    b1: decay of the first moment.
    b2: decay of the second moment (lion: of the momentum).
    eps: added to the root of the second moment.
    weight_decay: decoupled; multiplies the parameters.
    decay_pattern: regular expression; parameters whose path it finds decay.
      Norm scales and biases do not by default.
    clip_norm: global gradient norm from which gradients are scaled down;
      None or 0 for none.
    moment_dtype: dtype of the first moment, None for that of the parameters.
    role_scales: role -> factor of the learning rate of that role; 0 trains
      nothing. Roles that are not named have 1.

  Raises:
    ConfigError: unknown name or a value out of range.
  """
  if name not in OPTIMIZERS:
    raise errors.ConfigError(
      f"opt.name: {name!r} is not one of {', '.join(OPTIMIZERS)}"
      f"{errors.nearest(name, OPTIMIZERS)}"
    )
  try:
    checks.in_range("opt", 0, 1, high_open=True, b1=b1, b2=b2)
    checks.in_range("opt", 0, eps=eps, weight_decay=weight_decay)
    checks.in_range("opt", 0, clip_norm=clip_norm)
  except ValueError as error:
    raise errors.ConfigError(str(error).replace("opt: ", "opt.")) from None
  parts = []
  if clip_norm:
    parts.append(optax.clip_by_global_norm(clip_norm))
  if name == "adamw":
    parts.append(optax.scale_by_adam(b1, b2, eps, mu_dtype=moment_dtype))
  elif name == "lion":
    parts.append(optax.scale_by_lion(b1, b2, mu_dtype=moment_dtype))
  elif name == "adafactor":
    parts.append(optax.scale_by_factored_rms())
    parts.append(optax.clip_by_block_rms(1.0))
    if b1:
      parts.append(optax.ema(b1, debias=False))
  elif b1:
    parts.append(optax.trace(b1, accumulator_dtype=moment_dtype))
  if weight_decay:
    mask = decay_mask(decay_pattern)
    parts.append(optax.add_decayed_weights(weight_decay, mask))
  if role_scales:
    scales = {
      role: optax.scale(float(factor)) for role, factor in role_scales.items()
    }
    scales["other"] = optax.identity()

    def labels(params):
      for role in role_scales:
        if role not in params:
          raise errors.ConfigError(
            f"opt.role_scales.{role}: no such trained role"
            f"{errors.nearest(role, params)}; they are {', '.join(params)}"
          )
      return {
        role: jax.tree.map(
          lambda _, role=role: role if role in role_scales else "other", tree
        )
        for role, tree in params.items()
      }

    parts.append(optax.partition(scales, labels))
  return optax.chain(*parts) if parts else optax.identity()


def make_schedule(
  name: str,
  peak: float,
  *,
  total_steps: int,
  warmup_steps: int = 0,
  final_fraction: float = 0.0,
  start: int = 0,
) -> Callable[[Any], jax.Array]:
  """The learning rate as a function of the number of updates done.

  Args:
    name: what follows the linear warm-up: "constant", "linear", "cosine"
      (both reach `final_fraction` of the peak when `total_steps` updates
      are done, so the last update has a little more), or "inverse_sqrt".
    peak: rate at the end of the warm-up.
    total_steps: updates of the stage.
    warmup_steps: the first update has the rate peak / warmup_steps.
    final_fraction: in [0, 1].
    start: updates done when the stage begins.

  Raises:
    ConfigError: unknown name or a value out of range.
  """
  if name not in SCHEDULES:
    raise errors.ConfigError(
      f"opt.schedule: {name!r} is not one of {', '.join(SCHEDULES)}"
      f"{errors.nearest(name, SCHEDULES)}"
    )
  if not 0 <= final_fraction <= 1:
    raise errors.ConfigError(
      f"opt.final_fraction: {final_fraction} is outside [0, 1]"
    )
  if warmup_steps < 0 or peak < 0:
    raise errors.ConfigError(
      f"opt: warmup_steps={warmup_steps} and learning_rate={peak} must not be"
      " negative"
    )

  def schedule(step) -> jax.Array:
    done = jnp.asarray(step, jnp.float32) - start
    warm = jnp.minimum((done + 1) / max(warmup_steps, 1), 1.0)
    span = max(total_steps - warmup_steps, 1)
    progress = jnp.clip((done - warmup_steps) / span, 0.0, 1.0)
    if name == "linear":
      shape = 1 - progress
    elif name == "cosine":
      shape = 0.5 * (1 + jnp.cos(jnp.pi * progress))
    elif name == "inverse_sqrt":
      scale = float(max(warmup_steps, 1))
      shape = jnp.sqrt(scale / jnp.maximum(done + 1, scale))
      return peak * warm * shape
    else:
      return peak * warm
    decayed = final_fraction + (1 - final_fraction) * shape
    return peak * jnp.where(done < warmup_steps, warm, decayed)

  return schedule
