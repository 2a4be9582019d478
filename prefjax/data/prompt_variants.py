# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Prompts with instructions added that a response meets more or less.

The method is MAPL, "Multi-Level Aware Preference Learning: Enhancing RLHF for
Complex Multi-Instruction Tasks", arXiv:2505.12845: one response under two
prompts (intra), and a pair whose margin should change (inter).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefjax.core import checks, errors, prng
from prefjax.data import constraints as constraints_lib

Constraint = constraints_lib.Constraint
Constraints = Sequence[Constraint] | Mapping[str, Constraint]

_TRIES = 20


def _levels(satisfied, mask) -> np.ndarray:
  """2 all met, 1 some, 0 none; -1 for an empty set. int [B]."""
  kept = np.asarray(mask).astype(bool)
  met = (np.asarray(satisfied).astype(bool) & kept).sum(axis=-1)
  number = kept.sum(axis=-1)
  level = np.where(met == number, 2, np.where(met > 0, 1, 0))
  return np.where(number == 0, -1, level)


def mapl_intra_relation(satisfied_a, mask_a, satisfied_b, mask_b) -> np.ndarray:
  """Which of two sets of instructions one response meets better.

  A set is met wholly, in part or not at all; the better level wins.

  Args:
    satisfied_a: [B, M], which instructions of set a the response meets.
    mask_a: [B, M], which instructions set a has.
    satisfied_b: [B, M'], the same of set b.
    mask_b: [B, M'].

  Returns:
    int32 [B], 1 a, -1 b, 0 the same level or an empty set.

  Raises:
    ValueError: shapes differ.
  """
  name = "mapl_intra_relation"
  checks.same_shape(name, satisfied_a=satisfied_a, mask_a=mask_a)
  checks.same_shape(name, satisfied_b=satisfied_b, mask_b=mask_b)
  a, b = _levels(satisfied_a, mask_a), _levels(satisfied_b, mask_b)
  if a.shape != b.shape:
    raise ValueError(
      f"{name}: satisfied_b has {b.shape} rows, expected {a.shape}"
    )
  defined = (a >= 0) & (b >= 0)
  return np.where(defined, np.sign(a - b), 0).astype(np.int32)


def mapl_inter_direction(
  chosen_satisfied, rejected_satisfied, mask
) -> np.ndarray:
  """Which of two responses meets one set of instructions better.

  Args:
    chosen_satisfied: [B, M], which instructions the chosen response meets.
    rejected_satisfied: [B, M], the same of the rejected response.
    mask: [B, M], which instructions there are.

  Returns:
    int32 [B], 1 chosen, -1 rejected, 0 the same level or no instruction.

  Raises:
    ValueError: shapes differ.
  """
  checks.same_shape(
    "mapl_inter_direction",
    chosen_satisfied=chosen_satisfied,
    rejected_satisfied=rejected_satisfied,
    mask=mask,
  )
  return mapl_intra_relation(chosen_satisfied, mask, rejected_satisfied, mask)


def add_instructions(prompt, texts: Sequence[str]):
  """The prompt with instructions after it, as text or conversation.

  In a conversation they follow its last user message.

  Raises:
    DataError: the conversation has no user message with text.
  """
  added = " ".join(texts)
  if isinstance(prompt, str):
    return f"{prompt}\n{added}" if added else prompt
  messages = [dict(message) for message in prompt]
  for message in reversed(messages):
    if message.get("role") == "user" and isinstance(message["content"], str):
      message["content"] = add_instructions(message["content"], texts)
      return messages
  raise errors.DataError(
    "add_instructions: prompt has no user message with text"
  )


def _library(function: str, constraints: Constraints, num_constraints):
  """The constraints as a list, and the bounds on how many are drawn."""
  if isinstance(constraints, Mapping):
    constraints = list(constraints.values())
  library = list(constraints)
  low, high = num_constraints
  if not library:
    raise errors.DataError(f"{function}: constraints is empty")
  if not 1 <= low <= high:
    raise errors.ConfigError(
      f"{function}: num_constraints={(low, high)}, expected 1 <= low <= high"
    )
  if low > len(library):
    raise errors.ConfigError(
      f"{function}: num_constraints={(low, high)}, but there are only"
      f" {len(library)} constraints"
    )
  return library, low, min(high, len(library))


def _subset(draw: np.random.Generator, library, low: int, high: int):
  number = int(draw.integers(low, high + 1))
  picked = draw.permutation(len(library))[:number]
  return [library[i] for i in picked]


def _instructions(draw: np.random.Generator, response: str, subset):
  """One drawn set in random order, or None where it cannot be drawn."""
  out = []
  for constraint in subset:
    satisfied = bool(draw.random() < 0.5)
    params = constraint.make(draw, response, satisfied)
    if params is None:
      return None
    # Anybody's constraint may be in the library: believe what it checks.
    if bool(constraint.check(response, params)) != satisfied:
      return None
    out.append(
      {
        "name": constraint.name,
        "params": params,
        "text": constraint.text(params),
        "satisfied": satisfied,
      }
    )
  if constraints_lib.contradict([(c["name"], c["params"]) for c in out]):
    return None
  return [out[i] for i in draw.permutation(len(out))]


def _level(drawn, field: str) -> int:
  row = [[item[field] for item in drawn]]
  return int(_levels(row, np.ones((1, len(drawn))))[0])


def build_mapl_intra(
  key,
  prompt,
  response: str,
  constraints: Constraints,
  *,
  num_constraints: tuple[int, int] = (1, 4),
) -> dict[str, Any] | None:
  """Two prompts that a response satisfies to different degrees.

  A random subset of the constraints is worded twice with parameters that the
  response meets or not, at even odds; the set met better makes the better
  prompt. Contradictory sets are drawn again.

  Args:
    key: integer seed, JAX key or NumPy generator.
    prompt: a text or a conversation.
    response: the response that both prompts get.
    constraints: a library, such as `constraint_set()`.
    num_constraints: least and most instructions of a prompt.

  Returns:
    prompt_better, prompt_worse, response, and better and worse: the
    instructions in order, each with name, params, text and satisfied. None
    when 20 draws gave no difference.

  Raises:
    ConfigError: num_constraints cannot be met.
    DataError: there are no constraints.
  """
  library, low, high = _library(
    "build_mapl_intra", constraints, num_constraints
  )
  draw = prng.host_generator(key, "build_mapl_intra")
  for _ in range(_TRIES):
    subset = _subset(draw, library, low, high)
    first = _instructions(draw, response, subset)
    second = _instructions(draw, response, subset)
    if first is None or second is None:
      continue
    levels = _level(first, "satisfied"), _level(second, "satisfied")
    if levels[0] == levels[1]:
      continue
    if levels[0] < levels[1]:
      first, second = second, first
    return {
      "prompt_better": add_instructions(prompt, [c["text"] for c in first]),
      "prompt_worse": add_instructions(prompt, [c["text"] for c in second]),
      "response": response,
      "better": first,
      "worse": second,
    }
  return None


def build_mapl_inter(
  key,
  prompt,
  chosen: str,
  rejected: str,
  constraints: Constraints,
  *,
  num_constraints: tuple[int, int] = (1, 4),
) -> dict[str, Any] | None:
  """A prompt with instructions that one response of a pair meets better.

  The instructions are made to fit, or not to fit, one of the two responses,
  each with the same probability.

  Args:
    key: integer seed, JAX key or NumPy generator.
    prompt: a text or a conversation.
    chosen: the response preferred without instructions.
    rejected: the other response.
    constraints: a library, such as `constraint_set()`.
    num_constraints: least and most instructions of the prompt.

  Returns:
    prompt, aug_prompt, chosen, rejected, direction (1 where the chosen
    response meets the instructions better, else -1) and instructions: in
    order, each with name, params, text, chosen_satisfied and
    rejected_satisfied. None when 20 draws gave no difference.

  Raises:
    ConfigError: num_constraints cannot be met.
    DataError: there are no constraints.
  """
  library, low, high = _library(
    "build_mapl_inter", constraints, num_constraints
  )
  by_name = {constraint.name: constraint for constraint in library}
  draw = prng.host_generator(key, "build_mapl_inter")
  for _ in range(_TRIES):
    subset = _subset(draw, library, low, high)
    target = chosen if draw.random() < 0.5 else rejected
    drawn = _instructions(draw, target, subset)
    if drawn is None:
      continue
    for item in drawn:
      del item["satisfied"]
      check = by_name[item["name"]].check
      item["chosen_satisfied"] = bool(check(chosen, item["params"]))
      item["rejected_satisfied"] = bool(check(rejected, item["params"]))
    difference = _level(drawn, "chosen_satisfied") - _level(
      drawn, "rejected_satisfied"
    )
    if difference:
      return {
        "prompt": prompt,
        "aug_prompt": add_instructions(prompt, [c["text"] for c in drawn]),
        "chosen": chosen,
        "rejected": rejected,
        "direction": 1 if difference > 0 else -1,
        "instructions": drawn,
      }
  return None
