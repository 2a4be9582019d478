# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records as rows of a table with few columns of fixed types, and back.

Prompt and responses are columns that any tool can read; a conversation is
written as JSON. The column 'rest' holds all other fields as JSON, so nothing
of a record is lost.
"""

import json
from typing import Any

from prefjax.data import conversion, fields, schema

COLUMNS = ("id", "kind", "chat", "prompt", "responses", "rest")


def _written(text: Any) -> str:
  if isinstance(text, str):
    return text
  return schema.json_bytes(text).decode("utf-8")


def to_row(record: schema.Record) -> dict[str, Any]:
  """The record as values of COLUMNS.

  Raises:
    DataError: its images or frames are arrays.
  """
  rest = schema.to_dict(record)
  return {
    "id": rest.pop("id"),
    "kind": rest.pop("kind"),
    "chat": record.is_chat,
    "prompt": _written(rest.pop("prompt")),
    "responses": [_written(r) for r in rest.pop("responses", ())],
    "rest": schema.json_bytes(rest).decode("utf-8"),
  }


def _parsed(value: Any, field: str) -> Any:
  if not isinstance(value, str):
    raise fields.Problem(field, f"is {fields.shown(value)}, expected JSON")
  try:
    return json.loads(value)
  except (ValueError, RecursionError) as error:
    raise fields.Problem(field, f"is not JSON ({error})") from None


def _matches(row: conversion.Row) -> str | None:
  if row.get("kind") in schema.KINDS and all(name in row for name in COLUMNS):
    return f"columns {', '.join(COLUMNS)}"
  return None


def _convert(row: conversion.Row) -> conversion.Converted:
  rest = _parsed(row["rest"], "rest")
  if not isinstance(rest, dict) or set(rest) & set(COLUMNS):
    raise fields.Problem("rest", "is not a mapping of the other fields")
  prompt, responses = row["prompt"], row["responses"]
  if row["chat"]:
    if prompt:
      prompt = _parsed(prompt, "prompt")
    responses = [
      _parsed(item, f"responses[{i}]")
      for i, item in enumerate(
        fields.sequence(responses, "responses", most=10**6, what="responses")
        if responses
        else ()
      )
    ]
  raw = {"id": row["id"], "kind": row["kind"], "prompt": prompt, **rest}
  if responses:
    raw["responses"] = responses
  return conversion.Converted(raw)


LAYOUT = conversion.Layout(
  "prefjax_table",
  "our own records as a table: id, kind, chat, prompt, responses, rest",
  _matches,
  _convert,
)
