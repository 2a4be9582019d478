# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Errors a user can act on: each is one line that names what to change.

The command line prints these without a traceback; anything else that
escapes is a bug and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class PrefjaxError(Exception):
  """Base of every error caused by input rather than by a bug."""


class ConfigError(PrefjaxError, ValueError):
  """A configuration key or value is unknown, mistyped or out of range."""


class DataError(PrefjaxError, ValueError):
  """A data file or record cannot be used; names file, row, field, reason."""


class ModelError(PrefjaxError, ValueError):
  """A model directory, weight file or tokenizer cannot be used."""


class CheckpointError(PrefjaxError, RuntimeError):
  """A checkpoint cannot be written or read."""


class CheckpointCorruptError(CheckpointError):
  """A checkpoint's content disagrees with its manifest."""


class StorageError(PrefjaxError, RuntimeError):
  """A bucket cannot be read or written."""


class TrainingError(PrefjaxError, RuntimeError):
  """Training cannot go on, e.g. updates are not finite."""


def nearest(name: str, known: Iterable[str]) -> str:
  """Returns ' (did you mean ...?)' for a misspelt name, else ''."""
  matches = difflib.get_close_matches(str(name), [str(k) for k in known], n=3)
  if not matches:
    return ""
  return f" (did you mean {' or '.join(repr(m) for m in matches)}?)"
