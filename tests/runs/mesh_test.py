# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""One device, eight, and every way to use them: the same run."""

import jax
import numpy as np
import pytest
import run_support

from prefjax import checkpoint

_NUMBERS = ("loss", "grad_norm", "rewards/margins", "logps/chosen")
# SGD: AdamW amplifies rounding where a gradient is zero.
_OPT = {"name": "sgd", "learning_rate": 1e-2}


def _config(**changes):
  changes = {"train": {"steps": 6}, **changes}
  return run_support.config(opt=_OPT, **changes)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("one")
  run_support.train(_config(), workdir)
  return workdir


def _weights(workdir):
  tree = checkpoint.restore_untyped(workdir / "checkpoints").tree
  return tree["params"]["policy"]


def _same(workdir, one):
  for row, other in zip(
    run_support.updates(workdir), run_support.updates(one), strict=True
  ):
    for name in _NUMBERS:
      # Rewards are small differences of sums of some 40 nats.
      assert row[name] == pytest.approx(other[name], rel=1e-5, abs=1e-5), name
  own, expected = _weights(workdir), _weights(one)
  assert jax.tree.structure(own) == jax.tree.structure(expected)
  for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(
  ("mesh", "parallel"),
  [
    ({"data": 2, "fsdp": 2, "tensor": 2}, "jit"),
    ({"data": 8}, "pmap"),
    pytest.param({"data": 8}, "jit", marks=pytest.mark.slow),
    pytest.param({"data": 1, "fsdp": 8}, "jit", marks=pytest.mark.slow),
    pytest.param({"data": 4, "tensor": 2}, "jit", marks=pytest.mark.slow),
  ],
)
def test_eight_devices_are_one_and_one_may_go_on(one, tmp_path, mesh, parallel):
  train = {"steps": 3, "parallel": parallel}
  run_support.train(_config(mesh=mesh, train=train), tmp_path, devices=8)
  if parallel == "pmap":
    changes = {"checkpoint": {"allow_changes": ("train.parallel",)}}
  else:
    changes = {}
  run_support.train(_config(**changes), tmp_path)
  _same(tmp_path, one)


@pytest.mark.slow
def test_micro_batches_are_the_batch(one, tmp_path):
  c = _config(train={"steps": 6, "micro_batches": 4})
  run_support.train(c, tmp_path)
  _same(tmp_path, one)
