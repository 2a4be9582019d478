# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Column mappings: how to read a table whose columns have their own names.

A mapping goes from a target ('prompt', 'chosen', ...) to where it is:

  'question'                     a column
  'pos_answer.answer'            a field inside a mapping
  'solutions[].solution'         that field of every entry of a list
  ['instruction', 'input']       several columns: texts joined for a prompt,
                                 one entry each for responses, scores, votes
  {'path': 'label', 'base': 1}   with options (see `Spec`)
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from prefjax.core import errors
from prefjax.data import conversion, fields, presets
from prefjax.data.conversion import Converted, Layout, Row

TARGETS = (
  "id",
  "prompt",
  "chosen",
  "rejected",
  "completion",
  "label",
  "responses",
  "scores",
  "preferred",
  "votes",
  "steps",
  "first_error",
  "attributes",
  "text",
  "weight",
  "flip_rate",
  "logging_prob",
)
_NO_ERROR = ("", "n/a", "na", "none", "null")
_STEP = re.compile(r"([^.\[\]]+)((?:\[\])?)")


@dataclasses.dataclass(frozen=True)
class Spec:
  """Where a target is, and how its values count.

  Attributes:
    paths: one or more paths.
    base: number of the first response or step in 'preferred', 'votes' and
      'first_error' (0 or 1).
    tie: the vote that means no preference, or None.
  """

  paths: tuple[str, ...]
  base: int = 0
  tie: int | None = None


def _path(path: Any, target: str) -> str:
  if not isinstance(path, str) or not all(
    _STEP.fullmatch(part) for part in path.split(".")
  ):
    raise errors.DataError(
      f"columns[{target!r}]: {path!r} is not a path such as 'question',"
      " 'answer.text' or 'solutions[].text'"
    )
  return path


def _spec(value: Any, target: str) -> Spec:
  options: dict[str, int | None] = {}
  if isinstance(value, Mapping):
    unknown = set(value) - {"path", "base", "tie"}
    if unknown or "path" not in value:
      raise errors.DataError(
        f"columns[{target!r}]: takes path, base and tie, got"
        f" {', '.join(sorted(map(str, value)))}"
      )
    for name in ("base", "tie"):
      if name in value:
        if not isinstance(value[name], int):
          raise errors.DataError(
            f"columns[{target!r}].{name}: {value[name]!r} is not an integer"
          )
        options[name] = value[name]
    value = value["path"]
  paths = value if isinstance(value, (list, tuple)) else [value]
  if not paths:
    raise errors.DataError(f"columns[{target!r}]: names no column")
  return Spec(tuple(_path(p, target) for p in paths), **options)


def _get(row: Any, path: str) -> Any:
  """The value at a path; None where something on the way is missing."""
  value = row
  parts = path.split(".")
  for index, part in enumerate(parts):
    name, many = _STEP.fullmatch(part).groups()
    value = value.get(name) if isinstance(value, Mapping) else None
    if many:
      if not isinstance(value, (list, tuple)):
        return None
      rest = ".".join(parts[index + 1 :])
      return [_get(item, rest) if rest else item for item in value]
  return value


def _many(row: Row, spec: Spec) -> Any:
  """A list: of the columns named, or the one list found at the path."""
  if len(spec.paths) == 1:
    return _get(row, spec.paths[0])
  return [_get(row, path) for path in spec.paths]


def _prompt(row: Row, spec: Spec) -> Any:
  if len(spec.paths) == 1:
    return _get(row, spec.paths[0])
  return conversion.joined(
    {path: _get(row, path) for path in spec.paths}, spec.paths
  )


def _name(spec: Spec) -> str:
  return spec.paths[0]


def _by_preference(row: Row, specs: Mapping[str, Spec], raw: dict, names: dict):
  """Two or more responses and the number of the better one: a pair."""
  spec = specs["preferred"]
  answers = _many(row, specs["responses"])
  answers = fields.sequence(
    answers,
    _name(specs["responses"]),
    most=fields.Limits.responses,
    what="responses",
  )
  value = _get(row, spec.paths[0])
  better = fields.integer(value, _name(spec)) - spec.base
  if not 0 <= better < len(answers):
    raise fields.Problem(
      _name(spec),
      f"is {fields.shown(value)}, expected"
      f" {spec.base}..{spec.base + len(answers) - 1}",
    )
  order = [better, *(i for i in range(len(answers)) if i != better)]
  raw.update(
    kind="pair",
    responses=[answers[i] for i in order],
    pairs=[[0, i] for i in range(1, len(answers))],
  )
  if len(specs["responses"].paths) == len(answers):
    for place, i in enumerate(order):
      names[f"responses[{place}]"] = specs["responses"].paths[i]


def _answer_names(spec: Spec, number: int, names: dict) -> None:
  """Names every response by its own column, where it has one."""
  if len(spec.paths) == number > 1:
    names.update({f"responses[{i}]": p for i, p in enumerate(spec.paths)})
  else:
    names["responses"] = _name(spec)


def _by_votes(row: Row, specs: Mapping[str, Spec], raw: dict, names: dict):
  """Votes for responses: scores are the share of votes; a tie counts half."""
  spec = specs["votes"]
  answers = _many(row, specs["responses"])
  answers = fields.sequence(
    answers,
    _name(specs["responses"]),
    most=fields.Limits.responses,
    what="responses",
  )
  votes = fields.sequence(
    _many(row, spec), _name(spec), most=1_000, what="votes"
  )
  shares = [0.0] * len(answers)
  for index, vote in enumerate(votes):
    field = spec.paths[min(index, len(spec.paths) - 1)]
    choice = fields.integer(vote, field)
    if spec.tie is not None and choice == spec.tie:
      shares = [share + 1.0 / len(answers) for share in shares]
      continue
    if not 0 <= choice - spec.base < len(answers):
      raise fields.Problem(
        field,
        f"is {fields.shown(vote)}, expected"
        f" {spec.base}..{spec.base + len(answers) - 1}"
        + ("" if spec.tie is None else f" or {spec.tie} for a tie"),
      )
    shares[choice - spec.base] += 1.0
  scores = [round(share / len(votes), 9) for share in shares]
  raw.update(kind="ranked", responses=answers, scores=scores)
  raw["metadata"] = {"agreement": max(scores)}
  _answer_names(specs["responses"], len(answers), names)


def _by_steps(row: Row, specs: Mapping[str, Spec], raw: dict, names: dict):
  """Steps and the number of the first wrong one."""
  steps = conversion.attach_separators(_many(row, specs["steps"]))
  raw.update(kind="steps", steps=steps)
  names["steps"] = _name(specs["steps"])
  if "first_error" not in specs or not isinstance(steps, list):
    return
  spec = specs["first_error"]
  value = _get(row, spec.paths[0])
  if value is None or (
    isinstance(value, str) and value.strip().lower() in _NO_ERROR
  ):
    raw["step_labels"] = [True] * len(steps)
    return
  wrong = fields.integer(value, _name(spec)) - spec.base
  if not 0 <= wrong < len(steps):
    raise fields.Problem(
      _name(spec),
      f"is {fields.shown(value)}, but the steps go from {spec.base} to"
      f" {spec.base + len(steps) - 1}",
    )
  # What follows a wrong step was never judged.
  after = [None] * (len(steps) - wrong - 1)
  raw["step_labels"] = [True] * wrong + [False] + after


def _convert(row: Row, specs: Mapping[str, Spec]) -> Converted:
  raw: dict[str, Any] = {}
  names: dict[str, str] = {}
  for target in ("id", "weight", "flip_rate", "logging_prob"):
    if target in specs:
      raw[target] = _get(row, specs[target].paths[0])
      names[target] = _name(specs[target])
  if "prompt" in specs:
    raw["prompt"] = _prompt(row, specs["prompt"])
    names["prompt"] = _name(specs["prompt"])
  one = {
    name: _get(row, specs[name].paths[0])
    for name in ("chosen", "rejected", "completion", "label", "text")
    if name in specs
  }
  if "text" in one:
    raw.update(kind="text", responses=[one["text"]])
    names["responses[0]"] = _name(specs["text"])
  elif "chosen" in one:
    raw.update(kind="pair", responses=[one["chosen"], one["rejected"]])
    names["responses[0]"] = _name(specs["chosen"])
    names["responses[1]"] = _name(specs["rejected"])
  elif "steps" in specs:
    _by_steps(row, specs, raw, names)
  elif "responses" in specs and "preferred" in specs:
    _by_preference(row, specs, raw, names)
  elif "responses" in specs and "votes" in specs:
    _by_votes(row, specs, raw, names)
  elif "responses" in specs:
    raw.update(kind="ranked", responses=_many(row, specs["responses"]))
    raw["scores"] = _many(row, specs["scores"])
    _answer_names(specs["responses"], len(specs["responses"].paths), names)
    names["scores"] = _name(specs["scores"])
  elif "completion" in one:
    raw.update(kind="sft", responses=[one["completion"]])
    names["responses[0]"] = _name(specs["completion"])
    if "label" in one:
      raw.update(kind="unpaired", labels=[one["label"]])
      names["labels[0]"] = _name(specs["label"])
    elif "attributes" in specs:
      raw.update(kind="rated", attributes=[_ratings(row, specs["attributes"])])
      names["attributes[0]"] = _name(specs["attributes"])
  else:
    raw.update(kind="prompt")
  # What no target takes stays as metadata, also beside nested fields taken.
  judged = _labels(specs)
  rest: Any = row
  for path in (p for s in specs.values() for p in s.paths):
    if path not in judged:
      rest = _without(rest, path)
  extra = raw.pop("metadata", None)
  return conversion.finish(rest, (), raw, names, extra)


def _without(value: Any, path: str) -> Any:
  """A copy of nested mappings without what is at a path."""
  if not isinstance(value, Mapping):
    return value
  part, _, after = path.partition(".")
  name, many = _STEP.fullmatch(part).groups()
  if name not in value:
    return value
  out = dict(value)
  if after and many and isinstance(value[name], (list, tuple)):
    out[name] = [_without(item, after) for item in value[name]]
  elif after and not many:
    out[name] = _without(value[name], after)
  else:
    del out[name]
  return out


def _labels(specs: Mapping[str, Spec]) -> set[str]:
  """Columns whose own values are worth keeping beside what we make of them."""
  return {
    path
    for target in ("preferred", "votes", "first_error")
    if target in specs
    for path in specs[target].paths
  }


def _ratings(row: Row, spec: Spec) -> Any:
  """Ratings as one mapping column, or as one column an attribute."""
  if len(spec.paths) == 1:
    return _get(row, spec.paths[0])
  return {path: _get(row, path) for path in spec.paths}


# Targets that only make sense together.
_NEEDS = {
  "chosen": ("prompt", "rejected"),
  "rejected": ("chosen",),
  "completion": ("prompt",),
  "label": ("completion",),
  "attributes": ("completion",),
  "responses": ("prompt",),
  "scores": ("responses",),
  "preferred": ("responses",),
  "votes": ("responses",),
  "steps": ("prompt",),
  "first_error": ("steps",),
}


def compile_mapping(mapping: Any, name: str = "columns") -> Layout:
  """A layout from a column mapping, or the preset of a name.

  Raises:
    DataError: an unknown target or preset, or targets that lack others.
  """
  if isinstance(mapping, str):
    if mapping not in presets.PRESETS:
      raise errors.DataError(
        f"columns: no preset {mapping!r}"
        f"{errors.nearest(mapping, presets.PRESETS)};"
        f" presets are {', '.join(sorted(presets.PRESETS))}"
      )
    return compile_mapping(presets.PRESETS[mapping], mapping)
  if not isinstance(mapping, Mapping) or not mapping:
    raise errors.DataError(
      "columns: expected a mapping from targets to columns, or the name of a"
      f" preset ({', '.join(sorted(presets.PRESETS))})"
    )
  for target in mapping:
    if target not in TARGETS:
      raise errors.DataError(
        f"columns: {target!r} is not a target"
        f"{errors.nearest(str(target), TARGETS)}; targets are"
        f" {', '.join(TARGETS)}"
      )
    missing = [n for n in _NEEDS.get(target, ()) if n not in mapping]
    if missing:
      raise errors.DataError(
        f"columns: {target!r} needs {', '.join(missing)} as well"
      )
  if "responses" in mapping and not (
    {"scores", "preferred", "votes"} & set(mapping)
  ):
    raise errors.DataError(
      "columns: 'responses' needs scores, preferred or votes as well"
    )
  if not {"prompt", "text"} & set(mapping):
    raise errors.DataError("columns: a prompt (or a text) is needed")
  specs = {target: _spec(value, target) for target, value in mapping.items()}
  columns = sorted(
    {re.split(r"[.\[]", p)[0] for s in specs.values() for p in s.paths}
  )
  return Layout(
    name,
    ", ".join(f"{t}={'+'.join(s.paths)}" for t, s in specs.items()),
    _all_present(columns),
    lambda row: _convert(row, specs),
  )


def _all_present(columns: list[str]):
  """Matches rows that have all the columns, even where a cell is empty."""

  def matches(row: Row) -> str | None:
    if all(name in row for name in columns):
      return f"columns {', '.join(columns)}"
    return None

  return matches


PRESET_LAYOUTS = tuple(
  compile_mapping(mapping, name) for name, mapping in presets.PRESETS.items()
)
