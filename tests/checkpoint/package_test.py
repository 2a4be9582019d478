# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Importing the package is harmless, and saving costs little."""

import time

import checkpoint_support
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefjax import checkpoint


def test_import_starts_no_backend():
  source = """
    import os
    before = set(os.listdir("."))
    import prefjax.checkpoint
    from jax._src import xla_bridge
    assert not xla_bridge._backends
    assert set(os.listdir(".")) == before
    print(len(prefjax.checkpoint.__all__))
  """
  assert checkpoint_support.run_script(source) == str(len(checkpoint.__all__))


def test_public_names_exist():
  for name in checkpoint.__all__:
    assert getattr(checkpoint, name) is not None


@pytest.mark.benchmark
@pytest.mark.parametrize(
  ("leaves", "side"), [(5, 4), (50, 4), (300, 4), (8, 2048)]
)
def test_time_of_saves_and_restores(tmp_path, leaves, side, capsys):
  rng = np.random.default_rng(0)
  values = rng.standard_normal((side, side)).astype(np.float32)
  tree = {f"l{i}": jnp.asarray(values) * i for i in range(leaves)}
  blocking, total, restoring = [], [], []
  with checkpoint.Checkpointer(tmp_path) as checkpointer:
    for step in range(5):
      start = time.perf_counter()
      checkpointer.save(step, tree)
      blocking.append(time.perf_counter() - start)
      checkpointer.wait()
      total.append(time.perf_counter() - start)
  for _ in range(3):
    start = time.perf_counter()
    jax.block_until_ready(checkpoint.restore(tmp_path, tree).tree)
    restoring.append(time.perf_counter() - start)
  with capsys.disabled():
    print(
      f"\n{leaves} leaves of {values.nbytes} bytes: save blocks"
      f" {1e3 * np.median(blocking):.0f} ms, takes"
      f" {1e3 * np.median(total):.0f} ms; restore"
      f" {1e3 * np.median(restoring):.0f} ms"
    )
