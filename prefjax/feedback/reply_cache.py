# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Replies of a server on disk, so that nothing is asked, or paid, twice."""

import hashlib
import json
import os
import pathlib
import sqlite3
import threading
from typing import Any

from prefjax.core import errors


def key(question: Any) -> str:
  """SHA-256 of everything that decides a reply."""
  text = json.dumps(question, sort_keys=True, ensure_ascii=False)
  return hashlib.sha256(text.encode()).hexdigest()


def _check(name: str, reply: str) -> str:
  return hashlib.sha256(f"{name}\0{reply}".encode()).hexdigest()


class ReplyCache:
  """A table of replies in one file; safe to share between threads.

  Args:
    path: of the file, or ":memory:".

  Raises:
    DataError: it is something else, or cannot be written.
  """

  def __init__(self, path: str | os.PathLike = ":memory:"):
    self.path = os.fspath(path)
    self._lock = threading.Lock()
    try:
      if self.path != ":memory:":
        pathlib.Path(self.path).parent.mkdir(parents=True, exist_ok=True)
      self._db = sqlite3.connect(self.path, check_same_thread=False)
      self._db.execute(
        "CREATE TABLE IF NOT EXISTS replies"
        " (key TEXT PRIMARY KEY, reply TEXT, digest TEXT)"
      )
      self._db.commit()
    except (sqlite3.Error, OSError) as error:
      raise errors.DataError(
        f"{self.path}: cannot be used as a cache of replies ({error}); delete"
        " it or choose another file"
      ) from None

  def get(self, name: str) -> str | None:
    """A reply by its key, or None; one that is damaged counts as missing."""
    with self._lock:
      row = self._db.execute(
        "SELECT reply, digest FROM replies WHERE key = ?", (name,)
      ).fetchone()
    if row is None or row[1] != _check(name, str(row[0])):
      return None
    return str(row[0])

  def put(self, name: str, reply: str) -> None:
    """Stores a reply at once, so that a kill loses nothing."""
    with self._lock:
      self._db.execute(
        "INSERT OR REPLACE INTO replies VALUES (?, ?, ?)",
        (name, reply, _check(name, reply)),
      )
      self._db.commit()

  def close(self) -> None:
    with self._lock:
      self._db.close()
