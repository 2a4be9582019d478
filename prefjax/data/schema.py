# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The one record that every data set becomes, and its written form.

A record is a prompt with K responses and what somebody said about them:
which is better, a score each, a label, a label a step, or ratings of several
attributes.
"""

import dataclasses
import functools
import hashlib
import json
from typing import Any

from prefjax.core import errors
from prefjax.data import fields

Text = fields.Text

KINDS = (
  "pair",  # two or more responses and (better, worse) pairs of them
  "ranked",  # responses with a score each
  "unpaired",  # responses with a label each: liked or not
  "steps",  # one solution in steps, with a label a step
  "rated",  # responses with ratings of several attributes
  "sft",  # a demonstration
  "text",  # text without a prompt
  "prompt",  # a prompt without responses
)


@dataclasses.dataclass(frozen=True)
class Where:
  """The place of a record, for messages.

  Attributes:
    file: path as the user gave it.
    row: line of the file from 1, or row of the table from 0.
    unit: 'line' or 'row'.
  """

  file: str
  row: int
  unit: str = "row"

  def __str__(self) -> str:
    return f"{self.file}, {self.unit} {self.row}"


class RecordError(errors.DataError):
  """A record that cannot be used.

  Attributes:
    where: its place.
    field: path of the field inside the record.
    reason: what is wrong.
    record_id: the record's id where it has one, else ''.
  """

  def __init__(self, where: Any, field: str, reason: str, record_id: str = ""):
    name = f" (id {record_id!r})" if record_id else ""
    super().__init__(f"{where}{name}: {field}: {reason}")
    self.where = where
    self.field = field
    self.reason = reason
    self.record_id = record_id


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
  """A validated record. Make it with `validate`.

  Attributes:
    id: unique in its data set.
    kind: one of KINDS.
    prompt: text or conversation; empty for kind 'text', and where each
      response is a whole conversation (joint preferences).
    responses: K texts, or K conversations that continue the prompt.
    scores: [K] floats or None where one is missing; higher is better.
    labels: [K] liked or not.
    steps: pieces of the one response, in order; joined they are the response.
    step_labels: [S] right, wrong or unknown (None).
    attributes: [K] mappings from attribute to rating; ratings may be missing.
    pairs: (better, worse) indices into the responses.
    weight: how much the record counts, 0 or more.
    flip_rate: probability that its label is wrong, or None.
    logging_prob: probability with which a logging policy showed it, or None.
    images: paths or arrays for a vision encoder.
    frames: paths or arrays of a clip.
    metadata: everything else, as JSON values.
  """

  id: str
  kind: str
  prompt: Text
  responses: tuple[Text, ...] = ()
  scores: tuple[float | None, ...] | None = None
  labels: tuple[bool, ...] | None = None
  steps: tuple[str, ...] | None = None
  step_labels: tuple[bool | None, ...] | None = None
  attributes: tuple[dict[str, float], ...] | None = None
  pairs: tuple[tuple[int, int], ...] | None = None
  weight: float = 1.0
  flip_rate: float | None = None
  logging_prob: float | None = None
  images: tuple[Any, ...] = ()
  frames: tuple[Any, ...] = ()
  metadata: dict[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def is_chat(self) -> bool:
    """Whether prompt or responses are conversations."""
    return not isinstance(self.prompt, str) or any(
      not isinstance(response, str) for response in self.responses
    )

  @property
  def first_error(self) -> int | None:
    """Index of the first wrong step; -1: none is wrong; None: unknown."""
    if self.step_labels is None:
      return None
    if False in self.step_labels:
      return self.step_labels.index(False)
    return None if None in self.step_labels else -1

  @property
  def equal_sides(self) -> bool:
    """Whether there is nothing to choose between the responses."""
    if self.kind not in ("pair", "ranked") or len(self.responses) < 2:
      return False
    if self.pairs is not None:
      return all(self.responses[a] == self.responses[b] for a, b in self.pairs)
    return all(r == self.responses[0] for r in self.responses[1:])

  @functools.cached_property
  def content_digest(self) -> str:
    """SHA-256 of everything but the id; equal for equal content."""
    content = to_dict(self, arrays="digest")
    content.pop("id")
    return hashlib.sha256(json_bytes(content)).hexdigest()


def json_bytes(value: Any) -> bytes:
  """Canonical JSON: sorted keys, no spaces, UTF-8."""
  text = json.dumps(
    value,
    ensure_ascii=False,
    allow_nan=False,
    sort_keys=True,
    separators=(",", ":"),
  )
  return text.encode("utf-8")


def to_json(record: Record) -> bytes:
  """The record as canonical JSON; `validate(json.loads(...))` restores it."""
  return json_bytes(to_dict(record))


def to_dict(record: Record, *, arrays: str = "refuse") -> dict[str, Any]:
  """The record as JSON values, without fields at their defaults.

  Args:
    record: a validated record.
    arrays: 'refuse' raises on image arrays, 'digest' puts their SHA-256.

  Raises:
    DataError: images or frames are arrays and may not be.
  """
  out: dict[str, Any] = {}
  for field in dataclasses.fields(record):
    value = getattr(record, field.name)
    if field.name in ("images", "frames"):
      value = tuple(_medium(v, record, field.name, arrays) for v in value)
    if field.default is not dataclasses.MISSING and value == field.default:
      continue
    if field.name == "metadata" and not value:
      continue
    out[field.name] = _plain(value)
  return out


def _plain(value: Any) -> Any:
  if isinstance(value, tuple):
    return [_plain(item) for item in value]
  return value


def media_of(record: Record) -> list[Any]:
  """What tells the images and frames of a record from others': JSON values."""
  return [
    [_medium(value, record, name, "digest") for value in getattr(record, name)]
    for name in ("images", "frames")
  ]


def _medium(value: Any, record: Record, name: str, arrays: str) -> Any:
  if isinstance(value, str):
    return value
  if arrays == "digest":
    head = f"{value.dtype}{value.shape}".encode()
    return "sha256:" + hashlib.sha256(head + value.tobytes()).hexdigest()
  raise errors.DataError(
    f"record {record.id!r}: {name}: arrays cannot be written as JSON; save"
    " them as files and give their paths"
  )


def digest(records: list[Record]) -> str:
  """SHA-256 of an ordered list of records: their ids and contents."""
  whole = hashlib.sha256()
  for record in records:
    whole.update(json_bytes([record.id, record.content_digest]) + b"\n")
  return whole.hexdigest()
