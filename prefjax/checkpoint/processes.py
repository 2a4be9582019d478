# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Agreement between the processes of one run.

Every function here is a collective: all processes call it, in the same
order, from their main thread. A lone process talks to nobody.
"""

import hashlib
import secrets
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from prefjax.core import errors


def failed(good: bool) -> list[int]:
  """Indices of the processes that say False."""
  if jax.process_count() == 1:
    return [] if good else [0]
  from jax.experimental import multihost_utils

  answers = multihost_utils.process_allgather(np.asarray(good))
  return [int(i) for i in np.flatnonzero(~np.asarray(answers).reshape(-1))]


def same_everywhere(text: str) -> bool:
  """Whether all processes pass the same text."""
  if jax.process_count() == 1:
    return True
  from jax.experimental import multihost_utils

  mine = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
  return bool(
    (np.asarray(multihost_utils.process_allgather(mine)) == mine).all()
  )


def token() -> str:
  """A name that nobody used before, the same on all processes."""
  if jax.process_count() == 1:
    return secrets.token_hex(8)
  from jax.experimental import multihost_utils

  mine = np.frombuffer(secrets.token_bytes(8), np.uint8)
  return bytes(np.asarray(multihost_utils.broadcast_one_to_all(mine))).hex()


def first(work: Callable[[], Any]) -> Any:
  """Has process 0 do something that the others wait for, such as a file.

  Args:
    work: done by process 0 alone.

  Returns:
    What it gave on process 0, None on the others.

  Raises:
    TrainingError: on the others, if it failed on process 0, which raises
      what it was.
  """
  if jax.process_count() == 1:
    return work()
  result, error = None, None
  if jax.process_index() == 0:
    try:
      result = work()
    except Exception as caught:  # raised below, once the others know
      error = caught
  lost = failed(error is None)
  if error is not None:
    raise error
  if lost:
    raise errors.TrainingError("process 0 failed; what it says is the reason")
  return result


def largest(value: int) -> int:
  """The largest of the numbers that the processes pass."""
  if jax.process_count() == 1:
    return value
  from jax.experimental import multihost_utils

  answers = multihost_utils.process_allgather(np.asarray(value, np.int32))
  return int(np.max(answers))


def whole(array: Any) -> np.ndarray:
  """An array in host memory, from all processes where it must be."""
  if not isinstance(array, jax.Array) or array.is_fully_addressable:
    return np.asarray(array)
  if array.is_fully_replicated:
    return np.asarray(array.addressable_data(0))
  from jax.experimental import multihost_utils

  return np.asarray(multihost_utils.process_allgather(array, tiled=True))


class Team:
  """All processes of the run, for what must not know of JAX's.

  Attributes:
    index: of this process.
    count: of all.
  """

  failed = staticmethod(failed)
  first = staticmethod(first)
  token = staticmethod(token)

  def __init__(self):
    self.index = jax.process_index()
    self.count = jax.process_count()
