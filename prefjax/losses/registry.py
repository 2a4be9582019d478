# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which name in a config selects which loss."""

from collections.abc import Callable

from prefjax.core import errors
from prefjax.losses import (
  anchored,
  attributes,
  batch_coupled,
  blinding,
  classification,
  contrastive,
  distillation,
  divergence,
  general_preference,
  joint,
  length,
  listwise,
  margin,
  mixtures,
  online,
  pairwise,
  personalised,
  policy_gradient,
  prompt_pairs,
  rationale,
  reference_free,
  reward,
  robust,
  stepwise,
  token_level,
  tool_traces,
  unpaired,
  weighting,
)

# Functions of arrays that give an unreduced loss. Weights, masks, reference
# points and running statistics are public too, but are not losses.
_LOSSES: dict[str, Callable] = {
  "adpa": distillation.adpa,
  "adpa_objective": distillation.adpa_objective,
  "adpa_sparse": distillation.adpa_sparse,
  "all_pairs": listwise.all_pairs,
  "aot": batch_coupled.aot,
  "aot_unpaired": batch_coupled.aot_unpaired,
  "apo_down": anchored.apo_down,
  "apo_zero": anchored.apo_zero,
  "apo_zero_unpaired": unpaired.apo_zero_unpaired,
  "attribute_regression": attributes.attribute_regression,
  "bco_pair": anchored.bco_pair,
  "bco_unpaired": unpaired.bco_unpaired,
  "beta_dpo": batch_coupled.beta_dpo,
  "bpo_blind": blinding.bpo_blind,
  "bradley_terry": reward.bradley_terry,
  "cal_dpo": anchored.cal_dpo,
  "conservative_dpo": pairwise.conservative_dpo,
  "cpo": reference_free.cpo,
  "dckd": distillation.dckd,
  "discopop": margin.discopop,
  "dove": joint.dove,
  "dpo": pairwise.dpo,
  "dpo_gamma": margin.dpo_gamma,
  "dpo_norm": pairwise.dpo_norm,
  "dpop": anchored.dpop,
  "exo_pair": margin.exo_pair,
  "f_dpo": divergence.f_dpo,
  "gpm": general_preference.gpm,
  "gpo": general_preference.gpo,
  "grpo": policy_gradient.grpo,
  "hinge": pairwise.hinge,
  "ipo": pairwise.ipo,
  "kto": unpaired.kto,
  "ld_dpo": length.ld_dpo,
  "length_penalized_dpo": margin.length_penalized_dpo,
  "lipo_lambda": listwise.lipo_lambda,
  "mapl_inter_dpo": prompt_pairs.mapl_inter_dpo,
  "mapl_inter_rm": prompt_pairs.mapl_inter_rm,
  "mapl_intra_dpo": prompt_pairs.mapl_intra_dpo,
  "mapl_intra_rm": prompt_pairs.mapl_intra_rm,
  "mpo": mixtures.mpo,
  "nash_md": online.nash_md,
  "nca_pair": anchored.nca_pair,
  "nextquill": personalised.nextquill,
  "nll": reference_free.nll,
  "odpo": margin.odpo,
  "orpo": reference_free.orpo,
  "p2c": classification.p2c,
  "p2c_consistency": classification.p2c_consistency,
  "p2c_margin": classification.p2c_margin,
  "p2c_preference": classification.p2c_preference,
  "plackett_luce": listwise.plackett_luce,
  "rationale_dpo": rationale.rationale_dpo,
  "rationale_orpo": rationale.rationale_orpo,
  "rdpo": robust.rdpo,
  "reward_centering": reward.reward_centering,
  "robust_bt": robust.robust_bt,
  "rpo": mixtures.rpo,
  "sampo": token_level.sampo,
  "simcse": contrastive.simcse,
  "simpo": reference_free.simpo,
  "slic": reference_free.slic,
  "sppo": general_preference.sppo,
  "sppo_hard": anchored.sppo_hard,
  "steerlm2": attributes.steerlm2,
  "step_dpo": stepwise.step_dpo,
  "strength_bt": attributes.strength_bt,
  "swav": contrastive.swav,
  "tdpo": divergence.tdpo,
  "themis": tool_traces.themis,
  "token_kl": distillation.token_kl,
  "wpo": weighting.wpo,
  "xpo": online.xpo,
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
