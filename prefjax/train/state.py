# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What training carries from step to step: arrays and nothing else."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from prefjax.core import pytrees
from prefjax.methods import objective as objective_lib


@pytrees.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainState:
  """The whole state of a run.

  Attributes:
    step: int32 [], updates done; the only clock.
    params: role -> trained arrays.
    frozen: role -> arrays without gradient.
    opt_state: of the optimiser.
    method_state: arrays that the method carries.
    seed: uint32 [], from which every key is folded.
  """

  step: Any
  params: Any
  frozen: Any
  opt_state: Any
  method_state: Any
  seed: Any


def create(
  objective: objective_lib.Objective,
  tx: optax.GradientTransformation,
  seed: int,
  *,
  step: int = 0,
) -> TrainState:
  """The state before the first update."""
  start = objective.init(jax.random.key(seed))
  return TrainState(
    step=jnp.asarray(step, jnp.int32),
    params=start.params,
    frozen=start.frozen,
    opt_state=tx.init(start.params),
    method_state=start.method_state,
    seed=jnp.asarray(seed, jnp.uint32),
  )


def split_frozen(
  state: TrainState, moving: Iterable[str]
) -> tuple[TrainState, dict[str, Any]]:
  """(state with only the frozen roles that move, those that never change).

  The first is what a step donates and a checkpoint saves; the second is
  passed beside it and checkpointed by digest.
  """
  moving = set(moving)
  still = {k: v for k, v in state.frozen.items() if k not in moving}
  kept = {k: v for k, v in state.frozen.items() if k in moving}
  return dataclasses.replace(state, frozen=kept), still


def join_frozen(state: TrainState, still: dict[str, Any]) -> TrainState:
  """Undoes `split_frozen`."""
  return dataclasses.replace(state, frozen={**state.frozen, **still})
