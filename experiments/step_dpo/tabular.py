# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Both losses on a policy that is a table of logits: exact accuracies."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from experiments.step_dpo import machine as machine_lib
from prefjax import losses

_TESTS = 2000
_RATE = 30.0


def _before(first: np.ndarray, chains: np.ndarray) -> np.ndarray:
  """The state that each step starts from."""
  return np.concatenate([first[:, None], chains[:, :-1]], axis=1)


@functools.lru_cache(maxsize=4)
def _program(steps: int, whole: bool):
  """Trains logits [3, 12, 12] on pairs of chains."""

  def run(start, ops, chosen, rejected, before_c, before_r, mask):
    def logps(logits, before, after):
      table = jax.nn.log_softmax(logits, axis=-1)
      return table[ops, before, after]  # [N, 6]

    refs = logps(start, before_c, chosen), logps(start, before_r, rejected)

    def objective(logits):
      ours = (
        logps(logits, before_c, chosen),
        logps(logits, before_r, rejected),
      )
      if whole:
        sums = [jnp.sum(x, axis=-1) for x in (*ours, *refs)]
        return jnp.mean(losses.dpo(*sums, beta=0.5))
      return jnp.mean(losses.step_dpo(*ours, *refs, mask, mask, beta=0.5))

    def step(logits, _):
      return logits - _RATE * jax.grad(objective)(logits), None

    return jax.lax.scan(step, start, None, length=steps)[0]

  return jax.jit(run)


def measure(seed: int, *, pairs: int, steps: int) -> dict:
  """Arm -> error (1 - exact chain accuracy) and faithful_drift (nats)."""
  rng = np.random.default_rng([seed, 2])
  machine = machine_lib.make(seed)
  first, ops = machine_lib.problems(rng, 8 * pairs)
  right = machine_lib.gold(machine, first, ops)
  chains = machine_lib.sample(rng, machine, first, ops)
  error = machine_lib.first_error(chains, right)
  kept = np.flatnonzero(error >= 0)[:pairs]
  first, ops, right, chains, error = (
    x[kept] for x in (first, ops, right, chains, error)
  )
  place = np.arange(machine_lib.LENGTH)
  mask = (place == error[:, None]).astype(np.float32)
  # At the first error both sides start from the same, right state.
  before_c, before_r = _before(first, right), _before(first, chains)
  start = jnp.log(jnp.asarray(machine.noisy, jnp.float32) + 1e-9)
  faithful = (chains == machine.table[ops, before_r]) & (place > error[:, None])
  tests = machine_lib.problems(rng, _TESTS)

  def numbers(logits):
    table = np.asarray(jax.nn.log_softmax(logits, axis=-1), np.float64)
    test_right = machine_lib.gold(machine, *tests)
    at = tests[1], _before(tests[0], test_right), test_right
    exact = np.exp(table[at].sum(axis=1)).mean()
    drift = table - np.asarray(jax.nn.log_softmax(start, axis=-1))
    return {
      "error": float(1 - exact),
      "faithful_drift": float(drift[ops, before_r, chains][faithful].mean()),
    }

  out = {"reference": numbers(start)}
  for arm, whole in (("step_dpo", False), ("full_dpo", True)):
    run = _program(steps, whole)
    logits = run(start, ops, right, chains, before_c, before_r, mask)
    out[arm] = numbers(logits)
  return out
