# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a program asks of its compiler, its CPU and the CPU's allocator."""

import ctypes
import functools
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from prefjax.core import errors, tpu_options

_IN_PLACE = "xla_cpu_copy_insertion_use_region_analysis"
_FOR_CPUS = {
  # The library that multiplies matrices also takes over sums along an axis
  # and what is around them, and is slower at that than the compiler's own
  # loops.
  "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT",
  # Without it both moments are copied before they are written in place.
  _IN_PLACE: True,
}

# Numbers that glibc's malloc.h gives them.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def _refusal(device: Any, options: Mapping[str, Any]) -> str | None:
  """What a device's compiler says against options, None if it takes them."""
  shape = jax.ShapeDtypeStruct(
    (), jnp.float32, sharding=jax.sharding.SingleDeviceSharding(device)
  )
  try:
    jax.jit(jnp.negative).lower(shape).compile(compiler_options=dict(options))
  except jax.errors.JaxRuntimeError as error:
    return str(error).partition("\n")[0]
  return None


@functools.cache
def _known_to_compiler() -> frozenset[str]:
  """Options that this JAX has; it would end with an error at the others."""
  device = jax.local_devices(backend="cpu")[0]
  return frozenset(
    name
    for name, value in _FOR_CPUS.items()
    if _refusal(device, {name: value}) is None
  )


def compiler_options(platform: str) -> dict[str, Any] | None:
  """`compiler_options` of `jax.jit` for a train step.

  Args:
    platform: what the program is for, such as "cpu".
  """
  if platform != "cpu":
    return None
  known = _known_to_compiler()
  return {n: v for n, v in _FOR_CPUS.items() if n in known} or None


def options_for(
  device: Any,
  preset: str = "default",
  extra: Mapping[str, Any] | None = None,
  devices: int = 1,
) -> dict[str, Any] | None:
  """`compiler_options`, a preset for TPUs, and a user's own on top of both.

  Args:
    device: one that the program is for; it need not be there.
    preset: see `tpu_options`.
    extra: name -> value of more options of XLA.
    devices: that the program is spread over.

  Raises:
    ConfigError: the compiler does not know an option of the user's, or
      refuses its value.
  """
  options = dict(compiler_options(device.platform) or {})
  if devices > 1:
    # Now and then a program on several host devices waited for ever.
    options.pop(_IN_PLACE, None)
  options.update(tpu_options.preset(preset, device.device_kind))
  for name, value in (extra or {}).items():
    refusal = _refusal(device, {name: value})
    if refusal is not None:
      raise errors.ConfigError(
        f"mesh.compiler_options: {name}={value!r} is refused by the compiler"
        f" for {device.device_kind} ({refusal})"
      )
    options[name] = value
  return options or None


@functools.cache
def has_matrix_units() -> bool:
  """Whether this machine's CPU multiplies tiles of bfloat16 (AMX)."""
  try:
    return " amx_bf16 " in pathlib.Path("/proc/cpuinfo").read_text()
  except OSError:
    return False  # no such file but on Linux


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
