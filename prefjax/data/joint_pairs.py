# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Random pairs of instruction-response items to compare jointly."""

import numpy as np

from prefjax.core import checks, errors, prng


def joint_pairs(
  key, num_items: int, num_pairs: int, *, prompt_ids=None
) -> np.ndarray:
  """Draws pairs of different items, with different prompts if these are given.

  The first item is uniform over those that have a partner, the second is
  uniform over its partners; pairs are independent and may repeat.

  Args:
    key: integer seed, JAX key or NumPy generator.
    num_items: number of (instruction, response) items.
    num_pairs: number of pairs to draw.
    prompt_ids: [num_items] or None, what identifies an item's instruction.

  Returns:
    int32 [num_pairs, 2], indices of two different items.

  Raises:
    ValueError: a number is negative.
    DataError: prompt_ids has another length, or no two items can be paired.

  Reference:
    Bansal et al., "Comparing Bad Apples to Good Oranges: Aligning Large
    Language Models via Joint Preference Optimization", arXiv:2404.00530.
  """
  checks.in_range("joint_pairs", 0, num_items=num_items, num_pairs=num_pairs)
  if prompt_ids is None:
    prompt = np.arange(num_items)
  else:
    ids = np.asarray(prompt_ids)
    if ids.shape != (num_items,):
      raise errors.DataError(
        f"joint_pairs: prompt_ids has shape {ids.shape}, expected"
        f" ({num_items},), one an item"
      )
    prompt = np.unique(ids, return_inverse=True)[1]
  if num_pairs == 0:
    return np.zeros((0, 2), np.int32)
  # Items in the order of their prompts: an item's partners are all those
  # outside its prompt's stretch.
  by_prompt = np.argsort(prompt, kind="stable")
  sizes = np.bincount(prompt, minlength=1)
  starts = np.cumsum(sizes) - sizes
  if len(sizes) < 2 or num_items < 2:
    raise errors.DataError(
      f"joint_pairs: {num_items} items of {len(sizes)} prompts cannot be"
      " paired; two different ones are needed"
    )
  generator = prng.host_generator(key, "joint_pairs")
  first = generator.integers(num_items, size=num_pairs)
  size, start = sizes[prompt[first]], starts[prompt[first]]
  place = generator.integers(num_items - size)
  place = np.where(place >= start, place + size, place)
  return np.stack([first, by_prompt[place]], axis=1).astype(np.int32)
