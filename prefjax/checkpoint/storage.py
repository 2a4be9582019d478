# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The only file that talks to Orbax: arrays by path to disk and back.

Leaves travel as nested dictionaries with string keys, so any Orbax can open
the arrays too. Empty arrays are not written (their shape says everything),
typed keys are written as their words.
"""

import dataclasses
import logging
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from prefjax.checkpoint import digest as digest_lib
from prefjax.checkpoint import leaves as leaves_lib
from prefjax.core import errors

_log = logging.getLogger(__name__)


def _handler(compress: bool) -> ocp.PyTreeCheckpointHandler:
  return ocp.PyTreeCheckpointHandler(
    use_ocdbt=True, use_zarr3=False, use_compression=compress
  )


def snapshot(leaves: Mapping[str, Any]) -> dict[str, Any]:
  """Leaves that later changes by the caller cannot reach.

  JAX arrays are immutable; NumPy arrays and numbers are copied.
  """
  result = {}
  for path, leaf in leaves.items():
    if isinstance(leaf, jax.Array):
      result[path] = leaf
    else:
      spec = leaves_lib.spec_of(path, leaf)
      result[path] = np.array(leaf, leaves_lib.DTYPES[spec.dtype], copy=True)
  return result


def is_stored(shape: tuple[int, ...]) -> bool:
  """Whether a leaf of this shape has bytes on disk."""
  return 0 not in shape


class Writer:
  """Writes arrays in the background, one directory at a time.

  Args:
    compress: compress chunks with zstd: about 8% smaller for float32
      weights, and several times slower.
  """

  def __init__(self, *, compress: bool = False):
    self._checkpointer = ocp.AsyncCheckpointer(_handler(compress))

  def start(self, path: pathlib.Path, leaves: Mapping[str, Any]) -> None:
    """Copies the leaves to the host and starts writing them.

    Once this returns the caller may donate or overwrite the leaves.
    """
    data = {}
    for name, leaf in leaves.items():
      spec = leaves_lib.spec_of(name, leaf)
      if is_stored(spec.shape):
        data[name] = leaves_lib.raw_data(leaf, spec.dtype)
    if not data:
      path.mkdir(parents=True, exist_ok=True)
      return
    self._checkpointer.save(
      path, args=ocp.args.PyTreeSave(leaves_lib.nest(data))
    )

  def finish(self) -> None:
    """Waits until everything is written; raises what went wrong."""
    self._checkpointer.wait_until_finished()

  def drain(self) -> None:
    """Waits until nothing is being written; for use after a failure."""
    try:
      self.finish()
    except Exception as error:
      # The failure that led here is the one to report.
      _log.debug("checkpoint: while draining: %s", error)

  def close(self) -> None:
    """Ends the threads of the writer."""
    self.drain()
    self._checkpointer.close()


@dataclasses.dataclass(frozen=True)
class _Target:
  """How Orbax is to hand back one leaf, and how to finish it."""

  arguments: Any
  sharding: Any
  is_key: bool


def _default_sharding() -> jax.sharding.Sharding:
  return jax.sharding.SingleDeviceSharding(jax.local_devices()[0])


def _target(spec: leaves_lib.LeafSpec, saved: digest_lib.LeafDigest) -> _Target:
  is_key = leaves_lib.is_key_dtype(saved.dtype)
  if spec.kind != "jax":
    return _Target(ocp.RestoreArgs(restore_type=np.ndarray), None, is_key)
  sharding = spec.sharding or _default_sharding()
  shape, dtype, via = saved.shape, saved.dtype, sharding
  if is_key:
    shape += (leaves_lib.key_words(dtype),)
    dtype = "uint32"
    if not isinstance(sharding, jax.sharding.NamedSharding):
      via = _default_sharding()
  arguments = ocp.ArrayRestoreArgs(
    restore_type=jax.Array,
    sharding=via,
    global_shape=shape,
    dtype=leaves_lib.DTYPES[dtype],
  )
  return _Target(arguments, sharding, is_key)


def _finish(
  value: Any,
  spec: leaves_lib.LeafSpec,
  saved: digest_lib.LeafDigest,
  target: _Target,
) -> Any:
  """Turns what Orbax gave into what the template asks for."""
  if target.is_key:
    impl = leaves_lib.KEY_IMPLS[saved.dtype]
    key = jax.random.wrap_key_data(value, impl=impl)
    if spec.kind == "jax" and key.sharding != target.sharding:
      key = jax.device_put(key, target.sharding)
    return key
  if spec.kind == "numpy":
    return np.asarray(value)
  if spec.kind == "python":
    return np.asarray(value).item()
  return value


def _empty(spec: leaves_lib.LeafSpec, saved: digest_lib.LeafDigest) -> Any:
  if leaves_lib.is_key_dtype(saved.dtype):
    shape = saved.shape + (leaves_lib.key_words(saved.dtype),)
    key = jax.random.wrap_key_data(
      jax.numpy.zeros(shape, jax.numpy.uint32),
      impl=leaves_lib.KEY_IMPLS[saved.dtype],
    )
    return jax.device_put(key, spec.sharding or _default_sharding())
  values = np.zeros(saved.shape, leaves_lib.DTYPES[saved.dtype])
  if spec.kind != "jax":
    return values
  return jax.device_put(values, spec.sharding or _default_sharding())


def read(
  path: pathlib.Path,
  specs: Mapping[str, leaves_lib.LeafSpec],
  saved: Mapping[str, digest_lib.LeafDigest],
) -> dict[str, Any]:
  """Reads leaves straight to the shardings of their specs.

  Args:
    path: the arrays directory.
    specs: what to read, by path: a subset of `saved`.
    saved: digests of all leaves that are on disk.

  Raises:
    CheckpointError: this machine cannot hold the arrays.
    CheckpointCorruptError: anything else, for the files were there before.
  """
  targets = {}
  for name, spec in specs.items():
    if is_stored(saved[name].shape):
      targets[name] = _target(spec, saved[name])
  values: dict[str, Any] = {}
  if targets:
    values = _read_stored(path, targets)
  return {
    name: _finish(values[name], spec, saved[name], targets[name])
    if name in targets
    else _empty(spec, saved[name])
    for name, spec in specs.items()
  }


def _read_stored(
  path: pathlib.Path, targets: Mapping[str, _Target]
) -> dict[str, Any]:
  item = leaves_lib.nest(dict.fromkeys(targets, 0))
  arguments = leaves_lib.nest(
    {name: target.arguments for name, target in targets.items()}
  )
  try:
    # Compression is written in the files; the flag matters for saves only.
    with ocp.Checkpointer(_handler(compress=False)) as reader:
      tree = reader.restore(
        path,
        args=ocp.args.PyTreeRestore(
          item=item, restore_args=arguments, partial_restore=True
        ),
      )
  except (MemoryError, jax.errors.JaxRuntimeError) as error:
    raise errors.CheckpointError(
      f"'{path}' cannot be placed on the devices: {_first_line(error)}; use"
      " more devices or another sharding"
    ) from error
  except Exception as error:
    # Orbax and TensorStore raise KeyError, AttributeError, JSON errors and
    # others for damaged files; all of them mean the same to a user.
    raise errors.CheckpointCorruptError(
      f"'{path}' cannot be read: {type(error).__name__}: {_first_line(error)}"
    ) from error
  flat = leaves_lib.flatten_nested(tree)
  return {name: flat[name] for name in targets}


def _first_line(error: BaseException) -> str:
  lines = str(error).strip().splitlines() or [""]
  return lines[0][:300]
