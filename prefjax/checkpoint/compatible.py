# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""May this run go on from that checkpoint?"""

import dataclasses
import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

from prefjax.checkpoint import manifest as manifest_lib
from prefjax.core import errors

# Keys that may change between a save and the run that goes on from it: they
# decide when things happen, not what is computed.
ALLOWED = ("train.steps", "log.*", "checkpoint.*", "eval.*")

_ABSENT = "<absent>"


@dataclasses.dataclass(frozen=True)
class Change:
  """A key that differs between a checkpoint and the current run.

  Attributes:
    key: dotted key, or 'data_fingerprint' or 'tokenizer_hash'.
    saved: value in the checkpoint; '<absent>' if it had no such key.
    now: value in the current run; '<absent>' likewise.
    overridden: True when an explicit override let it pass, False when the
      key is on the list of those that may change.
  """

  key: str
  saved: Any
  now: Any
  overridden: bool


def flatten_config(config: Any, prefix: str = "") -> dict[str, Any]:
  """Dotted key -> value of nested dictionaries; lists stay whole."""
  flat = {}
  for key, value in config.items():
    name = f"{prefix}{key}"
    if isinstance(value, Mapping):
      flat.update(flatten_config(value, f"{name}."))
    else:
      flat[name] = value
  return flat


def _matches(key: str, patterns: Iterable[str]) -> bool:
  return any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)


def _differences(
  saved: Mapping[str, Any], now: Mapping[str, Any]
) -> list[tuple[str, Any, Any]]:
  found = []
  for key in sorted(set(saved) | set(now)):
    old, new = saved.get(key, _ABSENT), now.get(key, _ABSENT)
    # The type matters where the value does not: 1, 1.0 and True are equal.
    if old != new or type(old) is not type(new):
      found.append((key, old, new))
  return found


def check_compatible(
  manifest: manifest_lib.Manifest,
  *,
  config: Any,
  data_fingerprint: str | None,
  tokenizer_hash: str | None,
  allow: Iterable[str] = ALLOWED,
  override: Iterable[str] = (),
) -> list[Change]:
  """Refuses to go on from a checkpoint of a different run.

  Args:
    manifest: of the checkpoint.
    config: configuration of the current run; None is not compared.
    data_fingerprint: identity of its data; None is not compared.
    tokenizer_hash: identity of its tokenizer; None is not compared.
    allow: patterns ('log.*') of keys that may change.
    override: patterns of keys that the user explicitly lets change, also
      'data_fingerprint' and 'tokenizer_hash'.

  Returns:
    The changes that passed; put `as_json` of the overridden ones into the
    metadata of the next save, so that they stay on record.

  Raises:
    CheckpointError: lists every change that did not pass.
  """
  allow, override = tuple(allow), tuple(override)
  different: list[tuple[str, Any, Any]] = []
  if config is not None:
    different = _differences(
      flatten_config(manifest.config or {}),
      flatten_config(manifest_lib.plain_config(config) or {}),
    )
  for name, now in (
    ("data_fingerprint", data_fingerprint),
    ("tokenizer_hash", tokenizer_hash),
  ):
    saved = getattr(manifest, name)
    if now is not None and now != saved:
      different.append((name, _ABSENT if saved is None else saved, now))
  passed, refused = [], []
  for key, old, new in different:
    if _matches(key, override):
      passed.append(Change(key, old, new, True))
    elif _matches(key, allow):
      passed.append(Change(key, old, new, False))
    else:
      refused.append(f"{key}: {_short(old)} -> {_short(new)}")
  if refused:
    raise errors.CheckpointError(
      f"step {manifest.step} was saved by a different run: "
      + "; ".join(refused)
      + ". Set these keys back, start a new run in another directory, or"
      " override them by name"
    )
  return passed


def as_json(changes: Iterable[Change]) -> list[dict[str, Any]]:
  """The overridden changes as plain JSON, for the metadata of a save."""
  return [
    {"key": c.key, "saved": c.saved, "now": c.now}
    for c in changes
    if c.overridden
  ]


def _short(value: Any) -> str:
  text = repr(value)
  return text if len(text) <= 60 else text[:57] + "..."
