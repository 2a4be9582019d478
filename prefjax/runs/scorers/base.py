# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What every scorer is, and a file of its scores.

A scorer gives one row a record: {"scores": [K], ...}, a number for each
response in their order, or {"error": why there is none}.
"""

import contextlib
import hashlib
import json
import math
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from prefjax import checkpoint
from prefjax.core import errors
from prefjax.data import fields, paired_views, schema
from prefjax.runs import loading, score_lines

Row = dict[str, Any]
_CHUNK = 64  # records between two writes


class Scorer(Protocol):
  """Scores the responses of records.

  Attributes:
    name: of the scorer.
  """

  name: str

  def digest(self) -> str:
    """SHA-256 of everything but the record that decides a score."""

  def score(self, records: Sequence[schema.Record]) -> list[Row]:
    """A row for each record, in order."""


def digest(**parts: Any) -> str:
  """SHA-256 of JSON values."""
  text = json.dumps(parts, sort_keys=True, default=str)
  return hashlib.sha256(text.encode()).hexdigest()


def digest_of_tree(tree: Any) -> str:
  """SHA-256 of arrays."""
  found = checkpoint.tree_digest(tree)
  return digest(**{name: str(value) for name, value in found.items()})


def digest_of_policy(policy: loading.Policy) -> str:
  """SHA-256 of a model, its tokenizer and its template."""
  return digest(
    weights=digest_of_tree(policy.weights),
    model=repr(policy.model.config),
    tokenizer=policy.tokenizer.fingerprint,
    template=policy.template,
  )


def texts_of(record: schema.Record) -> tuple[str, list[str]]:
  """(prompt, responses) as plain texts, conversations with their speakers."""
  prompt = paired_views.spoken(record.prompt) if record.prompt else ""
  return prompt, [paired_views.spoken(r) for r in record.responses]


def attempt(function: Callable[[Any], Any], record: schema.Record) -> Any:
  """What a function makes of a record, or the reason (a text) it cannot."""
  try:
    return function(record)
  except (errors.DataError, fields.Problem) as error:
    return str(error)


def number(value: Any) -> float | None:
  """A float for JSON; None for what is not finite."""
  value = float(value)
  return value if math.isfinite(value) else None


def _checked(row: Mapping[str, Any], record: schema.Record) -> Row:
  """A row as it may be written: a score a response, or an error."""
  if "error" in row:
    return {"error": str(row["error"])}
  scores = [None if s is None else number(s) for s in row["scores"]]
  if len(scores) != len(record.responses):
    raise errors.DataError(
      f"record {record.id!r}: the scorer gave {len(scores)} scores for"
      f" {len(record.responses)} responses"
    )
  if None in scores:
    return {"error": "a score is no finite number"}
  return {**row, "scores": scores}


def write(
  scorer: Scorer,
  records: Sequence[schema.Record],
  out: str | os.PathLike,
  *,
  chunk: int = _CHUNK,
  progress: Callable[[int, int], None] | None = None,
) -> score_lines.Outcome:
  """Scores every record into a file, or goes on with one.

  Args:
    scorer: who scores.
    records: of any kinds; one without responses gets no score.
    out: JSON lines {"id", "key", "scores", ...}, or "error".
    chunk: records between two writes.
    progress: called with (records done, records).

  Raises:
    DataError: the file belongs to another scorer, or is no such file.
  """
  whole = digest(scorer=scorer.name, digest=scorer.digest())
  keys = {
    record.id: score_lines.record_key(whole, record) for record in records
  }
  path = pathlib.Path(out)
  with contextlib.closing(score_lines.File(path)) as file:
    left = score_lines.left(path, records, keys, file.keys())
    done, unusable = len(records) - len(left), 0
    for start in range(0, len(left), chunk):
      part = left[start : start + chunk]
      full = [record for record in part if record.responses]
      rows = iter(scorer.score(full) if full else ())
      lines = []
      for record in part:
        row = next(rows) if record.responses else {"scores": []}
        row = _checked(row, record)
        unusable += "error" in row
        lines.append({"id": record.id, "key": keys[record.id], **row})
      file.write(lines)
      done += len(part)
      if progress is not None:
        progress(done, len(records))
  return score_lines.Outcome(len(left), unusable, len(records) - len(left))
