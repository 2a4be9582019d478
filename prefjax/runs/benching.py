# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""How well a file of scores picks what people, or a gold reward, prefer."""

import json
import os
import pathlib
from typing import Any

import numpy as np

from prefjax.analysis import (
  calibration,
  length_bias,
  over_optimisation,
  reward_bench,
)
from prefjax.core import errors
from prefjax.data import paired_views, schema
from prefjax.runs import score_files


def right_responses(record: schema.Record) -> list[int] | None:
  """Which responses are right; None where a record does not tell.

  Of a pair the better one, of scored responses those of the highest score, of
  labelled ones those that are liked.
  """
  number = len(record.responses)
  if record.kind == "pair" and record.pairs:
    better = {a for a, _ in record.pairs} - {b for _, b in record.pairs}
    found = sorted(better)
  elif record.scores is not None and None not in record.scores:
    top = max(record.scores)
    found = [i for i, s in enumerate(record.scores) if s == top]
  elif record.labels is not None:
    found = [i for i, label in enumerate(record.labels) if label]
  else:
    return None
  return found if 0 < len(found) < number else None


def evaluate(
  scored: score_files.Scored,
  *,
  by: str = "subset",
  sections: dict[str, Any] | None = None,
) -> dict[str, Any]:
  """Accuracy by category, calibration and length bias.

  Args:
    scored: records with scores.
    by: field of the records' metadata that names their subset.
    sections: section -> subsets; None for those of RewardBench.

  Returns:
    JSON values: what `reward_bench.by_subset` gives, and "chance", "ties",
    "calibration", "length_bias", "left_out".

  Raises:
    DataError: no record tells a right from a wrong response.
  """
  credits, subsets, by_chance = [], [], []
  margins, differences, ties = [], [], 0
  skipped = 0
  for record, scores in zip(scored.records, scored.scores, strict=True):
    right = right_responses(record)
    if right is None:
      skipped += 1
      continue
    credits.append(reward_bench.credit(scores, right))
    subsets.append(str(record.metadata.get(by, "")) or "all")
    by_chance.append(reward_bench.chance(len(scores), len(right)))
    wrong = [i for i in range(len(scores)) if i not in right]
    ties += max(scores[i] for i in wrong) == min(scores[i] for i in right)
    lengths = [len(paired_views.spoken(r)) for r in record.responses]
    for i in right:
      for j in wrong:
        margins.append(scores[i] - scores[j])
        differences.append(lengths[i] - lengths[j])
  if not credits:
    raise errors.DataError(
      f"none of the {len(scored.records)} scored records tells a right from a"
      " wrong response"
    )
  gap, length = np.asarray(margins), np.asarray(differences)
  stated, came = calibration.confidence(gap)
  result = reward_bench.by_subset(credits, subsets, sections=sections)
  result |= {
    "chance": float(np.mean(by_chance)),
    "ties": int(ties),
    "pairs": len(margins),
    "calibration": {
      "error": calibration.expected_calibration_error(stated, came),
      "brier": calibration.brier_score(stated, came),
    },
    "length_bias": length_bias.margin_length_correlation(gap, length),
    "left_out": {"no preference": skipped, "no scores": len(scored.left_out)},
  }
  return result | {"margins": gap.tolist()}


def over_optimise(
  proxy: score_files.Scored, gold: score_files.Scored
) -> dict[str, Any]:
  """The gold reward of the best of n by the proxy, as n grows.

  Returns:
    {"curve": rows, "fit": {alpha, beta, peak}}.

  Raises:
    DataError: the files share no record, or groups differ in size.
  """
  known = {
    record.id: scores
    for record, scores in zip(gold.records, gold.scores, strict=True)
  }
  both = [
    (scores, known[record.id])
    for record, scores in zip(proxy.records, proxy.scores, strict=True)
    if record.id in known
  ]
  sizes = {len(scores) for scores, _ in both}
  if len(sizes) != 1 or min(sizes) < 2:
    raise errors.DataError(
      f"over-optimisation needs equally many responses to each prompt, 2 or"
      f" more; these have {sorted(sizes) or 'none in common'}"
    )
  first, second = (np.asarray(x) for x in zip(*both, strict=True))
  rows = over_optimisation.best_of_n_curve(first, second)
  start = rows[0]["gold"]
  kl = np.asarray([row["kl"] for row in rows])
  found: dict[str, Any] = {"prompts": len(both), "curve": rows}
  if len(rows) > 2:
    gains = [row["gold"] - start for row in rows]
    found["fit"] = over_optimisation.fit(np.sqrt(kl), gains)
  return found


def write(
  result: dict[str, Any], folder: str | os.PathLike
) -> list[pathlib.Path]:
  """bench.json and the plots; returns what was written."""
  from prefjax.analysis import pair_plots, reward_plots

  path = pathlib.Path(folder)
  path.mkdir(parents=True, exist_ok=True)
  margins = result.get("margins")
  kept = {k: v for k, v in result.items() if k != "margins"}
  text = json.dumps(kept, indent=1, default=_plain)
  (path / "bench.json").write_text(text + "\n", encoding="utf-8")
  made = [path / "bench.json"]
  made += [
    reward_plots.category_plot(
      path / "categories.png", result.get("sections", {})
    ),
    pair_plots.reliability_plot(path / "calibration.png", margins),
  ]
  if "over_optimisation" in result:
    rows = result["over_optimisation"]["curve"]
    made.append(
      reward_plots.over_optimisation_plot(path / "over_optimisation.png", rows)
    )
  return [p for p in made if p is not None]


def _plain(value: Any) -> Any:
  """NumPy numbers and infinities for JSON."""
  return value.item() if hasattr(value, "item") else str(value)
