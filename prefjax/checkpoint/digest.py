# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Digests of arrays that do not depend on where the array lives.

Small leaves get a SHA-256 of their bytes. Large ones get two checksum lanes
that are computed where the data is: every element is mixed with its global
position, and the mixed words are summed modulo 2^32,

  lane_l(x) = sum_i mix_l((i * G_l + S_l) xor bits(x_i))   (mod 2^32).

A sum does not care about order, so any mesh, any sharding and plain NumPy
give the same value without moving an element. `mix_l` is a bijection of
32-bit words, so a change inside one word always changes both lanes;
larger changes are missed with probability about 2^-64. This finds accidents,
not forgeries.
"""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefjax.checkpoint import leaves as leaves_lib
from prefjax.checkpoint import processes
from prefjax.core import errors

# Leaves of at most this many bytes are hashed on the host with SHA-256.
SMALL_BYTES = 1 << 16
_CHUNK = 1 << 15

# Per lane: position multiplier (odd), seed, seed step a word, and the two
# multipliers and three shifts of the finalizer.
_LANES = (
  (0x9E3779B1, 0x243F6A88, 0x85A308D3, (16, 0x85EBCA6B, 13, 0xC2B2AE35, 16)),
  (0x61C88647, 0x13198A2E, 0x03707345, (16, 0x7FEB352D, 15, 0x846CA68B, 16)),
)
_LIMIT = 1 << 32


@dataclasses.dataclass(frozen=True)
class LeafDigest:
  """Shape, dtype and content of one leaf; exactly one of the two is set.

  Attributes:
    shape: global shape (typed keys: without the key-data axis).
    dtype: dtype name.
    sha256: hex digest of the C-ordered little-endian bytes, small leaves.
    lanes: the two checksum lanes, large leaves.
  """

  shape: tuple[int, ...]
  dtype: str
  sha256: str | None = None
  lanes: tuple[int, int] | None = None


def _seed(lane: int, word: int) -> int:
  _, seed, step, _ = _LANES[lane]
  return (seed + word * step) % _LIMIT


def _split(shape: tuple[int, ...]) -> int:
  """Number of leading axes that count as outer: the rest fits 32 bits."""
  outer = 0
  while math.prod(shape[outer:]) > _LIMIT:
    outer += 1
  return outer


# --- on the host ----------------------------------------------------------


def _host_words(block: np.ndarray) -> list[np.ndarray]:
  """The bits of a 1-D array as uint32 words of its length."""
  if block.dtype == leaves_lib.DTYPES["int4"]:
    return [block.astype(np.int32).view(np.uint32)]
  size = block.dtype.itemsize
  if size < 4:
    narrow = np.uint8 if size == 1 else np.uint16
    return [block.view(narrow).astype(np.uint32)]
  if size == 4:
    return [block.view(np.uint32)]
  words = block.view(np.uint32).reshape(-1, size // 4)
  return [words[:, w] for w in range(size // 4)]


def _host_mix(x: np.ndarray, lane: int) -> np.ndarray:
  """The finalizer of a lane, in place."""
  first, m1, second, m2, third = _LANES[lane][3]
  scratch = x >> np.uint32(first)
  x ^= scratch
  x *= np.uint32(m1)
  np.right_shift(x, np.uint32(second), out=scratch)
  x ^= scratch
  x *= np.uint32(m2)
  np.right_shift(x, np.uint32(third), out=scratch)
  x ^= scratch
  return x


def _host_add(
  total: list[int], block: np.ndarray, position: np.ndarray
) -> None:
  """Adds a 1-D block with its uint32 positions to both lanes."""
  for word, bits in enumerate(_host_words(block)):
    for lane, (multiplier, *_) in enumerate(_LANES):
      x = position * np.uint32(multiplier)
      x += np.uint32(_seed(lane, word))
      x ^= bits
      mixed = _host_mix(x, lane)
      total[lane] += int(np.sum(mixed, dtype=np.uint64))


def _row_starts(
  block_shape: tuple[int, ...],
  offsets: tuple[int, ...],
  shape: tuple[int, ...],
  axes: int,
) -> np.ndarray:
  """Global flat index (uint64) of the first element of every row.

  A row is what the axes from `axes` on hold; rows are contiguous in the
  global array because those axes, but for the first, are whole.
  """
  starts = np.zeros((1,), np.uint64)
  for axis in range(axes):
    stride = math.prod(shape[axis + 1 :])
    index = np.arange(block_shape[axis], dtype=np.uint64) + np.uint64(
      offsets[axis]
    )
    starts = (starts[:, None] + index * np.uint64(stride)).reshape(-1)
  if axes < len(shape):
    stride = math.prod(shape[axes + 1 :])
    starts = starts + np.uint64(offsets[axes] * stride)
  return starts


def _positions(flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
  """uint32 position words of global flat indices (uint64)."""
  outer_axes = _split(shape)
  if not outer_axes:
    return flat.astype(np.uint32)
  inner = np.uint64(math.prod(shape[outer_axes:]))
  outer = _host_mix((flat // inner).astype(np.uint32), 0)
  return (flat % inner).astype(np.uint32) ^ outer


def host_lanes(
  block: np.ndarray,
  shape: tuple[int, ...] | None = None,
  offsets: tuple[int, ...] | None = None,
) -> tuple[int, int]:
  """Lanes of a block of a global array, with NumPy only.

  Args:
    block: the values, any shape.
    shape: global shape; None when the block is the whole array.
    offsets: where the block starts in the global array, one an axis.

  Returns:
    The two lanes. Lanes of disjoint blocks add up, modulo 2^32, to the
    lanes of the whole.
  """
  block = np.asarray(block)
  shape = block.shape if shape is None else tuple(shape)
  offsets = (0,) * len(shape) if offsets is None else tuple(offsets)
  if not block.size:
    return 0, 0
  # The longest contiguous tail: whole axes and the one before them.
  axes = len(shape)
  while axes and (axes == len(shape) or block.shape[axes] == shape[axes]):
    axes -= 1
  row = math.prod(block.shape[axes:])
  starts = _row_starts(block.shape, offsets, shape, axes)
  rows = np.ascontiguousarray(block).reshape(-1, row)
  total = [0, 0]
  at_once = max(1, _CHUNK // row)
  for top in range(0, len(rows), at_once):
    heads = starts[top : top + at_once, None]
    for left in range(0, row, _CHUNK):
      piece = rows[top : top + at_once, left : left + _CHUNK]
      inside = np.arange(left, left + piece.shape[1], dtype=np.uint64)
      flat = (heads + inside).reshape(-1)
      _host_add(total, piece.reshape(-1), _positions(flat, shape))
  return total[0] % _LIMIT, total[1] % _LIMIT


# --- on the device --------------------------------------------------------


def _device_words(x: jax.Array) -> list[jax.Array]:
  """The bits of an array as uint32 words of its shape."""
  if x.dtype == jnp.bool_:
    return [x.astype(jnp.uint32)]
  if jnp.issubdtype(x.dtype, jnp.complexfloating):
    return _device_words(jnp.real(x)) + _device_words(jnp.imag(x))
  if x.dtype == jnp.int4:
    x = x.astype(jnp.int32)
  size = x.dtype.itemsize
  if size == 8:
    pairs = jax.lax.bitcast_convert_type(x, jnp.uint32)
    return [pairs[..., 0], pairs[..., 1]]
  unsigned = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[size]
  return [jax.lax.bitcast_convert_type(x, unsigned).astype(jnp.uint32)]


def _device_mix(x: jax.Array, lane: int) -> jax.Array:
  first, m1, second, m2, third = _LANES[lane][3]
  x = (x ^ (x >> np.uint32(first))) * np.uint32(m1)
  x = (x ^ (x >> np.uint32(second))) * np.uint32(m2)
  return x ^ (x >> np.uint32(third))


def _device_position(shape: tuple[int, ...]) -> jax.Array:
  """uint32 position words of the given shape, by broadcasting only."""
  outer_axes = _split(shape)
  parts = []
  for axes in (range(outer_axes), range(outer_axes, len(shape))):
    index = jnp.zeros(shape, jnp.uint32)
    end = axes.stop
    for axis in axes:
      stride = math.prod(shape[axis + 1 : end]) % _LIMIT
      iota = jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
      index = index + iota * np.uint32(stride)
    parts.append(index)
  return parts[1] ^ _device_mix(parts[0], 0) if outer_axes else parts[1]


@jax.jit
def device_lanes(x: jax.Array) -> jax.Array:
  """Both lanes of an array, uint32 [2], without gathering it.

  No axis is merged or moved, so a sharded array is reduced shard by shard
  and only two words a device travel. Compiles once a shape, dtype and
  sharding.
  """
  position = _device_position(x.shape)
  sums = [jnp.uint32(0), jnp.uint32(0)]
  for word, bits in enumerate(_device_words(x)):
    for lane, (multiplier, *_) in enumerate(_LANES):
      keyed = position * np.uint32(multiplier) + np.uint32(_seed(lane, word))
      mixed = _device_mix(keyed ^ bits, lane)
      sums[lane] = sums[lane] + jnp.sum(mixed, dtype=jnp.uint32)
  return jnp.stack(sums)


# --- trees ----------------------------------------------------------------


def digest_kind(shape: tuple[int, ...], dtype: str) -> str:
  """'sha256' or 'lanes': decided by the size alone, never by the place."""
  small = leaves_lib.num_bytes(shape, dtype) <= SMALL_BYTES
  return "sha256" if small else "lanes"


def _bytes_of(block: np.ndarray) -> memoryview | bytes:
  """C-ordered bytes of an array of any dtype."""
  if not block.size:
    return b""
  return np.ascontiguousarray(block).reshape(-1).view(np.uint8).data


def _lanes_later(data: jax.Array | np.ndarray) -> Callable[[], Any]:
  """Starts on the lanes of an array; the result is for the caller to fetch."""
  if isinstance(data, np.ndarray):
    return lambda: host_lanes(data)
  platforms = {device.platform for device in data.sharding.device_set}
  if platforms != {"cpu"} or not data.is_fully_addressable:
    lanes = device_lanes(data)
    return lambda: tuple(int(v) for v in processes.whole(lanes))
  # On a CPU a shard is host memory already and NumPy is as fast as XLA
  # without its compilation. The views keep a later donation of the array
  # from reusing the memory.
  blocks = []
  for shard in data.addressable_shards:
    if shard.replica_id == 0:
      starts = tuple(
        index.indices(extent)[0]
        for index, extent in zip(shard.index, data.shape, strict=True)
      )
      blocks.append((np.asarray(shard.data), starts))
  shape = data.shape

  def finish() -> tuple[int, int]:
    parts = [host_lanes(block, shape, starts) for block, starts in blocks]
    first, second = np.sum(np.array(parts, np.uint64), axis=0)
    return int(first) % _LIMIT, int(second) % _LIMIT

  return finish


def begin(
  leaves: Mapping[str, Any], kinds: Mapping[str, str] | None = None
) -> Callable[[], dict[str, LeafDigest]]:
  """Starts digests of leaves that may be donated as soon as this returns.

  Device work is dispatched and small leaves are copied here; hashing and
  waiting happen in the returned function, which any thread may call.

  Args:
    leaves: arrays or Python numbers by path.
    kinds: path -> 'sha256' or 'lanes', as a manifest recorded them; None
      decides by size.

  Returns:
    A function that gives the digests by path.
  """
  later: dict[str, tuple[tuple[int, ...], str, str, Any]] = {}
  small: list[tuple[str, Any]] = []
  for path, leaf in leaves.items():
    spec = leaves_lib.spec_of(path, leaf)
    if isinstance(leaf, jax.ShapeDtypeStruct):
      raise errors.CheckpointError(
        f"checkpoint: leaf '{path}' is a ShapeDtypeStruct; a digest needs the"
        " values"
      )
    kind = digest_kind(spec.shape, spec.dtype)
    if kinds is not None:
      kind = kinds[path]
    data = leaves_lib.raw_data(leaf, spec.dtype)
    if kind == "sha256":
      if isinstance(data, jax.Array) and data.is_fully_addressable:
        data.copy_to_host_async()
      small.append((path, data))
      later[path] = (spec.shape, spec.dtype, kind, None)
    else:
      later[path] = (spec.shape, spec.dtype, kind, _lanes_later(data))
  # After all copies were started, so that they overlap.
  values = {path: processes.whole(data) for path, data in small}

  def finish() -> dict[str, LeafDigest]:
    digests = {}
    for path, (shape, dtype, kind, fetch) in later.items():
      if kind == "sha256":
        content = hashlib.sha256(_bytes_of(values[path])).hexdigest()
        digests[path] = LeafDigest(shape, dtype, sha256=content)
      else:
        digests[path] = LeafDigest(shape, dtype, lanes=fetch())
    return digests

  return finish


def tree_digest(tree: Any) -> dict[str, LeafDigest]:
  """Digest of every leaf of a tree by path.

  Equal for equal values on any mesh and any sharding, and for NumPy arrays.

  Raises:
    CheckpointError: a leaf is not an array or number, or has a dtype
      without storage format.
  """
  return begin(leaves_lib.flatten(tree))()


def state_sha256(tree: Any) -> str:
  """SHA-256 of all paths, shapes, dtypes and bytes of a tree, hex.

  Reads every leaf on the host, one at a time: the strict answer to "are
  these two states the same", for tests and the command line.
  """
  total = hashlib.sha256()
  for path, leaf in sorted(leaves_lib.flatten(tree).items()):
    spec = leaves_lib.spec_of(path, leaf)
    total.update(repr((path, spec.shape, spec.dtype)).encode())
    total.update(
      _bytes_of(processes.whole(leaves_lib.raw_data(leaf, spec.dtype)))
    )
  return total.hexdigest()


def combine(digests: Mapping[str, LeafDigest]) -> str:
  """One SHA-256 of the digests of a tree, hex: its content address."""
  total = hashlib.sha256()
  for path, leaf in sorted(digests.items()):
    fields = (path, tuple(leaf.shape), leaf.dtype, leaf.sha256, leaf.lanes)
    total.update(repr(fields).encode())
  return total.hexdigest()
