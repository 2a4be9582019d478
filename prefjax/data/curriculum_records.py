# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which records a stage of a curriculum trains on.

Curry-DPO (arXiv:2403.07230) makes several pairs of a scored group and takes
them from wide to narrow gaps; TEMPLE (arXiv:2503.16929) takes perturbations
from strong to mild. A stage is named by a mapping:

  {}                                    all records as they are
  {"by": "rank", "stage": t}            the t-th widest pair of every group
  {"by": "gap", "stage": t, "stages": n}  all pairs by gap, cut in n parts
  {"by": "pairs"}                       all those pairs, not cut
  {"by": NAME, "value": v}              records whose field NAME is v

The first three forms of `by` take `scheme` and `min_gap` of
`ranked_pairs.make_ranked_pairs`; `order` "hard_to_easy" counts stages from
the hard end.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefjax.core import errors
from prefjax.data import curricula, fields, ranked_pairs, schema

Record = schema.Record
BY_PAIRS = ("rank", "gap", "pairs")
ORDERS = curricula.ORDERS[:2]
_KEYS = {
  "rank": ("stage", "order", "scheme", "min_gap"),
  "gap": ("stage", "stages", "order", "scheme", "min_gap"),
  "pairs": ("scheme", "min_gap"),
}
_DEFAULTS = {
  "stage": 0,
  "stages": 3,
  "order": "easy_to_hard",
  "scheme": "best_vs_rest",
  "min_gap": 0.0,
}


def _fail(message: str) -> errors.ConfigError:
  return errors.ConfigError(f"data.curriculum: {message}")


def check(curriculum: Mapping[str, Any]) -> dict[str, Any]:
  """The settings with their defaults; {} stays.

  Raises:
    ConfigError: a key or value is wrong.
  """
  if not curriculum:
    return {}
  by = curriculum.get("by")
  if not isinstance(by, str) or not by:
    raise _fail(
      f"by={by!r}, expected {', '.join(BY_PAIRS)} or the name of a field"
    )
  known = _KEYS.get(by, ("value",))
  for name in curriculum:
    if name != "by" and name not in known:
      raise _fail(
        f"by={by!r} has no {name!r}{errors.nearest(name, known)}; it has"
        f" {', '.join(known)}"
      )
  if by not in _KEYS:
    if "value" not in curriculum:
      raise _fail(f"by={by!r} needs a value")
    return dict(curriculum)
  out = {"by": by, **{name: _DEFAULTS[name] for name in known}, **curriculum}
  for name, least in (("stage", 0), ("stages", 1)):
    value = out.get(name, least)
    if type(value) is not int or value < least:
      raise _fail(f"{name}={value!r} is not a whole number of {least} or more")
  if by == "gap" and out["stage"] >= out["stages"]:
    raise _fail(f"stage={out['stage']} of stages={out['stages']} (from 0)")
  for name, choices in (("order", ORDERS), ("scheme", ranked_pairs.SCHEMES)):
    if out.get(name, choices[0]) not in choices:
      raise _fail(f"{name}={out[name]!r} is not one of {', '.join(choices)}")
  if isinstance(out["min_gap"], bool) or not isinstance(
    out["min_gap"], (int, float)
  ):
    raise _fail(f"min_gap={out['min_gap']!r} is not a number")
  return out


def _pair(record: Record, chosen: int, rejected: int, rank: int, gap: float):
  """One pair of a scored record as a record of its own."""
  scores = (record.scores[chosen], record.scores[rejected])
  return dataclasses.replace(
    record,
    id=f"{record.id}/{rank}",
    kind="pair",
    responses=(record.responses[chosen], record.responses[rejected]),
    scores=scores,
    labels=None,
    attributes=None,
    pairs=((0, 1),),
    metadata={**record.metadata, "rank": rank, "gap": gap},
  )


def ranked_pair_records(
  records: Sequence[Record],
  *,
  scheme: str = "best_vs_rest",
  min_gap: float = 0.0,
) -> list[Record]:
  """All pairs of scored records, each a record of kind 'pair'.

  Pair t of a record has the id '<id>/<t>', t from the widest gap on, and
  metadata rank (t) and gap.

  Raises:
    DataError: a record has no scores.
  """
  out = []
  for record in records:
    if record.scores is None or len(record.responses) < 2:
      raise errors.DataError(
        f"record {record.id!r}: a curriculum over pairs needs two responses or"
        " more with scores"
      )
    mask = [[score is not None for score in record.scores]]
    values = [[0.0 if s is None else float(s) for s in record.scores]]
    found = ranked_pairs.make_ranked_pairs(
      values, mask, scheme=scheme, min_gap=min_gap
    )
    for rank in range(int(found["valid"][0].sum())):
      out.append(
        _pair(
          record,
          int(found["chosen_idx"][0, rank]),
          int(found["rejected_idx"][0, rank]),
          rank,
          float(found["gap"][0, rank]),
        )
      )
  return out


def _by_rank(pairs: list[Record], settings: Mapping[str, Any]) -> list[Record]:
  last: dict[str, int] = {}
  for pair in pairs:
    parent = pair.id.rsplit("/", 1)[0]
    last[parent] = max(last.get(parent, 0), pair.metadata["rank"])
  hard_first = settings["order"] == "hard_to_easy"
  out = []
  for pair in pairs:
    rank = pair.metadata["rank"]
    if hard_first:
      rank = last[pair.id.rsplit("/", 1)[0]] - rank
    if rank == settings["stage"]:
      out.append(pair)
  return out


def _by_gap(pairs: list[Record], settings: Mapping[str, Any]) -> list[Record]:
  gaps = np.asarray([pair.metadata["gap"] for pair in pairs], np.float32)
  number = settings["stages"]
  stages = curricula.curriculum_stage_ids(
    curricula.difficulty_from_gap(gaps), num_stages=number
  )
  wanted = settings["stage"]
  if settings["order"] == "hard_to_easy":
    wanted = number - 1 - wanted
  return [pairs[i] for i in np.flatnonzero(stages == wanted)]


def _field(record: Record, name: str) -> Any:
  value = getattr(record, name, None)
  return record.metadata.get(name) if value is None else value


def take(
  records: Sequence[Record], curriculum: Mapping[str, Any]
) -> list[Record]:
  """The records of one stage.

  Raises:
    ConfigError: a setting is wrong, or the stage has no record.
    DataError: records have no scores to make pairs of.
  """
  settings = check(curriculum)
  if not settings:
    return list(records)
  by = settings["by"]
  if by not in BY_PAIRS:
    kept = [r for r in records if _field(r, by) == settings["value"]]
    if not kept:
      seen = sorted({fields.shown(_field(r, by)) for r in records})[:8]
      raise _fail(
        f"no record has {by}={settings['value']!r}; there are {', '.join(seen)}"
      )
    return kept
  pairs = ranked_pair_records(
    records, scheme=settings["scheme"], min_gap=settings["min_gap"]
  )
  if by == "rank":
    pairs = _by_rank(pairs, settings)
  elif by == "gap":
    pairs = _by_gap(pairs, settings)
  if not pairs:
    raise _fail(f"{dict(settings)} leaves no pair")
  return pairs


def held_out(
  records: Sequence[Record], curriculum: Mapping[str, Any]
) -> list[Record]:
  """What all stages of a curriculum are evaluated on: its pairs, not cut."""
  settings = check(curriculum)
  if settings.get("by") not in BY_PAIRS:
    return list(records)
  return ranked_pair_records(
    records, scheme=settings["scheme"], min_gap=settings["min_gap"]
  )
