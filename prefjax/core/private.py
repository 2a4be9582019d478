# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Files and folders with text of records: nobody else may read them."""

import os
import pathlib
from typing import TextIO


def make_folder(path: str | os.PathLike) -> None:
  """Makes a folder and the missing ones above it, each with mode 0700.

  Folders that exist stay as they are.

  Raises:
    OSError: that is not possible.
  """
  folder = pathlib.Path(path)
  missing = []
  for above in (folder, *folder.parents):
    if above.exists():
      break
    missing.append(above)
  for new in reversed(missing):
    new.mkdir(mode=0o700, exist_ok=True)
  if not folder.is_dir():
    folder.mkdir(mode=0o700)  # says what is in the way


def open_new(path: str | os.PathLike) -> TextIO:
  """Opens a UTF-8 file for writing, emptied, with mode 0600 if it is new."""
  flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
  return os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8")
