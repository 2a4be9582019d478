# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every golden case: numbers from independent float64 references.

A case names a public function, its arguments and the expected result. Each
file in tests/golden must pass whole: a missing function is a failure.
"""

import importlib
import json
import pathlib

import numpy as np
import pytest

_FOLDER = pathlib.Path(__file__).parent / "golden"

# Files copied for a part of their functions, which another test names. An
# entry that has become complete fails below, so this cannot go stale.
_PARTIAL = {"oraclead"}

# What float32 can promise whatever a case asks for.
_RTOL, _ATOL = 2e-5, 2e-6


def _files() -> list[str]:
  names = []
  for path in sorted(_FOLDER.glob("*.json")):
    if isinstance(json.loads(path.read_text()), list):
      names.append(path.stem)
  return names


def _resolve(dotted: str):
  module, _, name = dotted.rpartition(".")
  try:
    return getattr(importlib.import_module(module), name, None)
  except ModuleNotFoundError:
    return None


def _is_number(value) -> bool:
  return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_array(value) -> bool:
  """A nested list of numbers (booleans may be mixed in) with one shape."""
  if not isinstance(value, list) or not value:
    return False
  try:
    array = np.asarray(value)
  except ValueError:  # ragged
    return False
  return array.dtype.kind in "fi"


def _argument(value):
  """JSON to what a caller would pass: numbers as 32-bit NumPy arrays."""
  if _is_number(value) or _is_array(value):
    array = np.asarray(value)
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int32)
  if isinstance(value, dict):
    return {key: _argument(item) for key, item in value.items()}
  if isinstance(value, list):
    return [_argument(item) for item in value]
  return value


def _field(actual, key: str):
  if isinstance(actual, dict):
    return actual[key] if key in actual else actual[int(key)]
  return getattr(actual, key)


def _check(actual, expected, rtol: float, atol: float, where: str):
  if isinstance(expected, dict):
    for key, value in expected.items():
      _check(_field(actual, key), value, rtol, atol, f"{where}.{key}")
  elif isinstance(expected, bool):
    assert bool(np.asarray(actual)) == expected, where
  elif _is_number(expected) or _is_array(expected):
    actual = np.asarray(actual, np.float64)
    assert actual.shape == np.shape(expected), where
    np.testing.assert_allclose(
      actual,
      np.asarray(expected, np.float64),
      rtol=rtol,
      atol=atol,
      err_msg=where,
    )
  elif isinstance(expected, list):
    actual = list(actual)
    assert len(actual) == len(expected), where
    for i, (left, right) in enumerate(zip(actual, expected, strict=True)):
      _check(left, right, rtol, atol, f"{where}[{i}]")
  else:
    assert actual == expected, where


def _cases(name: str) -> list[dict]:
  return json.loads((_FOLDER / f"{name}.json").read_text())


@pytest.mark.parametrize(
  "name", [name for name in _files() if name not in _PARTIAL]
)
def test_golden_file(name):
  failures = []
  for i, case in enumerate(_cases(name)):
    where = f"{name}[{i}] {case['function']}({case.get('kwargs', {})})"
    function = _resolve(case["function"])
    if function is None:
      failures.append(f"{where}: no such function")
      continue
    arguments = {
      key: _argument(value) for key, value in case.get("args", {}).items()
    }
    try:
      actual = function(**arguments, **case.get("kwargs", {}))
      _check(
        actual,
        case["expected"],
        max(case.get("rtol", 0), _RTOL),
        max(case.get("atol", 0), _ATOL),
        where,
      )
    except Exception as error:  # all cases are reported, not the first
      failures.append(f"{where}: {type(error).__name__}: {error}")
  assert not failures, "\n".join(failures)


@pytest.mark.parametrize("name", sorted(_PARTIAL))
def test_partial_files_are_still_partial(name):
  missing = [
    case["function"]
    for case in _cases(name)
    if _resolve(case["function"]) is None
  ]
  assert missing, f"{name} is complete: take it out of _PARTIAL"
