# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Layouts with several responses to a prompt: ranks, scores and ratings.

Also our own records, and joint preferences whose sides have different
prompts.
"""

from collections.abc import Mapping
from typing import Any

from prefjax.data import conversion, fields, records
from prefjax.data.conversion import Converted, Layout, Row


def _own_match(row: Row) -> str | None:
  if row.get("kind") in records.KINDS and "id" in row and "prompt" in row:
    return f"kind {row['kind']!r}: our own records"
  return None


def _own(row: Row) -> Converted:
  return Converted(dict(row))


_JOINT = (
  ("prompt_chosen", "chosen", "prompt_rejected", "rejected"),
  ("i_chosen", "r_chosen", "i_reject", "r_reject"),
)


def _joint_match(row: Row) -> str | None:
  for names in _JOINT:
    reason = conversion.has(*names)(row)
    if reason:
      return reason
  return None


def _joint(row: Row) -> Converted:
  names = next(n for n in _JOINT if conversion.has(*n)(row) or n == _JOINT[-1])
  sides = []
  for side in (names[:2], names[2:]):
    sides.append(
      [
        {"role": role, "content": fields.string(row.get(name), name)}
        for role, name in zip(("user", "assistant"), side, strict=True)
      ]
    )
  return conversion.finish(
    row,
    names,
    {"kind": "pair", "prompt": "", "responses": sides},
    {"responses[0]": names[1], "responses[1]": names[3]},
    {"joint": True},
  )


def _items(row: Row, column: str, keys: tuple[str, ...]) -> list[Any]:
  """The mappings of a list column, each with one of `keys`."""
  items = fields.sequence(
    row[column], column, most=fields.Limits.responses, what="completions"
  )
  for index, item in enumerate(items):
    if not isinstance(item, Mapping) or not any(key in item for key in keys):
      raise fields.Problem(
        f"{column}[{index}]",
        f"is {fields.shown(item)}, expected a mapping with {' or '.join(keys)}",
      )
  return items


def _list_of(column: str, key: str):
  def matches(row: Row) -> bool:
    value = row.get(column)
    return isinstance(value, (list, tuple)) and any(
      isinstance(item, Mapping) and key in item for item in value
    )

  return matches


def _nemo_match(row: Row) -> str | None:
  ranked = _list_of("completions", "rank")(row)
  if row.get("context") is not None and ranked:
    return "columns context, completions[].rank"
  return None


def _nemo(row: Row) -> Converted:
  items = _items(row, "completions", ("completion",))
  # Rank 0 is the best; scores count upwards.
  scores = [
    -fields.number(item.get("rank"), f"completions[{i}].rank")
    for i, item in enumerate(items)
  ]
  names = {"prompt": "context"}
  for i in range(len(items)):
    names[f"responses[{i}]"] = f"completions[{i}].completion"
    names[f"scores[{i}]"] = f"completions[{i}].rank"
  return conversion.finish(
    row,
    ("context", "completions"),
    {
      "kind": "ranked",
      "prompt": row["context"],
      "responses": [item.get("completion") for item in items],
      "scores": [score + 0.0 for score in scores],  # no minus zero
    },
    names,
  )


def _ultrafeedback_match(row: Row) -> str | None:
  if row.get("instruction") is None:
    return None
  if _list_of("completions", "response")(row):
    return "columns instruction, completions[].response"
  return None


_NONE = ("", "n/a", "na", "none", "null", "nan")


def _rating(value: Any, field: str) -> float | None:
  """A rating; 'N/A' and its like are missing."""
  if value is None or (isinstance(value, str) and value.lower() in _NONE):
    return None
  return fields.number(value, field)


def _annotations(item: Mapping, name: str) -> dict[str, float]:
  value = item.get("annotations")
  if value is None:
    return {}
  if not isinstance(value, Mapping):
    raise fields.Problem(f"{name}.annotations", "is not a mapping")
  out = {}
  for aspect, rated in value.items():
    if isinstance(rated, (list, tuple)):
      rated = rated[0] if rated else None
    if isinstance(rated, Mapping):
      rated = rated.get("Rating", rated.get("rating"))
    rating = _rating(rated, f"{name}.annotations.{aspect}")
    if rating is not None:
      out[str(aspect)] = rating
  return out


def _ultrafeedback(row: Row) -> Converted:
  items = _items(row, "completions", ("response",))
  attributes, scores, names = [], [], {"prompt": "instruction"}
  for i, item in enumerate(items):
    name = f"completions[{i}]"
    names[f"responses[{i}]"] = f"{name}.response"
    ratings = _annotations(item, name)
    score = None
    for key in ("fine-grained_score", "overall_score"):
      if score is None and item.get(key) is not None:
        score = _rating(item[key], f"{name}.{key}")
    if score is None and ratings:
      score = sum(ratings.values()) / len(ratings)
    attributes.append(ratings)
    scores.append(score)
  if all(score is None for score in scores):
    raise fields.Problem("completions", "have neither ratings nor scores")
  raw = {
    "kind": "ranked" if len(items) > 1 else "rated",
    "prompt": row["instruction"],
    "responses": [item.get("response") for item in items],
    "scores": scores,
  }
  if any(attributes) or len(items) == 1:
    raw["attributes"] = attributes
  models = [item.get("model") for item in items]
  return conversion.finish(
    row,
    ("instruction", "completions"),
    raw,
    names,
    {"completion_models": models} if any(models) else None,
  )


_SCORES = ("scores", "rewards", "ranks", "ranking")


def _score_column(row: Row) -> str | None:
  return next((name for name in _SCORES if row.get(name) is not None), None)


def _answers(row: Row) -> str:
  return "responses" if row.get("responses") is not None else "completions"


def _ranked_match(row: Row) -> str | None:
  score = _score_column(row)
  if score is None:
    return None
  for column in ("responses", "completions"):
    reason = conversion.has("prompt", column, score)(row)
    if reason:
      return reason
  return None


def _ranked(row: Row) -> Converted:
  column, score = _answers(row), _score_column(row) or "scores"
  scores = row.get(score)
  if score in ("ranks", "ranking") and isinstance(scores, (list, tuple)):
    scores = [
      -fields.number(rank, f"{score}[{i}]") for i, rank in enumerate(scores)
    ]
  used = ["prompt", column, score]
  return conversion.finish(
    row,
    used,
    {
      "kind": "ranked",
      "prompt": conversion.with_system(row, row["prompt"], used),
      "responses": row[column],
      "scores": scores,
    },
    {"responses": column, "scores": score},
  )


def _rated_match(row: Row) -> str | None:
  return conversion.has("prompt", "responses", "ratings")(row)


def _rated(row: Row) -> Converted:
  return conversion.finish(
    row,
    ("prompt", "responses", "ratings", "scores"),
    {
      "kind": "rated",
      "prompt": row["prompt"],
      "responses": row["responses"],
      "attributes": row["ratings"],
      "scores": row.get("scores"),
    },
    {"attributes": "ratings"},
  )


_HELPSTEER = (
  "helpfulness",
  "correctness",
  "coherence",
  "complexity",
  "verbosity",
)


def _helpsteer_match(row: Row) -> str | None:
  return conversion.has("prompt", "response", *_HELPSTEER[:3])(row)


def _helpsteer(row: Row) -> Converted:
  present = [name for name in _HELPSTEER if row.get(name) is not None]
  names = {"responses[0]": "response"}
  names.update({f"attributes[0].{name}": name for name in present})
  return conversion.finish(
    row,
    ("prompt", "response", *present),
    {
      "kind": "rated",
      "prompt": row["prompt"],
      "responses": [row["response"]],
      "attributes": [{name: row[name] for name in present}],
    },
    names,
  )


SPECIFIC = (
  Layout("prefjax", "our own records: id, kind, prompt, ...", _own_match, _own),
  Layout(
    "joint",
    "prompt_chosen, chosen, prompt_rejected, rejected",
    _joint_match,
    _joint,
  ),
  Layout(
    "nemo_ranked",
    "context, completions[{rank, completion}]",
    _nemo_match,
    _nemo,
  ),
  Layout(
    "ultrafeedback",
    "instruction, completions[{response, annotations, overall_score}]",
    _ultrafeedback_match,
    _ultrafeedback,
  ),
)
GENERAL = (
  Layout("rated", "prompt, responses, ratings", _rated_match, _rated),
  Layout(
    "ranked", "prompt, responses, scores (or ranks)", _ranked_match, _ranked
  ),
  Layout(
    "helpsteer",
    "prompt, response, helpfulness, correctness, coherence, ...",
    _helpsteer_match,
    _helpsteer,
  ),
)
