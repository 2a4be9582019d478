# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What the trials share: how they end, and a model that trains in no time."""

import dataclasses
import json
import pathlib
import random
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from objectives import recommender

from prefjax import checkpoint, methods
from prefjax.core import types
from prefjax.train import fit, optim
from prefjax.train import mesh as mesh_lib


@dataclasses.dataclass
class Outcome:
  """How a trial ended.

  Attributes:
    count: things tried.
    losses: what went wrong, a line each; empty when all is well.
    facts: what else is worth a line in the table.
  """

  count: int = 0
  losses: list[str] = dataclasses.field(default_factory=list)
  facts: list[str] = dataclasses.field(default_factory=list)

  def expect(self, good: Any, what: str) -> None:
    """Counts a thing that was tried."""
    self.count += 1
    self.also(good, what)

  def also(self, good: Any, what: str) -> None:
    """Checks more about the same thing."""
    if not good:
      self.losses.append(what)


Trial = Callable[[int, int, pathlib.Path], Outcome]


@jax.custom_vjp
def _slope(x, factor):
  """x, with a gradient that is multiplied by a factor."""
  del factor
  return x


_slope.defvjp(
  lambda x, factor: (x, factor), lambda factor, g: (g * factor, None)
)


class Poisoned(recommender.Recommender):
  """A recommender whose batches may spoil its loss or one gradient leaf."""

  def loss(self, params, frozen, batch, method_state, keys):
    factor = jnp.max(batch["slope"])
    users = {"table": _slope(params["users"]["table"], factor)}
    result = super().loss(
      {**params, "users": users}, frozen, batch, method_state, keys
    )
    terms = dict(result.terms)
    bpr = terms["bpr"]
    terms["bpr"] = types.Term(
      value=bpr.value + batch["spoil"], weight=bpr.weight
    )
    return methods.LossResult(terms, result.method_state, result.metrics)


class Source:
  """Batches of the recommender, some of them poisoned.

  Args:
    poison: step -> (kind, value): "loss" spoils all rows, "record" one,
      "slope" the gradient of one leaf.
    before: called with the step before its batch is made.
  """

  fingerprint = "rows-1"

  def __init__(self, poison=None, before=lambda step: None):
    self.poison = poison or {}
    self.before = before
    self.ids: list[list[int]] = []

  def batch(self, step):
    self.before(step)
    batch = recommender.batch(step)
    self.ids.append(batch["example_id"].tolist())
    spoil, slope = np.zeros(8, np.float32), np.ones(8, np.float32)
    kind, value = self.poison.get(step, ("", 0.0))
    if kind == "loss":
      spoil[:] = value
    elif kind == "record":
      spoil[step % 8] = value
    elif kind == "slope":
      slope[:] = value
    return {**batch, "spoil": spoil, "slope": slope}


def mesh(devices: int = 1, fsdp: int = 1):
  return mesh_lib.make_mesh(fsdp=fsdp, devices=jax.devices()[:devices])


def train(
  steps: int,
  workdir: pathlib.Path | None = None,
  source: Source | None = None,
  **options: Any,
):
  """`fit.fit` of the small model."""
  options.setdefault("mesh", mesh())
  return fit.fit(
    Poisoned(),
    source or Source(),
    optim.make_optimizer("adamw"),
    0.01,
    steps,
    workdir=workdir,
    **options,
  )


def sha(state) -> str:
  """SHA-256 of parameters, optimiser, step and seed."""
  return checkpoint.state_sha256(state)


def rows(workdir: pathlib.Path) -> list[dict[str, Any]]:
  text = (workdir / "metrics.jsonl").read_text()
  return [json.loads(line) for line in text.splitlines()]


def moments(count: int, low: int, high: int, seed: int) -> list[int]:
  """Random whole numbers in [low, high), ascending."""
  rng = random.Random(seed)
  return sorted(rng.randrange(low, high) for _ in range(count))
