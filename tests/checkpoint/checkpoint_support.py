# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What several checkpoint tests share."""

import os
import subprocess
import sys
import textwrap

import jax
import numpy as np


def environment(devices: int = 1) -> dict[str, str]:
  """Environment of a child process with that many host devices."""
  flags = f"--xla_force_host_platform_device_count={devices}"
  return {
    "PATH": os.defpath,
    "JAX_PLATFORMS": "cpu",
    "OMP_NUM_THREADS": "1",
    "XLA_FLAGS": f"{flags} --xla_cpu_multi_thread_eigen=false",
  }


def run_script(source: str, *arguments: str, devices: int = 1) -> str:
  """Runs a script in a fresh process; returns what it printed."""
  result = subprocess.run(
    [sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)],
    env=environment(devices),
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert result.returncode == 0, result.stderr[-4000:]
  return result.stdout.strip()


def same(a, b) -> bool:
  """Whether two trees have equal structure, dtypes and bits."""
  left, right = jax.tree.flatten(a), jax.tree.flatten(b)
  if left[1] != right[1]:
    return False
  return all(map(same_leaf, left[0], right[0]))


def same_leaf(a, b) -> bool:
  if getattr(a, "dtype", type(a)) != getattr(b, "dtype", type(b)):
    return False
  if hasattr(a, "dtype") and jax.numpy.issubdtype(a.dtype, jax.dtypes.prng_key):
    a, b = jax.random.key_data(a), jax.random.key_data(b)
  a, b = np.asarray(a), np.asarray(b)
  return a.shape == b.shape and a.tobytes() == b.tobytes()
