# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Names and kinds of the leaves of a tree that is saved or restored.

A checkpoint knows a tree as `path -> array`. The path is made of the
dictionary keys, positions and field names that lead to a leaf, each escaped
so that it is a harmless file name, joined by '/'. The containers themselves
are never stored: they come from the template at restore, so nothing has to
be imported or executed to read a checkpoint.
"""

import dataclasses
import urllib.parse
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefjax.core import errors

# Key dtype as JAX prints it -> name that `jax.random.wrap_key_data` takes.
KEY_IMPLS = {
  "key<fry>": "threefry2x32",
  "key<rbg>": "rbg",
  "key<urbg>": "unsafe_rbg",
}

# The closed table of dtypes: a manifest cannot name anything else.
_NUMPY_NAMES = (
  "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64"
  " float16 float32 float64 complex64 complex128"
).split()
_EXTENDED_NAMES = (
  "bfloat16 int4 float8_e4m3fn float8_e4m3fnuz float8_e4m3b11fnuz"
  " float8_e5m2 float8_e5m2fnuz"
).split()
DTYPES: dict[str, np.dtype] = {
  **{name: np.dtype(name) for name in _NUMPY_NAMES},
  **{name: np.dtype(getattr(jnp, name)) for name in _EXTENDED_NAMES},
}


@dataclasses.dataclass(frozen=True)
class LeafSpec:
  """What is known about a leaf without its values.

  Attributes:
    path: its name in the checkpoint, such as 'params/policy/head'.
    kind: 'jax', 'numpy' or 'python': what a restore hands back.
    shape: global shape; for typed keys, without the key-data axis.
    dtype: a name in `DTYPES` or `KEY_IMPLS`.
    sharding: where a restore puts it; None for the default device.
  """

  path: str
  kind: str
  shape: tuple[int, ...]
  dtype: str
  sharding: Any = None


def is_key_dtype(name: str) -> bool:
  """Whether a dtype name is one of a typed PRNG key."""
  return name in KEY_IMPLS


def _escape(component: Any) -> str:
  """A key as a file-name-safe string; injective, so nothing can collide."""
  text = str(component)
  if not text:
    return "%"
  quoted = urllib.parse.quote(text, safe="", errors="surrogatepass")
  return quoted.replace(".", "%2E").replace("~", "%7E")


def _component(entry: Any) -> Any:
  """The user's name of one step of a key path."""
  for attribute in ("key", "idx", "name"):
    if hasattr(entry, attribute):
      return getattr(entry, attribute)
  return str(entry)


def path_name(key_path: tuple[Any, ...]) -> str:
  """The path of a leaf from the key path that JAX gives for it."""
  if not key_path:
    return "leaf"
  return "/".join(_escape(_component(entry)) for entry in key_path)


def flatten(tree: Any) -> dict[str, Any]:
  """Leaves by path, in the order of the tree.

  Raises:
    CheckpointError: two leaves have the same path (keys 1 and '1'), or a
      dictionary has keys that cannot be sorted.
  """
  try:
    pairs = jax.tree_util.tree_flatten_with_path(tree)[0]
  except ValueError as error:
    raise errors.CheckpointError(
      f"checkpoint: cannot flatten the tree ({error}); use string keys"
    ) from error
  leaves: dict[str, Any] = {}
  for key_path, leaf in pairs:
    path = path_name(key_path)
    if path in leaves:
      raise errors.CheckpointError(
        f"checkpoint: two leaves are both named '{path}'; rename one of the"
        " keys (a number and the same number as text are one name)"
      )
    leaves[path] = leaf
  return leaves


def unflatten(tree: Any, leaves: Mapping[str, Any]) -> Any:
  """A tree like `tree` whose leaves are taken from `leaves` by path."""
  return jax.tree_util.tree_map_with_path(
    lambda key_path, _: leaves[path_name(key_path)], tree
  )


def nest(leaves: Mapping[str, Any]) -> dict[str, Any]:
  """Nested dictionaries with string keys from leaves by path."""
  root: dict[str, Any] = {}
  for path, leaf in leaves.items():
    *parents, name = path.split("/")
    node = root
    for parent in parents:
      node = node.setdefault(parent, {})
    node[name] = leaf
  return root


def flatten_nested(tree: Mapping[str, Any]) -> dict[str, Any]:
  """The inverse of `nest`: keys are taken as they are."""
  leaves = {}
  for name, node in tree.items():
    if isinstance(node, Mapping):
      for path, leaf in flatten_nested(node).items():
        leaves[f"{name}/{path}"] = leaf
    else:
      leaves[name] = node
  return leaves


def spec_of(path: str, leaf: Any) -> LeafSpec:
  """Describes an array, a ShapeDtypeStruct or a Python number.

  Raises:
    CheckpointError: the leaf is none of these, or its dtype has no storage.
  """
  if isinstance(leaf, (bool, int, float)):
    leaf_type = np.asarray(leaf).dtype
    return LeafSpec(path, "python", (), leaf_type.name)
  if isinstance(leaf, (np.ndarray, np.generic)):
    kind, sharding = "numpy", None
  elif isinstance(leaf, (jax.Array, jax.ShapeDtypeStruct)):
    kind, sharding = "jax", getattr(leaf, "sharding", None)
  else:
    raise errors.CheckpointError(
      f"checkpoint: leaf '{path}' is a {type(leaf).__name__}; only arrays,"
      " ShapeDtypeStructs and Python numbers can be saved or restored"
    )
  dtype = str(leaf.dtype)
  if dtype not in DTYPES and dtype not in KEY_IMPLS:
    raise errors.CheckpointError(
      f"checkpoint: leaf '{path}' has dtype {dtype}, which has no storage"
      " format; convert it first"
    )
  return LeafSpec(path, kind, tuple(leaf.shape), dtype, sharding)


def key_words(dtype: str) -> int:
  """Number of uint32 words behind one typed key."""
  return 2 if dtype == "key<fry>" else 4


def num_bytes(shape: tuple[int, ...], dtype: str) -> int:
  """Bytes of the values of a leaf, as host memory holds them."""
  size = 1
  for extent in shape:
    size *= extent
  if is_key_dtype(dtype):
    return size * 4 * key_words(dtype)
  return size * DTYPES[dtype].itemsize


def raw_data(leaf: Any, dtype: str) -> Any:
  """The array behind a leaf: typed keys become their uint32 words."""
  if is_key_dtype(dtype):
    return jax.random.key_data(leaf)
  if isinstance(leaf, (jax.Array, np.ndarray)):
    return leaf
  return np.asarray(leaf, DTYPES[dtype])
