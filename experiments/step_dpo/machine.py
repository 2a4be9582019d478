# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Chains of states: each operation sends a state to another, by a table.

A problem is a state and some operations, its answer the chain of states. A
wrong step is mostly followed by steps that are right for the state that was
claimed: they are faithful, and a whole-answer pair punishes them.
"""

import dataclasses

import numpy as np

STATES, OPERATIONS, LENGTH = 12, 3, 6
_LETTERS = "abcdefghijkl"


@dataclasses.dataclass(frozen=True)
class Machine:
  """Tables of one seed.

  Attributes:
    table: int64 [3, 12], operation and state -> next state.
    noisy: float64 [3, 12, 12], the same with 3/4 on the right one and the
      rest spread at random.
  """

  table: np.ndarray
  noisy: np.ndarray


def make(seed: int) -> Machine:
  """A machine whose tables are random permutations."""
  rng = np.random.default_rng([seed, 1])
  table = np.stack([rng.permutation(STATES) for _ in range(OPERATIONS)])
  rest = rng.exponential(size=(OPERATIONS, STATES, STATES))
  ops, states = np.indices(table.shape)
  rest[ops, states, table] = 0.0
  noisy = 0.25 * rest / rest.sum(-1, keepdims=True)
  noisy[ops, states, table] = 0.75
  return Machine(table, noisy)


def problems(rng: np.random.Generator, number: int):
  """(first states [N], operations [N, 6])."""
  return (
    rng.integers(0, STATES, number),
    rng.integers(0, OPERATIONS, (number, LENGTH)),
  )


def gold(machine: Machine, first: np.ndarray, ops: np.ndarray) -> np.ndarray:
  """The right chains, int64 [N, 6]."""
  states, out = first, []
  for step in range(LENGTH):
    states = machine.table[ops[:, step], states]
    out.append(states)
  return np.stack(out, axis=1)


def sample(
  rng: np.random.Generator, machine: Machine, first, ops
) -> np.ndarray:
  """Chains of the noisy machine, int64 [N, 6]."""
  states, out = first, []
  for step in range(LENGTH):
    edges = np.cumsum(machine.noisy[ops[:, step], states], axis=-1)
    draw = rng.random(len(states))[:, None] * edges[:, -1:]
    states = np.argmax(edges > draw, axis=-1)
    out.append(states)
  return np.stack(out, axis=1)


def first_error(chains: np.ndarray, right: np.ndarray) -> np.ndarray:
  """Place of the first wrong step, int64 [N]; -1 where there is none."""
  wrong = chains != right
  return np.where(wrong.any(1), wrong.argmax(1), -1)


def text(states) -> str:
  """States as letters."""
  return "".join(_LETTERS[s] for s in states)


def prompt(first: int, ops) -> str:
  """'a012012?'"""
  return f"{_LETTERS[first]}{''.join(str(o) for o in ops)}?"


def read(prompt_text: str) -> tuple[int, np.ndarray]:
  """(first state, operations) of a prompt."""
  ops = np.asarray([int(c) for c in prompt_text[1 : 1 + LENGTH]])
  return _LETTERS.index(prompt_text[0]), ops
