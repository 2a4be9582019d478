# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Digests: equal wherever the array lives, different when a bit is."""

import hashlib

import checkpoint_support
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from prefjax.checkpoint import digest
from prefjax.checkpoint import leaves as leaves_lib
from prefjax.core import errors

DTYPES = [
  "bool",
  "int8",
  "uint8",
  "int32",
  "uint32",
  "int4",
  "float16",
  "bfloat16",
  "float32",
  "float8_e4m3fn",
  "complex64",
]
WIDE = ["int64", "uint64", "float64", "complex128"]


def _values(dtype: str, shape, seed=0) -> np.ndarray:
  rng = np.random.default_rng(seed)
  kind = leaves_lib.DTYPES[dtype]
  if dtype.startswith("complex"):
    real, imag = rng.standard_normal((2, *shape))
    return (real + 1j * imag).astype(kind)
  if dtype.startswith(("float", "bfloat")):
    return rng.standard_normal(shape).astype(kind)
  return rng.integers(0, 7, shape).astype(kind)


def _device(values) -> tuple[int, ...]:
  return tuple(int(v) for v in digest.device_lanes(jnp.asarray(values)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_and_device_lanes_agree(dtype):
  for shape in [(), (1,), (5,), (3, 4), (2, 3, 5)]:
    values = _values(dtype, shape)
    assert digest.host_lanes(values) == _device(values), shape


@pytest.mark.parametrize("dtype", WIDE)
def test_numpy_and_device_lanes_agree_for_eight_byte_words(dtype):
  values = _values(dtype, (3, 4))
  with jax.enable_x64(True):
    lanes = _device(values)
  assert digest.host_lanes(values) == lanes


def test_lanes_follow_their_definition():
  # The sum written out in Python integers, for one float32 vector.
  values = _values("float32", (9,))
  expected = []
  for lane, (multiplier, seed, _, mix) in enumerate(digest._LANES):
    del lane
    total = 0
    for i, bits in enumerate(values.view(np.uint32)):
      x = (i * multiplier + seed) % 2**32 ^ int(bits)
      x = (x ^ (x >> mix[0])) * mix[1] % 2**32
      x = (x ^ (x >> mix[2])) * mix[3] % 2**32
      total += x ^ (x >> mix[4])
    expected.append(total % 2**32)
  assert digest.host_lanes(values) == tuple(expected)


def test_lanes_of_special_values_see_the_bits():
  plus, minus = np.zeros(4, np.float32), -np.zeros(4, np.float32)
  assert digest.host_lanes(plus) != digest.host_lanes(minus)
  nan = np.array([0x7FC00000, 0x7FC00001], np.uint32).view(np.float32)
  assert digest.host_lanes(nan[:1]) != digest.host_lanes(nan[1:])
  assert _device(nan) == digest.host_lanes(nan)
  tiny = np.array([1, 2, 3], np.uint32).view(np.float32)  # subnormal
  assert _device(tiny) == digest.host_lanes(tiny)


def test_blocks_add_up_to_the_whole():
  values = _values("float32", (6, 5, 8))
  whole = digest.host_lanes(values)
  for cut in [(2, 5, 8), (6, 5, 4), (3, 1, 2), (6, 5, 8), (1, 5, 4)]:
    total = np.zeros(2, np.uint64)
    for start in np.ndindex(
      *(n // c for n, c in zip(values.shape, cut, strict=True))
    ):
      offsets = tuple(s * c for s, c in zip(start, cut, strict=True))
      block = values[
        tuple(slice(o, o + c) for o, c in zip(offsets, cut, strict=True))
      ]
      total += np.array(
        digest.host_lanes(block, values.shape, offsets), np.uint64
      )
    assert tuple(int(t) % 2**32 for t in total) == whole, cut


def test_long_rows_and_many_rows_are_chunked_alike():
  flat = _values("float32", (3 * digest._CHUNK + 17,))
  assert digest.host_lanes(flat) == _device(flat)
  tall = flat[: 2 * digest._CHUNK].reshape(-1, 2)
  assert digest.host_lanes(tall) == digest.host_lanes(tall.ravel())


def test_fortran_order_and_slices_do_not_matter():
  values = _values("float32", (40, 30))
  assert digest.host_lanes(np.asfortranarray(values)) == digest.host_lanes(
    values
  )
  twice = np.repeat(values, 2, axis=1)
  assert digest.host_lanes(twice[:, ::2]) == digest.host_lanes(values)


def test_arrays_beyond_32_bit_positions(monkeypatch):
  # A small limit stands in for 2^32 elements: positions split in two.
  monkeypatch.setattr(digest, "_split", lambda shape: 1)
  values = _values("float32", (4, 6))
  split = digest.host_lanes(values)
  assert split == tuple(
    int(v) for v in jax.jit(digest.device_lanes.__wrapped__)(values)
  )
  swapped = values[[1, 0, 2, 3]]
  assert digest.host_lanes(swapped) != split


def test_split_leaves_at_most_32_bits():
  assert digest._split((8, 1 << 29)) == 0
  assert digest._split((9, 1 << 29)) == 1
  assert digest._split((80, 8192, 28672)) == 1


def test_every_one_of_1000_flips_is_caught():
  rng = np.random.default_rng(7)
  for dtype in ["float32", "bfloat16", "uint8", "float64"]:
    values = _values(dtype, (64, 33))
    clean = digest.host_lanes(values)
    raw = values.view(np.uint8).reshape(-1)
    for _ in range(250):
      byte, bit = rng.integers(raw.size), rng.integers(8)
      raw[byte] ^= 1 << bit
      changed = digest.host_lanes(values)
      # Each lane on its own must see a change inside one word.
      assert changed[0] != clean[0] and changed[1] != clean[1]
      raw[byte] ^= 1 << bit
    assert digest.host_lanes(values) == clean


def test_moved_values_change_the_digest():
  values = _values("float32", (16, 16))
  clean = digest.host_lanes(values)
  rng = np.random.default_rng(3)
  assert digest.host_lanes(np.ascontiguousarray(values.T)) != clean
  assert digest.host_lanes(values[::-1]) != clean
  for _ in range(200):
    i, j = rng.choice(values.size, 2, replace=False)
    moved = values.reshape(-1).copy()
    moved[[i, j]] = moved[[j, i]]
    assert digest.host_lanes(moved.reshape(values.shape)) != clean
    assert digest.host_lanes(rng.permutation(values)) != clean


def test_small_leaves_get_sha256_and_large_ones_lanes():
  edge = digest.SMALL_BYTES // 4
  tree = {"small": np.zeros(edge, np.float32), "large": np.zeros(edge + 1)}
  digests = digest.tree_digest(tree)
  assert digests["small"].sha256 == hashlib.sha256(bytes(4 * edge)).hexdigest()
  assert digests["small"].lanes is None
  assert digests["large"].sha256 is None
  assert digests["large"].lanes == digest.host_lanes(tree["large"])


def test_tree_digest_of_numpy_and_jax_trees_agree():
  tree = {
    "w": _values("float32", (300, 100)),
    "b": [_values("bfloat16", (7,)), _values("int32", ())],
    "empty": np.zeros((0, 4), np.float32),
  }
  on_device = jax.tree.map(jnp.asarray, tree)
  assert digest.tree_digest(tree) == digest.tree_digest(on_device)
  assert digest.state_sha256(tree) == digest.state_sha256(on_device)
  assert digest.combine(digest.tree_digest(tree)) == digest.combine(
    digest.tree_digest(on_device)
  )


def test_typed_keys_are_digested_with_their_implementation():
  key = jax.random.key(3)
  data = np.asarray(jax.random.key_data(key))
  leaf = digest.tree_digest({"key": key})["key"]
  assert leaf.dtype == "key<fry>" and leaf.shape == ()
  assert leaf.sha256 == hashlib.sha256(data.tobytes()).hexdigest()
  other = digest.tree_digest({"key": jax.random.key(4)})["key"]
  assert other != leaf
  many = jax.random.split(key, 20_000)
  assert digest.tree_digest({"key": many})["key"].lanes == digest.host_lanes(
    np.asarray(jax.random.key_data(many))
  )


@pytest.mark.parametrize("change", ["value", "dtype", "shape", "path"])
def test_state_sha256_sees(change):
  tree = {"w": np.zeros((2, 3), np.float32)}
  other = {
    "value": {"w": np.eye(2, 3, dtype=np.float32)},
    "dtype": {"w": np.zeros((2, 3), np.int32)},
    "shape": {"w": np.zeros((3, 2), np.float32)},
    "path": {"v": np.zeros((2, 3), np.float32)},
  }[change]
  assert digest.state_sha256(tree) != digest.state_sha256(other)
  assert digest.combine(digest.tree_digest(tree)) != digest.combine(
    digest.tree_digest(other)
  )


def test_donation_after_begin_does_not_change_the_digest():
  values = _values("float32", (256, 256))
  array = jnp.asarray(values) + 0
  finish = digest.begin({"w": array, "s": array[0] + 0})
  zero = jax.jit(lambda x: x * 0, donate_argnums=0)
  jax.block_until_ready(zero(array))
  assert finish()["w"].lanes == digest.host_lanes(values)


def test_unusable_leaves_are_named():
  with pytest.raises(errors.CheckpointError, match="'a/b' is a str"):
    digest.tree_digest({"a": {"b": "text"}})
  with pytest.raises(errors.CheckpointError, match="'w' is a ShapeDtype"):
    digest.tree_digest({"w": jax.ShapeDtypeStruct((2,), jnp.float32)})
  odd = np.zeros(2, ml_dtypes.float8_e8m0fnu)
  with pytest.raises(errors.CheckpointError, match="'w' has dtype float8_e8"):
    digest.tree_digest({"w": odd})


@jax.tree_util.register_pytree_with_keys_class
class _Twins:
  """A node that gives both children one name."""

  def __init__(self, *children):
    self.children = children

  def tree_flatten_with_keys(self):
    keys = [jax.tree_util.DictKey(k) for k in (1, "1")]
    return list(zip(keys, self.children, strict=True)), None

  @classmethod
  def tree_unflatten(cls, _, children):
    return cls(*children)


def test_paths_are_escaped_and_collisions_refused():
  tree = {"a/b": 1.0, "a": {"b": 2.0}, "..": {"~": 3.0}, "": 4.0}
  paths = set(leaves_lib.flatten(tree))
  assert paths == {"a%2Fb", "a/b", "%2E%2E/%7E", "%"}
  with pytest.raises(errors.CheckpointError, match="both named 'x/1'"):
    leaves_lib.flatten({"x": _Twins(1.0, 2.0)})
  with pytest.raises(errors.CheckpointError, match="cannot flatten"):
    leaves_lib.flatten({"x": {1: 0.0, "1": 0.0}})
  assert list(leaves_lib.flatten(np.zeros(3))) == ["leaf"]


_SHARDED = """
  import jax, jax.numpy as jnp, numpy as np
  from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
  from prefjax.checkpoint import digest
  rng = np.random.default_rng(0)
  tree = {
    "f32": rng.standard_normal((64, 48, 16)).astype(np.float32),
    "bf16": np.asarray(jnp.asarray(rng.standard_normal((512, 128)),
                                   jnp.bfloat16)),
    "small": rng.standard_normal((8, 8)).astype(np.float32),
  }
  want = digest.tree_digest(tree)
  count = 0
  for axis_type in (AxisType.Auto, AxisType.Explicit):
    for sizes in [(4, 2), (1, 2), (1, 1)]:
      devices = np.array(jax.devices()[:np.prod(sizes)]).reshape(sizes)
      mesh = jax.sharding.Mesh(devices, ("a", "b"), (axis_type,) * 2)
      for spec in [P(), P("a"), P("b", "a"), P(("a", "b")), P(None, "b")]:
        put = {k: jax.device_put(v, NamedSharding(mesh, spec))
               for k, v in tree.items()}
        assert digest.tree_digest(put) == want, (sizes, spec)
        # Compiled sums, not only the ones over shards in host memory.
        if sizes == (4, 2) and spec in (P("b", "a"), P(None, "b")):
          for k in ("f32", "bf16"):
            lanes = digest.device_lanes(put[k])
            assert tuple(int(v) for v in lanes) == want[k].lanes, spec
        count += 1
  text = digest.device_lanes.lower(jax.device_put(
      tree["f32"], NamedSharding(mesh, P("a")))).compile().as_text()
  assert "all-gather" not in text
  print("ok", count)
"""


def test_digest_is_equal_on_any_mesh_and_sharding():
  assert checkpoint_support.run_script(_SHARDED, devices=8) == "ok 30"
