# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a program that runs on CPUs asks of its compiler and its allocator."""

import ctypes
import functools
import sys

import jax
import jax.numpy as jnp

# The library that multiplies matrices also takes over sums along an axis and
# what is around them, and is slower at that than the compiler's own loops.
_ONLY_PRODUCTS = {
  "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"
}

# Numbers that glibc's malloc.h gives them.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


@functools.cache
def _known_to_compiler() -> bool:
  """Whether this JAX has the option; others end with an error instead."""
  device = jax.local_devices(backend="cpu")[0]
  shape = jax.ShapeDtypeStruct(
    (), jnp.float32, sharding=jax.sharding.SingleDeviceSharding(device)
  )
  try:
    jax.jit(jnp.negative, compiler_options=_ONLY_PRODUCTS).lower(
      shape
    ).compile()
  except jax.errors.JaxRuntimeError:
    return False
  return True


def compiler_options(platform: str) -> dict[str, str] | None:
  """`compiler_options` of `jax.jit` for a train step.

  Args:
    platform: what the program is for, such as "cpu".
  """
  if platform != "cpu" or not _known_to_compiler():
    return None
  return dict(_ONLY_PRODUCTS)


def keep_memory() -> bool:
  """Keeps freed memory in this process for its next allocation.

  A step on a CPU takes its temporaries anew each time, gigabytes of them;
  by default they go back to the system at its end, and at the start of the
  next every page is zeroed again. Does nothing where the C library is not
  glibc.

  Returns:
    Whether the C library agreed.
  """
  if not sys.platform.startswith("linux"):
    return False
  try:
    mallopt = ctypes.CDLL(None).mallopt
  except (OSError, AttributeError):
    return False
  return all(
    mallopt(name, value)
    for name, value in (
      (_M_MMAP_MAX, 0),
      (_M_TRIM_THRESHOLD, 2**31 - 1),
      (_M_ARENA_MAX, 1),
    )
  )


def keep_memory_on_cpus() -> bool:
  """`keep_memory` where programs run on CPUs by default."""
  return jax.default_backend() == "cpu" and keep_memory()
