# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What was saved comes back: values, dtypes, structure, shardings."""

import dataclasses

import checkpoint_support
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from absl import logging as absl_logging

from prefjax import checkpoint
from prefjax.core import errors

same = checkpoint_support.same


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class _State:
  step: jax.Array
  params: dict
  opt_state: tuple
  key: jax.Array


def _state(seed: int = 0) -> _State:
  key = jax.random.key(seed)
  params = {
    "layers": {"w": jax.random.normal(key, (3, 8, 4), jnp.bfloat16)},
    "head": jax.random.normal(key, (4, 7)),
    "unused": {},
    "none": None,
  }
  optimizer = optax.chain(
    optax.clip_by_global_norm(1.0), optax.adamw(1e-3, mu_dtype=jnp.float32)
  )
  return _State(
    step=jnp.asarray(seed, jnp.int32),
    params=params,
    opt_state=optimizer.init(params),
    key=jax.random.split(key, 3),
  )


def _shapes(tree):
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


def test_train_state_round_trip(tmp_path):
  state = _state(5)
  with checkpoint.Checkpointer(tmp_path) as checkpointer:
    checkpointer.save(5, state, metadata={"config": {"lr": 0.1}})
  for template in (_shapes(state), _state(1)):
    restored = checkpoint.restore(tmp_path, template)
    assert restored.step == 5 and restored.skipped == []
    assert same(restored.tree, state)
  assert restored.manifest.config == {"lr": 0.1}
  assert checkpoint.state_sha256(restored.tree) == checkpoint.state_sha256(
    state
  )
  # The restored keys are usable and give the same draws.
  draw = jax.random.normal(restored.tree.key[1], (3,))
  assert same(draw, jax.random.normal(state.key[1], (3,)))


def test_containers_scalars_and_empty_arrays(tmp_path):
  tree = {
    "tuple": (jnp.ones(3), [jnp.zeros((2, 0, 4), jnp.bfloat16)]),
    "scalar": jnp.float32(2.5),
    "numpy": np.arange(6, dtype=np.int64).reshape(2, 3),
    "wide": np.float64([np.pi, -0.0, np.nan, np.inf]),
    "zero_d": np.asarray(3, np.uint8),
    "int": 7,
    "float": 0.1,
    "bool": True,
    "odd/name.": {"~": jnp.arange(2)},
    "": jnp.arange(1),
    "no_keys": jax.random.split(jax.random.key(0), 0),
    "rbg": jax.random.key(1, impl="rbg"),
  }
  with checkpoint.Checkpointer(tmp_path) as checkpointer:
    checkpointer.save(0, tree)
  restored = checkpoint.restore(tmp_path, tree).tree
  assert same(restored, tree)
  assert type(restored["int"]) is int and type(restored["bool"]) is bool
  assert isinstance(restored["numpy"], np.ndarray)
  assert isinstance(restored["scalar"], jax.Array)


@pytest.mark.parametrize("compress", [False, True])
def test_every_dtype(tmp_path, compress):
  from prefjax.checkpoint import leaves

  rng = np.random.default_rng(0)
  tree = {
    name: rng.integers(0, 2, (5, 3)).astype(dtype)
    for name, dtype in leaves.DTYPES.items()
  }
  with checkpoint.Checkpointer(tmp_path, compress=compress) as checkpointer:
    checkpointer.save(1, tree)
  assert same(checkpoint.restore(tmp_path, tree).tree, tree)
  narrow = {k: v for k, v in tree.items() if v.dtype.itemsize <= 4}
  narrow = jax.tree.map(jnp.asarray, narrow)
  restored = checkpoint.restore(tmp_path, narrow, partial=True).tree
  assert same(restored, narrow)


def test_compression_makes_zeros_small(tmp_path):
  sizes = {}
  for compress in (False, True):
    root = tmp_path / str(compress)
    with checkpoint.Checkpointer(root, compress=compress) as checkpointer:
      checkpointer.save(0, {"w": jnp.zeros((64, 1024))})
    sizes[compress] = checkpoint.describe(root)[0].disk_bytes
  assert sizes[True] < 20_000 < 262_144 < sizes[False]


def test_single_leaf_and_empty_trees(tmp_path):
  with checkpoint.Checkpointer(tmp_path) as checkpointer:
    checkpointer.save(0, jnp.arange(3))
    checkpointer.save(1, {})
    checkpointer.save(2, {"only": jnp.zeros((0,))})
  assert same(
    checkpoint.restore(tmp_path, jnp.zeros(3, int), step=0).tree,
    jnp.arange(3),
  )
  assert checkpoint.restore(tmp_path, {}, step=1).tree == {}
  assert checkpoint.restore(tmp_path, {"only": jnp.zeros(0)}).step == 2


def test_untyped_restore_gives_nested_numpy(tmp_path):
  state = _state(2)
  with checkpoint.Checkpointer(tmp_path) as checkpointer:
    checkpointer.save(3, state)
  restored = checkpoint.restore_untyped(tmp_path)
  weights = restored.tree["params"]["layers"]["w"]
  assert isinstance(weights, np.ndarray) and weights.dtype == jnp.bfloat16
  assert same(weights, np.asarray(state.params["layers"]["w"]))
  assert set(restored.tree) == {"step", "params", "opt_state", "key"}
  assert same(restored.tree["key"], state.key)


def test_plain_orbax_can_open_the_arrays(tmp_path):
  import orbax.checkpoint as ocp

  with checkpoint.Checkpointer(tmp_path) as checkpointer:
    checkpointer.save(1, {"a": {"b": jnp.arange(4)}})
  absl_logging.set_verbosity(absl_logging.ERROR)
  tree = ocp.PyTreeCheckpointer().restore(tmp_path / "1" / "arrays")
  assert np.array_equal(tree["a"]["b"], np.arange(4))


def test_numpy_leaves_are_copied_at_save(tmp_path):
  values = np.zeros(100_000, np.float32)
  with checkpoint.Checkpointer(tmp_path) as checkpointer:
    checkpointer.save(1, {"w": values})
    values[:] = 1  # while the save is under way
  assert not checkpoint.restore(tmp_path, {"w": values}).tree["w"].any()


def test_donated_arrays_are_saved_as_they_were(tmp_path):
  state = {"w": jnp.zeros((512, 512)), "n": jnp.zeros((), jnp.int32)}
  update = jax.jit(lambda s: jax.tree.map(lambda x: x + 1, s), donate_argnums=0)
  with checkpoint.Checkpointer(tmp_path, keep=None) as checkpointer:
    for step in range(6):
      checkpointer.save(step, state)
      state = update(state)
  for step in range(6):
    tree = checkpoint.restore(tmp_path, state, step=step).tree
    assert (np.asarray(tree["w"]) == step).all() and int(tree["n"]) == step


def test_restored_arrays_can_be_donated_and_written_to(tmp_path):
  tree = {"w": jnp.arange(1 << 16, dtype=jnp.float32), "n": np.arange(5)}
  with checkpoint.Checkpointer(tmp_path) as checkpointer:
    checkpointer.save(1, tree)
  restored = checkpoint.restore(tmp_path, tree).tree
  updated = jax.jit(lambda x: x + 1, donate_argnums=0)(restored["w"])
  assert np.array_equal(updated, np.arange(1 << 16) + 1)
  assert restored["w"].is_deleted()
  restored["n"][0] = 7  # NumPy leaves are the caller's own


def test_wide_dtypes_under_x64(tmp_path):
  with jax.enable_x64(True):
    tree = {"w": jnp.arange(5, dtype=jnp.float64) / 3, "i": jnp.arange(2)}
    with checkpoint.Checkpointer(tmp_path) as checkpointer:
      checkpointer.save(2, tree)
    assert same(checkpoint.restore(tmp_path, tree).tree, tree)
  shapes = {
    "w": jax.ShapeDtypeStruct((5,), np.float64),
    "i": jax.ShapeDtypeStruct((2,), np.int64),
  }
  with pytest.raises(errors.CheckpointError, match="JAX would narrow"):
    checkpoint.restore(tmp_path, shapes)


def test_synchronous_save_is_committed_when_it_returns(tmp_path):
  checkpointer = checkpoint.Checkpointer(tmp_path, async_save=False)
  checkpointer.save(4, {"a": jnp.ones(2)})
  assert checkpoint.steps(tmp_path) == [4]
  checkpointer.close()


def test_step_is_replaced_by_a_second_save(tmp_path):
  with checkpoint.Checkpointer(tmp_path) as checkpointer:
    checkpointer.save(4, {"a": jnp.ones(2)})
    checkpointer.save(4, {"a": jnp.zeros(2)})
    checkpointer.wait()
    assert checkpointer.steps() == [4]
  restored = checkpoint.restore(tmp_path, {"a": jnp.ones(2)})
  assert same(restored.tree, {"a": jnp.zeros(2)})
  names = sorted(p.name for p in tmp_path.iterdir())
  assert names == [".lock", "4"]


# --- templates that do not fit ---------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  root = tmp_path_factory.mktemp("saved")
  with checkpoint.Checkpointer(root) as checkpointer:
    tree = {"w": jnp.ones((2, 3)), "deep": {"b": jnp.zeros(4, jnp.bfloat16)}}
    tree["wide"] = np.ones(2, np.float64)
    checkpointer.save(7, tree)
  return root


def _fits():
  return {
    "w": jnp.ones((2, 3)),
    "deep": {"b": jnp.zeros(4, jnp.bfloat16)},
    "wide": np.ones(2, np.float64),
  }


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (
      {"w": jnp.ones((2, 3), jnp.bfloat16)},
      "leaf 'w' was saved as float32, the template has bfloat16",
    ),
    (
      {"deep": {"b": np.zeros(4, np.float32)}},
      "leaf 'deep/b' was saved as bfloat16, the template has float32",
    ),
    ({"w": jnp.ones((3, 2))}, r"'w' was saved with shape \(2, 3\)"),
    ({"deep": {"c": jnp.zeros(4)}}, "no leaf 'deep/c' .did you mean 'deep/b'"),
    ({"wide": None}, "has a leaf 'wide' that the template leaves out"),
    ({"w": jax.random.key(0)}, r"'w' was saved with shape"),
    ({"w": "text"}, "leaf 'w' is a str"),
    (
      {"wide": jax.ShapeDtypeStruct((2,), np.float64)},
      "'wide' is float64, which JAX would narrow",
    ),
  ],
)
def test_template_that_does_not_fit_is_refused(saved, change, message):
  with pytest.raises(errors.CheckpointError, match=message) as caught:
    checkpoint.restore(saved, {**_fits(), **change})
  # A wrong template must not look like a damaged file and fall back.
  assert not isinstance(caught.value, errors.CheckpointCorruptError)
  assert "\n" not in str(caught.value)


def test_partial_restore_reads_only_what_is_asked_for(saved):
  tree = checkpoint.restore(saved, {"w": jnp.ones((2, 3))}, partial=True).tree
  assert list(tree) == ["w"]
  with pytest.raises(errors.CheckpointError, match="no leaf 'v'"):
    checkpoint.restore(saved, {"v": jnp.ones((2, 3))}, partial=True)


def test_missing_step_and_directory(saved, tmp_path):
  with pytest.raises(errors.CheckpointError, match="no step 8; it has 7"):
    checkpoint.restore(saved, _fits(), step=8)
  with pytest.raises(errors.CheckpointError, match="holds no checkpoint"):
    checkpoint.restore(tmp_path / "none", _fits())
  assert checkpoint.latest_step(tmp_path / "none") is None
  assert checkpoint.latest_step(saved) == 7
  with pytest.raises(errors.CheckpointError, match="is a URL"):
    checkpoint.restore("gs://bucket/run", _fits())


def test_shardings_that_do_not_fit(saved):
  mesh = jax.make_mesh((1,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
  named = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("d"))
  with pytest.raises(errors.CheckpointError, match="no prefix"):
    checkpoint.restore(saved, _fits(), shardings={"x": named})
  with pytest.raises(errors.CheckpointError, match="has a str for a sharding"):
    checkpoint.restore(saved, _fits(), shardings="rows")
  tree = checkpoint.restore(
    saved, _fits(), shardings={"w": named, "deep": None, "wide": None}
  ).tree
  assert tree["w"].sharding == named


# --- other meshes ----------------------------------------------------------

_SAVE = """
  import sys, jax, jax.numpy as jnp, numpy as np
  from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
  from prefjax import checkpoint
  rng = np.random.default_rng(0)
  values = {
    "w": rng.standard_normal((8, 6, 5)).astype(np.float32),
    "b": np.asarray(jnp.asarray(rng.standard_normal(16), jnp.bfloat16)),
    "big": rng.standard_normal((64, 512)).astype(np.float32),
    "step": np.asarray(3, np.int32),
  }
  source, target, counts = sys.argv[1:]
  for i, n in enumerate(map(int, counts.split(","))):
    devices = np.array(jax.devices()[:n]).reshape(-1, 1 + n // 8)
    mesh = jax.sharding.Mesh(
        devices, ("fsdp", "tensor"), (AxisType.Auto,) * 2)
    def place(*axes): return NamedSharding(mesh, P(*axes))
    shardings = {"w": place("fsdp", "tensor"), "b": place("tensor"),
                 "big": place(("fsdp", "tensor")), "key": place("fsdp"),
                 "step": place()}
    full = {k: jax.device_put(v, shardings[k]) for k, v in values.items()}
    keys = jax.random.split(jax.random.key(1), 8)
    full["key"] = jax.device_put(keys, shardings["key"])
    template = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), full)
    tree = full
    if source != "none":
      tree = checkpoint.restore(source, template, shardings=shardings).tree
      for name, leaf in tree.items():
        assert leaf.sharding.is_equivalent_to(shardings[name], leaf.ndim)
      assert (checkpoint.state_sha256(tree) == checkpoint.state_sha256(full))
    source = f"{target}/{n}-{i}"
    with checkpoint.Checkpointer(source) as checkpointer:
      checkpointer.save(3, tree)
    leaves = checkpoint.describe(source)[0].manifest.leaves
    print(len(jax.devices()), source, sep=";", end=";")
    print(sorted((k, v.sha256 or v.lanes) for k, v in leaves.items()))
"""


def test_restore_on_8_4_2_1_devices_and_back(tmp_path):
  output = checkpoint_support.run_script(
    _SAVE, "none", tmp_path, "8,4,2,1,8", devices=8
  )
  lines = output.splitlines()
  assert len(lines) == 5 and lines[0].startswith("8;")
  assert len({line.split(";")[2] for line in lines}) == 1, output


@pytest.mark.slow
def test_restore_in_processes_with_8_4_2_1_devices_and_back(tmp_path):
  digests, source = set(), "none"
  for devices in [8, 4, 2, 1, 8]:
    output = checkpoint_support.run_script(
      _SAVE, source, tmp_path / str(devices), devices, devices=devices
    )
    count, source, digest = output.split(";")
    assert int(count) == devices
    digests.add(digest)
  assert len(digests) == 1, digests
