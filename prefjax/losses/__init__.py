# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Preference losses: arrays in, one float32 value an example out.

Every loss takes arrays first and keyword-only hyper-parameters, works in
float32 whatever comes in, and is never reduced. `get` and `names` let a
config string pick one.
"""

from prefjax.losses.pairwise import (
  conservative_dpo,
  dpo,
  dpo_norm,
  hinge,
  implicit_rewards,
  ipo,
)
from prefjax.losses.reference_free import cpo, nll, orpo, simpo, slic
from prefjax.losses.registry import get, names
from prefjax.losses.unpaired import (
  apo_zero_unpaired,
  bco_udm_weight,
  bco_unpaired,
  kto,
  kto_reference_point,
)

__all__ = [
  "apo_zero_unpaired",
  "bco_udm_weight",
  "bco_unpaired",
  "conservative_dpo",
  "cpo",
  "dpo",
  "dpo_norm",
  "get",
  "hinge",
  "implicit_rewards",
  "ipo",
  "kto",
  "kto_reference_point",
  "names",
  "nll",
  "orpo",
  "simpo",
  "slic",
]
