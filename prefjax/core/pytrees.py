# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Dataclasses as pytrees."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax


def register(cls: Any, static: Sequence[str] = ()) -> Any:
  """Makes a dataclass a pytree; for use as a decorator above `dataclass`.

  Not `jax.tree_util.register_dataclass`: JAX (0.10 to 0.12) takes the
  structures of two such classes for equal if they have as many leaves, so that
  `jit` now and then runs the program that was compiled for another class.

  Args:
    cls: the dataclass; paths to its leaves have the names of its fields.
    static: fields that are part of the structure instead of leaves; they
      must be hashable.
  """
  names = [field.name for field in dataclasses.fields(cls)]
  data = [name for name in names if name not in static]

  def flatten_with_keys(x):
    key = jax.tree_util.GetAttrKey
    leaves, meta = flatten(x)
    return [(key(n), v) for n, v in zip(data, leaves, strict=True)], meta

  def flatten(x):
    meta = tuple(getattr(x, name) for name in static)
    return [getattr(x, name) for name in data], meta

  def unflatten(meta, leaves):
    return cls(
      **dict(zip(data, leaves, strict=True)),
      **dict(zip(static, meta, strict=True)),
    )

  jax.tree_util.register_pytree_with_keys(
    cls, flatten_with_keys, unflatten, flatten
  )
  return cls
