# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Curricula: which examples come in which stage, and in which order."""

from collections.abc import Iterator

import numpy as np

from prefjax.core import checks, errors, prng

ORDERS = ("easy_to_hard", "hard_to_easy", "random")


def difficulty_from_gap(gap) -> np.ndarray:
  """Difficulty of pairs: minus the score gap, so wide gaps are easy.

  Args:
    gap: [N], score of the chosen less that of the rejected response.

  Returns:
    float32 [N].
  """
  return -np.asarray(gap, np.float32)


def curriculum_stage_ids(difficulty, *, num_stages: int = 3) -> np.ndarray:
  """Cuts examples, sorted by difficulty, into stages of equal size.

    stage = floor(rank * num_stages / N)

  Args:
    difficulty: [N], higher is harder; equal ones keep their order.
    num_stages: number of stages.

  Returns:
    int32 [N], 0 the easiest stage. Sizes differ by at most 1; with more
    stages than examples some are empty.

  Raises:
    ValueError: difficulty is not one axis or num_stages is below 1.
    DataError: a difficulty is NaN.

  Reference:
    Pattnaik et al., "Curry-DPO: Enhancing Alignment using Curriculum
    Learning & Ranked Preferences", arXiv:2403.07230.
  """
  checks.rank("curriculum_stage_ids", 1, difficulty=difficulty)
  checks.in_range("curriculum_stage_ids", 1, num_stages=num_stages)
  difficulty = np.asarray(difficulty)
  bad = np.flatnonzero(np.isnan(difficulty))
  if bad.size:
    raise errors.DataError(
      f"curriculum_stage_ids: difficulty[{bad[0]}] is not a number; leave"
      " the example out"
    )
  number = len(difficulty)
  stages = np.empty(number, np.int32)
  order = np.argsort(difficulty, kind="stable")
  stages[order] = np.arange(number) * num_stages // max(number, 1)
  return stages


class CurriculumSampler:
  """Batches of indices, stage by stage; each example comes once.

  A batch never mixes stages, so the last one of a stage may be short (fill it
  up with rows of weight 0). Iterating again gives the same batches; another
  epoch takes another key.

  Args:
    stage_ids: [N], the stage of each example, 0 or more.
    batch_size: most examples of a batch.
    key: integer seed, JAX key or NumPy generator.
    order: "easy_to_hard" (stages ascending), "hard_to_easy", or "random":
      all stages are pooled and shuffled.
    shuffle_within: whether a stage is shuffled or keeps the input order;
      "random" always shuffles.

  Raises:
    ValueError: a keyword is out of range, or stage_ids is not one axis.
    DataError: a stage is negative.

  Reference:
    Pattnaik et al., "Curry-DPO: Enhancing Alignment using Curriculum
    Learning & Ranked Preferences", arXiv:2403.07230.
  """

  def __init__(
    self,
    stage_ids,
    batch_size: int,
    *,
    key,
    order: str = "easy_to_hard",
    shuffle_within: bool = True,
  ):
    name = "CurriculumSampler"
    checks.rank(name, 1, stage_ids=stage_ids)
    checks.in_range(name, 1, batch_size=batch_size)
    checks.one_of(name, ORDERS, order=order)
    stages = np.asarray(stage_ids)
    bad = np.flatnonzero(stages < 0)
    if bad.size:
      raise errors.DataError(
        f"{name}: stage_ids[{bad[0]}] is {stages[bad[0]]}, expected 0 or more"
      )
    self._batch_size = batch_size
    generator = prng.host_generator(key, name)
    if order == "random":
      pools = [generator.permutation(len(stages))] if len(stages) else []
    else:
      # Every stage is drawn in one order, so both directions agree on it.
      pools = [np.flatnonzero(stages == stage) for stage in np.unique(stages)]
      if shuffle_within:
        pools = [generator.permutation(pool) for pool in pools]
      if order == "hard_to_easy":
        pools.reverse()
    self._pools = [pool.astype(np.int32) for pool in pools]

  def __len__(self) -> int:
    """Number of batches."""
    return sum(-(-len(pool) // self._batch_size) for pool in self._pools)

  def __iter__(self) -> Iterator[np.ndarray]:
    """int32 index arrays of at most batch_size."""
    for pool in self._pools:
      for start in range(0, len(pool), self._batch_size):
        yield pool[start : start + self._batch_size]
