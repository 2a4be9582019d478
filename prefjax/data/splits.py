# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sets records aside for evaluation, whole prompts at a time."""

import hashlib
from collections.abc import Iterable

from prefjax.core import errors
from prefjax.data import schema

Record = schema.Record


def _share(record: Record, seed: int) -> float:
  """A number in [0, 1) that equal prompts share."""
  # Where each response brings its own prompt, the responses say who is alike.
  content = record.prompt or record.responses
  if record.images or record.frames:
    # Questions repeat; what makes two examples alike is what they show.
    content = schema.media_of(record)
  data = schema.json_bytes([seed, content])
  return int.from_bytes(hashlib.sha256(data).digest()[:7], "big") / 2**56


def held_out(
  records: Iterable[Record], fraction: float, *, seed: int = 0
) -> tuple[list[Record], list[Record]]:
  """Splits records into (train, held out) by a hash of their prompts.

  All records of a prompt go to the same side, and a record stays on its side
  when others are added or removed.

  Args:
    records: in any order, which both sides keep.
    fraction: of the prompts to hold out, at least 0 and below 1.
    seed: another seed holds out others.

  Raises:
    ConfigError: the fraction is out of range, or leaves a side empty.
  """
  if not 0 <= fraction < 1:
    raise errors.ConfigError(f"data.eval_fraction: {fraction} is not in [0, 1)")
  train: list[Record] = []
  held: list[Record] = []
  for record in records:
    (held if _share(record, seed) < fraction else train).append(record)
  if fraction and not (train and held):
    raise errors.ConfigError(
      f"data.eval_fraction: {fraction} of {len(train) + len(held)} records"
      f" leaves {len(train)} to train on and {len(held)} to evaluate; give"
      " another fraction or set data.eval"
    )
  return train, held
