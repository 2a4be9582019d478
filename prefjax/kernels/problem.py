# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What every implementation shares: static options, dtypes, one logit tile.

Dtype rule: float64 where any operand is float64 (proofs), float32 otherwise.
Two bfloat16 operands are multiplied as bfloat16 with float32 accumulation;
any other mix is lifted first, because a float32 head is meant to count.
float32 products ask for full precision, or a TPU would round them to
bfloat16.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax


@dataclasses.dataclass(frozen=True)
class Problem:
  """The static half of a token-log-prob problem.

  Attributes:
    softcap: final logit soft cap or None.
    temperature: the logits are divided by it, after the soft cap.
    transposed: head weight stored [V, D].
    entropy: whether the entropy is wanted.
  """

  softcap: float | None = None
  temperature: float = 1.0
  transposed: bool = False
  entropy: bool = True

  @property
  def vocab_axis(self) -> int:
    """The head's axis along the vocabulary."""
    return 0 if self.transposed else 1

  def vocab_of(self, weight) -> int:
    """V of a head's matrix."""
    return weight.shape[self.vocab_axis]


def accumulation_dtype(*arrays) -> jnp.dtype:
  """float64 if any array is, else float32."""
  is_double = any(a is not None and a.dtype == jnp.float64 for a in arrays)
  return jnp.dtype(jnp.float64 if is_double else jnp.float32)


def operand_dtype(x, w) -> jnp.dtype:
  """Dtype in which hidden states, head and their gradients are multiplied."""
  if x.dtype == jnp.bfloat16 and w.dtype == jnp.bfloat16:
    return jnp.dtype(jnp.bfloat16)
  return accumulation_dtype(x, w)


def dot(a, b, contract: tuple[int, int], operand, out) -> jax.Array:
  """Contracts axis contract[0] of a with contract[1] of b.

  Args:
    a, b: matrices.
    contract: the contracted axis of each.
    operand: dtype in which the two are multiplied.
    out: dtype of the result and of the accumulation.
  """
  precision = (
    lax.Precision.DEFAULT if operand == jnp.bfloat16 else lax.Precision.HIGHEST
  )
  return lax.dot_general(
    a.astype(operand),
    b.astype(operand),
    (((contract[0],), (contract[1],)), ((), ())),
    precision=precision,
    preferred_element_type=out,
  )


def finish_logits(problem: Problem, raw) -> jax.Array:
  """Soft cap and temperature on `hidden @ W + bias`."""
  if problem.softcap is not None:
    raw = problem.softcap * jnp.tanh(raw / problem.softcap)
  if problem.temperature != 1.0:
    raw = raw * (1.0 / problem.temperature)
  return raw


def logits_slope(problem: Problem, z) -> jax.Array | float:
  """d logits / d (hidden @ W + bias), from the finished logits `z`."""
  slope = 1.0
  if problem.softcap is not None:
    slope = 1.0 - jnp.square(z * (problem.temperature / problem.softcap))
  return slope * (1.0 / problem.temperature)


def logits(problem: Problem, x, weight, bias) -> jax.Array:
  """Logits of rows `x` [N, D] against a head or a slice of one, [N, v]."""
  out = accumulation_dtype(x, weight, bias)
  axis = 1 if problem.transposed else 0
  raw = dot(x, weight, (1, axis), operand_dtype(x, weight), out)
  if bias is not None:
    raw = raw + bias.astype(out)
  return finish_logits(problem, raw)
