# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a reward model puts on the hidden states of a decoder.

A head is static: `init` makes its parameters, the trained role "reward", and
`apply` turns the states of a group into named arrays that lead with B. The
decoder under it is the role "policy", so that adapters, stages and export
need to know nothing of rewards.
"""

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from prefjax.core import checks, prng, skew
from prefjax.models import heads

Params = dict[str, Any]


class Head(Protocol):
  """Any head; see `RewardHead`."""

  def init(self, key: jax.Array, hidden_size: int, dtype: Any) -> Params:
    """Fresh parameters: nested dicts of arrays."""

  def apply(
    self, params: Params, hidden: Any, group: Any, keys: Any
  ) -> dict[str, jax.Array]:
    """Named arrays that lead with B."""


def _mlp_init(key, sizes, copies: int, dtype) -> Params:
  """`copies` perceptrons of the same sizes, stacked: layer -> weight, bias."""
  layers = {}
  for i, (m, n) in enumerate(zip(sizes, sizes[1:], strict=False)):
    key, own = jax.random.split(key)
    weight = jax.random.normal(own, (copies, n, m)) * (2 / (m + 1)) ** 0.5
    layers[str(i)] = {
      "weight": weight.astype(dtype),
      "bias": jnp.zeros((copies, n), dtype),
    }
  return layers


def _mlp_apply(layers: Params, x: jax.Array) -> jax.Array:
  """[..., D] -> [copies, ..., sizes[-1]], ReLU between layers, float32."""
  high = jnp.promote_types(x.dtype, jnp.float32)
  copies = layers["0"]["weight"].shape[0]
  x = jnp.broadcast_to(x.astype(high), (copies, *x.shape))
  for i in range(len(layers)):
    layer = layers[str(i)]
    weight, bias = (layer[n].astype(high) for n in ("weight", "bias"))
    x = jnp.einsum("c...d,cod->c...o", x, weight)
    x = x + bias.reshape(copies, *[1] * (x.ndim - 2), -1)
    if i < len(layers) - 1:
      x = jax.nn.relu(x)
  return x


@dataclasses.dataclass(frozen=True, kw_only=True)
class RewardHead:
  """Rewards of each response, read at its last token.

  The token is found by the mask, never by an id.

  Attributes:
    num_outputs: 1 for a scalar, A for attributes, M for an ensemble.
    width: of a hidden layer of each output's own; 0 is linear. With one,
      outputs share nothing but the decoder.
    tokens: gives "token_rewards" [B, K, R], one for every response token,
      in place of "rewards".
    views: dropout rate of "views" [B, K, 2, D], the response's state seen
      twice, for contrastive losses; 0 gives none.
    prototypes: how many trained vectors "prototypes" [B, N, D] (the same in
      every row); 0 gives none.
  """

  num_outputs: int = 1
  width: int = 0
  tokens: bool = False
  views: float = 0.0
  prototypes: int = 0

  def __post_init__(self):
    """Checks the numbers."""
    checks.in_range("RewardHead", 1, num_outputs=self.num_outputs)
    checks.in_range("RewardHead", 0, width=self.width)
    checks.in_range("RewardHead", 0, prototypes=self.prototypes)
    checks.in_range("RewardHead", 0, 1, high_open=True, views=self.views)

  def init(self, key: jax.Array, hidden_size: int, dtype: Any) -> Params:
    """{"scalar_head"} or {"mlp"}, and {"prototypes"}."""
    if self.width:
      params = {
        "mlp": _mlp_init(
          key, (hidden_size, self.width, 1), self.num_outputs, dtype
        )
      }
    else:
      params = {"scalar_head": heads.init(key, hidden_size, self.num_outputs)}
      params = jax.tree.map(lambda x: x.astype(dtype), params)
    if self.prototypes:
      own = prng.fold_tag(key, "prototypes")
      drawn = jax.random.normal(own, (self.prototypes, hidden_size))
      params["prototypes"] = drawn.astype(dtype)
    return params

  def _score(self, params: Params, states: jax.Array) -> jax.Array:
    """[..., D] -> [...], or [..., O] with several outputs."""
    if self.width:
      out = jnp.moveaxis(_mlp_apply(params["mlp"], states)[..., 0], 0, -1)
    else:
      out = heads.apply(params["scalar_head"], states)
    return out[..., 0] if self.num_outputs == 1 else out

  def apply(self, params, hidden, group, keys) -> dict[str, jax.Array]:
    if self.tokens:
      return {"token_rewards": self._score(params, hidden.at)}
    last = heads.last_token(hidden.at, group.token_mask)  # [B, K, D]
    out = {"rewards": self._score(params, last)}
    if self.views:
      out["views"] = _two_views(last, keys, self.views)
    if self.prototypes:
      table = params["prototypes"]
      out["prototypes"] = jnp.broadcast_to(table, (last.shape[0], *table.shape))
    return out

  def margins(self, found, pairs) -> jax.Array:
    """Mean reward of the first response of each pair less the second's.

    Args:
      found: arrays of `apply`.
      pairs: int [B, M, 2].

    Returns:
      [B, M].
    """
    rewards = found["rewards"]
    if rewards.ndim == 3:
      rewards = jnp.mean(rewards, axis=-1)
    first, second = (
      jnp.take_along_axis(rewards, pairs[..., side], axis=1) for side in (0, 1)
    )
    return first - second


def _two_views(states: jax.Array, keys, rate: float) -> jax.Array:
  """[B, K, D] -> [B, K, 2, D] under two draws of dropout, float32.

  Without keys both are the state itself.
  """
  states = states.astype(jnp.promote_types(states.dtype, jnp.float32))
  twice = jnp.stack([states, states], axis=2)
  if keys is None:
    return twice
  shape = twice.shape[1:]
  draw = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - rate, shape))
  kept = draw(prng.fold_tag(keys, "views"))
  return jnp.where(kept, twice / (1 - rate), 0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeneralPreferenceHead:
  """Embeddings of responses for preferences that may cycle.

  Zhang et al., arXiv:2410.02197. A bias-free linear map of the last state
  gives "embeddings" [B, K, dim]; with prompt_gates another one of the state
  at the prompt's end gives "gates" [B, dim / 2].

  Attributes:
    dim: even; dim / 2 planes.
    prompt_gates: whether the prompt weighs the planes; else all count 1.
    normalize: embeddings of length 1.
  """

  dim: int = 6
  prompt_gates: bool = True
  normalize: bool = True

  def __post_init__(self):
    """Checks the dimension."""
    if self.dim < 2 or self.dim % 2:
      raise ValueError(
        f"GeneralPreferenceHead: dim={self.dim} is not an even number of 2 or"
        " more"
      )

  def init(self, key: jax.Array, hidden_size: int, dtype: Any) -> Params:
    """{"embedding", "gates"}."""
    first, second = jax.random.split(key)
    params = {
      "embedding": heads.init(first, hidden_size, self.dim, dtype, bias=False)
    }
    if self.prompt_gates:
      params["gates"] = heads.init(
        second, hidden_size, self.dim // 2, dtype, bias=False
      )
    return params

  def apply(self, params, hidden, group, keys) -> dict[str, jax.Array]:
    del keys
    last = heads.last_token(hidden.at, group.token_mask)
    embeddings = heads.apply(params["embedding"], last)
    if self.normalize:
      embeddings = skew.normalize_embeddings(embeddings)
    out = {"embeddings": embeddings}
    if self.prompt_gates:
      logits = heads.apply(params["gates"], hidden.prompt_end)
      out["gates"] = skew.preference_gates(logits)
    return out

  def matrix(self, found) -> jax.Array:
    """How much each response is preferred to each other one, [B, K, K]."""
    return skew.preference_matrix(found["embeddings"], found.get("gates"))

  def margins(self, found, pairs) -> jax.Array:
    """How much the first response of each pair is preferred, [B, M]."""
    matrix = self.matrix(found)
    rows = jnp.arange(matrix.shape[0])[:, None]
    return matrix[rows, pairs[..., 0], pairs[..., 1]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreferenceHeads:
  """A text classifier with preference heads beside it (P2C).

  Kim et al., arXiv:2306.04925; a label embedding, where the paper appends
  the label's number. Gives "class_logits" [B, K, C] and
  "preference_scores" [B, K, H, C]: how much each response shows each label,
  in (-1, 1).

  Attributes:
    num_heads: H.
    num_classes: C.
    width: of the two hidden layers of each head; 0 for that of the decoder.
  """

  num_heads: int = 3
  num_classes: int = 2
  width: int = 0

  def __post_init__(self):
    """Checks the numbers."""
    checks.in_range("PreferenceHeads", 1, num_heads=self.num_heads)
    checks.in_range("PreferenceHeads", 2, num_classes=self.num_classes)
    checks.in_range("PreferenceHeads", 0, width=self.width)

  def init(self, key: jax.Array, hidden_size: int, dtype: Any) -> Params:
    """{"classifier", "labels", "heads"}."""
    first, second, third = jax.random.split(key, 3)
    width = self.width or hidden_size
    labels = jax.random.normal(second, (self.num_classes, hidden_size))
    return {
      "classifier": heads.init(first, hidden_size, self.num_classes, dtype),
      "labels": labels.astype(dtype),
      "heads": _mlp_init(
        third, (2 * hidden_size, width, width, 1), self.num_heads, dtype
      ),
    }

  def apply(self, params, hidden, group, keys) -> dict[str, jax.Array]:
    del keys
    last = heads.last_token(hidden.at, group.token_mask)  # [B, K, D]
    b, k, d = last.shape
    c = self.num_classes
    shape = (b, k, c, d)
    labelled = jnp.concatenate(
      [
        jnp.broadcast_to(last[:, :, None], shape),
        jnp.broadcast_to(params["labels"].astype(last.dtype), shape),
      ],
      axis=-1,
    )
    scores = _mlp_apply(params["heads"], labelled)[..., 0]  # [H, B, K, C]
    return {
      "class_logits": heads.apply(params["classifier"], last),
      "preference_scores": jnp.moveaxis(jnp.tanh(scores), 0, 2),
    }
