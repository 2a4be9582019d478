# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Does what a caller wants to restore fit what was saved?

Orbax casts dtypes without a word; here every difference is an error that
names the leaf, before a byte of an array is read.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from prefjax.checkpoint import digest as digest_lib
from prefjax.checkpoint import leaves as leaves_lib
from prefjax.core import errors

_WIDE = ("int64", "uint64", "float64", "complex128")


@dataclasses.dataclass(frozen=True)
class _Place:
  """A sharding as an opaque leaf of a tree."""

  sharding: Any


def specs(
  template: Any, shardings: Any = None
) -> dict[str, leaves_lib.LeafSpec]:
  """Specs of all template leaves by path, with their target shardings.

  Args:
    template: pytree of arrays, ShapeDtypeStructs and Python numbers.
    shardings: None, a sharding, or a pytree prefix of shardings; where it
      is None the template's own sharding stays.

  Raises:
    CheckpointError: a leaf or the shardings cannot be used.
  """
  found = {
    path: leaves_lib.spec_of(path, leaf)
    for path, leaf in leaves_lib.flatten(template).items()
  }
  for path, place in _places(template, shardings).items():
    if place.sharding is not None:
      found[path] = dataclasses.replace(found[path], sharding=place.sharding)
  for path, spec in found.items():
    if spec.kind == "jax" and spec.sharding is not None:
      _check_sharding(path, spec)
  return found


def _places(template: Any, shardings: Any) -> dict[str, _Place]:
  """The prefix tree of shardings, spread over the leaves."""
  if shardings is None:
    return {}

  def spread(sharding: Any, part: Any) -> Any:
    return jax.tree.map(lambda _: _Place(sharding), part)

  def is_leaf(value: Any) -> bool:
    return value is None or isinstance(value, jax.sharding.Sharding)

  try:
    tree = jax.tree.map(spread, shardings, template, is_leaf=is_leaf)
  except (ValueError, TypeError) as error:
    raise errors.CheckpointError(
      f"restore: shardings are no prefix of the template: {error}"
    ) from error
  return leaves_lib.flatten(tree)


def _check_sharding(path: str, spec: leaves_lib.LeafSpec) -> None:
  if not isinstance(spec.sharding, jax.sharding.Sharding):
    raise errors.CheckpointError(
      f"restore: leaf '{path}' has a {type(spec.sharding).__name__} for a"
      " sharding; give a jax.sharding.Sharding"
    )
  try:
    spec.sharding.shard_shape(spec.shape)
  except (ValueError, TypeError) as error:
    raise errors.CheckpointError(
      f"restore: leaf '{path}' of shape {spec.shape} cannot be laid out as"
      f" {spec.sharding}: {error}"
    ) from error


def check(
  wanted: Mapping[str, leaves_lib.LeafSpec],
  saved: Mapping[str, digest_lib.LeafDigest],
  *,
  partial: bool,
  where: str,
) -> None:
  """Compares names, shapes and dtypes of a template with a manifest.

  Args:
    wanted: specs of the template.
    saved: leaves of the manifest.
    partial: whether saved leaves may be left out.
    where: the checkpoint, for the message.

  Raises:
    CheckpointError: names the first leaf that differs and how.
  """
  missing = [path for path in wanted if path not in saved]
  if missing:
    raise errors.CheckpointError(
      f"{where} has no leaf '{missing[0]}'{errors.nearest(missing[0], saved)}"
      f"{_and_more(missing)}; use the configuration it was saved with"
    )
  extra = [path for path in saved if path not in wanted]
  if extra and not partial:
    raise errors.CheckpointError(
      f"{where} has a leaf '{extra[0]}'{_and_more(extra)} that the template"
      " leaves out; use the configuration it was saved with, or a partial"
      " restore"
    )
  for path, spec in wanted.items():
    leaf = saved[path]
    if tuple(spec.shape) != tuple(leaf.shape):
      raise errors.CheckpointError(
        f"{where}: leaf '{path}' was saved with shape {leaf.shape}, the"
        f" template has {spec.shape}; use the configuration it was saved with"
      )
    if spec.dtype != leaf.dtype:
      raise errors.CheckpointError(
        f"{where}: leaf '{path}' was saved as {leaf.dtype}, the template has"
        f" {spec.dtype}; restore as {leaf.dtype} and cast afterwards"
      )
    if (
      spec.kind == "jax"
      and leaf.dtype in _WIDE
      and not jax.config.jax_enable_x64
    ):
      raise errors.CheckpointError(
        f"{where}: leaf '{path}' is {leaf.dtype}, which JAX would narrow; set"
        " JAX_ENABLE_X64=1 or restore it as a NumPy array"
      )


def _and_more(paths: list[str]) -> str:
  return f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
