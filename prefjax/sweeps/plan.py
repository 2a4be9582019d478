# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""From overrides to named runs, and which runs differ in their seed only."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from prefjax.core import errors

Overrides = Mapping[str, Any]
_UNSAFE = re.compile(r"[^A-Za-z0-9._=+-]+")
_LONGEST = 80


@dataclasses.dataclass(frozen=True)
class Planned:
  """One run of a sweep.

  Attributes:
    name: of its folder; made of the overrides, so that a longer list keeps
      the runs of a shorter one.
    overrides: dotted key -> value.
    digest: of the whole config that the run has.
  """

  name: str
  overrides: dict[str, Any]
  digest: str

  @property
  def group(self) -> dict[str, Any]:
    """The overrides without seeds."""
    return {k: v for k, v in self.overrides.items() if not is_seed(k)}


def is_seed(key: str) -> bool:
  """Whether a dotted key is a seed: runs that differ in it are repeats."""
  return key.rpartition(".")[2] == "seed"


def name_of(overrides: Overrides) -> str:
  """A readable folder name, unique for the overrides."""
  parts = [
    f"{key.rpartition('.')[2]}={value}" for key, value in overrides.items()
  ]
  text = _UNSAFE.sub("_", ",".join(parts).replace(",", "+"))[:_LONGEST]
  return f"{text or 'base'}-{digest_of(overrides)[:8]}"


def digest_of(value: Any) -> str:
  """SHA-256 of a JSON-ready value.

  Raises:
    ConfigError: it is not JSON-ready.
  """
  try:
    text = json.dumps(value, sort_keys=True)
  except (TypeError, ValueError) as error:
    raise errors.ConfigError(
      f"sweep: an override is no plain value ({error})"
    ) from None
  return hashlib.sha256(text.encode()).hexdigest()


def check(listed: Any, where: str) -> list[dict[str, Any]]:
  """The list that a sweep's function returned.

  Args:
    listed: should be a list of {dotted key: value}.
    where: the file, for messages.

  Raises:
    ConfigError: it is something else, empty, or holds a run twice.
  """
  if not isinstance(listed, Sequence) or isinstance(listed, (str, bytes)):
    raise errors.ConfigError(f"{where}: get_sweep must return a list of dicts")
  if not listed:
    raise errors.ConfigError(f"{where}: get_sweep returned no run")
  seen: dict[str, int] = {}
  for number, overrides in enumerate(listed):
    if not isinstance(overrides, Mapping) or not all(
      isinstance(key, str) for key in overrides
    ):
      raise errors.ConfigError(
        f"{where}: run {number} is no dict of config keys to values"
      )
    name = name_of(overrides)
    if name in seen:
      raise errors.ConfigError(
        f"{where}: runs {seen[name]} and {number} have the same overrides"
      )
    seen[name] = number
  return [dict(overrides) for overrides in listed]


def words(overrides: Overrides) -> list[str]:
  """The overrides as words of a command line."""
  return [f"--config.{key}={text(value)}" for key, value in overrides.items()]


def text(value: Any) -> str:
  """A value as a command line says it."""
  if isinstance(value, bool):
    return "true" if value else "false"
  return value if isinstance(value, str) else repr(value)


def grouped(runs: Sequence[Planned]) -> list[list[Planned]]:
  """Runs that differ in seeds only, together; in order of appearance."""
  found: dict[str, list[Planned]] = {}
  for run in runs:
    found.setdefault(digest_of(run.group), []).append(run)
  return list(found.values())
