# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""One update as a pure function: (state, batch) -> (state, metrics)."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from prefjax.core import prng, types
from prefjax.methods import objective as objective_lib
from prefjax.train import gradient
from prefjax.train import metrics as metrics_lib
from prefjax.train import state as state_lib

TrainState = state_lib.TrainState
Metrics = dict[str, types.WeightedSum]
Step = Callable[[TrainState, Any], tuple[TrainState, Metrics]]
Schedule = Callable[[Any], Any]


def _once(value) -> types.WeightedSum:
  return types.WeightedSum(
    total=jnp.asarray(value, jnp.float32), weight=jnp.float32(1.0)
  )


def _select(ok, new, old):
  return jax.tree.map(lambda n, o: jnp.where(ok, n, o), new, old)


def _moved(p, update, rate):
  """p - rate * update, rounded to p's dtype once."""
  high = jnp.promote_types(p.dtype, jnp.float32)
  return (p.astype(high) - rate * update.astype(high)).astype(p.dtype)


def _has_nan(tree) -> jax.Array:
  """Whether any float of a tree is NaN; infinity may be meant."""
  floats = [
    x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)
  ]
  return jnp.any(jnp.asarray([jnp.any(jnp.isnan(x)) for x in floats], bool))


def _all_finite(tree) -> jax.Array:
  """Whether no entry is NaN or infinite; unlike a norm it keeps no squares."""
  leaves = jax.tree.leaves(tree)
  return jnp.all(jnp.asarray([jnp.all(jnp.isfinite(x)) for x in leaves], bool))


def make_train_step(
  objective: objective_lib.Objective,
  tx: optax.GradientTransformation,
  learning_rate: float | Schedule,
  *,
  micro_batches: int = 1,
  axis: str | None = None,
) -> Step:
  """A train step; wrap it in `jax.jit` or `jax.pmap`.

  A loss, gradient or update that is not finite changes nothing: parameters,
  optimiser and method state stay bit for bit, and the step is counted in
  `train/skipped`. Moving frozen roles follow their schedule all the same.

  Args:
    objective: what is minimised.
    tx: gradient transformation without a learning rate; its updates are
      multiplied by minus the rate.
    learning_rate: a number or a function of the number of updates done.
    micro_batches: parts of the batch run one after the other; they do not
      change the result.
    axis: name of a mapped device axis, for `jax.pmap`; under `jax.jit` None.

  Returns:
    (state, batch) -> (state, metrics); metrics are sums and weights, among
    them `loss`, `grad_norm`, `learning_rate`, `train/skipped` and one
    `loss/<term>` a term.
  """
  cut = gradient.Cut(micro_batches, axis)

  def step(state: TrainState, batch: Any) -> tuple[TrainState, Metrics]:
    ids = types.batch_field(batch, "example_id")
    keys = prng.example_keys(state.seed, state.step, "loss", ids)

    def grad(objective, params):
      return gradient.evaluate(
        objective,
        params,
        state.frozen,
        batch,
        state.method_state,
        keys,
        cut,
      )

    grads, evaluation = objective.gradient(grad, state.params)
    norm = optax.global_norm(grads)
    ok = jnp.isfinite(norm) & jnp.isfinite(evaluation.loss)
    ok = ok & ~_has_nan(evaluation.method_state)
    updates, _ = tx.update(grads, state.opt_state, state.params)
    # Finite gradients may still be divided by a second moment of zero.
    ok = ok & _all_finite(updates)
    # The update is made again once it is known to count, so that parameters
    # and moments are written in place: to hold the old and the new ones until
    # then would take three more copies of the parameters.
    grads, ok = jax.lax.optimization_barrier((grads, ok))
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    rate = learning_rate
    if callable(rate):
      rate = rate(state.step)
    params = jax.tree.map(
      lambda p, u: _moved(p, u, rate), state.params, updates
    )
    params = _select(ok, params, state.params)
    frozen = objective.update_frozen(params, state.frozen, state.step + 1)
    new = dataclasses.replace(
      state,
      step=state.step + 1,
      params=params,
      frozen=frozen,
      opt_state=_select(ok, opt_state, state.opt_state),
      method_state=_select(ok, evaluation.method_state, state.method_state),
    )
    metrics = {
      **evaluation.metrics,
      "loss": _once(evaluation.loss),
      "grad_norm": _once(norm),
      "learning_rate": _once(rate),
      "train/skipped": _once(~ok),
    }
    return new, metrics

  return step


def make_eval_step(
  objective: objective_lib.Objective, *, micro_batches: int = 1
) -> Callable[[TrainState, Any], Metrics]:
  """(state, batch) -> metrics without a gradient, as sums and weights.

  `metrics.finish` makes the objective of a whole evaluation, `loss`, of the
  terms `loss/<term>` and their coefficients.
  """

  def measured(result):
    coefficients = {
      f"{metrics_lib.COEFFICIENT}{name}": _once(term.coefficient)
      for name, term in result.terms.items()
    }
    sums = gradient.term_sums(result.terms)
    return {
      **result.metrics,
      **coefficients,
      **{f"loss/{name}": value for name, value in sums.items()},
    }

  def step(state: TrainState, batch: Any) -> Metrics:
    ids = types.batch_field(batch, "example_id")
    # Not the training step's keys: an evaluation must not move with time.
    keys = prng.example_keys(state.seed, 0, "eval", ids)
    args = (state.params, state.frozen)
    batch = gradient.quiet(batch)

    def run(part, part_keys):
      if objective.coupled:
        return objective.outputs(*args, part, state.method_state, part_keys)
      result = objective.loss(*args, part, state.method_state, part_keys)
      return measured(result)

    if micro_batches == 1:
      out = run(batch, keys)
    else:
      parts = gradient.split((batch, keys), micro_batches)
      out = jax.lax.scan(lambda _, p: (None, run(*p)), None, parts)[1]
      if objective.coupled:
        out = gradient.unsplit(out)
      else:
        out = jax.tree.map(lambda x: jnp.sum(x, axis=0), out)
    if objective.coupled:
      return measured(objective.terms(out, batch, state.method_state, keys))
    return out

  return step
