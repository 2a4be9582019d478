# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""DPO with rationales on a hidden rule with distractors.

A response is the values of four attributes, such as '3715', and filler. The
better one has more of the one attribute that its kind of prompt is about; the
other attributes and the length agree with the label in 70 % of the training
pairs, and in half of the test pairs. A rationale names the attribute that
decided, and the kind of prompt. All arms see the same pairs for as many steps;
the weight of the rationale is chosen on validation pairs, for real rationales
and for the control, whose rationales are shuffled among the pairs.

The weight travels with the records, so that one compiled step serves all arms.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefjax import data, experiments, methods
from prefjax.experiments import lab as lab_lib

PAPER = "RDPO with rationales, arXiv:2407.14477"
METHODS = ("rationale_dpo",)
CLAIM = (
  "Learning to say why a response is preferred makes the same pairs teach more,"
  " most of all where there are few, and trusts length less."
)
ARM, BASELINE = "rationale_dpo", "dpo"
METRIC = "accuracy_few"
HIGHER_IS_BETTER = True
EXPECTED = (
  "accuracy on test pairs without distractors at least 3 points above DPO's"
  " with 128 pairs or fewer, above the shuffled control's, and margins less"
  " correlated with length."
)
NOTE = (
  "Accuracy on test pairs is 0.651 with rationales and 0.652 without; shuffled"
  " rationales cost 2.4 points. On the one seed of three where the validation"
  " pairs chose the smallest weight (0.001) rationales gain 3.4 points and"
  " length counts less; with weights of 0.01 or 0.1 they lose 2.3 and 1.4."
  " The weights were set after one design seed, with 64 and 128 pairs for time."
)
SEEDS = 3
SETTINGS = {
  "quick": dict(
    base_steps=30, steps=10, sizes=[64], gammas=[0.01, 0.1], tests=128
  ),
  "full": dict(
    base_steps=200,
    steps=100,
    sizes=[64, 128],
    gammas=[0.001, 0.01, 0.1],
    tests=512,
  ),
}
_ATTRIBUTES, _KINDS = "abcd", "ABCD"
_AGREES, _MOST_FILLER = 0.7, 3
_TEMPLATE = "{prompt}{above}/{below}="
_BETA, _RATE, _BATCH = 0.5, 1e-3, 32
_FEW = 128


@functools.lru_cache(maxsize=1)
def _lab() -> lab_lib.Lab:
  """One a process: its compiled programs are shared."""
  return lab_lib.Lab(hidden=48, layers=2, heads=4, prompt=20, response=8)


@functools.lru_cache(maxsize=1)
def _method() -> methods.Method:
  """rationale_dpo with a weight of the rationale for every example.

  The loss has the weight only in gamma * log pi(rationale), so scaled log-probs
  under gamma 1 are the same thing.
  """
  plain = methods.get("rationale_dpo", beta=_BETA, gamma=1.0)
  where = ("policy", "rationale")

  def loss(outputs, batch, method_state, keys):
    gamma = batch.extras["gamma"][:, None, None]
    scaled = {
      **outputs[where],
      "token_logps": gamma * outputs[where]["token_logps"],
    }
    outputs = {**outputs, where: scaled}
    return plain.loss(outputs, batch, method_state, keys)

  return dataclasses.replace(plain, loss=loss)


def _view(gamma: float) -> data.View:
  """The groups of a record, and gamma beside them."""
  return data.View(
    name=f"rationale_{gamma}",
    groups=data.view("groups").groups,
    extras=lambda record: {"gamma": np.float32(gamma)},
  )


def _written(values: np.ndarray, filler: int) -> str:
  return "".join(map(str, values)) + "~" * filler


def _pairs(
  rng: np.random.Generator, key_of: np.ndarray, number: int, agrees: float
) -> list[data.RationaleRecord]:
  """Pairs whose distractors agree with the label at a rate."""
  out = []
  while len(out) < number:
    kind = int(rng.integers(len(_KINDS)))
    key = key_of[kind]
    values = rng.integers(10, size=(2, len(_ATTRIBUTES)))
    filler = rng.integers(_MOST_FILLER + 1, size=2)
    if (values[0] == values[1]).any() or filler[0] == filler[1]:
      continue
    # Side 0 is chosen: the key decides, the others mostly agree.
    for at in range(len(_ATTRIBUTES)):
      first = at == key or rng.uniform() < agrees
      if (values[0, at] > values[1, at]) != first:
        values[:, at] = values[::-1, at]
    if (filler[0] > filler[1]) != (rng.uniform() < agrees):
      filler = filler[::-1]
    out.append(
      data.RationaleRecord(
        prompt=_KINDS[kind],
        chosen=_written(values[0], int(filler[0])),
        rejected=_written(values[1], int(filler[1])),
        rationale=f"{_ATTRIBUTES[key]}>{_KINDS[kind]}",
        kind="general",
      )
    )
  return out


def _rows(
  pairs: Sequence[data.RationaleRecord], reasons: Sequence[str]
) -> list[data.Record]:
  """Records with the pair and the group 'rationale'."""
  return [
    data.validate(
      data.RationaleRecord(
        pair.prompt, pair.chosen, pair.rejected, reason, pair.kind
      ).fields(f"r{i}", template=_TEMPLATE),
      "experiment",
    )
    for i, (pair, reason) in enumerate(zip(pairs, reasons, strict=True))
  ]


def _base(rng: np.random.Generator, seed: int, steps: int) -> Any:
  """Weights that write any response to any prompt."""
  rows = [
    {
      "prompt": str(rng.choice(list(_KINDS))),
      "completion": _written(
        rng.integers(10, size=len(_ATTRIBUTES)),
        int(rng.integers(_MOST_FILLER + 1)),
      ),
    }
    for _ in range(steps * _BATCH)
  ]
  own = _lab()
  return own.train(
    own.init(seed),
    "sft",
    rows,
    steps=steps,
    seed=seed,
    batch_size=_BATCH,
    learning_rate=4e-3,
  )


def _judge(start: Any, pairs: Sequence[data.RationaleRecord]):
  """Weights -> accuracy of implicit rewards, correlation with length."""
  rows = _rows(pairs, [pair.rationale for pair in pairs])
  before = _lab().log_probs(start, rows)
  longer = [len(pair.chosen) - len(pair.rejected) for pair in pairs]

  def numbers(policy: Any) -> dict[str, float]:
    gain = _lab().log_probs(policy, rows) - before
    margin = gain[:, 0] - gain[:, 1]
    return {
      "accuracy": float(np.mean(np.where(margin == 0, 0.5, margin > 0))),
      "length_correlation": float(np.corrcoef(margin, longer)[0, 1]),
    }

  return numbers


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  """accuracy_N and length_correlation_N by number of training pairs."""
  rng = np.random.default_rng([seed, 3])
  key_of = rng.permutation(len(_ATTRIBUTES))
  start = _base(rng, seed, settings["base_steps"])
  train = _pairs(rng, key_of, max(settings["sizes"]), _AGREES)
  # Validation pairs are like those of training: no peeking at the shift.
  valid = _pairs(rng, key_of, settings["tests"], _AGREES)
  test = _pairs(rng, key_of, settings["tests"], 0.5)
  judge_valid, judge_test = _judge(start, valid), _judge(start, test)
  arms: experiments.Arms = {"dpo": {}, "rationale_dpo": {}, "shuffled": {}}
  how = dict(
    steps=settings["steps"],
    seed=seed,
    batch_size=_BATCH,
    learning_rate=_RATE,
  )
  for size in settings["sizes"]:
    pairs = train[:size]
    real = [pair.rationale for pair in pairs]
    mixed = [real[i] for i in rng.permutation(size)]
    for arm, reasons, gammas in (
      ("dpo", real, [0.0]),
      ("rationale_dpo", real, settings["gammas"]),
      ("shuffled", mixed, settings["gammas"]),
    ):
      rows = _rows(pairs, reasons)
      tried = []
      for gamma in gammas:
        policy = _lab().train(start, _method(), rows, view=_view(gamma), **how)
        tried.append((judge_valid(policy)["accuracy"], gamma, policy))
      _, gamma, policy = max(tried, key=lambda item: item[:2])
      found = judge_test(policy)
      arms[arm][f"accuracy_{size}"] = found["accuracy"]
      arms[arm][f"length_correlation_{size}"] = found["length_correlation"]
      if len(gammas) > 1:
        arms[arm][f"gamma_{size}"] = gamma
  for found in arms.values():
    few = [size for size in settings["sizes"] if size <= _FEW]
    for name in ("accuracy", "length_correlation"):
      found[f"{name}_few"] = float(
        np.mean([found[f"{name}_{size}"] for size in few])
      )
  return arms


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  def mean(arm, metric):
    return experiments.mean(seeds, arm, metric)

  return {
    "3 points above DPO with 128 pairs or fewer": mean(ARM, METRIC)
    >= mean(BASELINE, METRIC) + 0.03,
    "above the shuffled control": mean(ARM, METRIC) > mean("shuffled", METRIC),
    "margins less correlated with length": mean(ARM, "length_correlation_few")
    < mean(BASELINE, "length_correlation_few"),
  }
