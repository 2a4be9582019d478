# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What every script on the JAX side shares: token files to batches."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from prefjax.core import types
from prefjax.data import batches, examples


def versions() -> dict[str, str]:
  """Releases that the numbers come from."""
  return {"jax": jax.__version__}


def encoded_group(
  prompt: Sequence[int],
  responses: Sequence[Sequence[int]],
  scores: Sequence[float] | None = None,
) -> examples.EncodedGroup:
  """One group in which every response token counts."""
  tokens = [token for response in responses for token in response]
  return examples.EncodedGroup(
    prompt=np.asarray(prompt, np.int32),
    tokens=np.asarray(tokens, np.int32),
    weights=np.ones(len(tokens), np.float32),
    lengths=np.asarray([len(r) for r in responses], np.int32),
    scores=None if scores is None else np.asarray(scores, np.float32),
  )


def _shape(
  groups: Sequence[examples.EncodedGroup], multiple: int
) -> batches.Shape:
  """Slots, so many or a multiple of it, that hold all of the groups."""
  longest = [
    max(len(g.prompt) for g in groups),
    max(g.longest for g in groups),
  ]
  p, r = (-(-n // multiple) * multiple for n in longest)
  return batches.Shape(k=max(len(g.lengths) for g in groups), p=p, r=r, m=None)


def make_batches(
  groups: Mapping[str, Sequence[examples.EncodedGroup]],
  size: int,
  multiple: int = 8,
) -> list[types.Batch]:
  """Consecutive rows as batches of one shape.

  Args:
    groups: name -> N groups; equal N.
    size: B; rows that do not fill a batch are left out.
    multiple: numbers of slots are multiples of this.
  """
  shapes = {name: _shape(parts, multiple) for name, parts in groups.items()}
  number = min(len(parts) for parts in groups.values()) // size
  return [
    types.Batch(
      groups={
        name: batches.group(
          parts[i * size : (i + 1) * size],
          shapes[name],
          ("scores",) if parts[0].scores is not None else (),
        )
        for name, parts in groups.items()
      },
      example_id=np.arange(i * size, (i + 1) * size, dtype=np.int32),
      example_weight=np.ones(size, np.float32),
    )
    for i in range(number)
  ]


def pair_batches(
  pairs: Sequence[Mapping[str, Any]], size: int, multiple: int = 8
) -> list[types.Batch]:
  """Batches of the pairs of a token file, in file order."""
  parts = [
    encoded_group(pair["prompt"], [pair["chosen"], pair["rejected"]])
    for pair in pairs
  ]
  return make_batches({"main": parts}, size, multiple)
