# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which implementation runs, what is logged, and what happens if it can't."""

import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefjax import kernels
from prefjax.kernels import chunked, problem, select


@pytest.fixture(autouse=True)
def _log_again():
  select._SEEN.clear()
  yield
  select._SEEN.clear()


@pytest.fixture
def on_tpu(monkeypatch):
  """A device that says it is a TPU; nothing is compiled for it."""
  device = types.SimpleNamespace(platform="tpu", device_kind="TPU v5 lite")
  monkeypatch.setattr(select, "target_device", lambda mesh=None: device)
  return device


def plan_for(impl="auto", rows=4096, vocab=50_257, dtype=np.float32, **options):
  x = jax.ShapeDtypeStruct((rows, 64), dtype)
  w = jax.ShapeDtypeStruct((64, vocab), dtype)
  return select.token_plan(
    "token_logps", impl, problem.Problem(), x, w, None, **options
  )


@pytest.mark.parametrize(
  "platform,name",
  (
    ("cpu", "chunked"),
    ("gpu", "chunked"),
    ("tpu", "pallas_tpu"),
    ("other", "chunked"),
  ),
)
def test_auto_goes_by_platform(platform, name):
  args = ("token_logps", "auto", 4096, 50_257)
  assert select.pick(*args, platform=platform) == name
  few = select.pick("token_logps", "auto", 8, 100, platform=platform)
  assert few == "reference"
  # A function that has no kernel for the platform.
  choices = ("auto", "reference", "chunked")
  assert select.pick(*args, choices, platform) == "chunked"


def test_auto_takes_the_kernel_that_compiles(on_tpu, monkeypatch):
  monkeypatch.setattr(select, "_compiler_says", lambda *_: None)
  plan = plan_for()
  assert type(plan).__module__ == "prefjax.kernels.pallas_tpu"
  assert plan.kind == "TPU v5 lite" and not plan.interpret


def test_auto_leaves_partitioning_to_xla_unless_told_how(
  on_tpu, monkeypatch, caplog
):
  """A kernel in a program over several devices must know how it is split."""
  monkeypatch.setattr(select, "_compiler_says", lambda *_: None)
  monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
  assert jax.device_count() == 8
  with caplog.at_level("WARNING", logger="prefjax.kernels"):
    assert isinstance(plan_for(), chunked.Plan)
  assert "8 devices" in caplog.text and "sharding=" in caplog.text
  types = (jax.sharding.AxisType.Auto,)
  mesh = jax.make_mesh((8,), ("data",), axis_types=types)
  told = plan_for(sharding=kernels.Sharding(mesh, rows="data"))
  assert type(told.local).__module__ == "prefjax.kernels.pallas_tpu"
  # Inside a shard_map there is nothing left to split.
  found = []

  def local(x):
    found.append(plan_for())
    return x

  spec = jax.sharding.PartitionSpec("data")
  jax.shard_map(local, mesh=mesh, in_specs=spec, out_specs=spec)(jnp.ones(8))
  assert type(found[0]).__module__ == "prefjax.kernels.pallas_tpu"


@pytest.mark.parametrize(
  "break_it,words",
  (
    (lambda patch: {"dtype": np.float64}, "no float64"),
    (lambda patch: {"block_rows": 100}, "block_rows=100"),
    (
      lambda patch: patch.setattr(
        select, "_compiler_says", lambda *_: "Refused: too large"
      ),
      "Refused: too large",
    ),
    (
      lambda patch: patch.setitem(
        sys.modules, "prefjax.kernels.pallas_tpu", None
      ),
      "this JAX does not have it",
    ),
  ),
  ids=("dtype", "blocks", "compiler", "import"),
)
def test_auto_falls_back_loudly_and_once(
  on_tpu, monkeypatch, caplog, break_it, words
):
  options = break_it(monkeypatch) or {}
  with caplog.at_level("WARNING", logger="prefjax.kernels"):
    for _ in range(2):
      assert isinstance(plan_for(**options), chunked.Plan)
  (record,) = caplog.records
  assert "fell back from 'pallas_tpu' to 'chunked'" in record.getMessage()
  assert words in record.getMessage()
  if words != "Refused: too large":
    with pytest.raises(ValueError, match=words):
      plan_for("pallas_tpu", **options)


def test_a_named_kernel_away_from_its_platform_is_interpreted(caplog):
  with caplog.at_level("WARNING", logger="prefjax.kernels"):
    assert plan_for("pallas_tpu").interpret
    assert plan_for("pallas_gpu").interpret
  assert [r.args or r.getMessage() for r in caplog.records] == [
    f"token_logps: impl='{name}' is interpreted, slowly, on platform cpu"
    for name in ("pallas_tpu", "pallas_gpu")
  ]


def test_the_compiler_is_asked_from_a_clean_thread():
  """Also where the caller traces under a mesh; the answer is remembered."""
  plan = chunked.make_plan(problem.Problem(), 8, 300, block_vocab=128)
  device = jax.devices()[0]
  shapes = (
    ((8, 4), jnp.dtype(np.float32)),
    ((4, 300), jnp.dtype(np.float32)),
    None,
    ((8,), jnp.dtype(np.int32)),
  )
  said = []

  @jax.jit
  def traced(x):
    said.append(select._compiler_says(plan, device, shapes))
    return x

  mesh = jax.make_mesh((2,), ("data",))
  before = select._compiler_says.cache_info().hits
  with jax.set_mesh(mesh):
    traced(jnp.ones(3))
  assert said == [None]
  assert select._compiler_says(plan, device, shapes) is None
  assert select._compiler_says.cache_info().hits == before + 1
  wrong = (shapes[0], ((5, 300), jnp.dtype(np.float32)), *shapes[2:])
  assert "Error" in select._compiler_says(plan, device, wrong)


def test_the_default_device_decides():
  cpu = jax.devices("cpu")[1]
  with jax.default_device(cpu):
    assert select.target_device() == cpu
  with jax.default_device("cpu"):
    assert select.target_device().platform == "cpu"
  mesh = jax.make_mesh((2,), ("data",), devices=jax.devices()[4:6])
  assert select.target_device(mesh) == jax.devices()[4]


def test_importing_kernels_brings_no_kernel_compiler():
  code = (
    "import sys, prefjax.kernels;"
    "assert 'jax.experimental.pallas' not in sys.modules"
  )
  subprocess.run([sys.executable, "-c", code], check=True)


def test_segments_in_every_implementation():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, 9, 8)).astype(np.float32)
  w = rng.normal(size=(8, 300)).astype(np.float32)
  targets = rng.integers(0, 300, (2, 9))
  weights = rng.normal(size=(2, 9)).astype(np.float32)
  segments = rng.integers(-1, 5, (2, 9))
  logps = np.asarray(kernels.token_logps(x, w, targets).logps)
  expected = [(weights * logps)[segments == s].sum() for s in range(4)]
  for how in ({"impl": "reference"}, {"impl": "chunked", "block_vocab": 128}):
    got = kernels.sequence_logps(
      x, w, targets, weights, segments=segments, num_segments=4, **how
    )
    np.testing.assert_allclose(got, expected, atol=1e-4)
  cases = (
    (dict(segments=segments), "or neither"),
    (dict(num_segments=4), "or neither"),
    (dict(segments=segments[:1], num_segments=4), "segments has shape"),
    (dict(segments=weights, num_segments=4), "not integer"),
    (dict(segments=segments, num_segments=0), "num_segments=0"),
  )
  for options, words in cases:
    with pytest.raises(ValueError, match=words):
      kernels.sequence_logps(x, w, targets, weights, **options)
