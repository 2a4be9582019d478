# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Validation: a mapping with the fields of `Record` becomes a record.

Readers of all formats build such a mapping and hand it to `validate`, so
nothing unchecked goes further.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from prefjax.core import errors
from prefjax.data import fields, schema

KINDS = schema.KINDS
Limits = fields.Limits
Record = schema.Record
RecordError = schema.RecordError
Text = fields.Text
Where = schema.Where
digest = schema.digest
to_dict = schema.to_dict
to_json = schema.to_json

_MEDIA_LIMIT = 64


def _media(value: Any, field: str) -> tuple[Any, ...]:
  if value is None or (isinstance(value, (list, tuple)) and not value):
    return ()
  if isinstance(value, str):
    value = [value]
  out = []
  for index, item in enumerate(
    fields.sequence(value, field, most=_MEDIA_LIMIT, what="paths or arrays")
  ):
    if hasattr(item, "tobytes") and hasattr(item, "shape"):
      out.append(item)
    else:
      out.append(fields.string(item, f"{field}[{index}]"))
  return tuple(out)


def _responses(raw, chat: bool, limits: Limits) -> tuple[Text, ...]:
  value = raw.get("responses")
  if value is None or value == () or value == []:
    return ()
  items = fields.sequence(
    value, "responses", most=limits.responses, what="responses"
  )
  texts = [
    fields.text(item, f"responses[{index}]", most=limits.messages)
    for index, item in enumerate(items)
  ]
  if chat or any(not isinstance(t, str) for t in texts):
    texts = [
      ({"role": "assistant", "content": t},) if isinstance(t, str) else t
      for t in texts
    ]
  return tuple(texts)


def _per_response(raw, name: str, number: int, one) -> tuple[Any, ...] | None:
  """A list with one checked entry a response, or None where it is absent."""
  value = raw.get(name)
  if value is None:
    return None
  items = fields.sequence(value, name, most=max(number, 1), what=name)
  if len(items) != number:
    raise fields.Problem(
      name, f"has {len(items)} entries for {number} responses"
    )
  return tuple(
    one(item, f"{name}[{index}]") for index, item in enumerate(items)
  )


def _score(value: Any, field: str) -> float | None:
  return None if value is None else fields.number(value, field)


def _ratings(value: Any, field: str) -> dict[str, float]:
  if not isinstance(value, Mapping):
    raise fields.Problem(
      field, f"is {fields.shown(value)}, expected attribute: rating"
    )
  return {
    fields.string(name, field): fields.number(item, f"{field}.{name}")
    for name, item in value.items()
    if item is not None
  }


def _pairs(
  raw, number: int, kind: str, limits: Limits
) -> tuple[tuple[int, int], ...] | None:
  value = raw.get("pairs")
  if value is None:
    return ((0, 1),) if kind == "pair" else None
  out = []
  for index, item in enumerate(
    fields.sequence(value, "pairs", most=limits.pairs, what="pairs")
  ):
    name = f"pairs[{index}]"
    two = fields.sequence(item, name, most=2, what="indices")
    if len(two) != 2:
      raise fields.Problem(name, "needs two indices: better, worse")
    better, worse = (fields.integer(i, name) for i in two)
    if not (0 <= better < number and 0 <= worse < number and better != worse):
      raise fields.Problem(
        name,
        f"is ({better}, {worse}), expected two different responses out of"
        f" 0..{number - 1}",
      )
    out.append((better, worse))
  return tuple(out)


def _steps(raw, limits: Limits):
  value = raw.get("steps")
  if value is None:
    return None, None
  steps = tuple(
    fields.string(item, f"steps[{index}]")
    for index, item in enumerate(
      fields.sequence(value, "steps", most=limits.steps, what="steps")
    )
  )
  labels = raw.get("step_labels")
  if labels is None:
    return steps, None
  items = fields.sequence(
    labels, "step_labels", most=limits.steps, what="labels"
  )
  if len(items) != len(steps):
    raise fields.Problem(
      "step_labels", f"has {len(items)} labels for {len(steps)} steps"
    )
  return steps, tuple(
    None if item is None else fields.boolean(item, f"step_labels[{index}]")
    for index, item in enumerate(items)
  )


# kind -> (fewest responses, most responses, field it cannot do without)
_NEEDS = {
  "pair": (2, None, None),
  "ranked": (2, None, "scores"),
  "unpaired": (1, None, "labels"),
  "steps": (1, 1, "steps"),
  "rated": (1, None, "attributes"),
  "sft": (1, 1, None),
  "text": (1, 1, None),
  "prompt": (0, 0, None),
}


def _check_kind(record: Record) -> None:
  low, high, needed = _NEEDS[record.kind]
  number = len(record.responses)
  if number < low or (high is not None and number > high):
    span = str(low) if high == low else f"{low} or more"
    raise fields.Problem(
      "responses", f"are {number}, a record of kind {record.kind} has {span}"
    )
  if needed and getattr(record, needed) is None:
    raise fields.Problem(
      needed, f"is missing, a record of kind {record.kind} needs it"
    )
  if record.kind == "ranked" and all(s is None for s in record.scores):
    raise fields.Problem("scores", "are all missing")
  if record.kind == "text" and record.prompt:
    raise fields.Problem("prompt", "must be empty in a record of kind text")
  if record.steps is not None and record.responses:
    first = record.responses[0]
    answer = first if isinstance(first, str) else first[-1]["content"]
    if "".join(record.steps) != answer:
      raise fields.Problem("steps", "joined together are not the response")


def _prompt(raw, kind: str, limits: Limits) -> Text:
  value = raw.get("prompt")
  blank = value is None or (isinstance(value, (str, list, tuple)) and not value)
  if blank and kind == "text":
    return ""
  # A joint record has no shared prompt: each response is a conversation.
  if blank and isinstance(raw.get("responses"), (list, tuple)):
    whole = [fields.text(r, "responses") for r in raw["responses"]]
    if whole and all(
      not isinstance(r, str) and r[0]["role"] != "assistant" for r in whole
    ):
      return ""
  if blank and value is not None:
    raise fields.Problem("prompt", "is empty, expected text or messages")
  return fields.text(value, "prompt", most=limits.messages)


_FIELDS = frozenset(f.name for f in dataclasses.fields(Record))


def build(raw: Any, limits: Limits = fields.Limits()) -> Record:  # noqa: B008
  """The record in a mapping of field names to unchecked values.

  Raises:
    Problem: a field is missing, mistyped, too large or contradicts another.
  """
  if not isinstance(raw, Mapping):
    raise fields.Problem("record", f"is {fields.shown(raw)}, not a mapping")
  for name in raw:
    if name not in _FIELDS:
      raise fields.Problem(
        fields.shown(name).strip("'"),
        f"is not a field of a record{errors.nearest(name, _FIELDS)}; put it"
        " under metadata",
      )
  kind = raw.get("kind")
  if kind not in KINDS:
    raise fields.Problem(
      "kind", f"is {fields.shown(kind)}, expected one of {', '.join(KINDS)}"
    )
  identity = raw.get("id")
  if isinstance(identity, int) and not isinstance(identity, bool):
    identity = str(fields.metadata(identity, "id"))
  identity = fields.string(identity, "id")
  if len(identity) > 512:
    raise fields.Problem("id", "is longer than 512 characters")
  prompt = _prompt(raw, kind, limits)
  steps, step_labels = _steps(raw, limits)
  if steps is not None and not raw.get("responses"):
    raw = {**raw, "responses": ["".join(steps)]}
  responses = _responses(raw, not isinstance(prompt, str), limits)
  if (
    isinstance(prompt, str)
    and prompt
    and any(not isinstance(r, str) for r in responses)
  ):
    prompt = ({"role": "user", "content": prompt},)
  number = len(responses)

  def probability(name: str) -> float | None:
    value = raw.get(name)
    return None if value is None else fields.number(value, name, low=0, high=1)

  weight = raw.get("weight")
  extra = raw.get("metadata")
  if extra is not None and not isinstance(extra, Mapping):
    raise fields.Problem("metadata", f"is {fields.shown(extra)}, not a mapping")
  record = Record(
    id=identity,
    kind=kind,
    prompt=prompt,
    responses=responses,
    scores=_per_response(raw, "scores", number, _score),
    labels=_per_response(raw, "labels", number, fields.boolean),
    steps=steps,
    step_labels=step_labels,
    attributes=_per_response(raw, "attributes", number, _ratings),
    pairs=_pairs(raw, number, kind, limits),
    weight=1.0 if weight is None else fields.number(weight, "weight", low=0),
    flip_rate=probability("flip_rate"),
    logging_prob=probability("logging_prob"),
    images=_media(raw.get("images"), "images"),
    frames=_media(raw.get("frames"), "frames"),
    metadata=fields.metadata(dict(extra or {}), "metadata", depth=limits.depth),
  )
  _check_kind(record)
  size = len(schema.json_bytes(to_dict(record, arrays="digest")))
  if size > limits.bytes:
    raise fields.Problem(
      "record", f"holds {size:,} bytes, the limit is {limits.bytes:,}"
    )
  return record


def validate(
  raw: Any,
  where: Any,
  *,
  limits: Limits = fields.Limits(),  # noqa: B008 - frozen
  names: Mapping[str, str] | None = None,
) -> Record:
  """Checks a mapping of the fields of `Record` and returns the record.

  Args:
    raw: field name -> value; unknown names are refused.
    where: place of the record (a `Where` or text), for messages.
    limits: bounds on sizes.
    names: our field -> the source's column, so that a message names what
      the user wrote ('responses[0]' -> 'chosen').

  Raises:
    RecordError: names file, row, id, field and reason.
  """
  try:
    return build(raw, limits)
  except fields.Problem as problem:
    identity = raw.get("id") if isinstance(raw, Mapping) else None
    raise RecordError(
      where,
      source_name(problem.field, names or {}),
      problem.reason,
      identity[:64] if isinstance(identity, str) else "",
    ) from None
  except RecursionError:
    raise RecordError(where, "record", "is nested too deeply") from None


def source_name(field: str, names: Mapping[str, str]) -> str:
  """`field` in the words of the source: its longest known prefix renamed."""
  for prefix in sorted(names, key=len, reverse=True):
    if field == prefix or field.startswith((f"{prefix}.", f"{prefix}[")):
      return names[prefix] + field[len(prefix) :]
  return field
