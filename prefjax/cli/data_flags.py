# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Flags of all commands that read a data file, and the reading."""

import types

from prefjax.cli import arguments
from prefjax.core import errors, storage
from prefjax.data import layouts, presets, readers, reports


def declare(flags: arguments.Arguments, *, on_bad: str) -> None:
  """Declares what `read` needs.

  Args:
    flags: of the command.
    on_bad: default of that flag.
  """
  flags.path(
    "data", help="file or folder", exists=True, required=True, urls=True
  )
  flags.string("layout", "auto", "how rows are laid out")
  flags.string("columns", None, "name of a column preset")
  flags.string("split", None, "split of a folder")
  flags.integer("limit", None, "most records to read", low=1)
  flags.choice("on_bad", on_bad, "what a bad row does", ("stop", "skip"))


def read(
  args: types.SimpleNamespace, *, max_bad_fraction: float
) -> reports.Dataset:
  """Reads the file that the flags name.

  Raises:
    ConfigError: an unknown layout or preset.
    DataError: the file or a row cannot be used.
  """
  for name, value, known in (
    ("layout", args.layout, ("auto", *layouts.NAMES)),
    ("columns", args.columns, tuple(presets.PRESETS)),
  ):
    if value is not None and value not in known:
      raise errors.ConfigError(
        f"--{name}={value}: is unknown{errors.nearest(value, known)}; known"
        f" are {', '.join(known)}"
      )
  if args.columns is not None and args.layout != "auto":
    raise errors.ConfigError("--columns: names the layout; leave --layout out")
  return readers.read(
    storage.local(args.data, "--data"),
    layout=args.layout,
    columns=args.columns,
    split=args.split,
    limit=args.limit,
    on_bad=args.on_bad,
    max_bad_fraction=max_bad_fraction,
  )
