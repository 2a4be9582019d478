# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which name in a config selects which loss."""

from collections.abc import Callable

from prefjax.core import errors
from prefjax.losses import pairwise, reference_free, unpaired

# Functions of arrays that give an unreduced loss. Weights, masks, reference
# points and running statistics are public too, but are not losses.
_LOSSES: dict[str, Callable] = {
  "apo_zero_unpaired": unpaired.apo_zero_unpaired,
  "bco_unpaired": unpaired.bco_unpaired,
  "conservative_dpo": pairwise.conservative_dpo,
  "cpo": reference_free.cpo,
  "dpo": pairwise.dpo,
  "dpo_norm": pairwise.dpo_norm,
  "hinge": pairwise.hinge,
  "ipo": pairwise.ipo,
  "kto": unpaired.kto,
  "nll": reference_free.nll,
  "orpo": reference_free.orpo,
  "simpo": reference_free.simpo,
  "slic": reference_free.slic,
}


def get(name: str) -> Callable:
  """The loss of that name.

  Raises:
    ConfigError: no such loss; the message lists near matches.
  """
  if name not in _LOSSES:
    raise errors.ConfigError(
      f"unknown loss {name!r}{errors.nearest(name, _LOSSES)};"
      " prefjax.losses.names() lists all"
    )
  return _LOSSES[name]


def names() -> tuple[str, ...]:
  """Names of all losses, sorted."""
  return tuple(sorted(_LOSSES))
