# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Preference losses: arrays in, one float32 value an example out.

Every loss takes arrays first and keyword-only hyper-parameters, works in
float32 whatever comes in, and is never reduced. `get` and `names` let a
config string pick one.
"""

from prefjax.losses.anchored import (
  apo_down,
  apo_zero,
  bco_pair,
  cal_dpo,
  dpop,
  nca_pair,
  sppo_hard,
)
from prefjax.losses.attributes import (
  attribute_regression,
  steerlm2,
  steerlm2_weights,
  strength_bt,
)
from prefjax.losses.batch_coupled import (
  aot,
  aot_unpaired,
  beta_dpo,
  beta_dpo_select,
)
from prefjax.losses.blinding import bpo_blind
from prefjax.losses.classification import (
  p2c,
  p2c_consistency,
  p2c_diversity,
  p2c_margin,
  p2c_preference,
)
from prefjax.losses.contrastive import simcse, sinkhorn_codes, swav
from prefjax.losses.distillation import (
  adpa,
  adpa_objective,
  adpa_sparse,
  dckd,
  token_kl,
)
from prefjax.losses.divergence import f_dpo, sequential_kl, tdpo
from prefjax.losses.general_preference import gpm, gpo, sppo
from prefjax.losses.joint import dove
from prefjax.losses.length import ld_dpo, ld_logps, ld_token_weights
from prefjax.losses.listwise import all_pairs, lipo_lambda, plackett_luce
from prefjax.losses.margin import (
  discopop,
  dpo_gamma,
  exo_pair,
  length_penalized_dpo,
  odpo,
)
from prefjax.losses.mixtures import mpo, rpo, weighted_sum
from prefjax.losses.online import nash_md, xpo
from prefjax.losses.pairwise import (
  conservative_dpo,
  dpo,
  dpo_norm,
  hinge,
  implicit_rewards,
  ipo,
)
from prefjax.losses.personalised import nextquill
from prefjax.losses.policy_gradient import (
  aggregate,
  aggregate_terms,
  cispo_policy,
  grpo,
  policy_gradient_tokens,
  ppo_policy,
  value_clip,
)
from prefjax.losses.prompt_pairs import (
  mapl_inter_dpo,
  mapl_inter_rm,
  mapl_intra_dpo,
  mapl_intra_rm,
)
from prefjax.losses.rationale import (
  add_rationale,
  rationale_dpo,
  rationale_orpo,
)
from prefjax.losses.reference_free import cpo, nll, orpo, simpo, slic
from prefjax.losses.registry import get, names
from prefjax.losses.reward import (
  bradley_terry,
  metarm_difference,
  metarm_gradient,
  reward_centering,
)
from prefjax.losses.robust import (
  noise_corrected,
  rdpo,
  rdpo_gradient_weight,
  robust_bt,
)
from prefjax.losses.running import ema_moments, running_mean_update
from prefjax.losses.stepwise import step_dpo
from prefjax.losses.token_level import sampo, sampo_masks
from prefjax.losses.tool_traces import themis
from prefjax.losses.unpaired import (
  apo_zero_unpaired,
  bco_udm_weight,
  bco_unpaired,
  kto,
  kto_reference_point,
)
from prefjax.losses.weighting import log_collision_probability, wpo, wpo_weights

__all__ = [
  "add_rationale",
  "adpa",
  "adpa_objective",
  "adpa_sparse",
  "aggregate",
  "aggregate_terms",
  "all_pairs",
  "aot",
  "aot_unpaired",
  "apo_down",
  "apo_zero",
  "apo_zero_unpaired",
  "attribute_regression",
  "bco_pair",
  "bco_udm_weight",
  "bco_unpaired",
  "beta_dpo",
  "beta_dpo_select",
  "bpo_blind",
  "bradley_terry",
  "cal_dpo",
  "cispo_policy",
  "conservative_dpo",
  "cpo",
  "dckd",
  "discopop",
  "dove",
  "dpo",
  "dpo_gamma",
  "dpo_norm",
  "dpop",
  "ema_moments",
  "exo_pair",
  "f_dpo",
  "get",
  "gpm",
  "gpo",
  "grpo",
  "hinge",
  "implicit_rewards",
  "ipo",
  "kto",
  "kto_reference_point",
  "ld_dpo",
  "ld_logps",
  "ld_token_weights",
  "length_penalized_dpo",
  "lipo_lambda",
  "log_collision_probability",
  "mapl_inter_dpo",
  "mapl_inter_rm",
  "mapl_intra_dpo",
  "mapl_intra_rm",
  "metarm_difference",
  "metarm_gradient",
  "mpo",
  "names",
  "nash_md",
  "nca_pair",
  "nextquill",
  "nll",
  "noise_corrected",
  "odpo",
  "orpo",
  "p2c",
  "p2c_consistency",
  "p2c_diversity",
  "p2c_margin",
  "p2c_preference",
  "plackett_luce",
  "policy_gradient_tokens",
  "ppo_policy",
  "rationale_dpo",
  "rationale_orpo",
  "rdpo",
  "rdpo_gradient_weight",
  "reward_centering",
  "robust_bt",
  "rpo",
  "running_mean_update",
  "sampo",
  "sampo_masks",
  "sequential_kl",
  "simcse",
  "simpo",
  "sinkhorn_codes",
  "slic",
  "sppo",
  "sppo_hard",
  "steerlm2",
  "steerlm2_weights",
  "step_dpo",
  "strength_bt",
  "swav",
  "tdpo",
  "themis",
  "token_kl",
  "value_clip",
  "weighted_sum",
  "wpo",
  "wpo_weights",
  "xpo",
]
