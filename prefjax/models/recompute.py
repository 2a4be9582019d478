# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a CPU computes again rather than keeps for the backward pass."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from prefjax.kernels import select

# Up to so many numbers the compiler's time counts more than a step's.
FEW = 1 << 16


def feeds_product(dtype) -> bool:
  """Whether what a product reads may be computed again for its gradient.

  Not in low precision: there a CPU wants what it reads stored transposed
  (see `dots`).
  """
  return jnp.dtype(dtype).itemsize >= 4


def cheap(function: Callable) -> Callable:
  """The function, of which only the arguments are kept, on a CPU.

  There memory is slow and every new page is paid for: to write a value into
  the stack of all layers, and to read it, takes longer than to compute an
  activation or a norm twice.

  Args:
    function: of arrays or None, the first of which is the largest.
  """
  again = jax.checkpoint(function, prevent_cse=False)

  def run(first, *rest):
    on_cpu = select.target_device().platform == "cpu"
    chosen = again if on_cpu and first.size > FEW else function
    return chosen(first, *rest)

  return run
