# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Low-rank adapters: W x + (alpha / rank) B A x (arXiv 2106.09685, eq. 3).

An adapter is a tree of its own beside the parameters, with a pair
{"a": [inputs, rank], "b": [rank, outputs]} (stacked over layers like the
kernels) for each adapted projection. B begins at zero, and without the tree
the model is the base model to the last bit, so that the reference of a
preference loss is the same weights with the adapter off.
"""

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp

from prefjax.core import errors, prng


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoraSpec:
  """What is adapted and how strongly.

  Attributes:
    rank: inner size, r.
    alpha: the update is scaled by alpha / rank (alpha / sqrt(rank) with
      `rank_stabilised`).
    targets: regular expression that must match a whole projection name:
      "attention/q", "attention/k", "attention/v", "attention/o", "mlp/gate",
      "mlp/up" or "mlp/down".
    dropout: probability of dropping an input of A; needs a key.
    rank_stabilised: scale by alpha / sqrt(rank) (arXiv 2312.03732).
  """

  rank: int = 8
  alpha: float = 16.0
  targets: str = "attention/.*|mlp/.*"
  dropout: float = 0.0
  rank_stabilised: bool = False

  def __post_init__(self):
    if not isinstance(self.rank, int) or self.rank < 1:
      raise errors.ModelError(f"lora.rank={self.rank!r} is not a positive int")
    if not 0 <= self.dropout < 1:
      raise errors.ModelError(f"lora.dropout={self.dropout} is outside [0, 1)")
    try:
      re.compile(self.targets)
    except re.error as error:
      raise errors.ModelError(
        f"lora.targets={self.targets!r} is not a regular expression: {error}"
      ) from error

  @property
  def scale(self) -> float:
    root = self.rank**0.5 if self.rank_stabilised else self.rank
    return self.alpha / root


class Adapter:
  """A view of an adapter tree at one place, possibly an empty one."""

  def __init__(self, spec: LoraSpec | None = None, tree: Any = None, key=None):
    self._spec, self._tree, self._key = spec, tree, key

  def child(self, name: str) -> "Adapter":
    """The view one level down."""
    if not self._tree or name not in self._tree:
      return Adapter()
    key = None if self._key is None else prng.fold_tag(self._key, name)
    return Adapter(self._spec, self._tree[name], key)

  def add(self, x: jax.Array, y: jax.Array) -> jax.Array:
    """y plus the low-rank update of x [N, T, inputs]."""
    if not self._tree:
      return y
    a, b = self._tree["a"].astype(x.dtype), self._tree["b"].astype(x.dtype)
    if self._key is not None and self._spec.dropout:
      keep = 1.0 - self._spec.dropout
      shape = x.shape[1:]
      kept = jax.vmap(lambda k: jax.random.bernoulli(k, keep, shape))(self._key)
      x = jnp.where(kept, x / keep, 0).astype(x.dtype)
    return y + ((x @ a) @ b * self._spec.scale).astype(y.dtype)
