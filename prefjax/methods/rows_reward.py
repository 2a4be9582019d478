# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rows of the table of methods that train reward models, or with scores."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax

from prefjax import losses
from prefjax.methods import (
  adapters,
  groups,
  preference_models,
  reward_models,
  steerlm,
  tool_traces,
)
from prefjax.methods import method as method_lib

# (hyper-parameters -> Method, their defaults, paper)
Entry = tuple[
  Callable[[Mapping[str, Any]], method_lib.Method], Mapping[str, Any], str
]
_HELPSTEER2 = "HelpSteer2, arXiv:2406.08673"
_GPM = "GPM, arXiv:2410.02197"


def _sppo(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  chosen_scores,
  rejected_scores,
  *,
  beta=0.001,
):
  """SPPO whose win rates are the scores of the records, in [0, 1]."""
  return losses.sppo(
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
    *(jax.numpy.clip(s, 0.0, 1.0) for s in (chosen_scores, rejected_scores)),
    beta=beta,
  )


def _entry(build, name: str, defaults: Mapping[str, Any], paper: str) -> Entry:
  return functools.partial(build, name), defaults, paper


TABLE: dict[str, Entry] = {
  "attribute_regression": _entry(
    preference_models.attributes,
    "attribute_regression",
    preference_models.ATTRIBUTES_DEFAULTS,
    _HELPSTEER2,
  ),
  "gpm": _entry(
    preference_models.gpm, "gpm", preference_models.GPM_DEFAULTS, _GPM
  ),
  "gpo": (
    functools.partial(groups.listwise, "gpo", losses.gpo),
    adapters.keyword_defaults(losses.gpo),
    _GPM,
  ),
  "metarm": _entry(
    reward_models.metarm,
    "metarm",
    reward_models.METARM_DEFAULTS,
    "MetaRM, arXiv:2405.00438",
  ),
  "p2c": _entry(
    preference_models.p2c,
    "p2c",
    preference_models.P2C_DEFAULTS,
    "P2C, arXiv:2306.04925",
  ),
  "pair_preference": _entry(
    preference_models.pair_preference,
    "pair_preference",
    preference_models.ORDERS_DEFAULTS,
    "pair preference model of SLiC-HF, arXiv:2305.10425",
  ),
  "process_reward": _entry(
    preference_models.process_reward,
    "process_reward",
    preference_models.STEPS_DEFAULTS,
    "Let's Verify Step by Step, arXiv:2305.20050",
  ),
  "reward_bt": _entry(
    reward_models.bradley_terry,
    "reward_bt",
    reward_models.BT_DEFAULTS,
    "Secrets of RLHF II, arXiv:2401.06080",
  ),
  "reward_contrastive": _entry(
    reward_models.contrastive,
    "reward_contrastive",
    reward_models.CONTRASTIVE_DEFAULTS,
    "Secrets of RLHF II, arXiv:2401.06080",
  ),
  "sppo": (
    functools.partial(adapters.pairwise, "sppo", _sppo),
    adapters.keyword_defaults(_sppo),
    "SPPO, arXiv:2405.00675",
  ),
  "steerlm2": _entry(
    steerlm.steerlm2, "steerlm2", steerlm.DEFAULTS, _HELPSTEER2
  ),
  "themis": _entry(
    tool_traces.themis,
    "themis",
    tool_traces.DEFAULTS,
    "Themis, arXiv:2310.01045",
  ),
}
