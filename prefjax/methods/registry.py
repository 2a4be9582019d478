# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which name in a config selects which method: one explicit table."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from prefjax.core import errors
from prefjax.methods import adapters, rows
from prefjax.methods import method as method_lib

_ROWS, ALIASES = rows.ROWS, rows.ALIASES
Row = rows.Row


def row(name: str) -> Row:
  """The table's entry for a name or an alias.

  Raises:
    ConfigError: unknown name; lists near matches.
  """
  found = _ROWS.get(ALIASES.get(name, name))
  if found is None:
    # All of them only where none is near: they fill half a screen.
    near = errors.nearest(name, (*_ROWS, *ALIASES))
    hint = near or f"; methods are {', '.join(names())}"
    raise errors.ConfigError(f"method.name: unknown method {name!r}{hint}")
  return found


def get(name: str, **kwargs: Any) -> method_lib.Method:
  """A method by name.

  Args:
    name: a registry name or alias.
    **kwargs: its hyper-parameters.

  Raises:
    ConfigError: unknown name or hyper-parameter.
  """
  try:
    return row(name).build(kwargs)
  except ValueError as error:
    if isinstance(error, errors.ConfigError):
      raise
    raise errors.ConfigError(f"method.kwargs: {error}") from None


def mixture(
  parts: Sequence[tuple[str, float] | tuple[str, float, Mapping[str, Any]]],
) -> method_lib.Method:
  """A weighted sum of methods, e.g. [("dpo", 1.0), ("sft", 0.2)].

  Raises:
    ConfigError: unknown or repeated names, or parts that need different
      records.
  """
  built = []
  for part in parts:
    name, weight, *rest = part
    name = ALIASES.get(name, name)
    if any(name == other for other, _, _ in built):
      raise errors.ConfigError(f"method.mixture: {name!r} is named twice")
    if not isinstance(weight, (int, float)) or isinstance(weight, bool):
      raise errors.ConfigError(
        f"method.mixture: the weight of {name!r} is {weight!r}, not a number"
      )
    kwargs = rest[0] if rest else {}
    built.append((name, float(weight), get(name, **kwargs)))
  if not built:
    raise errors.ConfigError("method.mixture: names no method")
  return adapters.mixture(built)


def names() -> tuple[str, ...]:
  """All registry names, sorted; aliases are in `ALIASES`."""
  return tuple(sorted(_ROWS))


# Arrays over pairs that a loss may take, by the names of its arguments.
PAIR_ARRAYS = tuple(
  f"{prefix}{side}_{what}"
  for what, prefixes in (
    ("logps", ("", "ref_")),
    ("lengths", ("",)),
    ("scores", ("",)),
  )
  for prefix in prefixes
  for side in ("chosen", "rejected")
)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def register(
  name: str,
  loss: Callable[..., jax.Array],
  *,
  paper: str,
  coupled: bool = False,
  replace: bool = False,
) -> None:
  """Adds a pairwise loss of your own to the table of this process.

  Whatever takes a method by name then takes this one: configs, mixtures,
  `get`. A config file or a notebook calls it beside the loss; no import does.

  Args:
    name: small letters, digits and '_'.
    loss: takes arrays [N], one entry a pair, by names out of PAIR_ARRAYS;
      hyper-parameters are keywords with defaults. Returns [N], not reduced.
    paper: authors' short name and arXiv id.
    coupled: True where the loss sorts or averages over the pairs.
    replace: a loss registered before under this name gives way, so that a
      notebook's cell may run twice. Built-in methods never do.

  Raises:
    ConfigError: the name is taken or malformed, or the loss takes something
      else.
  """
  if not isinstance(name, str) or not _NAME.fullmatch(name):
    raise errors.ConfigError(
      f"method name {name!r} is not made of small letters, digits and '_',"
      " beginning with a letter"
    )
  if name in rows.BUILT_IN or name in ALIASES:
    raise errors.ConfigError(
      f"method name {name!r} is that of a built-in method; choose another"
    )
  if name in _ROWS and not replace:
    raise errors.ConfigError(
      f"method name {name!r} is registered already; choose another, or pass"
      " replace=True"
    )
  _check_loss(name, loss)
  _ROWS[name] = rows.pairwise(name, loss, paper, coupled)


def _check_loss(name: str, loss: Callable[..., jax.Array]) -> None:
  """Checks that the pairwise adapter can call a loss."""
  arguments = adapters.positional_names(loss)
  if not arguments:
    raise errors.ConfigError(
      f"method {name!r}: the loss takes no array; it may take"
      f" {', '.join(PAIR_ARRAYS)}"
    )
  for argument in arguments:
    if argument not in PAIR_ARRAYS:
      raise errors.ConfigError(
        f"method {name!r}: there is no array {argument!r}"
        f"{errors.nearest(argument, PAIR_ARRAYS)}; a loss may take"
        f" {', '.join(PAIR_ARRAYS)}, and hyper-parameters after a '*'"
      )
  known = {*adapters.keyword_defaults(loss), "mask"}
  for key, parameter in inspect.signature(loss).parameters.items():
    if parameter.kind is parameter.KEYWORD_ONLY and key not in known:
      raise errors.ConfigError(
        f"method {name!r}: the hyper-parameter {key!r} needs a default"
      )
