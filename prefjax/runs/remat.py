# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What the backward pass keeps, chosen by how much memory there is.

The more is kept, the less is computed again. How many bytes each choice
keeps is found by tracing the log-probs of a batch, which computes nothing.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from prefjax.core import types
from prefjax.methods import language_model
from prefjax.models import base
from prefjax.models import lora as lora_lib
from prefjax.runs import chips

AUTO = "auto"
CHOICES = ("none", "dots", "full")  # from the fastest to the smallest
# The rest is for what no estimate sees: buffers of the compiler, the runtime.
_USABLE = 0.85


def device_bytes(device: Any, sharing: int = 1) -> float | None:
  """Memory of a device, None where nobody knows.

  Args:
    device: attached, or described by a topology.
    sharing: devices that share a host's memory, where it is theirs.
  """
  spec = chips.chip(device)
  if spec is not None:
    return spec.memory
  if device.platform == "cpu":
    import psutil

    return psutil.virtual_memory().total / sharing
  stats = device.memory_stats()
  return (stats or {}).get("bytes_limit")


def _bytes(tree: Any) -> int:
  return sum(
    math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree)
  )


def placed_bytes(shapes: Any, shardings: Any) -> int:
  """Bytes of one device's share of a tree."""
  return sum(
    math.prod(at.shard_shape(x.shape)) * x.dtype.itemsize
    for x, at in zip(
      jax.tree.leaves(shapes), jax.tree.leaves(shardings), strict=True
    )
  )


def resized(
  group: types.Group, rows: int, shape: tuple[int, int, int, int]
) -> types.Group:
  """The shapes of a group of so many rows and the slots of (B, K, P, R).

  Only what the model reads.
  """
  _, k, p, r = shape

  def array(*dims, dtype):
    return jax.ShapeDtypeStruct((rows, *dims), dtype)

  return types.Group(
    prompt=array(p, dtype=jnp.int32),
    prompt_mask=array(p, dtype=jnp.bool_),
    response=array(k, r, dtype=jnp.int32),
    token_mask=array(k, r, dtype=jnp.bool_),
    token_weights=array(k, r, dtype=jnp.float32),
    response_mask=array(k, dtype=jnp.bool_),
    packed=group.packed,
  )


def kept_bytes(
  model: base.Model,
  compute: language_model.Compute,
  group: types.Group,
  dtype: Any,
) -> int:
  """Bytes of activations that a backward pass waits for, over all devices.

  Args:
    model: the decoder.
    compute: how it is run, with its remat.
    group: shapes of one part of a batch.
    dtype: of the weights.
  """
  shapes = model.shapes(dtype)
  adapter = None
  if model.lora is not None:
    adapter = jax.eval_shape(
      lambda: lora_lib.init(jax.random.key(0), model.config, model.lora)
    )
  trained = shapes if adapter is None else adapter

  def pull(trained, weights, group):
    def total(trained):
      own, lora = (trained, None) if adapter is None else (weights, trained)
      logps = language_model.token_logps_of(
        model, own, group, lora=lora, compute=compute
      )
      return jnp.sum(logps)

    return jax.vjp(total, trained)[1]

  kept = jax.eval_shape(pull, trained, shapes, group)
  # The weights wait too, and are there anyway.
  return max(_bytes(kept) - _bytes(shapes), 0)


def choose(
  model: base.Model,
  compute: language_model.Compute,
  groups: Sequence[types.Group],
  *,
  dtype: Any,
  fixed: float,
  memory: float | None,
) -> str:
  """The first of CHOICES whose activations fit beside the rest.

  Args:
    model: the decoder.
    compute: how it is run.
    groups: shapes of one part of a batch of each stage.
    dtype: of the weights.
    fixed: bytes of a device for state and gradients.
    memory: bytes of a device, None where it is not known.
  """
  if memory is None:
    return CHOICES[0]
  ways = 1
  if compute.sharding is not None:
    ways = compute.sharding.count(compute.sharding.rows)
  for choice in CHOICES[:-1]:
    how = dataclasses.replace(compute, remat=choice)
    kept = max(kept_bytes(model, how, group, dtype) for group in groups)
    if fixed + kept / ways <= _USABLE * memory:
      return choice
  return CHOICES[-1]
