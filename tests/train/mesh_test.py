# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Where arrays lie: meshes, rules by path, rows of a batch."""

import re
import types

import jax
import lm_support
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from prefjax import methods
from prefjax.core import errors
from prefjax.methods import language_model
from prefjax.train import mesh as mesh_lib
from prefjax.train import optim, state

P = PartitionSpec


def _sizes(**axes):
  return tuple(mesh_lib.make_mesh(**axes).shape.values())


def test_sizes_of_the_axes():
  assert _sizes() == (8, 1, 1)
  assert _sizes(fsdp=4) == (2, 4, 1)
  assert _sizes(data=1, fsdp=-1, tensor=2) == (1, 4, 2)
  assert mesh_lib.make_mesh().axis_names == ("data", "fsdp", "tensor")
  assert mesh_lib.make_mesh(devices=jax.devices()[:2]).size == 2


@pytest.mark.parametrize(
  "axes, message",
  [
    (dict(data=3), "data=3, fsdp=1, tensor=1 do not multiply to the 8 devices"),
    (dict(fsdp=16), "fsdp=16"),
    (dict(data=-1, tensor=-1), "mesh.tensor: only one axis may be -1"),
    (dict(fsdp=0), "mesh.fsdp: 0 is not 1 or more, or -1"),
    (dict(fsdp=-2), "mesh.fsdp: -2"),
  ],
)
def test_meshes_that_are_refused(axes, message):
  with pytest.raises(errors.ConfigError, match=message):
    mesh_lib.make_mesh(**axes)


def _specs(tree, rules, **axes):
  found = mesh_lib.tree_shardings(mesh_lib.make_mesh(**axes), tree, rules)
  paths = jax.tree.leaves(optim.tree_paths(tree))
  specs = [s.spec for s in jax.tree.leaves(found)]
  return dict(zip(paths, specs, strict=True))


def _shape(*sizes):
  return jax.ShapeDtypeStruct(sizes, np.float32)


def test_the_first_rule_that_matches_a_whole_path_decides():
  tree = {
    "policy": {"up": {"kernel": _shape(4, 8)}, "kernel2": _shape(4, 8)},
    "up": {"kernel": _shape(3, 4, 8)},
  }
  rules = [
    (r"(.*/)?up/kernel", ("fsdp", "tensor")),
    (r".*kernel", ("tensor", None)),
  ]
  found = _specs(tree, rules, data=2, fsdp=2, tensor=2)
  assert found == {
    "policy/up/kernel": P("fsdp", "tensor"),
    "policy/kernel2": P(),
    # A stacked layer axis in front stays whole.
    "up/kernel": P(None, "fsdp", "tensor"),
  }


def test_dimensions_that_an_axis_does_not_divide_stay_whole():
  rules = [("w", ("fsdp", "tensor"))]
  for shape, want in (
    ((4, 8), P("fsdp", "tensor")),
    ((3, 8), P(None, "tensor")),
    ((4, 7), P("fsdp", None)),
    ((8,), P()),  # fewer dimensions than the rule has axes
  ):
    found = _specs({"w": _shape(*shape)}, rules, data=1, fsdp=4, tensor=2)
    assert found["w"] == want, shape
  # An axis of one device spreads nothing.
  assert _specs({"w": _shape(4, 8)}, rules)["w"] == P(None, None)


def test_a_decoder_and_its_optimiser_are_spread():
  method = methods.get("dpo")
  objective = lm_support.objective(method)
  whole = state.create(objective, optim.make_optimizer("adamw"), 0)
  found = _specs(whole, objective.sharding_rules, data=2, fsdp=2, tensor=2)
  wanted = {
    "embed/tokens": P("tensor", "fsdp"),
    "attention/q/kernel": P(None, "fsdp", "tensor"),
    "attention/o/kernel": P(None, "tensor", "fsdp"),
    "mlp/up/kernel": P(None, "fsdp", "tensor"),
    "mlp/down/kernel": P(None, "tensor", "fsdp"),
  }
  seen = dict.fromkeys(wanted, 0)
  for path, spec in found.items():
    for end, want in wanted.items():
      if path.endswith(end):
        assert spec == want, path
        seen[end] += 1
  # The policy, the reference and both moments of the optimiser.
  assert set(seen.values()) == {4}
  assert found["step"] == found["seed"] == P()


def test_every_rule_of_a_decoder_is_used():
  tree = {
    "policy": lm_support.tree("policy"),
    "other": {"head": {"weight": _shape(16, 8)}, "embed": {"positions": 0}},
    "lora": {"attention": {"q": {"a": 0, "b": 0}}},
    "biases": {"attention": {"q": {"bias": 0}}, "mlp": {"up": {"bias": 0}}},
  }
  paths = jax.tree.leaves(optim.tree_paths(tree))
  for pattern, _ in language_model.SHARDING_RULES:
    assert any(re.fullmatch(pattern, path) for path in paths), pattern


def test_rows_are_spread_over_data_and_fsdp():
  mesh = mesh_lib.make_mesh(data=2, fsdp=2, tensor=2)
  assert mesh_lib.batch_ways(mesh) == 4
  x = np.arange(24).reshape(8, 3)
  found = mesh_lib.to_global(mesh, {"x": x})["x"]
  np.testing.assert_array_equal(found, x)
  assert {s.data.shape for s in found.addressable_shards} == {(2, 3)}


def test_rows_must_divide():
  mesh = mesh_lib.make_mesh(data=2, fsdp=2, tensor=2)
  mesh_lib.check_batch(mesh, 16, 2)
  for rows, parts in ((12, 2), (6, 1), (8, 3), (8, 0)):
    with pytest.raises(errors.ConfigError, match=f"batch_size: {rows} rows"):
      mesh_lib.check_batch(mesh, rows, parts)


def _slices(number, each=4):
  """Stand-ins for devices, those of the slices in turn."""
  return [
    types.SimpleNamespace(slice_index=i % number, id=i)
    for i in range(number * each)
  ]


def test_only_the_axis_data_crosses_slices():
  found = mesh_lib.by_slice(_slices(2), 4)
  grid = np.asarray([d.slice_index for d in found]).reshape(4, 2, 1)
  for i in range(4):
    assert len(set(grid[i].ravel())) == 1
  assert sorted(d.id for d in found) == list(range(8))


def test_devices_of_one_slice_keep_their_order():
  devices = _slices(1)
  assert mesh_lib.by_slice(devices, 1) == devices
  assert mesh_lib.by_slice(jax.devices(), 3) == jax.devices()


@pytest.mark.parametrize("data", [1, 2, 4])
def test_data_must_divide_over_slices(data):
  with pytest.raises(errors.ConfigError, match=r"mesh.data: .* 3 slices"):
    mesh_lib.by_slice(_slices(3), data)
