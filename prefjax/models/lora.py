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
from prefjax.models import config as config_lib

Config = config_lib.DecoderConfig


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


def projections(config: Config) -> dict[str, tuple[int, int]]:
  """(inputs, outputs) of every projection that can be adapted, by name."""
  hidden, inner = config.hidden_size, config.intermediate_size
  wide = config.num_heads * config.head_dim
  narrow = config.num_kv_heads * config.head_dim
  sizes = {
    "attention/q": (hidden, wide),
    "attention/k": (hidden, narrow),
    "attention/v": (hidden, narrow),
    "attention/o": (wide, hidden),
    "mlp/gate": (hidden, inner),
    "mlp/up": (hidden, inner),
    "mlp/down": (inner, hidden),
  }
  if not config.gated:
    del sizes["mlp/gate"]
  return sizes


def init(key: jax.Array, config: Config, spec: LoraSpec, dtype=jnp.float32):
  """A fresh adapter: A uniform in +-1 / sqrt(inputs), B zero.

  Args:
    key: of the draws; layer i's depend on (key, i, projection) only.
    config: the decoder.
    spec: what is adapted.
    dtype: of the adapter.

  Returns:
    The tree; until B is trained it changes nothing.

  Raises:
    ModelError: `spec.targets` matches no projection of this decoder.
  """
  known = projections(config)
  chosen = {n: s for n, s in known.items() if re.fullmatch(spec.targets, n)}
  if not chosen:
    raise errors.ModelError(
      f"lora.targets={spec.targets!r} matches none of {', '.join(known)}"
    )

  def layer(index):
    tree: dict[str, Any] = {}
    for name, (inputs, outputs) in chosen.items():
      own = jax.random.fold_in(key, prng.tag_id(name))
      own = jax.random.fold_in(own, index)
      bound = inputs**-0.5
      shape = (inputs, spec.rank)
      part, projection = name.split("/")
      tree.setdefault(part, {})[projection] = {
        "a": jax.random.uniform(own, shape, dtype, -bound, bound),
        "b": jnp.zeros((spec.rank, outputs), dtype),
      }
    return tree

  size, blocks = len(config.pattern), config.num_blocks
  adapter = {
    "blocks": {
      str(s): jax.vmap(layer)(jnp.arange(blocks) * size + s)
      for s in range(size)
    }
  }
  if config.rest:
    adapter["rest"] = {
      str(s): layer(blocks * size + s) for s in range(len(config.rest))
    }
  return adapter


def merge(params: Any, adapter: Any, spec: LoraSpec) -> Any:
  """The base model's parameters with the adapter added into the kernels.

  Args:
    params: of the base model; not changed.
    adapter: of `init` or a checkpoint.
    spec: what it means.

  Returns:
    A tree like `params`; sums are made in float32 and rounded once.
  """
  if "a" in adapter:
    kernel = params["kernel"]
    high = jnp.promote_types(kernel.dtype, jnp.float32)
    update = adapter["a"].astype(high) @ adapter["b"].astype(high)
    merged = kernel.astype(high) + update * spec.scale
    return {**params, "kernel": merged.astype(kernel.dtype)}
  return {
    **params,
    **{name: merge(params[name], part, spec) for name, part in adapter.items()},
  }


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
