# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""hidden states x head -> token log-probs: the primitive under every loss."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from prefjax.kernels import head as head_lib
from prefjax.kernels import problem as problem_lib
from prefjax.kernels import reference, select, sharded, vjp


class TokenLogps(NamedTuple):
  """What the head says about each token; float32, shaped like `targets`.

  Attributes:
    logps: log-probability of the target, in nats.
    logsumexp: log of the softmax's denominator (z-loss, combining shards).
    entropy: entropy of the distribution over the vocabulary, in nats; None
      when called with `entropy=False`.
  """

  logps: jax.Array
  logsumexp: jax.Array
  entropy: jax.Array | None


def check_rows(function: str, hidden, head, **per_row: Any) -> None:
  """Checks the hidden size, and that the others have a value for each row.

  Raises:
    ValueError: names the argument, its shape and the one expected.
  """
  if hidden.ndim < 1 or hidden.shape[-1] != head.hidden_size:
    raise ValueError(
      f"{function}: hidden has shape {hidden.shape}, but head"
      f" {head.weight.shape} takes a last axis of {head.hidden_size}"
      f" (transposed={head.transposed})"
    )
  for name, value in per_row.items():
    if value is not None and value.shape != hidden.shape[:-1]:
      raise ValueError(
        f"{function}: {name} has shape {value.shape}, expected"
        f" {hidden.shape[:-1]}, one for each row of hidden"
      )


def check_temperature(function: str, temperature) -> float:
  """The temperature as a Python number.

  Raises:
    ValueError: it is an array or not positive.
  """
  if isinstance(temperature, bool) or not isinstance(temperature, (int, float)):
    raise ValueError(
      f"{function}: temperature must be a Python number, got"
      f" {type(temperature).__name__}"
    )
  if not 0 < temperature < float("inf"):
    raise ValueError(
      f"{function}: temperature={temperature} is not positive and finite"
    )
  return float(temperature)


class _Call(NamedTuple):
  """The arguments of a call, checked and flattened to N rows."""

  problem: problem_lib.Problem
  plan: vjp.Plan | None  # None for the reference
  x: jax.Array  # [N, D]
  weight: jax.Array
  bias: jax.Array | None
  targets: jax.Array  # int32 [N]
  kept: jax.Array | None  # bool [N]


def _prepare(
  name: str,
  hidden,
  head,
  targets,
  *,
  softcap: float | None = None,
  temperature: float = 1.0,
  bias=None,
  transposed: bool = False,
  mask=None,
  impl: str = "auto",
  entropy: bool = True,
  block_rows: int | None = None,
  block_vocab: int | None = None,
  sharding: sharded.Sharding | None = None,
) -> _Call:
  """Checks what `token_logps` is given and picks an implementation."""
  head = head_lib.as_head(
    name, head, softcap=softcap, bias=bias, transposed=transposed
  )
  head = jax.tree.map(jnp.asarray, head)
  hidden, targets = jnp.asarray(hidden), jnp.asarray(targets)
  mask = None if mask is None else jnp.asarray(mask, bool)
  check_rows(name, hidden, head, targets=targets, mask=mask)
  if not jnp.issubdtype(targets.dtype, jnp.integer):
    raise ValueError(f"{name}: targets has dtype {targets.dtype}, not integer")
  x = hidden.reshape(-1, hidden.shape[-1])  # [N, D]
  ids = targets.reshape(-1).astype(jnp.int32)
  kept = None if mask is None else mask.reshape(-1)
  if kept is not None:
    x = jnp.where(kept[:, None], x, 0)
    ids = jnp.where(kept, ids, 0)
  problem = problem_lib.Problem(
    softcap=None if head.softcap is None else float(head.softcap),
    temperature=check_temperature(name, temperature),
    transposed=head.transposed,
    entropy=bool(entropy),
  )
  low = head.rounds_to
  weight = head.weight
  plan = select.token_plan(
    name,
    impl,
    problem,
    x,
    weight if low is None else jax.ShapeDtypeStruct(weight.shape, low),
    head.bias,
    block_rows=block_rows,
    block_vocab=block_vocab,
    sharding=sharding,
    wide=low is not None,
  )
  if plan is None and low is not None:
    weight = weight.astype(low)
  plan = plan and vjp.rounded(plan, low)
  return _Call(problem, plan, x, weight, head.bias, ids, kept)


def token_logps(
  hidden,
  head,
  targets,
  *,
  softcap: float | None = None,
  temperature: float = 1.0,
  bias=None,
  transposed: bool = False,
  mask=None,
  impl: str = "auto",
  entropy: bool = True,
  block_rows: int | None = None,
  block_vocab: int | None = None,
  sharding: sharded.Sharding | None = None,
) -> TokenLogps:
  """Log-prob of each target, logsumexp and entropy, without the logits.

  logits = softcap * tanh((hidden @ W + bias) / softcap) / temperature, then
  logps = logits[target] - logsumexp(logits), all in nats. The temperature
  comes last: the logsumexp and entropy are those of the tempered
  distribution too. Leading axes may be of any number, e.g. hidden
  [B, K, R, D] with targets [B, K, R].

  Gradients flow to hidden, head and bias from all three outputs, exactly,
  and are not computed for an argument that nobody differentiates.

  Args:
    hidden: [..., D] float, final hidden states that predict the targets.
    head: `Head`, or a matrix [D, V] ([V, D] with transposed=True).
    targets: int [...], 0 .. V - 1. An id outside gives NaN, unless masked.
    softcap: final logit soft cap; None for none. Not with a `Head`.
    temperature: positive Python number.
    bias: [V] or None. Not with a `Head`.
    transposed: the matrix is stored [V, D]. Not with a `Head`.
    mask: bool [...] or None. A row that it drops gives exactly 0 in all
      outputs and no gradient, whatever its hidden state and target hold.
    impl: "auto", "reference", "chunked", "pallas_tpu" or "pallas_gpu". On
      another platform than theirs the last two are interpreted, slowly.
    entropy: False leaves the entropy out (None).
    block_rows: rows a tile, None for the table; not with "reference".
    block_vocab: vocabulary ids a tile, likewise.
    sharding: `Sharding` where hidden states or head lie on a mesh, or None;
      not with "reference".

  Returns:
    TokenLogps, float32 (float64 where an input is).

  Raises:
    ValueError: shapes do not fit, an option is out of range or unknown.
  """
  call = _prepare(
    "token_logps",
    hidden,
    head,
    targets,
    softcap=softcap,
    temperature=temperature,
    bias=bias,
    transposed=transposed,
    mask=mask,
    impl=impl,
    entropy=entropy,
    block_rows=block_rows,
    block_vocab=block_vocab,
    sharding=sharding,
  )
  operands = (call.x, call.weight, call.bias, call.targets)
  if call.plan is None:
    outputs = reference.token_stats(call.problem, *operands)
  else:
    outputs = vjp.checked(call.plan, *operands)

  def finish(value):
    if value is None:
      return None
    if call.kept is not None:
      value = jnp.where(call.kept, value, 0)
    return value.reshape(jnp.shape(targets))

  return TokenLogps(*(finish(value) for value in outputs))


def sequence_logps(
  hidden,
  head,
  targets,
  weights,
  *,
  mask=None,
  segments=None,
  num_segments: int | None = None,
  **options,
) -> jax.Array:
  """Weighted sums of token log-probs, one a response.

  A response is the last axis or, with `segments`, all tokens of one id,
  wherever they are: rows that pack several responses need no unpacking. The
  TPU kernel adds them up itself, and nothing longer than [tokens] is written.

  Args:
    hidden: [..., R, D].
    head: as in `token_logps`.
    targets: int [..., R].
    weights: float [..., R], how much each token counts. A token of weight 0
      is not looked at: its hidden state and target may hold anything.
    mask: bool [..., R] or None; tokens to drop besides those of weight 0.
    segments: int [..., R] or None; a token whose id is outside
      0 .. num_segments - 1 is dropped.
    num_segments: number of ids, a Python int; only with `segments`.
    **options: softcap, temperature, bias, transposed, impl, block_rows,
      block_vocab and sharding of `token_logps`.

  Returns:
    float32 [...], or [num_segments] with `segments`; summed nats.

  Raises:
    ValueError: as `token_logps`, or for weights or segments of another
      shape, or one of `segments` and `num_segments` without the other.
  """
  name, shape = "sequence_logps", jnp.shape(targets)
  weights = jnp.asarray(weights)
  if "entropy" in options:
    raise ValueError(f"{name}: entropy is not summed; use token_logps")
  if weights.shape != shape or weights.ndim < 1:
    raise ValueError(
      f"{name}: weights has shape {weights.shape}, expected {shape} like"
      " targets"
    )
  ids, count, sums_shape = _segments(name, shape, segments, num_segments)
  kept = (weights != 0) & (ids < count)
  if mask is not None:
    kept = kept & jnp.asarray(mask, bool)
  call = _prepare(
    name, hidden, head, targets, mask=kept, entropy=False, **options
  )
  operands = (call.x, call.weight, call.bias, call.targets)
  dtype = problem_lib.accumulation_dtype(*operands[:3])
  weights = jnp.where(kept, weights, 0).astype(dtype).reshape(-1)
  ids = ids.reshape(-1)
  if hasattr(call.plan, "sums"):
    sums = vjp.checked_sums(call.plan, *operands, weights, ids, count)
    return sums.reshape(sums_shape)
  if call.plan is None:
    logps = reference.token_stats(call.problem, *operands)[0]
  else:
    logps = vjp.checked(call.plan, *operands)[0]
  # A token of weight 0 holds the log-prob of nothing that was asked for.
  parts = weights * jnp.where(call.kept, logps, 0)
  if segments is None:
    return jnp.sum(parts.reshape(shape), axis=-1)
  return jax.ops.segment_sum(parts, ids, count)


def _segments(name: str, shape, segments, num_segments):
  """Segment ids like targets, their number, and the shape of the sums.

  An id that counts nowhere is changed to the number of segments.
  """
  if (segments is None) != (num_segments is None):
    raise ValueError(f"{name}: give segments and num_segments, or neither")
  if segments is None:
    count = math.prod(shape[:-1])
    ids = jnp.arange(count, dtype=jnp.int32)[:, None]
    ids = jnp.broadcast_to(ids, (count, shape[-1])).reshape(shape)
    return ids, count, shape[:-1]
  segments = jnp.asarray(segments)
  if not jnp.issubdtype(segments.dtype, jnp.integer):
    raise ValueError(
      f"{name}: segments has dtype {segments.dtype}, not integer"
    )
  if segments.shape != shape:
    raise ValueError(
      f"{name}: segments has shape {segments.shape}, expected {shape} like"
      " targets"
    )
  if not isinstance(num_segments, int) or num_segments < 1:
    raise ValueError(
      f"{name}: num_segments={num_segments!r} is not a positive int"
    )
  is_in = (segments >= 0) & (segments < num_segments)
  ids = jnp.where(is_in, segments, num_segments).astype(jnp.int32)
  return ids, num_segments, (num_segments,)
