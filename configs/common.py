# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What the config files share: the argument after the ':' of --config."""

import types
from typing import Any

from prefjax.core import errors

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number"}


def parse_arg(arg: str | None = None, **defaults: Any) -> types.SimpleNamespace:
  """Typed options from 'tiny,seed=3'.

    a = common.parse_arg(arg, tiny=False, seed=0, beta=0.1, data="")

  A bare name switches a bool on; anything else is written name=value and
  read as the type of its default. No default is None: its type would be
  unknown.

  Args:
    arg: text after the ':', or None or '' for the defaults.
    **defaults: option -> bool, int, float or str.

  Returns:
    A namespace with a value for each option.

  Raises:
    ConfigError: an option is unknown, given twice, or of another type.
  """
  values = dict(defaults)
  seen = set()
  for part in (arg or "").split(","):
    if not part.strip():
      continue
    name, given, text = part.strip().partition("=")
    if name not in defaults:
      known = ", ".join(defaults) or "none"
      raise errors.ConfigError(
        f"unknown option {name!r} after the ':'"
        f"{errors.nearest(name, defaults)}; known: {known}"
      )
    if name in seen:
      raise errors.ConfigError(f"option {name!r} is given twice")
    seen.add(name)
    values[name] = _convert(name, text if given else None, defaults[name])
  return types.SimpleNamespace(**values)


def _convert(name: str, text: str | None, default: Any) -> Any:
  """The text as the type of the default; no text switches a bool on."""
  kind = type(default)
  if kind not in (bool, int, float, str):
    raise TypeError(f"option {name!r}: no options of type {kind.__name__}")
  if text is None:
    if kind is bool:
      return True
    raise errors.ConfigError(f"option {name!r} needs a value: {name}=...")
  try:
    if kind is bool:
      return _BOOLEANS[text.lower()]
    value = kind(text)
    if value != value:  # NaN parses as a float
      raise ValueError
    return value
  except (KeyError, ValueError):
    raise errors.ConfigError(
      f"option {name}={text!r}: expected {_TYPE_NAMES[kind]}"
    ) from None
