# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses that both libraries have, with one model and batch for all of them.

Imports neither JAX nor torch: both sides read the same table.
"""

import dataclasses
import json
import pathlib
import shutil
from typing import Any

import numpy as np
from safetensors import numpy as safetensors_numpy

PAIRS = 4
VOCAB = 512
PAD = 0
# Spread of the noise between reference and policy, as a share of each
# tensor's own spread: log-ratios of a few nats.
NOISE = 0.2
# Updates on the one batch, each of this length along the gradient: steps that
# amplify no rounding, as Adam's would.
STEPS = 4
STEP_LENGTH = 0.01


@dataclasses.dataclass(frozen=True)
class Case:
  """One loss under both names.

  Attributes:
    name: how the tables call it.
    trainer: "dpo", "kto", "cpo" or "orpo" of TRL.
    trl: options of the TRL config.
    parts: (weight, PrefJAX loss, keyword arguments) that add up to TRL's
      number; "sft" is cross-entropy averaged over all tokens of the batch,
      "sft_prompt" the same with the prompt's tokens counted too.
    micro: pairs a micro-batch on the torch side.
    swapped: train the reference against the policy, so that the divergence
      that KTO estimates is above 0.
    note: how the two conventions differ.
  """

  name: str
  trainer: str
  trl: dict[str, Any]
  parts: tuple[tuple[float, str, dict[str, Any]], ...]
  micro: int = PAIRS
  swapped: bool = False
  note: str = ""

  @property
  def roles(self) -> tuple[str, str]:
    """Model folders of the policy and of its reference."""
    names = ("policy", "reference")
    return names[::-1] if self.swapped else names


def _dpo(loss_type: str, loss: str, *, trl=None, note="", name=None, **kwargs):
  options = {"loss_type": [loss_type], "beta": kwargs["beta"], **(trl or {})}
  parts = ((1.0, loss, kwargs),)
  return Case(name or loss_type, "dpo", options, parts, note=note)


def _cpo(loss_type: str, loss: str, *, trl, note="", **kwargs):
  options = {"loss_type": loss_type, "beta": kwargs["beta"], **trl}
  parts = [(1.0, loss, kwargs)]
  if trl["cpo_alpha"]:
    parts.append((trl["cpo_alpha"], "sft", {}))
  return Case(f"cpo {loss_type}", "cpo", options, tuple(parts), note=note)


_TOKENS = "TRL averages the likelihood over all tokens of the batch"

CASES: tuple[Case, ...] = (
  _dpo("sigmoid", "dpo", beta=0.3),
  _dpo("hinge", "hinge", beta=0.3),
  _dpo(
    "ipo",
    "ipo",
    beta=0.3,
    note="both average over tokens; average=False is the paper's equation",
  ),
  _dpo(
    "exo_pair",
    "exo_pair",
    trl={"label_smoothing": 0.05},
    beta=0.3,
    label_smoothing=0.05,
  ),
  _dpo("nca_pair", "nca_pair", beta=0.3),
  _dpo("robust", "rdpo", trl={"label_smoothing": 0.1}, beta=0.3, epsilon=0.1),
  _dpo(
    "bco_pair",
    "bco_pair",
    beta=0.3,
    delta=0.0,
    note="TRL has no reward shift; delta=0, no running mean",
  ),
  _dpo("sppo_hard", "sppo_hard", beta=0.3),
  _dpo(
    "aot",
    "aot",
    trl={"label_smoothing": 0.1},
    beta=0.3,
    label_smoothing=0.1,
  ),
  _dpo("aot_unpaired", "aot_unpaired", beta=0.3),
  _dpo("apo_zero", "apo_zero", beta=0.3),
  _dpo("apo_down", "apo_down", beta=0.3),
  _dpo("discopop", "discopop", trl={"discopop_tau": 0.5}, beta=0.3, tau=0.5),
  Case(
    "sft",
    "dpo",
    {"loss_type": ["sft"]},
    ((1.0, "sft", {}),),
    note=_TOKENS,
  ),
  _dpo("sigmoid_norm", "dpo_norm", beta=5.0),
  _dpo(
    "sigmoid",
    "f_dpo",
    name="forward_kl",
    trl={"f_divergence_type": "forward_kl"},
    beta=0.3,
    divergence="forward_kl",
  ),
  _dpo(
    "sigmoid",
    "f_dpo",
    name="js_divergence",
    trl={"f_divergence_type": "js_divergence"},
    beta=0.3,
    divergence="js",
  ),
  _dpo(
    "sigmoid",
    "f_dpo",
    name="alpha_divergence",
    trl={
      "f_divergence_type": "alpha_divergence",
      "f_alpha_divergence_coef": 0.3,
    },
    beta=0.3,
    divergence="alpha",
    alpha=0.7,
    note="TRL's coefficient is 1 - alpha",
  ),
  _dpo(
    "sigmoid",
    "wpo",
    name="use_weighting",
    trl={"use_weighting": True},
    beta=0.3,
    max_weight=None,
    note="TRL does not cap the weight; max_weight=None",
  ),
  _dpo(
    "sigmoid",
    "ld_dpo",
    name="ld_alpha",
    trl={"ld_alpha": 0.4},
    beta=0.3,
    alpha=0.4,
    note="both discount the reference's tokens as well",
  ),
  Case(
    "mpo",
    "dpo",
    {
      "loss_type": ["sigmoid", "bco_pair", "sft"],
      "loss_weights": [0.8, 0.2, 1.0],
      "beta": 0.3,
    },
    (
      (0.8, "dpo", {"beta": 0.3}),
      (0.2, "bco_pair", {"beta": 0.3}),
      (1.0, "sft", {}),
    ),
    note=f"{_TOKENS}; `mpo` averages it over each response",
  ),
  Case(
    "aot, two micro-batches",
    "dpo",
    {"loss_type": ["aot"], "beta": 0.3},
    ((1.0, "aot", {"beta": 0.3, "sort_rows": PAIRS // 2}),),
    micro=PAIRS // 2,
    note="TRL sorts each micro-batch; sort_rows, without it the whole batch",
  ),
  Case(
    "aot_unpaired, two micro-batches",
    "dpo",
    {"loss_type": ["aot_unpaired"], "beta": 0.3},
    ((1.0, "aot_unpaired", {"beta": 0.3, "sort_rows": PAIRS // 2}),),
    micro=PAIRS // 2,
    note="as aot",
  ),
  Case(
    "kto",
    "kto",
    {"beta": 0.3},
    ((1.0, "kto", {"beta": 0.3}),),
    note="the estimated divergence is below 0 and counts as 0",
  ),
  Case(
    "kto, divergence above 0",
    "kto",
    {"beta": 0.3},
    ((1.0, "kto", {"beta": 0.3}),),
    swapped=True,
  ),
  Case(
    "kto, weighted",
    "kto",
    {"beta": 0.3, "desirable_weight": 1.3, "undesirable_weight": 0.8},
    (
      (
        1.0,
        "kto",
        {"beta": 0.3, "desirable_weight": 1.3, "undesirable_weight": 0.8},
      ),
    ),
    swapped=True,
  ),
  Case(
    "apo_zero_unpaired",
    "kto",
    {"loss_type": "apo_zero_unpaired", "beta": 0.3},
    ((1.0, "apo_zero_unpaired", {"beta": 0.3}),),
  ),
  _cpo(
    "sigmoid",
    "cpo",
    trl={"cpo_alpha": 0.5, "label_smoothing": 0.1},
    beta=0.3,
    alpha=0.0,
    label_smoothing=0.1,
    note=f"{_TOKENS}; `cpo` averages it over each response",
  ),
  _cpo("hinge", "slic", trl={"cpo_alpha": 0.5}, beta=0.3, note=_TOKENS),
  _cpo(
    "ipo",
    "ipo",
    trl={"cpo_alpha": 0.0},
    beta=0.3,
    note="per-token log-probs and no reference",
  ),
  _cpo(
    "simpo",
    "simpo",
    trl={"cpo_alpha": 0.0, "simpo_gamma": 0.8},
    beta=2.0,
    gamma=0.8,
  ),
  Case(
    "orpo",
    "orpo",
    {"beta": 0.3},
    ((1.0, "orpo_odds", {"beta": 0.3}), (1.0, "sft_prompt", {})),
    note="TRL's likelihood also counts the prompt, over all tokens of the"
    " batch; `orpo` averages it over each chosen response",
  ),
)


def _ids(rng, low: int, high: int) -> list[int]:
  # PAD among the ids: masks must come from lengths.
  return rng.integers(0, VOCAB, rng.integers(low, high)).tolist()


def pairs() -> list[dict[str, list[int]]]:
  """The batch of pairs, ragged on all sides."""
  rng = np.random.default_rng(14)
  return [
    {
      "prompt": _ids(rng, 3, 9),
      "chosen": _ids(rng, 2, 9),
      "rejected": _ids(rng, 2, 9),
    }
    for _ in range(PAIRS)
  ]


def labelled() -> list[dict[str, Any]]:
  """Single responses with a label, and another row's response beside."""
  rng = np.random.default_rng(8)
  rows = [
    {
      "prompt": _ids(rng, 3, 9),
      "response": _ids(rng, 2, 9),
      "label": i % 3 != 1,
    }
    for i in range(PAIRS + 2)
  ]
  for i, row in enumerate(rows):
    row["other"] = rows[i - 1]["response"]
  return rows


def make_models(tiny: str, work: str | pathlib.Path) -> None:
  """Writes `reference` and `policy`, the same model with noise, to a folder.

  Args:
    tiny: a small model directory with `config.json` and safetensors.
    work: folder to write to.
  """
  source = pathlib.Path(tiny)
  tensors = safetensors_numpy.load_file(source / "model.safetensors")
  rng = np.random.default_rng(9)
  noisy = {
    name: tensors[name]
    + NOISE
    * np.float32(np.std(tensors[name]) + 1e-3)
    * rng.standard_normal(tensors[name].shape, np.float32)
    for name in sorted(tensors)
  }
  for name, values in (("reference", tensors), ("policy", noisy)):
    folder = pathlib.Path(work) / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / "config.json", folder / "config.json")
    safetensors_numpy.save_file(
      values, folder / "model.safetensors", metadata={"format": "pt"}
    )


def describe(case: Case) -> str:
  """The PrefJAX side of a case in a few words."""
  texts = []
  for weight, loss, kwargs in case.parts:
    options = ", ".join(f"{k}={json.dumps(v)}" for k, v in kwargs.items())
    factor = "" if weight == 1 else f"{weight:g} "
    texts.append(f"{factor}{loss}({options})")
  return " + ".join(texts)
