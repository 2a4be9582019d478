# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The text after the ':' of a config file."""

import pytest

from configs import common
from prefjax.core import errors

_DEFAULTS = dict(tiny=False, seed=0, beta=0.1, data="", keep=True)


@pytest.mark.parametrize(
  ("arg", "changed"),
  [
    (None, {}),
    ("", {}),
    (" , ", {}),
    ("tiny", {"tiny": True}),
    ("tiny,seed=3", {"tiny": True, "seed": 3}),
    ("beta=1", {"beta": 1.0}),
    ("data=a/b.jsonl,keep=false", {"data": "a/b.jsonl", "keep": False}),
    ("data=a=b", {"data": "a=b"}),
    ("tiny=0,seed=-1", {"seed": -1}),
  ],
)
def test_typed_by_the_defaults(arg, changed):
  values = vars(common.parse_arg(arg, **_DEFAULTS))
  assert values == {**_DEFAULTS, **changed}
  assert [type(v) for v in values.values()] == [
    type(v) for v in _DEFAULTS.values()
  ]


@pytest.mark.parametrize(
  ("arg", "said"),
  [
    ("tny", r"unknown option 'tny' .*did you mean 'tiny'\?.*known: tiny, seed"),
    ("seed", "option 'seed' needs a value"),
    ("seed=x", "expected a whole number"),
    ("seed=1.5", "expected a whole number"),
    ("beta=", "expected a number"),
    ("beta=nan", "expected a number"),
    ("tiny=maybe", "expected true or false"),
    ("tiny,tiny", "given twice"),
    ("=3", "unknown option ''"),
  ],
)
def test_mistakes(arg, said):
  with pytest.raises(errors.ConfigError, match=said):
    common.parse_arg(arg, **_DEFAULTS)


def test_a_default_without_a_type_is_a_bug():
  with pytest.raises(TypeError, match="size"):
    common.parse_arg("size=3", size=None)
