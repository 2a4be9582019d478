# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Full-text search over local documents, by SQLite's FTS5."""

import contextlib
import os
import pathlib
import re
import sqlite3
from collections.abc import Iterable, Sequence

from prefjax.core import errors

_WORD = re.compile(r"\w+")
_MAX_WORDS = 32  # of a query
_MAX_DOCUMENTS = 5_000_000


class SearchIndex:
  """Documents that can be searched by their words; ranked by BM25.

  Args:
    path: of the index, or ":memory:".

  Raises:
    DataError: it is no index, or SQLite was built without FTS5.
  """

  def __init__(self, path: str | os.PathLike = ":memory:"):
    self.path = os.fspath(path)
    try:
      self._db = sqlite3.connect(self.path, check_same_thread=False)
      self._db.execute(
        "CREATE VIRTUAL TABLE IF NOT EXISTS documents USING"
        " fts5(title, body, tokenize='porter unicode61')"
      )
      self._db.commit()
    except sqlite3.Error as error:
      raise errors.DataError(
        f"{self.path}: cannot be used as a search index ({error})"
      ) from None

  def add(self, documents: Iterable[tuple[str, str]]) -> int:
    """Adds (title, body) documents; returns how many there are now."""
    with contextlib.closing(self._db.cursor()) as cursor:
      cursor.executemany(
        "INSERT INTO documents (title, body) VALUES (?, ?)", documents
      )
      (number,) = cursor.execute("SELECT count(*) FROM documents").fetchone()
    if number > _MAX_DOCUMENTS:
      self._db.rollback()
      raise errors.DataError(
        f"{self.path}: over {_MAX_DOCUMENTS:,} documents; split the index"
      )
    self._db.commit()
    return number

  def search(self, query: str, *, limit: int = 3) -> list[tuple[str, str]]:
    """The best documents of any of the query's words, as (title, snippet).

    What a model writes is taken for words and nothing else: operators of the
    query language have no meaning here.
    """
    words = _WORD.findall(query)[:_MAX_WORDS]
    if not words:
      return []
    quoted = " OR ".join(f'"{word}"' for word in words)
    with contextlib.closing(self._db.cursor()) as cursor:
      found = cursor.execute(
        "SELECT title, snippet(documents, 1, '', '', ' ... ', 40)"
        " FROM documents WHERE documents MATCH ? ORDER BY bm25(documents),"
        " rowid LIMIT ?",
        (quoted, int(limit)),
      ).fetchall()
    return [(str(title), str(body)) for title, body in found]

  def close(self) -> None:
    self._db.close()


def build(
  path: str | os.PathLike, documents: Sequence[tuple[str, str]]
) -> SearchIndex:
  """A new index of documents on disk.

  Raises:
    DataError: the file exists.
  """
  if pathlib.Path(path).exists():
    raise errors.DataError(f"{path}: exists; delete it to build it again")
  index = SearchIndex(path)
  index.add(documents)
  return index
