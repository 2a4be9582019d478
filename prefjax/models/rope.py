# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rotary position embeddings and the ways published models stretch them."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from prefjax.models import config as config_lib


class Tables(NamedTuple):
  """cos and sin of every position's angles, float32 [..., T, rotary / 2]."""

  cos: jax.Array
  sin: jax.Array


def rotary_size(rope: config_lib.Rope, head_dim: int) -> int:
  """How many of a head's dimensions rotate; an even number."""
  return int(head_dim * rope.partial) // 2 * 2


def _yarn(rope: config_lib.Rope, size: int, original: int) -> np.ndarray:
  """Frequencies that turn often are kept, slow ones are interpolated."""

  def dimension(rotations: float) -> float:
    wave = original / (rotations * 2 * math.pi)
    return size * math.log(wave) / (2 * math.log(rope.theta))

  low, high = dimension(rope.beta_fast), dimension(rope.beta_slow)
  if rope.truncate:
    low, high = math.floor(low), math.ceil(high)
  low, high = max(low, 0), min(high, size - 1)
  if low == high:
    high += 0.001  # a step instead of a ramp
  ramp = np.clip((np.arange(size // 2) - low) / (high - low), 0, 1)
  kept = 1.0 / rope.theta ** (np.arange(0, size, 2) / size)
  return kept / rope.factor * ramp + kept * (1 - ramp)


def _llama3(rope: config_lib.Rope, plain: np.ndarray, original: int):
  """Long waves are slowed by `factor`, short ones kept, a blend between."""
  wave = 2 * math.pi / plain
  blend = (original / wave - rope.low_freq_factor) / (
    rope.high_freq_factor - rope.low_freq_factor
  )
  blend = np.clip(blend, 0, 1)
  return plain / rope.factor * (1 - blend) + plain * blend


def attention_factor(rope: config_lib.Rope, max_positions: int) -> float:
  """What cos and sin are multiplied by; 1 except for yarn and longrope."""
  if rope.attention_factor is not None:
    return rope.attention_factor

  def scale(weight: float) -> float:
    return 1.0 if rope.factor <= 1 else 0.1 * weight * math.log(rope.factor) + 1

  if rope.kind == "yarn":
    if rope.mscale and rope.mscale_all_dim:
      return scale(rope.mscale) / scale(rope.mscale_all_dim)
    return scale(1.0)
  if rope.kind == "longrope" and rope.factor > 1:
    original = rope.original_positions or max_positions
    return math.sqrt(1 + math.log(rope.factor) / math.log(original))
  return 1.0


def frequencies(
  rope: config_lib.Rope, head_dim: int, max_positions: int, lengths=None
):
  """Radians a position, float32 [..., rotary / 2].

  Args:
    rope: the embedding.
    head_dim: size of a head.
    max_positions: the model's longest sequence.
    lengths: real tokens of each sequence [...]; needed by the kinds that
      depend on the length ("dynamic" and "longrope").

  Returns:
    A NumPy array, or a jax array with the leading axes of `lengths`.
  """
  size = rotary_size(rope, head_dim)
  original = rope.original_positions or max_positions
  exponent = np.arange(0, size, 2) / size
  plain = 1.0 / rope.theta**exponent
  if rope.kind == "linear":
    plain = plain / rope.factor
  elif rope.kind == "llama3":
    plain = _llama3(rope, plain, original)
  elif rope.kind == "yarn":
    plain = _yarn(rope, size, original)
  elif rope.kind == "dynamic":
    # The base grows with the part of the sequence past the original context.
    length = jnp.maximum(lengths, original).astype(jnp.float32)[..., None]
    stretch = rope.factor * length / original - (rope.factor - 1)
    base = rope.theta * stretch ** (size / (size - 2))
    return base ** jnp.asarray(-exponent, jnp.float32)
  elif rope.kind == "longrope":
    is_long = jnp.asarray(lengths > original)[..., None]
    short = plain / np.asarray(rope.short_factor)
    long = plain / np.asarray(rope.long_factor)
    return jnp.where(is_long, long.astype(np.float32), short.astype(np.float32))
  return plain.astype(np.float32)


def tables(
  rope: config_lib.Rope,
  head_dim: int,
  max_positions: int,
  positions,
  lengths=None,
) -> Tables:
  """cos and sin for positions [..., T] of sequences of `lengths` [...]."""
  radians = frequencies(rope, head_dim, max_positions, lengths)
  if radians.ndim > 1:
    radians = radians[..., None, :]
  angle = positions.astype(jnp.float32)[..., None] * radians
  factor = jnp.float32(attention_factor(rope, max_positions))
  return Tables(cos=jnp.cos(angle) * factor, sin=jnp.sin(angle) * factor)


def rotate(x: jax.Array, table: Tables | None) -> jax.Array:
  """Rotates pairs (i, i + rotary / 2) of heads [..., T, heads, head_dim]."""
  if table is None:
    return x
  half = table.cos.shape[-1]
  dtype = jnp.promote_types(x.dtype, jnp.float32)
  cos = table.cos.astype(dtype)[..., None, :]
  sin = table.sin.astype(dtype)[..., None, :]
  first = x[..., :half].astype(dtype)
  second = x[..., half : 2 * half].astype(dtype)
  turned = [first * cos - second * sin, second * cos + first * sin]
  turned = [part.astype(x.dtype) for part in turned]
  return jnp.concatenate([*turned, x[..., 2 * half :]], axis=-1)
