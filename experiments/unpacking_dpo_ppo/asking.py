# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Prompts, answers that a policy draws to them, and pairs of those."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from prefjax.core import prng, types
from prefjax.data import chat, language
from prefjax.experiments import arrays, online_lab, world

_PAIRS = 3  # kind of draws; those of rounds come before it
_SPARE = 2  # prompts asked for a pair: equally good answers are left out


class Pairs(NamedTuple):
  """Pairs of a policy's own answers and what is right about them.

  Attributes:
    group: N prompts with two answers each, in the order of the draws.
    better: int [N], the better answer by the gold reward.
  """

  group: types.Group
  better: np.ndarray

  def ordered(self, flips: np.ndarray) -> types.Group:
    """The preferred answer first; `flips` bool [N] turns labels round."""
    first = np.where(flips, 1 - self.better, self.better)
    order = np.stack([first, 1 - first], axis=1)  # [N, 2]
    rows = np.arange(len(first))[:, None]

    def turn(x):
      return jnp.asarray(np.asarray(x)[rows, order])

    group = self.group
    return dataclasses.replace(
      group,
      response=turn(group.response),
      token_mask=turn(group.token_mask),
      token_weights=turn(group.token_weights),
      response_mask=turn(group.response_mask),
    )


@functools.lru_cache(maxsize=1)
def lab() -> online_lab.OnlineLab:
  """The world's decoder, learning from its own samples."""
  own = world.lab()
  return online_lab.OnlineLab(
    own.model, eos_id=own.tokenizer.eos_id, response=world.RESPONSE
  )


def tasks(
  seed: int, number: int, split: str = "train", start: int = 0
) -> arrays.Tasks:
  """Prompts of one side, `start` of them passed over."""
  rows = language.prompt_records(
    seed, number, split, language=world.LANGUAGE, start=start
  )
  tokenizer = world.lab().tokenizer
  prompt = np.zeros((number, world.PROMPT), np.int32)
  mask = np.zeros(prompt.shape, bool)
  for i, row in enumerate(rows):
    ids = chat.encode_example(
      tokenizer, row["prompt"], [""], add_eos=False
    ).prompt_ids[-world.PROMPT :]
    prompt[i, -len(ids) :] = ids
    mask[i, -len(ids) :] = True
  return arrays.Tasks(prompt, mask)


def _texts(tokens: np.ndarray, mask: np.ndarray) -> list[str]:
  tokenizer = world.lab().tokenizer
  return [
    tokenizer.decode(row[kept].tolist(), skip_special=True)
    for row, kept in zip(tokens, mask, strict=True)
  ]


def gold(group: types.Group) -> np.ndarray:
  """Gold rewards of a group's answers, float32 [N, K]."""
  group = jax.device_get(group)
  prompts = _texts(group.prompt, group.prompt_mask)
  answers = [
    _texts(response, mask)
    for response, mask in zip(group.response, group.token_mask, strict=True)
  ]
  return language.gold_rewards(prompts, answers)


def pairs(seed: int, policy: Any, number: int, split: str = "train") -> Pairs:
  """Two answers of a policy to each prompt, one better than the other.

  Args:
    seed: of prompts and draws.
    policy: weights.
    number: pairs.
    split: side of the prompts.

  Raises:
    ValueError: too few prompts got answers that differ.
  """
  asked = tasks(seed, _SPARE * number, split)
  group, _ = lab().draw(
    policy,
    asked,
    jnp.arange(_SPARE * number),
    samples=2,
    seed=seed,
    stream=_PAIRS,
  )
  group = jax.device_get(group)
  scores = gold(group)
  kept = np.flatnonzero(scores[:, 0] != scores[:, 1])[:number]
  if len(kept) < number:
    raise ValueError(f"seed {seed}: {len(kept)} pairs differ, {number} wanted")
  return Pairs(
    jax.tree.map(lambda x: x[kept], group), np.argmax(scores[kept], axis=1)
  )


def flips(seed: int, number: int, rate: float) -> np.ndarray:
  """bool [N]: which labels are wrong; those of a lower rate are among them."""
  return prng.host_generator(seed, "flips").random(number) < rate
