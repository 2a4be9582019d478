# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Queries that a model wrote, run on real SQLite databases, reading only.

The database is opened read-only, and an authoriser refuses everything but
reading: no writes, no pragmas, no other files, no extensions. A query that
takes too long or returns too much counts as wrong.
"""

import collections
import dataclasses
import pathlib
import re
import sqlite3
import time
import urllib.parse
from typing import Any

from prefjax.core import errors

_MAX_QUERY = 20_000  # characters
_MAX_VALUE = 1 << 20  # bytes of a text or blob
_ASKED_EVERY = 1000  # steps of SQLite's machine between looks at the clock
_ALLOWED = frozenset(
  {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
  }
)
_FORBIDDEN_FUNCTIONS = frozenset(
  {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"}
)
_ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
  """What a query may use.

  Attributes:
    seconds: wall clock.
    rows: most rows of a result.
  """

  seconds: float = 5.0
  rows: int = 10_000


class QueryError(Exception):
  """A query is wrong, forbidden, too slow or returns too much."""


def _authorise(action: int, first: Any, second: Any, *names: Any) -> int:
  del names
  if action == sqlite3.SQLITE_FUNCTION:
    name = str(second or first).lower()
    if name in _FORBIDDEN_FUNCTIONS:
      return sqlite3.SQLITE_DENY
  return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def run_query(
  database: str | pathlib.Path,
  query: str,
  *,
  limits: Limits = Limits(),  # noqa: B008 - frozen
) -> list[tuple[Any, ...]]:
  """Rows of one query.

  Args:
    database: path of an SQLite file.
    query: one statement that reads.
    limits: what it may use.

  Raises:
    DataError: there is no such database.
    QueryError: the query cannot be run, may not, or exceeds a limit.
  """
  path = pathlib.Path(database)
  if not path.is_file():
    raise errors.DataError(f"{path}: is no SQLite database file")
  if len(query) > _MAX_QUERY or "\0" in query:
    raise QueryError("too long")
  # immutable: no journal, no lock file, not even a changed access mode.
  address = f"file:{urllib.parse.quote(str(path))}?mode=ro&immutable=1"
  try:
    connection = sqlite3.connect(address, uri=True, isolation_level=None)
  except sqlite3.Error as error:
    raise errors.DataError(f"{path}: cannot be opened ({error})") from None
  deadline = time.monotonic() + limits.seconds
  try:
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE)
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 4 * _MAX_QUERY)
    connection.setlimit(sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 200)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)
    connection.set_authorizer(_authorise)
    connection.set_progress_handler(
      lambda: time.monotonic() > deadline, _ASKED_EVERY
    )
    rows = connection.execute(query).fetchmany(limits.rows + 1)
  except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
    raise QueryError(str(error)) from None
  finally:
    connection.close()
  if len(rows) > limits.rows:
    raise QueryError(f"over {limits.rows} rows")
  return rows


def _plain(value: Any) -> Any:
  """Numbers that are equal compare equal: 1 and 1.0, rounded floats."""
  if isinstance(value, float):
    value = float(f"{value:.10g}")
    return int(value) if value.is_integer() else value
  return value


def same_result(first, second, *, ordered: bool = False) -> bool:
  """Whether two results hold the same rows, names of columns aside.

  Args:
    first: rows.
    second: rows.
    ordered: whether their order matters.
  """
  first, second = (
    [tuple(_plain(value) for value in row) for row in rows]
    for rows in (first, second)
  )
  if ordered:
    return first == second
  return collections.Counter(first) == collections.Counter(second)


def extract_query(text: str) -> str:
  """The last fenced block of a response, else all of it."""
  blocks = re.findall(r"```(?:sql)?\s*\n(.*?)```", text[-40_000:], re.DOTALL)
  return (blocks[-1] if blocks else text).strip()


def execution_match(
  database: str | pathlib.Path,
  given: str,
  wanted: str,
  *,
  limits: Limits = Limits(),  # noqa: B008 - frozen
) -> bool:
  """Whether two queries give the same rows.

  Order matters where the right query asks for one.

  Raises:
    DataError: there is no such database, or the right query fails on it.
  """
  try:
    right = run_query(database, wanted, limits=limits)
  except QueryError as error:
    raise errors.DataError(
      f"{database}: the reference query fails ({error}): {wanted[:200]}"
    ) from None
  try:
    rows = run_query(database, given, limits=limits)
  except QueryError:
    return False
  ordered = _ORDERED.search(wanted) is not None
  return same_result(rows, right, ordered=ordered)
