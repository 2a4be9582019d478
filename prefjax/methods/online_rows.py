# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rows of the table of methods that learn from samples of their own."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from prefjax.methods import method as method_lib
from prefjax.methods import online, online_pairs

# (hyper-parameters -> Method, their defaults, paper)
Entry = tuple[
  Callable[[Mapping[str, Any]], method_lib.Method], Mapping[str, Any], str
]

_PAPERS = {
  "cispo": "MiniMax-M1, arXiv:2506.13585",
  "dapo": "DAPO, arXiv:2503.14476",
  "dr_grpo": "Dr. GRPO, arXiv:2503.20783",
  "grpo": "GRPO, arXiv:2402.03300",
  "gspo": "GSPO, arXiv:2507.18071",
  "ppo": "PPO, arXiv:2406.09279",
  "reinforce_pp": "REINFORCE++, arXiv:2501.03262",
  "remax": "ReMax, arXiv:2310.10505",
  "rloo": "RLOO, arXiv:2402.14740",
}


def _policy_gradient(name: str, paper: str) -> Entry:
  build = functools.partial(online.policy_gradient, name)
  return build, online.defaults(name), paper


def _pairs(name: str, build, defaults, paper: str) -> Entry:
  return functools.partial(build, name), defaults, paper


TABLE: dict[str, Entry] = {
  **{name: _policy_gradient(name, paper) for name, paper in _PAPERS.items()},
  "nash_md": _pairs(
    "nash_md",
    online_pairs.nash_md,
    online_pairs.NASH_MD_DEFAULTS,
    "Nash-MD, arXiv:2312.00886",
  ),
  "online_dpo": _pairs(
    "online_dpo",
    online_pairs.online_dpo,
    online_pairs.ONLINE_DPO_DEFAULTS,
    "OAIF, arXiv:2402.04792",
  ),
  "raft": _pairs(
    "raft",
    online_pairs.raft,
    online_pairs.RAFT_DEFAULTS,
    "RAFT, arXiv:2304.06767",
  ),
  "xpo": _pairs(
    "xpo",
    online_pairs.xpo,
    online_pairs.XPO_DEFAULTS,
    "XPO, arXiv:2405.21046",
  ),
}
