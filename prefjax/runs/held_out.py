# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""How well a model ranks held-out pairs: `prefjax eval`."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from prefjax.analysis import bootstrap, calibration, length_bias, run_files
from prefjax.core import errors
from prefjax.data import encoding, loading, schema, views
from prefjax.methods import language_model
from prefjax.runs import data as run_data
from prefjax.runs import loading as run_loading
from prefjax.runs import scoring
from prefjax.train import mesh as mesh_lib
from prefjax.train import placement

_KEY = 0  # an evaluation gives the same intervals each time
_COUNTED = "ranking_accuracy"


@dataclasses.dataclass(frozen=True)
class Pairs:
  """Pairs of responses, the better one first.

  Attributes:
    record: int64 [N], which record a pair is of.
    chosen: float64 [N], summed log-probs, nats.
    rejected: float64 [N].
    chosen_length: float64 [N], counted tokens.
    rejected_length: float64 [N].
  """

  record: np.ndarray
  chosen: np.ndarray
  rejected: np.ndarray
  chosen_length: np.ndarray
  rejected_length: np.ndarray

  @property
  def margins(self) -> np.ndarray:
    return self.chosen - self.rejected

  @property
  def length_differences(self) -> np.ndarray:
    return self.chosen_length - self.rejected_length

  def of_records(self, values: np.ndarray) -> np.ndarray:
    """Means of [N] values over the pairs of each record."""
    _, place = np.unique(self.record, return_inverse=True)
    return np.bincount(place, values) / np.bincount(place)


def score_pairs(
  run: Any,
  weights: Any,
  source: Any,
  place: Any,
  *,
  adapter: Any = None,
) -> Pairs:
  """All valid pairs of every example of a finite source.

  Args:
    run: from `scoring.scorer`.
    weights: of the model.
    source: batches with the group 'main'.
    place: puts a group on the devices.
    adapter: LoRA tree, or None.
  """
  rows: list[tuple[float, ...]] = []
  for scored in scoring.score_source(
    run, weights, source, adapter=adapter, place=place, groups=("main",)
  ):
    pairs, valid = scoring.pairs_of(scored.batch.groups["main"])
    sums, lengths = scored.sums(), scored.lengths()
    for i, m in np.argwhere(valid & scored.kept[:, None]):
      better, worse = pairs[i, m]
      rows.append(
        (
          scored.batch.example_id[i],
          sums[i, better],
          sums[i, worse],
          lengths[i, better],
          lengths[i, worse],
        )
      )
  table = np.asarray(rows, np.float64).reshape(-1, 5)
  return Pairs(table[:, 0].astype(np.int64), *table[:, 1:].T)


def _right(margins: np.ndarray) -> np.ndarray:
  return np.where(margins == 0, 0.5, (margins > 0).astype(np.float64))


def summarise(
  pairs: Pairs, reference: Pairs | None = None, beta: float = 0.1
) -> dict[str, Any]:
  """Ranking accuracy, length bias and, with a reference, calibration.

  Args:
    pairs: of the model; at least one.
    reference: the same pairs by the reference model, or None.
    beta: reward margins are beta times the change of the log-prob margin.

  Returns:
    JSON values. Accuracies are {"mean", "low", "high"} over records, each of
    which counts once, with ties as 1/2 and 95 % bootstrap intervals.
  """

  def accuracy(margins):
    right = pairs.of_records(_right(margins))
    return bootstrap.mean_interval(_KEY, right)

  lengths = (
    np.maximum(pairs.chosen_length, 1),
    np.maximum(pairs.rejected_length, 1),
  )
  per_token = pairs.chosen / lengths[0] - pairs.rejected / lengths[1]
  result: dict[str, Any] = {
    "records": len(np.unique(pairs.record)),
    "pairs": len(pairs.record),
    _COUNTED: accuracy(pairs.margins),
    "ranking_accuracy_per_token": accuracy(per_token),
    "logps/chosen": float(pairs.chosen.mean()),
    "logps/rejected": float(pairs.rejected.mean()),
    "margin": float(pairs.margins.mean()),
    "length_bias": _length_bias(pairs.margins, pairs.length_differences),
  }
  if reference is None:
    return result
  change = pairs.margins - reference.margins
  rewards = beta * change
  stated, right = calibration.confidence(rewards)
  result["reference"] = {
    "beta": beta,
    "ranking_accuracy": accuracy(reference.margins),
    "reward_accuracy": accuracy(change),
    "reward_margin": float(rewards.mean()),
    "chosen_drift": float((pairs.chosen - reference.chosen).mean()),
    "rejected_drift": float((pairs.rejected - reference.rejected).mean()),
    "calibration_error": calibration.expected_calibration_error(stated, right),
    "brier_score": calibration.brier_score(stated, right),
    "length_bias": _length_bias(rewards, pairs.length_differences),
  }
  return result


def _length_bias(margins, differences) -> dict[str, Any]:
  rows = length_bias.accuracy_by_length(margins, differences)
  return {
    **length_bias.margin_length_correlation(margins, differences),
    "accuracy_by_length": [
      {
        **{name: run_files.number(value) for name, value in row.items()},
        "count": row["count"],
      }
      for row in rows
    ],
  }


def evaluate(
  policy: run_loading.Policy,
  records: Sequence[schema.Record],
  *,
  reference: run_loading.Policy | None = None,
  lengths: encoding.Lengths,
  batch_size: int = 8,
  compute: language_model.Compute = language_model.Compute(),  # noqa: B008
  beta: float = 0.1,
) -> dict[str, Any]:
  """Ranks the pairs of records; see `summarise`.

  Args:
    policy: what is evaluated.
    records: with pairs or scores.
    reference: model that the policy started from, or None.
    lengths: limits in tokens.
    batch_size: records of a batch; rounded up to fill the devices.
    compute: how the models are run.
    beta: scale of rewards.

  Raises:
    ConfigError: the reference has another tokenizer.
    DataError: no record has a pair.
  """
  if reference is not None and (
    reference.tokenizer.fingerprint != policy.tokenizer.fingerprint
  ):
    raise errors.ConfigError(
      f"--reference: {reference.name} has another tokenizer than"
      f" {policy.name}; log-probs of different tokens cannot be compared"
    )
  encoder = encoding.Encoder(
    policy.tokenizer,
    views.view("ranked"),
    lengths,
    template=policy.template,
    media=run_data.media_options(policy.model),
  )
  tokens = loading.open_store(encoder, records)
  place = placement.Placement(mesh_lib.make_mesh())
  source = run_data.eval_source(tokens, place.rows(batch_size))
  found = []
  for model in (policy, reference):
    if model is None:
      continue
    run_data.check_lengths(model.model, source, "--max_prompt, --max_response")
    found.append(
      score_pairs(
        scoring.scorer(model.model, compute),
        place.put(model.weights, language_model.SHARDING_RULES),
        source,
        lambda group: mesh_lib.spread(place.mesh, group),
      )
    )
  if not len(found[0].record):
    raise errors.DataError(
      f"{len(records)} records hold no pair of a better and a worse response"
    )
  return {**summarise(*found, beta=beta), "left_out": tokens.report.dropped}


def tables(result: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
  """A result of `evaluate` as tables for people."""

  def row(metric, value):
    if not isinstance(value, dict):
      return {"metric": metric, "value": value, "95 % interval": ""}
    bounds = f"[{value['low']:.3f}, {value['high']:.3f}]"
    return {"metric": metric, "value": value["mean"], "95 % interval": bounds}

  bias = result["length_bias"]
  rows = [
    row("ranking accuracy", result[_COUNTED]),
    row("ranking accuracy, per token", result["ranking_accuracy_per_token"]),
    row("log-prob of chosen (nats)", result["logps/chosen"]),
    row("log-prob of rejected (nats)", result["logps/rejected"]),
    row("margin (nats)", result["margin"]),
    row("margin-length correlation (Spearman)", bias["spearman"]),
  ]
  reference = result.get("reference")
  if reference:
    bias = reference["length_bias"]
    rows += [
      row("ranking accuracy of the reference", reference["ranking_accuracy"]),
      row("reward accuracy (margin grew)", reference["reward_accuracy"]),
      row("reward margin", reference["reward_margin"]),
      row("drift of chosen (nats)", reference["chosen_drift"]),
      row("drift of rejected (nats)", reference["rejected_drift"]),
      row("calibration error of rewards", reference["calibration_error"]),
      row("Brier score of rewards", reference["brier_score"]),
      row("reward-length correlation (Spearman)", bias["spearman"]),
    ]
  title = f"{result['pairs']} pairs of {result['records']} records"
  by_length = [
    {
      "tokens chosen is longer by": _range(entry["low"], entry["high"]),
      "pairs": entry["count"],
      "accuracy": entry["accuracy"],
    }
    for entry in bias["accuracy_by_length"]
    if entry["count"]
  ]
  name = "Reward accuracy" if reference else "Ranking accuracy"
  return {title: rows, f"{name} by length": by_length}


def _range(low: float | None, high: float | None) -> str:
  """The whole numbers of a bucket [low, high); None is without end."""
  if low is None:
    return f"{math.ceil(high) - 1} or less"
  if high is None:
    return f"{math.ceil(low)} or more"
  first, last = math.ceil(low), math.ceil(high) - 1
  return str(first) if first == last else f"{first} to {last}"
