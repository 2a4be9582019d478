# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What is asked of the CPU's compiler and of the allocator."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
import tpu_topology

from prefjax.core import errors, host, tpu_options
from prefjax.train import mesh as mesh_lib
from prefjax.train import placement


def test_options_are_for_cpus_and_compile():
  assert host.compiler_options("tpu") is None
  assert host.compiler_options("gpu") is None
  options = host.compiler_options("cpu")
  double = jax.jit(lambda x: 2 * x, compiler_options=options)
  assert double(jnp.float32(3)) == 6


def test_an_option_that_the_compiler_lacks_is_left_out(monkeypatch):
  missing = {"xla_cpu_no_such_option": "1"}
  known = host.compiler_options("cpu")
  try:
    for options in (missing, {**missing, **known}):
      monkeypatch.setattr(host, "_FOR_CPUS", options)
      host._known_to_compiler.cache_clear()
      want = known if len(options) > 1 else None
      assert host.compiler_options("cpu") == want
  finally:
    monkeypatch.undo()
    host._known_to_compiler.cache_clear()


def test_users_options_come_last_and_are_checked():
  device = jax.devices()[0]
  name = "xla_cpu_experimental_ynn_fusion_type"
  given = host.options_for(device, extra={name: "LIBRARY_FUSION_TYPE_INVALID"})
  assert given[name] == "LIBRARY_FUSION_TYPE_INVALID"
  given = host.options_for(device, extra={"xla_cpu_enable_fast_math": True})
  assert given["xla_cpu_enable_fast_math"] is True
  assert given[name] == host.compiler_options("cpu")[name]
  with pytest.raises(errors.ConfigError, match="compiler_options: xla_typo="):
    host.options_for(device, extra={"xla_typo": 1})


def test_presets_are_for_tpus():
  device = jax.devices()[0]
  assert host.options_for(device, "overlap") == host.options_for(device)
  assert tpu_options.preset("default", "TPU v5 lite") == {}
  assert tpu_options.preset("overlap", "NVIDIA H100") == {}
  lite = tpu_options.preset("overlap", "TPU v5 lite")
  assert lite != tpu_options.preset("overlap", "TPU v6 lite")
  assert set(lite) < set(tpu_options.preset("multi_slice", "TPU v5 lite"))
  with pytest.raises(KeyError):
    tpu_options.preset("fastest", "TPU v4")


@pytest.mark.parametrize("name", tpu_topology.TOPOLOGIES)
def test_the_tpu_compiler_knows_every_option_of_a_preset(name):
  device = tpu_topology.devices(name)[0]
  options = host.options_for(device, "multi_slice")
  assert len(options) >= 7
  assert host._refusal(device, options) is None
  assert "xla_no_such" in host._refusal(device, {"xla_no_such": "1"})


def test_pmap_takes_none():
  with pytest.raises(errors.ConfigError, match="pmap takes no"):
    placement.Placement(mesh_lib.make_mesh(), "pmap", "overlap")


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


def test_moments_in_place_only_on_one_device():
  device = jax.devices()[0]
  many = host.options_for(device, devices=8)
  assert host._IN_PLACE not in many
  assert many.items() <= host.compiler_options("cpu").items()
