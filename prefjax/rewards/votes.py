# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Verdicts of judges, freed from the order in which they saw two items."""

import numpy as np

from prefjax.core import checks

TIE, SKIP = 2, -1


def debias_order_votes(forward_choice, swapped_choice) -> np.ndarray:
  """One verdict from two, the second with the items in swapped order.

  A verdict holds only if both orders name the same item; if both name the
  same slot it is a tie.

  Args:
    forward_choice: [N], slot picked when shown (item 0, item 1): 0 or 1;
      anything else is unreadable.
    swapped_choice: [N], slot picked when shown (item 1, item 0).

  Returns:
    int32 [N]: 0 or 1 the better item, 2 a tie, -1 where a verdict was
    unreadable.

  Raises:
    ValueError: shapes differ.

  Reference:
    Bansal et al., "Comparing Bad Apples to Good Oranges: Aligning Large
    Language Models via Joint Preference Optimization", arXiv:2404.00530.
  """
  checks.same_shape(
    "debias_order_votes",
    forward_choice=forward_choice,
    swapped_choice=swapped_choice,
  )
  forward, swapped = np.asarray(forward_choice), np.asarray(swapped_choice)
  readable = np.isin(forward, (0, 1)) & np.isin(swapped, (0, 1))
  verdict = np.where(forward == swapped, TIE, forward)
  return np.where(readable, verdict, SKIP).astype(np.int32)
