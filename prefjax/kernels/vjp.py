# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The custom gradient that every implementation without logits shares.

An implementation is a plan: a frozen, hashable object that computes, for
rows x [N, D] and int32 targets [N],
  stats(x, weight, bias, targets)
    -> top, log_sum, target_logit, entropy, each [N]
  gradients(needs, x, weight, bias, targets, stats, cotangents)
    -> dx, dw, db; None for those not needed
where logsumexp = top + log_sum: the two are kept apart, because a large
logit would swallow the second. Three numbers a row are all that is kept
between the two passes.

With p the softmax, l its log, H the entropy and cotangents a, b, e of
log-prob, logsumexp and entropy, the gradient of the finished logits is
  a (onehot - p) + b p - e p (l + H).
Plans get (a, b - a, e), so that p has one factor; e is None where nobody
asks for it. Gradients that nobody asks for are not computed.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from prefjax.kernels import problem as problem_lib


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Needs:
  """Which gradients the caller wants."""

  x: bool
  weight: bool
  bias: bool


class Plan(Protocol):
  """How to compute; see the module's docstring."""

  problem: problem_lib.Problem

  def stats(self, x, weight, bias, targets) -> tuple[jax.Array, ...]: ...

  def gradients(
    self, needs: Needs, x, weight, bias, targets, stats, cotangents
  ) -> tuple[Any, Any, Any]: ...


@dataclasses.dataclass(frozen=True)
class Rounded:
  """A plan whose head is rounded first, and its gradient is not."""

  plan: Any
  dtype: Any

  @property
  def problem(self) -> problem_lib.Problem:
    return self.plan.problem

  def stats(self, x, weight, bias, targets):
    return self.plan.stats(x, weight.astype(self.dtype), bias, targets)

  def gradients(self, needs, x, weight, *rest):
    return self.plan.gradients(needs, x, weight.astype(self.dtype), *rest)


@dataclasses.dataclass(frozen=True)
class RoundedSums(Rounded):
  """The same for a plan that adds up segments itself."""

  def sums(self, x, weight, *rest):
    return self.plan.sums(x, weight.astype(self.dtype), *rest)


def rounded(plan: Any, dtype: Any) -> Any:
  """The plan with a head rounded to `dtype`; None leaves it as it is."""
  if dtype is None:
    return plan
  kind = RoundedSums if hasattr(plan, "sums") else Rounded
  return kind(plan, dtype)


def values(primals: Any) -> Any:
  """The arrays in a tree of what a forward rule with symbolic zeros gets."""
  return jax.tree.map(
    lambda p: p.value, primals, is_leaf=lambda p: hasattr(p, "perturbed")
  )


def given(cotangents: Any) -> Any:
  """The same tree with None where a cotangent is known to be zero."""
  return jax.tree.map(
    lambda c: None if isinstance(c, SymbolicZero) else c,
    cotangents,
    is_leaf=lambda c: isinstance(c, SymbolicZero),
  )


def needs_of(x, weight, bias) -> Needs:
  """Which of three primals are differentiated."""
  return Needs(
    x.perturbed, weight.perturbed, False if bias is None else bias.perturbed
  )


def logps_of(stats) -> jax.Array:
  """Log-probs of the targets."""
  top, log_sum, target_logit, _ = stats
  return (target_logit - top) - log_sum


def _outputs(stats):
  return logps_of(stats), stats[0] + stats[1], stats[3]


def _cast(grads, primals):
  return tuple(
    None if g is None else g.astype(p.dtype)
    for g, p in zip(grads, primals, strict=True)
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def token_stats(plan: Plan, x, weight, bias, targets):
  """logps, logsumexp and entropy [N]; the entropy means nothing if the
  plan's problem does not ask for it. Targets must be in the vocabulary."""
  return _outputs(plan.stats(x, weight, bias, targets))


def _token_forward(plan: Plan, x, weight, bias, targets):
  needs = needs_of(x, weight, bias)
  x, weight, bias, targets = values((x, weight, bias, targets))
  stats = plan.stats(x, weight, bias, targets)
  kept = (stats[0], stats[1], stats[3])
  return _outputs(stats), (needs, x, weight, bias, targets, kept)


def _token_backward(plan: Plan, residuals, cotangents):
  needs, x, weight, bias, targets, stats = residuals
  a, b, e = given(cotangents)
  zero = jnp.zeros_like(stats[0])
  a, b = (zero if a is None else a), (zero if b is None else b)
  e = e if plan.problem.entropy else None
  grads = plan.gradients(needs, x, weight, bias, targets, stats, (a, b - a, e))
  return *_cast(grads, (x, weight, bias)), None


token_stats.defvjp(_token_forward, _token_backward, symbolic_zeros=True)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def segment_sums(plan, count: int, x, weight, bias, targets, weights, segments):
  """Weighted sums [count] of the log-probs of segments, in the kernel.

  Args:
    plan: with a method sums(x, weight, bias, targets, weights, segments,
      count, keep) that returns the sums and, if `keep`, the stats.
    count: number of segments.
    x: [N, D].
    weight, bias: the head.
    targets: int32 [N], inside the vocabulary.
    weights: [N]; a row of weight 0 adds nothing.
    segments: int32 [N]; a row outside 0 .. count - 1 adds nothing.
  """
  return plan.sums(x, weight, bias, targets, weights, segments, count, False)[0]


def _segment_forward(plan, count, x, weight, bias, targets, weights, segments):
  needs = needs_of(x, weight, bias)
  x, weight, bias, targets, weights, segments = values(
    (x, weight, bias, targets, weights, segments)
  )
  sums, stats = plan.sums(
    x, weight, bias, targets, weights, segments, count, True
  )
  return sums, (needs, x, weight, bias, targets, weights, segments, stats)


def _segment_backward(plan, count, residuals, cotangent):
  needs, x, weight, bias, targets, weights, segments, stats = residuals
  cotangent = given(cotangent)
  if cotangent is None:
    cotangent = jnp.zeros((count,), stats[0].dtype)
  is_in = (segments >= 0) & (segments < count)
  share = cotangent[jnp.clip(segments, 0, count - 1)]  # [N]
  share = jnp.where(is_in, share, 0.0)
  a = share * weights
  kept = (stats[0], stats[1], stats[3])
  grads = plan.gradients(needs, x, weight, bias, targets, kept, (a, -a, None))
  d_weights = (share * logps_of(stats)).astype(weights.dtype)
  return *_cast(grads, (x, weight, bias)), None, d_weights, None


segment_sums.defvjp(_segment_forward, _segment_backward, symbolic_zeros=True)


def backed(primary: Callable[..., Any], backup: Callable[..., Any]):
  """`primary`, differentiated as if it were `backup`.

  The kernels have no derivative rule of their own. Their results are
  differentiated where somebody takes the gradient of a gradient, and then
  XLA's version of the same arithmetic serves.
  """

  @jax.custom_vjp
  def run(*args):
    return primary(*args)

  def forward(*args):
    return primary(*args), args

  def backward(args, cotangents):
    outputs, pull = jax.vjp(backup, *args)
    return pull(
      jax.tree.map(lambda c, o: c.astype(o.dtype), cotangents, outputs)
    )

  run.defvjp(forward, backward)
  return run


def checked(plan: Plan, x, weight, bias, targets):
  """`token_stats` for any targets: an id outside the vocabulary gives NaN."""
  vocab = plan.problem.vocab_of(weight)
  in_range = (targets >= 0) & (targets < vocab)
  logps, logsumexp, entropy = token_stats(
    plan, x, weight, bias, jnp.clip(targets, 0, vocab - 1)
  )
  logps = jnp.where(in_range, logps, jnp.nan)
  return logps, logsumexp, entropy if plan.problem.entropy else None


def checked_sums(plan, x, weight, bias, targets, weights, segments, count: int):
  """`segment_sums` for any targets: one outside that counts gives NaN."""
  vocab = plan.problem.vocab_of(weight)
  in_range = (targets >= 0) & (targets < vocab)
  sums = segment_sums(
    plan,
    count,
    x,
    weight,
    bias,
    jnp.clip(targets, 0, vocab - 1),
    weights,
    segments,
  )
  wrong = jnp.where(in_range | (weights == 0), 0.0, jnp.nan)
  return sums + jax.ops.segment_sum(
    wrong.astype(sums.dtype), segments, count, mode="drop"
  )


def combine(
  problem: problem_lib.Problem,
  stats,
  largest: Callable[[Any], Any],
  add: Callable[[Any], Any],
) -> tuple[jax.Array, ...]:
  """Statistics over the whole vocabulary from those of its parts.

  Args:
    problem: static options.
    stats: top, log_sum, target_logit and entropy of the parts, along an
      axis of arrays or of a mesh; the target logit is 0 in the parts that
      do not hold it.
    largest: maximum over the parts.
    add: sum over the parts; given all that is to be summed, stacked on a
      new first axis.
  """
  top, log_sum, target, entropy = stats
  new_top = largest(top)
  scale = jnp.exp(top - new_top)
  total = jnp.exp(log_sum)
  parts = [scale * total, target]
  if problem.entropy:
    # sum of e^(z - top) (z - top), moved to the new top. A part that holds
    # no possible token has an entropy of nothing.
    moment = jnp.where(total > 0, total * (log_sum - entropy), 0.0)
    parts.append(scale * (moment + total * (top - new_top)))
  total, target, *moment = add(jnp.stack(parts))
  log_sum = jnp.log(total)
  entropy = log_sum - moment[0] / total if problem.entropy else total
  return new_top, log_sum, target, entropy
