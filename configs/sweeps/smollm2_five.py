# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Five methods on SmolLM2-135M and real pairs, one of them with wrong labels.

  python scripts/noisy_pairs.py pairs.jsonl.gz --out=data --rate=0.3
  prefjax sweep --config=configs/dpo.py \
    --sweep=configs/sweeps/smollm2_five.py:data=data --workdir=runs/five

DPO, IPO, SimPO and LD-DPO learn from the labels as they are, rDPO from the
file of which 30 % are flipped; DPO on that file is there to compare it with.
150 updates in bfloat16 each. Evaluation is on held-out pairs with their own
labels: reward accuracy, length bias, drift of the chosen log-probs.
"""

import pathlib
from typing import Any

from configs import common

_METHODS: dict[str, dict[str, Any]] = {
  "dpo": dict(beta=0.1),
  "ipo": dict(),
  "simpo": dict(beta=2.5, gamma=1.375),
  "ld_dpo": dict(beta=0.1, alpha=0.5),
}


def _method(name: str, kwargs: dict[str, Any]) -> dict[str, Any]:
  # The config's own hyper-parameters go: they are those of another method.
  return {"method.name": name, "method.kwargs": kwargs}


def get_sweep(arg: str | None = None) -> list[dict[str, Any]]:
  """Options: data (folder), rate, steps, batch, seeds, samples, held_out."""
  options = common.parse_arg(
    arg,
    data="data",
    rate=0.3,
    steps=150,
    batch=8,
    seeds=1,
    samples=0,
    held_out=128,
  )
  folder = pathlib.PurePath(options.data)
  shared = {
    "data.eval": str(folder / "held_out.jsonl"),
    "data.batch_size": options.batch,
    "data.eval_limit": options.held_out,
    "model.compute_dtype": "bfloat16",
    "train.steps": options.steps,
    "eval.samples": options.samples,
    "log.export": False,
  }
  clean = str(folder / "train.jsonl")
  noisy = str(folder / "train_flipped.jsonl")
  settings = [
    {**_method(name, kwargs), "data.train": clean}
    for name, kwargs in _METHODS.items()
  ]
  settings += [
    {**_method("dpo", _METHODS["dpo"]), "data.train": noisy},
    {
      **_method("rdpo", dict(beta=0.1, epsilon=options.rate)),
      "data.train": noisy,
    },
  ]
  return [
    {**setting, **shared, "seed": seed}
    for setting in settings
    for seed in range(options.seeds)
  ]
