# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The manifest of a checkpoint: what must be there, and whose it is.

Plain JSON with a closed set of fields; `parsing` reads it back.
"""

import dataclasses
import datetime
import hashlib
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from prefjax.checkpoint import digest as digest_lib
from prefjax.core import errors

FORMAT = "prefjax-checkpoint"
VERSION = 1

MAX_BYTES = 64 << 20
MAX_DEPTH = 64
_MAX_INT = 1 << 63


@dataclasses.dataclass(frozen=True)
class FileEntry:
  """A file below arrays/: size in bytes, and SHA-256 of small ones."""

  size: int
  sha256: str | None = None


@dataclasses.dataclass(frozen=True)
class FrozenEntry:
  """A role that never changes: its content address and its leaves.

  Attributes:
    digest: SHA-256 over the leaf digests.
    stored: whether the arrays are under frozen/<digest>/.
    leaves: digest of every leaf by path.
  """

  digest: str
  stored: bool
  leaves: dict[str, digest_lib.LeafDigest]


@dataclasses.dataclass(frozen=True)
class Manifest:
  """Everything that is known about one saved step.

  Attributes:
    step: the step that was saved.
    leaves: digest of every leaf by path.
    files: files below arrays/ by relative path.
    frozen: role -> entry.
    config: the configuration of the run as plain JSON, or None.
    config_hash: SHA-256 of its canonical JSON, or None.
    data_fingerprint: identity of the training data, or None.
    tokenizer_hash: identity of the tokenizer, or None.
    stage: where in an ordered list of stages the run is, any JSON.
    metrics: name -> number, for keeping the best steps.
    metadata: anything else the caller gave, any JSON.
    versions: package -> version that wrote it.
    created: UTC time, ISO 8601.
  """

  step: int
  leaves: dict[str, digest_lib.LeafDigest]
  files: dict[str, FileEntry] = dataclasses.field(default_factory=dict)
  frozen: dict[str, FrozenEntry] = dataclasses.field(default_factory=dict)
  config: dict[str, Any] | None = None
  config_hash: str | None = None
  data_fingerprint: str | None = None
  tokenizer_hash: str | None = None
  stage: Any = None
  metrics: dict[str, float] = dataclasses.field(default_factory=dict)
  metadata: dict[str, Any] = dataclasses.field(default_factory=dict)
  versions: dict[str, str] = dataclasses.field(default_factory=dict)
  created: str = ""


# Keys of `metadata` in a save that have a field of their own.
RESERVED = ("config", "data_fingerprint", "tokenizer_hash", "stage")


# --- plain JSON -----------------------------------------------------------


def plain(value: Any, where: str = "metadata", depth: int = 0) -> Any:
  """A value as JSON can hold it: the same value always gives the same JSON.

  Tuples become lists, NumPy and JAX scalars numbers, paths text, and the
  non-finite floats the strings 'inf', '-inf' and 'nan'.

  Raises:
    CheckpointError: names the key that has no JSON form.
  """
  if depth > MAX_DEPTH:
    raise errors.CheckpointError(
      f"checkpoint: {where} is nested deeper than {MAX_DEPTH}; flatten it"
    )
  if value is None or isinstance(value, (bool, str)):
    return value
  if isinstance(value, os.PathLike):
    return os.fspath(value)
  if isinstance(value, (int, np.integer)):
    if not -_MAX_INT <= int(value) < 2 * _MAX_INT:
      raise errors.CheckpointError(
        f"checkpoint: {where} does not fit 64 bits; store it as text"
      )
    return int(value)
  if isinstance(value, (float, np.floating)):
    return _plain_float(float(value))
  if isinstance(value, np.bool_):
    return bool(value)
  if dataclasses.is_dataclass(value) and not isinstance(value, type):
    fields = dataclasses.fields(value)
    value = {f.name: getattr(value, f.name) for f in fields}
  if isinstance(value, Mapping):
    items = {
      str(key): plain(item, f"{where}.{key}", depth + 1)
      for key, item in value.items()
    }
    if len(items) != len(value):
      raise errors.CheckpointError(
        f"checkpoint: {where} has two keys with the same text; rename one"
      )
    return items
  if isinstance(value, (list, tuple)):
    return [plain(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(value)]
  if isinstance(value, (set, frozenset)):
    return sorted(plain(list(value), where, depth), key=repr)
  if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
    return plain(value.item(), where, depth)
  raise errors.CheckpointError(
    f"checkpoint: {where} is a {type(value).__name__}, which has no JSON form;"
    " give text, numbers, lists or dictionaries"
  )


def _plain_float(value: float) -> float | str:
  if math.isfinite(value):
    return value
  return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")


def canonical(value: Any) -> bytes:
  """The one JSON text of a value."""
  return json.dumps(
    plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False
  ).encode()


def plain_config(config: Any) -> dict[str, Any] | None:
  """A configuration (mapping, dataclass, ConfigDict) as plain JSON.

  Raises:
    CheckpointError: it is something else, or a value has no JSON form.
  """
  if config is None:
    return None
  if hasattr(config, "to_dict"):
    config = config.to_dict()
  result = plain(config, "config")
  if not isinstance(result, dict):
    raise errors.CheckpointError(
      "checkpoint: config must be a dictionary or a dataclass, not a"
      f" {type(config).__name__}"
    )
  return result


def config_hash(config: Any) -> str:
  """SHA-256 of the canonical JSON of a configuration, hex."""
  return hashlib.sha256(canonical(config)).hexdigest()


# --- writing --------------------------------------------------------------


def versions() -> dict[str, str]:
  """Versions of the packages that decide what a checkpoint holds."""
  import jax
  import orbax.checkpoint as ocp

  from prefjax import version

  return {
    "prefjax": version.__version__,
    "jax": jax.__version__,
    "orbax": ocp.__version__,
    "numpy": np.__version__,
  }


def build(
  step: int,
  *,
  metadata: Mapping[str, Any] | None = None,
  metrics: Mapping[str, Any] | None = None,
) -> Manifest:
  """A manifest from what the caller of a save gives; leaves come later.

  Raises:
    CheckpointError: a value has no JSON form, or a metric is no number.
  """
  rest = dict(metadata or {})
  known = {name: rest.pop(name, None) for name in RESERVED}
  config = plain_config(known["config"])
  for name in ("data_fingerprint", "tokenizer_hash"):
    if not isinstance(known[name], (str, type(None))):
      raise errors.CheckpointError(
        f"checkpoint: metadata.{name} must be text or None"
      )
  numbers = {}
  for name, value in (metrics or {}).items():
    try:
      numbers[str(name)] = float(value)
    except (TypeError, ValueError) as error:
      raise errors.CheckpointError(
        f"checkpoint: metric '{name}' is not a number"
      ) from error
  return Manifest(
    step=step,
    leaves={},
    config=config,
    config_hash=None if config is None else config_hash(config),
    data_fingerprint=known["data_fingerprint"],
    tokenizer_hash=known["tokenizer_hash"],
    stage=plain(known["stage"], "metadata.stage"),
    metrics=numbers,
    metadata=plain(rest),
    versions=versions(),
    created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
  )


def _leaf_json(leaf: digest_lib.LeafDigest) -> dict[str, Any]:
  fields: dict[str, Any] = {"shape": list(leaf.shape), "dtype": leaf.dtype}
  if leaf.sha256 is not None:
    fields["sha256"] = leaf.sha256
  else:
    fields["lanes"] = list(leaf.lanes or ())
  return fields


def _leaves_json(leaves: Mapping[str, digest_lib.LeafDigest]) -> dict:
  return {path: _leaf_json(leaf) for path, leaf in leaves.items()}


def to_bytes(manifest: Manifest) -> bytes:
  """The JSON text of a manifest.

  Raises:
    CheckpointError: it is larger than a reader accepts.
  """
  fields: dict[str, Any] = {"format": FORMAT, "version": VERSION}
  for field in dataclasses.fields(manifest):
    fields[field.name] = getattr(manifest, field.name)
  fields["leaves"] = _leaves_json(manifest.leaves)
  fields["files"] = {
    path: dataclasses.asdict(entry) for path, entry in manifest.files.items()
  }
  fields["frozen"] = {
    role: {
      "digest": entry.digest,
      "stored": entry.stored,
      "leaves": _leaves_json(entry.leaves),
    }
    for role, entry in manifest.frozen.items()
  }
  fields["metrics"] = {
    name: _plain_float(value) for name, value in manifest.metrics.items()
  }
  text = json.dumps(fields, indent=1, sort_keys=True, allow_nan=False)
  if len(text) >= MAX_BYTES:
    raise errors.CheckpointError(
      f"checkpoint: the manifest of step {manifest.step} has {len(text)} bytes,"
      f" more than {MAX_BYTES}; put less into the metadata"
    )
  return text.encode() + b"\n"
