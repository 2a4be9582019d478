# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The table of methods: one row a name."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax

from prefjax import losses
from prefjax.methods import (
  adapters,
  groups,
  online_rows,
  pair_tokens,
  pair_vocab,
  robust,
  rows_reward,
  several_groups,
  stateful,
  unpaired,
)
from prefjax.methods import method as method_lib

Loss = Callable[..., jax.Array]


@dataclasses.dataclass(frozen=True)
class Row:
  """One method.

  Attributes:
    build: hyper-parameters -> Method; refuses those it does not have.
    defaults: hyper-parameters and their defaults.
    paper: authors' short name and arXiv id.
  """

  build: Callable[[Mapping[str, Any]], method_lib.Method]
  defaults: Mapping[str, Any]
  paper: str


def pairwise(name: str, loss: Loss, paper: str, coupled: bool = False) -> Row:
  """A row for a loss on arrays of pairs."""
  return Row(
    functools.partial(adapters.pairwise, name, loss, coupled=coupled),
    adapters.keyword_defaults(loss),
    paper,
  )


def _without_own(row: Row, *names: str) -> Row:
  """Hides hyper-parameters that the adapter fills itself."""
  kept = {k: v for k, v in row.defaults.items() if k not in names}

  def build(kwargs):
    adapters.check_kwargs("the method", kept, kwargs)
    return row.build(kwargs)

  return Row(build, kept, row.paper)


def _sorted(name: str, loss: Loss) -> Row:
  """AOT: sorts the whole batch, and gives losses back in its order."""

  def build(kwargs):
    return adapters.pairwise(
      name, functools.partial(loss, unsort=True), kwargs, coupled=True
    )

  row = Row(build, adapters.keyword_defaults(loss), "AOT, arXiv:2406.05882")
  return _without_own(row, "unsort", "mask", "sort_rows")


def _odpo() -> Row:
  """ODPO takes reward gaps from the scores of records."""

  def loss(
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
    chosen_scores,
    rejected_scores,
    *,
    beta=0.1,
    alpha=1.0,
    offset="log",
  ):
    return losses.odpo(
      chosen_logps,
      rejected_logps,
      ref_chosen_logps,
      ref_rejected_logps,
      chosen_scores,
      rejected_scores,
      beta=beta,
      alpha=alpha,
      offset=offset,
    )

  return pairwise("odpo", loss, "ODPO, arXiv:2402.10571")


def _listwise(name: str, loss: Loss, paper: str) -> Row:
  return Row(
    functools.partial(groups.listwise, name, loss),
    adapters.keyword_defaults(loss),
    paper,
  )


def _unpaired(name: str, loss: Loss, paper: str) -> Row:
  return Row(
    functools.partial(unpaired.unpaired, name, loss),
    adapters.keyword_defaults(loss),
    paper,
  )


def _own(build, name: str, loss: Loss, paper: str) -> Row:
  """A row whose adapter is written for one loss."""
  return Row(
    functools.partial(build, name), adapters.keyword_defaults(loss), paper
  )


def _dpo_on(name: str, record_kind: str, paper: str) -> Row:
  """DPO whose paper is about the records that it gets."""

  def build(kwargs):
    method = adapters.pairwise(name, losses.dpo, kwargs)
    return dataclasses.replace(method, record_kind=record_kind)

  return Row(build, adapters.keyword_defaults(losses.dpo), paper)


def _rationale(name: str, loss: Loss) -> Row:
  return Row(
    functools.partial(several_groups.rationale, name, loss),
    adapters.keyword_defaults(loss),
    "RDPO with rationales, arXiv:2407.14477",
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


ROWS: dict[str, Row] = {
  "all_pairs": _listwise(
    "all_pairs", losses.all_pairs, "RRHF, arXiv:2304.05302"
  ),
  "aot": _sorted("aot", losses.aot),
  "aot_unpaired": _sorted("aot_unpaired", losses.aot_unpaired),
  "apo_down": pairwise("apo_down", losses.apo_down, "APO, arXiv:2408.06266"),
  "apo_zero": pairwise("apo_zero", losses.apo_zero, "APO, arXiv:2408.06266"),
  "apo_zero_unpaired": _unpaired(
    "apo_zero_unpaired", losses.apo_zero_unpaired, "APO, arXiv:2408.06266"
  ),
  "bco_pair": Row(
    functools.partial(stateful.bco_pair, "bco_pair"),
    stateful.BCO_DEFAULTS,
    "BCO, arXiv:2404.04656",
  ),
  "bco_unpaired": Row(
    functools.partial(stateful.bco_unpaired, "bco_unpaired"),
    stateful.BCO_UNPAIRED_DEFAULTS,
    "BCO, arXiv:2404.04656",
  ),
  "beta_dpo": Row(
    functools.partial(stateful.beta_dpo, "beta_dpo"),
    stateful.BETA_DPO_DEFAULTS,
    "beta-DPO, arXiv:2407.08639",
  ),
  "bpo_blind": Row(
    functools.partial(robust.bpo_blind, "bpo_blind"),
    adapters.keyword_defaults(losses.bpo_blind),
    "BPO, arXiv:2503.14189",
  ),
  "cal_dpo": pairwise("cal_dpo", losses.cal_dpo, "Cal-DPO, arXiv:2412.14516"),
  "conservative_dpo": pairwise(
    "conservative_dpo", losses.conservative_dpo, "cDPO, arXiv:2305.18290"
  ),
  "cpo": pairwise("cpo", losses.cpo, "CPO, arXiv:2401.08417"),
  "curry_dpo": _dpo_on("curry_dpo", "ranked", "Curry-DPO, arXiv:2403.07230"),
  "discopop": pairwise(
    "discopop", losses.discopop, "DiscoPOP, arXiv:2406.08414"
  ),
  "dove": Row(
    functools.partial(several_groups.dove, "dove"),
    adapters.keyword_defaults(losses.dove),
    "DOVE, arXiv:2404.00530",
  ),
  "dpo": pairwise("dpo", losses.dpo, "DPO, arXiv:2305.18290"),
  "dpo_norm": pairwise("dpo_norm", losses.dpo_norm, "Tulu 3, arXiv:2411.15124"),
  "dpop": pairwise("dpop", losses.dpop, "Smaug, arXiv:2402.13228"),
  "exo_pair": pairwise("exo_pair", losses.exo_pair, "EXO, arXiv:2402.00856"),
  "f_dpo": pairwise("f_dpo", losses.f_dpo, "f-DPO, arXiv:2309.16240"),
  "hinge": pairwise("hinge", losses.hinge, "RSO, arXiv:2309.06657"),
  "ipo": pairwise("ipo", losses.ipo, "IPO, arXiv:2310.12036"),
  "kto": _kto(),
  "ld_dpo": _own(
    pair_tokens.ld_dpo, "ld_dpo", losses.ld_dpo, "LD-DPO, arXiv:2409.06411"
  ),
  "length_penalized_dpo": pairwise(
    "length_penalized_dpo",
    losses.length_penalized_dpo,
    "R-DPO, arXiv:2403.19159",
  ),
  "lipo_lambda": _listwise(
    "lipo_lambda", losses.lipo_lambda, "LiPO, arXiv:2402.01878"
  ),
  "mapl": Row(
    functools.partial(several_groups.mapl, "mapl"),
    several_groups.MAPL_DEFAULTS,
    "MAPL, arXiv:2505.12845",
  ),
  "mpo": pairwise("mpo", losses.mpo, "MPO, arXiv:2411.10442"),
  "nca_pair": pairwise("nca_pair", losses.nca_pair, "NCA, arXiv:2402.05369"),
  "odpo": _odpo(),
  "orpo": pairwise("orpo", losses.orpo, "ORPO, arXiv:2403.07691"),
  "plackett_luce": _listwise(
    "plackett_luce", losses.plackett_luce, "DPO for rankings, arXiv:2305.18290"
  ),
  "rationale_dpo": _rationale("rationale_dpo", losses.rationale_dpo),
  "rationale_orpo": _rationale("rationale_orpo", losses.rationale_orpo),
  "rdpo": Row(
    functools.partial(robust.rdpo, "rdpo"),
    robust.RDPO_DEFAULTS,
    "rDPO, arXiv:2403.00409",
  ),
  "rpo": pairwise("rpo", losses.rpo, "iterative RPO, arXiv:2404.19733"),
  "sampo": _own(
    pair_tokens.sampo, "sampo", losses.sampo, "SamPO, arXiv:2406.10957"
  ),
  "sft": Row(
    functools.partial(adapters.supervised, "sft", losses.nll),
    {"average": "token"},
    "maximum likelihood",
  ),
  "simpo": pairwise("simpo", losses.simpo, "SimPO, arXiv:2405.14734"),
  "slic": pairwise("slic", losses.slic, "SLiC-HF, arXiv:2305.10425"),
  "sppo_hard": pairwise(
    "sppo_hard", losses.sppo_hard, "SPPO, arXiv:2405.00675"
  ),
  "step_dpo": _own(
    pair_tokens.step_dpo,
    "step_dpo",
    losses.step_dpo,
    "Step-DPO, arXiv:2406.18629",
  ),
  "tdpo": _own(pair_vocab.tdpo, "tdpo", losses.tdpo, "TDPO, arXiv:2404.11999"),
  "temple": _dpo_on("temple", "pair", "TEMPLE, arXiv:2503.16929"),
  "wpo": _own(pair_vocab.wpo, "wpo", losses.wpo, "WPO, arXiv:2406.11827"),
}

# Methods that learn from samples of their own.
ROWS.update({name: Row(*row) for name, row in online_rows.TABLE.items()})
ROWS.update({name: Row(*row) for name, row in rows_reward.TABLE.items()})

# Names that other libraries use for the same objective.
ALIASES: dict[str, str] = {
  "sigmoid": "dpo",
  "sigmoid_norm": "dpo_norm",
  "nll": "sft",
  "cdpo": "conservative_dpo",
  "robust": "rdpo",
  "exo": "exo_pair",
  "nca": "nca_pair",
  "bco": "bco_unpaired",
  "aot_pair": "aot",
  "r_dpo": "length_penalized_dpo",
  "smaug": "dpop",
  "medllm_rpo": "rpo",
  "curri_dpo": "curry_dpo",
  "rorpo": "rationale_orpo",
  "best_of_n": "raft",
  "reinforce++": "reinforce_pp",
}

# Before a notebook registers its own.
BUILT_IN: tuple[str, ...] = tuple(sorted(ROWS))
