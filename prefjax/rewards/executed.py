# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rewards that run what a model wrote: Python against tests, SQL on data."""

import pathlib
import re
from collections.abc import Callable
from typing import Any

from prefjax.core import errors
from prefjax.rewards import sandbox, sql

_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL)
_MAX_CODE = 50_000  # characters


def extract_code(text: str) -> str:
  """The last fenced block of a response, else all of it."""
  blocks = _FENCE.findall(text[-4 * _MAX_CODE :])
  return blocks[-1] if blocks else text


def _solution(prompt: str, response: str, entry: str) -> str:
  """A module: the response, after the prompt where it only goes on with it."""
  code = extract_code(response)
  defines = re.search(rf"^\s*(?:def|class)\s+{re.escape(entry)}\b", code, re.M)
  if entry and not defines and f"def {entry}" in prompt:
    return prompt + code
  return code


def _tests(record: Any, field: str) -> list[Any]:
  found = record.metadata.get(field)
  if isinstance(found, str):
    found = [found]
  if not isinstance(found, list) or not found:
    raise errors.DataError(
      f"record {record.id!r}: {field!r} holds no tests: a text of Python, or a"
      ' list of such or of {"input", "output"}'
    )
  return found


def python_tests(
  *,
  field: str = "test",
  entry_field: str = "entry_point",
  setup_field: str = "",
  partial: bool = False,
  seconds: float = 5.0,
  memory_mib: int = 512,
) -> Callable[[str, str, Any], float]:
  """1 where the code of a response passes the tests of its record.

  The code is the last fenced block, or all of the response. Tests are Python
  (assertions, or a function `check` that is called with the entry point, as
  in HumanEval), or {"input", "output"} for programs. Nothing is run on a
  system that cannot isolate it.

  Args:
    field: of the record, with the tests.
    entry_field: of the record, with the name of the function under test; the
      code goes on from the prompt where it does not define it.
    setup_field: of the record, with code that tests need before them.
    partial: give the share of tests that pass, instead of all or nothing.
    seconds: wall clock for all tests of a response.
    memory_mib: memory of a process.

  Raises:
    ConfigError: the system cannot isolate code.
  """
  sandbox.check()
  limits = sandbox.Limits(seconds=seconds, memory=memory_mib << 20)

  def reward(prompt: str, response: str, record: Any) -> float:
    tests = _tests(record, field)
    entry = str(record.metadata.get(entry_field) or "")
    code = _solution(prompt, response, entry)
    if len(code) > _MAX_CODE:
      return 0.0
    if all(isinstance(test, dict) for test in tests):
      passed = [
        _says(code, str(test["input"]), str(test["output"]), limits)
        for test in tests
      ]
    else:
      setup = str(record.metadata.get(setup_field) or "") if setup_field else ""
      sources = [f"{setup}\n{test}" if setup else str(test) for test in tests]
      passed = sandbox.run_tests(code, sources, entry=entry, limits=limits)
    share = sum(passed) / len(passed)
    return share if partial else float(share == 1.0)

  return reward


def _says(code: str, given: str, wanted: str, limits: sandbox.Limits) -> bool:
  """Whether a program prints what it should, up to spaces at line ends."""
  out = sandbox.run_program(code, given, limits=limits)
  if out is None:
    return False
  first, second = (
    [line.rstrip() for line in text.rstrip().split("\n")]
    for text in (out, wanted)
  )
  return first == second


def sql_result(
  *,
  field: str = "sql",
  database_field: str = "database",
  folder: str = "",
  seconds: float = 5.0,
  rows: int = 10_000,
) -> Callable[[str, str, Any], float]:
  """1 where the query of a response gives what the record's query gives.

  Args:
    field: of the record, with the right query.
    database_field: of the record, with the path of an SQLite file.
    folder: that relative paths are in.
    seconds: wall clock for a query.
    rows: most rows of a result.
  """
  limits = sql.Limits(seconds=seconds, rows=rows)

  def reward(prompt: str, response: str, record: Any) -> float:
    del prompt
    values = [record.metadata.get(name) for name in (field, database_field)]
    for name, value in zip((field, database_field), values, strict=True):
      if not isinstance(value, str) or not value:
        raise errors.DataError(f"record {record.id!r}: {name!r} is missing")
    wanted, name = values
    path = pathlib.Path(folder) / name
    given = sql.extract_query(response)
    return float(sql.execution_match(path, given, wanted, limits=limits))

  return reward
