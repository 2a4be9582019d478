# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scored responses as training data: pairs, ranks, mended labels.

Three ways. `pairs` chooses pairs among the responses of each prompt by their
scores; `ranked` keeps the whole group; `mend` takes pairs that are labelled
already, and what the members of an ensemble think of them, and flips or
softens doubtful labels (Wang et al., arXiv:2401.06080).
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from prefjax import data as data_lib
from prefjax import selection
from prefjax.core import errors, private, prng
from prefjax.data import schema
from prefjax.runs import score_files

SCHEMES = ("all", "best_worst", "best_random", "max_random")
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What became of records.

  Attributes:
    rows: records in the layouts that the readers know.
    ties: pairs, or records, without a preference.
    left_out: id -> why.
    flipped: labels that were turned around.
  """

  rows: list[Row]
  ties: int
  left_out: dict[str, str]
  flipped: int = 0


def _text(value: schema.Text) -> Any:
  return value if isinstance(value, str) else [dict(m) for m in value]


def _choose(scheme: str, key: int, scores, lengths) -> dict[str, Any]:
  """Pairs of one group, [M] each: chosen, rejected, gap."""
  scores = np.asarray(scores, np.float64)[None]
  if scheme == "all":
    found = data_lib.all_pairs(scores)
    chosen, rejected = found["chosen"][0], found["rejected"][0]
    gap = scores[0][chosen] - scores[0][rejected]
    return {"chosen": chosen, "rejected": rejected, "gap": gap}
  if scheme == "best_worst":
    found = data_lib.best_worst(scores)
  elif scheme == "best_random":
    found = data_lib.best_random(key, scores)
  else:
    found = data_lib.max_vs_random_pairs(key, scores, np.asarray([lengths]))
  if not found["valid"][0]:  # all alike
    return {"chosen": [0], "rejected": [1], "gap": [0.0]}
  chosen, rejected = found["chosen"], found["rejected"]
  gap = scores[0][chosen] - scores[0][rejected]
  return {"chosen": chosen, "rejected": rejected, "gap": gap}


def pairs(
  scored: score_files.Scored,
  *,
  scheme: str = "best_worst",
  min_gap: float = 0.0,
  keep_ties: bool = False,
  margin_scale: float = 1.0,
  seed: int = 0,
) -> Outcome:
  """Pairs among the responses of each record, by their scores.

  Args:
    scored: records with scores.
    scheme: which pairs, one of SCHEMES; "max_random" is that of CDR, which
      passes over the longest response half of the time.
    min_gap: gaps up to this are ties.
    keep_ties: writes ties, with `tie` true and no margin.
    margin_scale: of the margin, gap * margin_scale.
    seed: of the random partners.

  Returns:
    Rows {prompt, chosen, rejected, strength, margin, score_chosen, ...}.
  """
  if scheme not in SCHEMES:
    raise errors.ConfigError(
      f"--pairs: {scheme!r} is not one of {', '.join(SCHEMES)}"
      f"{errors.nearest(scheme, SCHEMES)}"
    )
  rows: list[Row] = []
  left_out, ties = dict(scored.left_out), 0
  for record, scores in zip(scored.records, scored.scores, strict=True):
    if len(scores) < 2:
      left_out[record.id] = "has fewer than two responses"
      continue
    key = (seed << 32) ^ prng.tag_id(record.id)
    lengths = [len(str(_text(r))) for r in record.responses]
    found = _choose(scheme, key, scores, lengths)
    for number, (a, b, gap) in enumerate(
      zip(found["chosen"], found["rejected"], found["gap"], strict=True)
    ):
      if record.responses[a] == record.responses[b]:
        continue
      is_tie = gap <= min_gap
      ties += is_tie
      if is_tie and not keep_ties:
        continue
      row: Row = {
        "id": record.id if scheme != "all" else f"{record.id}/{number}",
        "prompt": _text(record.prompt),
        "chosen": _text(record.responses[a]),
        "rejected": _text(record.responses[b]),
        "score_chosen": scores[a],
        "score_rejected": scores[b],
        "strength": float(gap),
        "margin": 0.0 if is_tie else float(gap) * margin_scale,
        "tie": bool(is_tie),
      }
      rows.append(row)
  return Outcome(rows, int(ties), left_out)


def ranked(scored: score_files.Scored) -> Outcome:
  """Whole groups with their scores: {prompt, responses, scores}."""
  rows: list[Row] = []
  left_out, ties = dict(scored.left_out), 0
  for record, scores in zip(scored.records, scored.scores, strict=True):
    if len(scores) < 2:
      left_out[record.id] = "has fewer than two responses"
      continue
    ties += max(scores) == min(scores)
    rows.append(
      {
        "id": record.id,
        "prompt": _text(record.prompt),
        "responses": [_text(r) for r in record.responses],
        "scores": scores,
      }
    )
  return Outcome(rows, int(ties), left_out)


def mend(
  scored: score_files.Scored,
  *,
  method: str = "flip_margin",
  flip_fraction: float = 0.2,
  smoothing: float = 0.1,
  normalize: bool = False,
) -> Outcome:
  """Labelled pairs with what an ensemble's votes say of their labels.

  Args:
    scored: pairs; rows with "members" [K][M] are votes, else the scores are
      one vote.
    method: of `selection.strength_recipe`.
    flip_fraction: weakest share to flip.
    smoothing: of labels with negative strength.
    normalize: every member has the same spread.

  Returns:
    Rows {prompt, chosen, rejected, margin, smoothing, strength, agreement,
    strength_group}; flipped ones say so.
  """
  if method not in selection.strength.METHODS:
    raise errors.ConfigError(
      f"--mend: {method!r} is not one of"
      f" {', '.join(selection.strength.METHODS)}"
    )
  left_out = dict(scored.left_out)
  kept, chosen, rejected = [], [], []
  for record, row in zip(scored.records, scored.rows, strict=True):
    if record.kind != "pair" or not record.pairs:
      left_out[record.id] = "is no labelled pair"
      continue
    better, worse = record.pairs[0]
    votes = row.get("members") or [[s] for s in row["scores"]]
    kept.append((record, better, worse))
    chosen.append(votes[better])
    rejected.append(votes[worse])
  if not kept:
    return Outcome([], 0, left_out)
  votes = selection.preference_strength(
    np.asarray(chosen, np.float64).T,
    np.asarray(rejected, np.float64).T,
    normalize=normalize,
  )
  strength = votes["mean"]
  recipe = selection.strength_recipe(
    strength,
    method=method,
    flip_fraction=flip_fraction,
    smoothing=smoothing,
  )
  groups = selection.strength_groups(strength)
  rows: list[Row] = []
  for i, (record, better, worse) in enumerate(kept):
    if recipe["flip"][i]:
      better, worse = worse, better
    rows.append(
      {
        "id": record.id,
        "prompt": _text(record.prompt),
        "chosen": _text(record.responses[better]),
        "rejected": _text(record.responses[worse]),
        "margin": float(recipe["margin"][i]),
        "smoothing": float(recipe["smoothing"][i]),
        "strength": float(strength[i]),
        "strength_std": float(votes["std"][i]),
        "agreement": float(votes["agreement"][i]),
        "strength_group": int(groups[i]),
        "flipped": bool(recipe["flip"][i]),
      }
    )
  return Outcome(rows, 0, left_out, int(recipe["flip"].sum()))


def write(
  rows: Sequence[Row],
  path: str | os.PathLike,
  note: Callable[[str], None] = print,
) -> None:
  """Writes JSON lines, whole or not at all.

  Raises:
    DataError: there is nothing to write, or the file exists.
  """
  file = pathlib.Path(path)
  if not rows:
    raise errors.DataError(
      f"{file}: no record is left to write; lower --min_gap or look at the"
      " scores"
    )
  if file.exists():
    raise errors.DataError(f"{file}: exists; delete it or choose another file")
  private.make_folder(file.parent)
  scratch = file.with_name(f".{file.name}.partial")
  with private.open_new(scratch) as out:
    for row in rows:
      out.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
  os.replace(scratch, file)
  note(f"{file}: {len(rows):,} records")
