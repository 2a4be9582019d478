# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A grid of beta and learning rate, every setting with several seeds.

  prefjax sweep --config=configs/dpo.py:tiny \
    --sweep=configs/sweeps/beta_lr.py:seeds=3 --parallel=2
"""

import itertools
from typing import Any

from configs import common


def get_sweep(arg: str | None = None) -> list[dict[str, Any]]:
  """Options: betas, rates (separated by '/'), seeds (how many)."""
  options = common.parse_arg(
    arg, betas="0.05/0.1/0.5", rates="3e-4/1e-3/3e-3", seeds=3
  )
  betas, rates = (
    [float(text) for text in given.split("/")]
    for given in (options.betas, options.rates)
  )
  return [
    {"method.kwargs.beta": beta, "opt.learning_rate": rate, "seed": seed}
    for beta, rate, seed in itertools.product(
      betas, rates, range(options.seeds)
    )
  ]
