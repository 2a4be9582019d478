# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sums over the whole vocabulary of a function of several models' log-probs.

KL both ways, Jensen-Shannon, expected advantage and collision probability
are all sum_v g(lp_1[v], .., lp_m[v]), or the logsumexp of such a g, where
lp_i is the log-softmax of stream i. Nothing of size [N, V] is kept.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from prefjax.core import checks
from prefjax.kernels import api, select
from prefjax.kernels import head as head_lib
from prefjax.kernels import problem as problem_lib


class VocabSum(NamedTuple):
  """Totals and target values, shaped like the rows.

  Attributes:
    total: the reduction over the vocabulary; a tuple if the integrand
      returns one.
    at_target: the integrand at the target token, of the same structure;
      None without targets.
    logps: each stream's log-prob of the target, a tuple; None without
      targets.
  """

  total: Any
  at_target: Any
  logps: tuple[jax.Array, ...] | None


def _per_stream(name: str, value, count: int) -> tuple[Any, ...]:
  """One value a stream from a single one or a sequence.

  Raises:
    ValueError: a sequence of another length.
  """
  if not isinstance(value, (tuple, list)):
    return (value,) * count
  if len(value) != count:
    raise ValueError(
      f"vocab_sum: {name} has {len(value)} entries for {count} streams"
    )
  return tuple(value)


def _multiplied(head: head_lib.Head) -> jax.Array:
  low = head.rounds_to
  return head.weight if low is None else head.weight.astype(low)


def vocab_sum(
  integrand: Callable[..., Any],
  hiddens: Sequence[Any],
  heads: Sequence[Any],
  targets=None,
  *,
  reduce: str = "sum",
  mask=None,
  temperature: float | Sequence[float] = 1.0,
  impl: str = "auto",
  block_rows: int | None = None,
  block_vocab: int | None = None,
) -> VocabSum:
  """sum_v g(lp_1[v], .., lp_m[v]), or log sum_v exp g, for each row.

  Gradients flow to every stream; stop the gradient of a hidden state or a
  head outside and its share is not computed. The integrand may close over
  Python numbers, but not over arrays that are differentiated.

  Args:
    integrand: m arrays of log-probs of one shape -> array of that shape, or
      a tuple of such arrays; elementwise. See `integrands`.
    hiddens: one [..., D_i] per stream, the same leading axes.
    heads: one `Head` or matrix [D_i, V] per stream, the same V.
    targets: int [...], inside the vocabulary, or None. An id outside gives
      NaN in at_target and logps, unless masked.
    reduce: "sum" or "logsumexp".
    mask: bool [...] or None. A row it drops gives 0 and no gradient,
      whatever its hidden states hold.
    temperature: divides the logits, one number or one a stream.
    impl: "auto", "reference" or "chunked".
    block_rows: rows a tile, None for the table; not with "reference".
    block_vocab: vocabulary ids a tile, likewise.

  Returns:
    VocabSum, float32 (float64 where an input is).

  Raises:
    ValueError: shapes do not fit, or an option is unknown.
  """
  name = "vocab_sum"
  checks.one_of(name, ("sum", "logsumexp"), reduce=reduce)
  if len(hiddens) != len(heads) or not hiddens:
    raise ValueError(
      f"{name}: {len(hiddens)} hiddens and {len(heads)} heads; give one of"
      " each per stream"
    )
  heads = [
    jax.tree.map(jnp.asarray, head_lib.as_head(name, head)) for head in heads
  ]
  hiddens = [jnp.asarray(hidden) for hidden in hiddens]
  mask = None if mask is None else jnp.asarray(mask, bool)
  targets = None if targets is None else jnp.asarray(targets)
  vocab, shape = heads[0].vocab_size, hiddens[0].shape[:-1]
  for i, (hidden, head) in enumerate(zip(hiddens, heads, strict=True)):
    api.check_rows(name, hidden, head, targets=targets, mask=mask)
    if head.vocab_size != vocab or hidden.shape[:-1] != shape:
      raise ValueError(
        f"{name}: stream {i} has rows {hidden.shape[:-1]} and vocabulary"
        f" {head.vocab_size}, stream 0 has {shape} and {vocab}"
      )
  problems = tuple(
    problem_lib.Problem(
      softcap=None if head.softcap is None else float(head.softcap),
      temperature=api.check_temperature(name, t),
      transposed=head.transposed,
      entropy=False,
    )
    for head, t in zip(
      heads, _per_stream("temperature", temperature, len(heads)), strict=True
    )
  )
  xs = [hidden.reshape(-1, hidden.shape[-1]) for hidden in hiddens]
  if targets is None:
    ids = jnp.zeros(xs[0].shape[:1], jnp.int32)
  else:
    ids = targets.reshape(-1).astype(jnp.int32)
  if mask is not None:
    kept = mask.reshape(-1)
    xs = [jnp.where(kept[:, None], x, 0) for x in xs]
    ids = jnp.where(kept, ids, 0)
  in_range = (ids >= 0) & (ids < vocab)

  is_tuple = isinstance(
    jax.eval_shape(integrand, *[jnp.zeros((1, 1))] * len(xs)), (tuple, list)
  )

  def as_tuple(*logps):
    values = integrand(*logps)
    return tuple(values) if is_tuple else (values,)

  run = select.vocab_totals(
    name, impl, len(ids), vocab, block_rows, block_vocab
  )
  totals, logps = run(
    as_tuple,
    reduce,
    problems,
    tuple(xs),
    tuple(_multiplied(head) for head in heads),
    tuple(head.bias for head in heads),
    jnp.clip(ids, 0, vocab - 1),
  )
  logps = tuple(jnp.where(in_range, lp, jnp.nan) for lp in logps)

  def finish(values):
    if mask is not None:
      values = tuple(jnp.where(kept, v, 0) for v in values)
    return tuple(v.reshape(shape) for v in values)

  total = finish(totals)
  total = total if is_tuple else total[0]
  if targets is None:
    return VocabSum(total, None, None)
  # Said outright: an integrand that guards impossible tokens hides NaN.
  values = as_tuple(*logps)
  at_target = finish(tuple(jnp.where(in_range, v, jnp.nan) for v in values))
  at_target = at_target if is_tuple else at_target[0]
  return VocabSum(total, at_target, finish(logps))
