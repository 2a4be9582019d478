# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Queries on a real database: equal results, and nothing but reading."""

import hashlib
import sqlite3
import time
import types

import pytest

from prefjax import rewards
from prefjax.core import errors
from prefjax.rewards import sql


@pytest.fixture(scope="module")
def database(tmp_path_factory):
  path = tmp_path_factory.mktemp("db") / "shop.sqlite"
  with sqlite3.connect(path) as connection:
    connection.execute("create table item (id int, name text, price real)")
    rows = [(i, f"item {i}", i * 1.5) for i in range(100)]
    connection.executemany("insert into item values (?, ?, ?)", rows)
  connection.close()
  return path


@pytest.mark.parametrize(
  "given,wanted,equal",
  [
    ("select name from item where id < 3", "select name from item where id<3",
     True),
    # Order does not matter unless it was asked for.
    ("select id from item where id < 3 order by id desc",
     "select id from item where id < 3", True),
    ("select id from item where id < 3 order by id desc",
     "select id from item where id < 3 order by id", False),
    ("select count(*) from item", "select 100.0", True),
    ("select 1", "select 2", False),
    ("select 1 union all select 1", "select 1", False),
    ("select nothing from item", "select 1", False),
    ("", "select 1", False),
    ("with recursive n(x) as (select 1 union all select x+1 from n where x<5)"
     " select max(x) from n", "select 5", True),
    ("select sum(price) / 3 from item", "select 7425.0 / 3.0", True),
  ],
)  # fmt: skip
def test_results(database, given, wanted, equal):
  assert sql.execution_match(database, given, wanted) is equal


@pytest.mark.parametrize(
  "query",
  [
    "delete from item",
    "drop table item",
    "insert into item values (1, 'x', 1)",
    "update item set price = 0",
    "create table t (x)",
    "create temp table t (x)",
    "pragma journal_mode = wal",
    "pragma query_only = 0",
    "attach database '/tmp/other.sqlite' as other",
    "vacuum into '/tmp/copy.sqlite'",
    "vacuum",
    "begin; select 1",
    "select load_extension('/tmp/x.so')",
    "select writefile('/tmp/x', 'y')",
    "select readfile('/etc/passwd')",
    "select 1; delete from item",
    "savepoint a",
    "select zeroblob(2000000000)",
    "select 1 \0 drop table item",
  ],
)
def test_nothing_but_reading(database, query):
  before = hashlib.sha256(database.read_bytes()).hexdigest()
  with pytest.raises(sql.QueryError):
    sql.run_query(database, query)
  assert hashlib.sha256(database.read_bytes()).hexdigest() == before
  assert [p.name for p in database.parent.iterdir()] == [database.name]


def test_limits(database):
  endless = (
    "with recursive n(x) as (select 1 union all select x + 1 from n)"
    " select count(*) from n"
  )
  start = time.monotonic()
  with pytest.raises(sql.QueryError, match="interrupt"):
    sql.run_query(database, endless, limits=sql.Limits(seconds=0.3))
  assert time.monotonic() - start < 3
  with pytest.raises(sql.QueryError, match="over 50 rows"):
    sql.run_query(database, "select * from item", limits=sql.Limits(rows=50))


def test_the_reward(database):
  reward = rewards.get("sql", folder=str(database.parent))
  metadata = {"sql": "select count(*) from item", "database": database.name}
  record = types.SimpleNamespace(id="q", metadata=metadata)
  fenced = "Here it is:\n```sql\nselect 100\n```"
  assert reward("", fenced, record) == 1.0
  assert reward("", "select 99", record) == 0.0
  record.metadata = {"sql": "select 1"}
  with pytest.raises(errors.DataError, match="'database' is missing"):
    reward("", "select 1", record)
  record.metadata = {"sql": "select 1", "database": "none.sqlite"}
  with pytest.raises(errors.DataError, match="no SQLite database"):
    reward("", "select 1", record)
  record.metadata = {"sql": "select x from y", "database": database.name}
  with pytest.raises(errors.DataError, match="reference query fails"):
    reward("", "select 1", record)
