# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What is asked of the CPU's compiler and of the allocator."""

import subprocess
import sys

import jax
import jax.numpy as jnp

from prefjax.core import host


def test_options_are_for_cpus_and_compile():
  assert host.compiler_options("tpu") is None
  assert host.compiler_options("gpu") is None
  options = host.compiler_options("cpu")
  double = jax.jit(lambda x: 2 * x, compiler_options=options)
  assert double(jnp.float32(3)) == 6


def test_an_option_that_the_compiler_lacks_is_left_out(monkeypatch):
  monkeypatch.setattr(host, "_ONLY_PRODUCTS", {"xla_cpu_no_such_option": "1"})
  host._known_to_compiler.cache_clear()
  try:
    assert host.compiler_options("cpu") is None
  finally:
    monkeypatch.undo()
    host._known_to_compiler.cache_clear()


def test_memory_is_kept_between_allocations():
  # In a process of its own: the choice holds until the end.
  code = """
import numpy as np
from prefjax.core import host
def resident():
  line = [l for l in open("/proc/self/status") if l.startswith("VmRSS")][0]
  return int(line.split()[1]) / 1024
agreed = host.keep_memory()
before = resident()
big = np.ones(64 << 17)
del big
print(agreed, resident() - before > 50)
"""
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  agreed, kept = done.stdout.split()
  assert kept == agreed
