# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Strict reading of manifests.

The size is capped before parsing, every field is checked against a closed
list, and names of dtypes and files against closed patterns. Nothing is
imported, resolved or executed because a manifest says so.
"""

import dataclasses
import hashlib
import json
import math
import pathlib
import re
from typing import Any

from prefjax.checkpoint import digest as digest_lib
from prefjax.checkpoint import layout
from prefjax.checkpoint import leaves as leaves_lib
from prefjax.checkpoint import manifest as manifest_lib
from prefjax.core import errors

MAX_LEAVES = 1_000_000
MAX_FILES = 1_000_000
MAX_AXES = 32
_MAX_INT = 1 << 63

_HEX = re.compile(r"[0-9a-f]{64}")
_PATH = re.compile(r"[A-Za-z0-9_%-]+(/[A-Za-z0-9_%-]+)*")
_FILE = re.compile(r"[A-Za-z0-9_.%+-]+(/[A-Za-z0-9_.%+-]+)*")
_ROLE = re.compile(r"[A-Za-z0-9_.-]{1,128}")


class _Malformed(Exception):
  """Says what is wrong inside a manifest; never leaves this module."""


class _Newer(_Malformed):
  """The manifest has a later format version."""


def _require(condition: bool, message: str) -> None:
  if not condition:
    raise _Malformed(message)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  result = dict(pairs)
  _require(len(result) == len(pairs), "a key occurs twice")
  return result


def _no_constant(name: str) -> Any:
  raise _Malformed(f"{name} is not JSON")


def _integer(value: Any, what: str, high: int = _MAX_INT) -> int:
  _require(type(value) is int and 0 <= value < high, f"{what} is no count")
  return value


def _text(value: Any, pattern: re.Pattern, what: str) -> str:
  _require(
    isinstance(value, str) and pattern.fullmatch(value) is not None,
    f"{what} is malformed",
  )
  return value


def _fields(value: Any, names: set[str], what: str) -> dict[str, Any]:
  _require(isinstance(value, dict), f"{what} is no object")
  _require(set(value) == names, f"{what} has the wrong fields")
  return value


def _leaf(path: str, value: Any) -> digest_lib.LeafDigest:
  what = f"leaf '{path[:200]}'"
  _text(path, _PATH, what)
  _require(isinstance(value, dict), f"{what} is no object")
  kind = "sha256" if "sha256" in value else "lanes"
  _fields(value, {"shape", "dtype", kind}, what)
  shape, dtype = value["shape"], value["dtype"]
  _require(isinstance(shape, list) and len(shape) <= MAX_AXES, what + " shape")
  shape = tuple(_integer(extent, what + " shape") for extent in shape)
  _require(math.prod(shape) < _MAX_INT, what + " is too large")
  _require(
    isinstance(dtype, str)
    and (dtype in leaves_lib.DTYPES or leaves_lib.is_key_dtype(dtype)),
    what + " has an unknown dtype",
  )
  if kind == "sha256":
    content = _text(value["sha256"], _HEX, what + " hash")
    return digest_lib.LeafDigest(shape, dtype, sha256=content)
  lanes = value["lanes"]
  _require(isinstance(lanes, list) and len(lanes) == 2, what + " lanes")
  first, second = (_integer(v, what + " lane", 1 << 32) for v in lanes)
  return digest_lib.LeafDigest(shape, dtype, lanes=(first, second))


def _leaves(value: Any, what: str) -> dict[str, digest_lib.LeafDigest]:
  _require(isinstance(value, dict), f"{what} is no object")
  _require(len(value) <= MAX_LEAVES, f"{what} has too many leaves")
  return {path: _leaf(path, leaf) for path, leaf in value.items()}


def _file(path: str, value: Any) -> manifest_lib.FileEntry:
  what = f"file '{path[:200]}'"
  _text(path, _FILE, what)
  names = path.split("/")
  _require(not {".", ".."} & set(names), what + " leaves the directory")
  _fields(value, {"size", "sha256"}, what)
  content = value["sha256"]
  if content is not None:
    _text(content, _HEX, what + " hash")
  return manifest_lib.FileEntry(
    _integer(value["size"], what + " size"), content
  )


def _frozen(role: str, value: Any) -> manifest_lib.FrozenEntry:
  what = f"frozen role '{role[:200]}'"
  _text(role, _ROLE, what)
  _fields(value, {"digest", "stored", "leaves"}, what)
  _require(isinstance(value["stored"], bool), what + " stored")
  return manifest_lib.FrozenEntry(
    _text(value["digest"], _HEX, what + " digest"),
    value["stored"],
    _leaves(value["leaves"], what),
  )


def _metric(name: str, value: Any) -> float:
  if type(value) in (int, float) or value in ("nan", "inf", "-inf"):
    return float(value)
  raise _Malformed(f"metric '{name[:200]}' is no number")


def _parse(content: bytes) -> manifest_lib.Manifest:
  _require(len(content) <= manifest_lib.MAX_BYTES, "it is too large")
  text = content.decode("utf-8")
  value = json.loads(
    text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant
  )
  _require(isinstance(value, dict), "it is no object")
  _require(value.get("format") == manifest_lib.FORMAT, "it has another format")
  version = _integer(value.get("version"), "version")
  if version > manifest_lib.VERSION:
    raise _Newer(
      f"it has format version {version}, this PrefJAX reads up to"
      f" {manifest_lib.VERSION}; upgrade PrefJAX"
    )
  names = {field.name for field in dataclasses.fields(manifest_lib.Manifest)}
  _fields(value, names | {"format", "version"}, "the manifest")
  for name in ("data_fingerprint", "tokenizer_hash", "config_hash"):
    _require(isinstance(value[name], (str, type(None))), f"{name} is no text")
  config = value["config"]
  _require(isinstance(config, (dict, type(None))), "config is no object")
  if config is not None:
    _require(
      value["config_hash"] == manifest_lib.config_hash(config),
      "config has changed",
    )
  for name in ("files", "frozen", "metrics", "metadata", "versions"):
    _require(isinstance(value[name], dict), f"{name} is no object")
  _require(len(value["files"]) <= MAX_FILES, "it lists too many files")
  _require(isinstance(value["created"], str), "created is no text")
  _require(
    all(isinstance(v, str) for v in value["versions"].values()),
    "versions holds something else than text",
  )
  return manifest_lib.Manifest(
    step=_integer(value["step"], "step"),
    leaves=_leaves(value["leaves"], "leaves"),
    files={p: _file(p, f) for p, f in value["files"].items()},
    frozen={r: _frozen(r, f) for r, f in value["frozen"].items()},
    metrics={n: _metric(n, v) for n, v in value["metrics"].items()},
    **{
      name: value[name]
      for name in (
        *manifest_lib.RESERVED,
        "config_hash",
        "metadata",
        "versions",
        "created",
      )
    },
  )


def parse(content: bytes, name: str) -> manifest_lib.Manifest:
  """Reads the JSON text of a manifest.

  Args:
    content: the bytes of the file.
    name: the file, for the message.

  Raises:
    CheckpointCorruptError: it is not a well-formed manifest.
    CheckpointError: it was written by a newer version.
  """
  try:
    return _parse(content)
  except (
    _Malformed,
    errors.CheckpointError,
    ValueError,  # covers JSON syntax, UTF-8 and over-long numbers
    RecursionError,
    OverflowError,
  ) as error:
    if isinstance(error, _Newer):
      raise errors.CheckpointError(f"'{name}': {error}") from error
    raise errors.CheckpointCorruptError(
      f"'{name}' is not a valid manifest: {error}"
    ) from error


def read(path: pathlib.Path) -> manifest_lib.Manifest:
  """Reads the manifest in a step directory, checked against its marker.

  Raises:
    CheckpointCorruptError: marker or manifest are missing or damaged.
  """
  expected = layout.read_marker(path / layout.MARKER)
  file_path = path / layout.MANIFEST
  try:
    with open(file_path, "rb") as file:
      content = file.read(manifest_lib.MAX_BYTES + 1)
  except OSError as error:
    raise errors.CheckpointCorruptError(
      f"'{file_path}' cannot be read: {error.strerror}"
    ) from error
  if hashlib.sha256(content).hexdigest() != expected:
    raise errors.CheckpointCorruptError(
      f"'{file_path}' has changed since it was committed"
    )
  return parse(content, str(file_path))


def check_files(path: pathlib.Path, manifest: manifest_lib.Manifest) -> None:
  """Checks sizes of all array files and hashes of the small ones.

  Raises:
    CheckpointCorruptError: names the file that is missing or has changed.
  """
  root = path / layout.ARRAYS
  present = layout.scan_files(root)
  for name, entry in manifest.files.items():
    file_path = root / name
    status = present.get(name)
    if status is None:
      raise errors.CheckpointCorruptError(f"'{file_path}' is missing")
    if status.st_size != entry.size:
      raise errors.CheckpointCorruptError(
        f"'{file_path}' has {status.st_size} bytes instead of {entry.size}"
      )
    if entry.sha256 is not None and hash_file(file_path) != entry.sha256:
      raise errors.CheckpointCorruptError(f"'{file_path}' has changed")


def hash_file(path: pathlib.Path) -> str:
  """SHA-256 of a file, hex.

  Raises:
    CheckpointCorruptError: it cannot be read.
  """
  try:
    with open(path, "rb") as file:
      return hashlib.file_digest(file, "sha256").hexdigest()
  except OSError as error:
    raise errors.CheckpointCorruptError(
      f"'{path}' cannot be read: {error.strerror}"
    ) from error
