# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Plans of runs for people, packed runs, and what is kept by memory."""

import dataclasses
import importlib

import jax
import pytest
import run_support

from prefjax import config as config_lib
from prefjax.methods import registry
from prefjax.runs import dry_run, remat
from prefjax.runs import run as run_lib


def test_the_plan_of_a_run(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  text = dry_run.report(run_support.config(), jax.devices()[:1])
  for words in (
    "dpo, reference live",
    "1 x cpu",
    "8 of 8 rows in 1 parts",
    "8 groups of 2 responses, 48 + 2 x 40 slots",
    "temporaries",
  ):
    assert words in text, text
  assert list(tmp_path.iterdir()) == []


def _every_method():
  """All methods; one of each kind of stage is quick."""
  seen, found = set(), []
  for name in registry.names():
    method = registry.get(name)
    kind = method.online is None, method.head is None
    marks = () if kind not in seen else pytest.mark.slow
    seen.add(kind)
    found.append(pytest.param(name, marks=marks, id=name))
  return found


@pytest.mark.parametrize("name", _every_method())
def test_every_method_has_a_plan(name):
  module = importlib.import_module(f"configs.{name}")
  c = config_lib.parse(module.get_config("tiny"))
  text = dry_run.report(c, jax.devices()[:1])
  assert "updates" in text and "temporaries" in text
  assert ("  rounds  " in text) == (registry.get(name).online is not None)


def test_packed_runs_are_the_same_runs(tmp_path):
  # SGD: AdamW amplifies rounding where a gradient is zero.
  options = dict(opt={"name": "sgd"}, train={"steps": 3})
  for name, pack in (("plain", False), ("packed", True)):
    c = run_support.config(data={"pack": pack}, **options)
    run_support.train(c, tmp_path / name)
  plain, packed = (
    run_support.updates(tmp_path / name) for name in ("plain", "packed")
  )
  for a, b in zip(plain, packed, strict=True):
    for name in ("loss", "grad_norm", "logps/chosen"):
      assert a[name] == pytest.approx(b[name], rel=1e-5), name


def test_what_is_kept_goes_by_memory(tmp_path):
  run = run_lib.Run(run_support.config(), tmp_path, jax.devices()[:1])
  model, dtype = run.source.model, run.source.dtype
  shape = run.stages[0].source.batch_shapes()[-1]["main"]
  group = remat.resized(run.stages[0].source.batch(0).main, 8, shape)
  kept = {
    choice: remat.kept_bytes(
      model, dataclasses.replace(run.compute, remat=choice), group, dtype
    )
    for choice in remat.CHOICES
  }
  assert kept["none"] > kept["full"]

  def choose(memory):
    return remat.choose(
      model, run.compute, [group], dtype=dtype, fixed=0, memory=memory
    )

  assert choose(None) == "none" and choose(1e12) == "none"
  assert choose(kept["full"]) == "full"
  c = run_support.config(model={"remat": "auto"})
  assert run_lib.Run(c, tmp_path, jax.devices()[:1]).compute.remat == "none"
