# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Golden values of the metrics layer (independent float64 references)."""

import json
import pathlib

import numpy as np
import pytest

from prefjax import analysis

_FOLDER = pathlib.Path(__file__).parents[1] / "golden"
_COVERED = {
  "ranking-accuracy": None,  # every analysis function of the file
  "oraclead": {"roc_auc", "average_precision", "best_f1"},
}


def _cases():
  for slug, names in _COVERED.items():
    for case in json.loads((_FOLDER / f"{slug}.json").read_text()):
      package, _, name = case["function"].rpartition(".")
      if package == "prefjax.analysis" and (names is None or name in names):
        yield pytest.param(name, case, id=f"{slug}-{name}")


@pytest.mark.parametrize(("name", "case"), _cases())
def test_golden(name, case):
  arguments = {key: np.asarray(value) for key, value in case["args"].items()}
  actual = getattr(analysis, name)(**arguments, **case["kwargs"])
  expected = case["expected"]
  tolerance = {"rtol": case["rtol"], "atol": case["atol"]}
  if isinstance(expected, dict):
    assert set(expected) <= set(actual)
    for key, value in expected.items():
      np.testing.assert_allclose(actual[key], value, **tolerance)
  else:
    np.testing.assert_allclose(actual, expected, **tolerance)
