# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which name in a config selects which method: one explicit table."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefjax import losses
from prefjax.core import errors
from prefjax.methods import adapters, unpaired
from prefjax.methods import method as method_lib

Build = Callable[[Mapping[str, Any]], method_lib.Method]


@dataclasses.dataclass(frozen=True)
class Row:
  """One method.

  Attributes:
    build: hyper-parameters -> Method; refuses those it does not have.
    defaults: hyper-parameters and their defaults.
    paper: authors' short name and arXiv id.
  """

  build: Build
  defaults: Mapping[str, Any]
  paper: str


def _pairwise(name: str, loss, paper: str, coupled: bool = False) -> Row:
  return Row(
    functools.partial(adapters.pairwise, name, loss, coupled=coupled),
    adapters.keyword_defaults(loss),
    paper,
  )


def _unpaired(name: str, loss, paper: str) -> Row:
  return Row(
    functools.partial(unpaired.unpaired, name, loss),
    adapters.keyword_defaults(loss),
    paper,
  )


def _kto() -> Row:
  defaults = adapters.keyword_defaults(losses.kto)
  return Row(
    functools.partial(
      unpaired.kto, "kto", losses.kto, losses.kto_reference_point
    ),
    {k: v for k, v in defaults.items() if k != "reference_point"},
    "KTO, arXiv:2402.01306",
  )


def _sft() -> Row:
  return Row(
    functools.partial(adapters.supervised, "sft", losses.nll),
    {"average": "token"},
    "maximum likelihood",
  )


_ROWS: dict[str, Row] = {
  "conservative_dpo": _pairwise(
    "conservative_dpo", losses.conservative_dpo, "cDPO, arXiv:2305.18290"
  ),
  "dpo": _pairwise("dpo", losses.dpo, "DPO, arXiv:2305.18290"),
  "hinge": _pairwise("hinge", losses.hinge, "RSO, arXiv:2309.06657"),
  "ipo": _pairwise("ipo", losses.ipo, "IPO, arXiv:2310.12036"),
  "kto": _kto(),
  "orpo": _pairwise("orpo", losses.orpo, "ORPO, arXiv:2403.07691"),
  "sft": _sft(),
  "simpo": _pairwise("simpo", losses.simpo, "SimPO, arXiv:2405.14734"),
}

# Names that other libraries use for the same objective.
ALIASES: dict[str, str] = {
  "sigmoid": "dpo",
  "nll": "sft",
  "cdpo": "conservative_dpo",
}


def row(name: str) -> Row:
  """The table's entry for a name or an alias.

  Raises:
    ConfigError: unknown name; lists near matches.
  """
  found = _ROWS.get(ALIASES.get(name, name))
  if found is None:
    known = (*_ROWS, *ALIASES)
    raise errors.ConfigError(
      f"method.name: unknown method {name!r}{errors.nearest(name, known)};"
      f" methods are {', '.join(names())}"
    )
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
