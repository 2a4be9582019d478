# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Skew-symmetric scores of pairs of embeddings: preferences that may cycle.

Each response has a vector of k planes, 2 numbers a plane. The score of a pair
is the sum over planes of the signed area that its two vectors span there:

  s(i > j) = sum_l g_l (v_i[2l] v_j[2l+1] - v_i[2l+1] v_j[2l])

so s(i > j) = -s(j > i), and with one plane and v = (r, 1) it is r_i - r_j.

Reference: Zhang et al., "Beyond Bradley-Terry Models: A General Preference
Model for Language Model Alignment", arXiv:2410.02197.
"""

import jax
import jax.numpy as jnp

from prefjax.core import numerics


def _planes(function: str, **embeddings) -> list[jax.Array]:
  """Embeddings [..., 2k] as float32 [..., k, 2]."""
  out = []
  for name, value in embeddings.items():
    shape = jnp.shape(value)
    if not shape or shape[-1] % 2:
      raise ValueError(
        f"{function}: {name} has shape {shape}, expected an even last axis"
      )
    (array,) = numerics.to_float32(value)
    out.append(array.reshape(*shape[:-1], shape[-1] // 2, 2))
  return out


def _gates(function: str, gates, planes: jax.Array, lead: tuple[int, ...]):
  if gates is None:
    return jnp.ones((*lead, planes.shape[-2]), planes.dtype)
  expected = (*lead, planes.shape[-2])
  if jnp.shape(gates) != expected:
    raise ValueError(
      f"{function}: gates has shape {jnp.shape(gates)}, expected {expected}"
    )
  return numerics.to_float32(gates)[0]


def preference_score(first, second, gates=None) -> jax.Array:
  """How much the first response is preferred to the second.

  Args:
    first: [..., 2k], embedding of one response.
    second: [..., 2k], of the other.
    gates: [..., k] or None, weights of the planes.

  Returns:
    [...] float32; divide by a temperature for a logit.

  Raises:
    ValueError: shapes differ or the last axis is odd.
  """
  a, b = _planes("preference_score", first=first, second=second)
  if a.shape != b.shape:
    raise ValueError(
      f"preference_score: second has shape {jnp.shape(second)}, expected"
      f" {jnp.shape(first)} like first"
    )
  gates = _gates("preference_score", gates, a, a.shape[:-2])
  area = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
  return jnp.sum(gates * area, axis=-1)


def preference_matrix(embeddings, gates=None) -> jax.Array:
  """Scores of all pairs of a group.

  Args:
    embeddings: [B, K, 2k].
    gates: [B, k] or None, weights of the planes, from the prompt.

  Returns:
    [B, K, K] float32, entry (i, j) how much i is preferred to j;
    skew-symmetric.

  Raises:
    ValueError: shapes differ or the last axis is odd.
  """
  (v,) = _planes("preference_matrix", embeddings=embeddings)
  if v.ndim != 4:
    raise ValueError(
      f"preference_matrix: embeddings has shape {jnp.shape(embeddings)},"
      " expected [B, K, 2k]"
    )
  gates = _gates("preference_matrix", gates, v, v.shape[:1])
  half = jnp.einsum("bik,bk,bjk->bij", v[..., 0], gates, v[..., 1])
  # One product and its transpose: skew-symmetric to the last bit.
  return half - jnp.swapaxes(half, 1, 2)


def preference_gates(logits, *, rescale: bool = False) -> jax.Array:
  """Weights of the planes that a prompt asks for.

  Args:
    logits: [..., k], from the state at the prompt's end.
    rescale: multiplies by k, so that equal gates are 1.

  Returns:
    [..., k] float32, summing to 1, or to k.
  """
  (logits,) = numerics.to_float32(logits)
  gates = jax.nn.softmax(logits, axis=-1)
  return gates * logits.shape[-1] if rescale else gates


def normalize_embeddings(embeddings) -> jax.Array:
  """Embeddings scaled to length 1; zero stays zero.

  Args:
    embeddings: [..., 2k].

  Returns:
    float32 of the same shape.
  """
  (embeddings,) = numerics.to_float32(embeddings)
  return embeddings / numerics.safe_norm(embeddings, axis=-1, keepdims=True)
