# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records into other records: split into single responses, or gathered."""

import dataclasses
from collections.abc import Callable, Sequence

from prefjax.data import fields, schema

Record = schema.Record


def _take(record: Record, index: int) -> dict:
  """The fields of one response of a record."""
  out = {"responses": (record.responses[index],), "pairs": None}
  for name in ("scores", "labels", "attributes"):
    values = getattr(record, name)
    out[name] = None if values is None else (values[index],)
  return out


def unpair(records: Sequence[Record]) -> list[Record]:
  """One labelled record a response: what a pair says about each alone.

  The better side of any pair is liked, the worse is not; a response that is
  on both sides, or on none, is left out. Records with labels pass unchanged.
  New ids are '<id>/<index of the response>'.
  """
  out = []
  for record in records:
    if record.kind == "unpaired":
      out.append(record)
      continue
    pairs = record.pairs or pairs_from_scores(record.scores)
    better = {a for a, _ in pairs}
    worse = {b for _, b in pairs}
    for index in sorted(better ^ worse):
      out.append(
        dataclasses.replace(
          record,
          id=f"{record.id}/{index}",
          kind="unpaired",
          **{**_take(record, index), "labels": (index in better,)},
        )
      )
  return out


def group(
  records: Sequence[Record],
  by: Callable[[Record], object] | None = None,
) -> list[Record]:
  """Gathers records with the same prompt into one with all their responses.

  Args:
    records: of one kind: 'rated', 'unpaired', 'ranked' or 'sft'.
    by: what records of a group share; default the prompt.

  Returns:
    One record a group, in the order of first appearance, with the id of its
    first member. Responses that repeat are kept; each keeps its scores,
    labels or ratings. A lone 'sft' record stays one, several are refused.

  Raises:
    Problem: members of a group differ in kind or prompt.
  """
  groups: dict[object, list[Record]] = {}
  for record in records:
    key = schema.json_bytes(record.prompt) if by is None else by(record)
    groups.setdefault(key, []).append(record)
  out = []
  for members in groups.values():
    first = members[0]
    for member in members[1:]:
      if (member.kind, member.prompt) != (first.kind, first.prompt):
        raise fields.Problem(
          "group", f"{member.id!r} and {first.id!r} differ in kind or prompt"
        )
    if len(members) == 1:
      out.append(first)
      continue
    merged = {"responses": tuple(r for m in members for r in m.responses)}
    for name in ("scores", "labels", "attributes"):
      parts = [getattr(m, name) for m in members]
      if all(part is not None for part in parts):
        merged[name] = tuple(value for part in parts for value in part)
      else:
        merged[name] = None
    metadata = {"members": [{"id": m.id, **m.metadata} for m in members]}
    out.append(dataclasses.replace(first, metadata=metadata, **merged))
  return out


def pairs_from_scores(
  scores: Sequence[float | None] | None, mode: str = "all"
) -> tuple[tuple[int, int], ...]:
  """(better, worse) pairs with strictly different scores.

  Args:
    scores: [K] floats; None where one is missing.
    mode: 'all' pairs; 'adjacent' in rank; 'best_worst', one pair; 'best_rest',
      the best against every other. The lower index wins a tie for best, the
      higher for worst.

  Returns:
    Pairs, the largest difference first ('all', 'best_rest') or by rank.
  """
  if scores is None:
    return ()
  order = [i for i, score in enumerate(scores) if score is not None]
  order.sort(key=lambda i: (-scores[i], i))
  if mode == "adjacent":
    chosen = list(zip(order, order[1:], strict=False))
  elif mode == "best_worst":
    chosen = [(order[0], order[-1])] if len(order) > 1 else []
  elif mode == "best_rest":
    chosen = [(order[0], j) for j in reversed(order[1:])]
  else:
    chosen = [(a, b) for i, a in enumerate(order) for b in order[i + 1 :]]
    chosen.sort(key=lambda pair: scores[pair[1]] - scores[pair[0]])
  return tuple((a, b) for a, b in chosen if scores[a] > scores[b])
