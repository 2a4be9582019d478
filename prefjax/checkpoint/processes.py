# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Agreement between the processes of one run.

Every function here is a collective: all processes call it, in the same
order, from their main thread. A lone process talks to nobody.
"""

import hashlib

import jax
import numpy as np


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
