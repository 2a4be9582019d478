# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Log-probs of every response of a file, a line a record: `prefjax score`.

A line is {"id", "key", "logps": [K], "lengths": [K]}: summed log-probs in nats
and counted tokens of the responses in their order, or {"id", "key", "error"}
for a record that cannot be scored. The key is a digest of the model, of the
settings and of the record, so a file can be gone on with, and never mixes
the scores of two models.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from prefjax import checkpoint
from prefjax.core import errors
from prefjax.data import encoding, loading, schema, views
from prefjax.methods import language_model
from prefjax.runs import data as run_data
from prefjax.runs import loading as run_loading
from prefjax.runs import score_lines, scoring
from prefjax.train import mesh as mesh_lib
from prefjax.train import placement

Outcome = score_lines.Outcome


def all_responses(*, eos: bool = True) -> views.View:
  """A view of every kind of record: all responses, in their order."""

  def groups(record: schema.Record) -> views.Groups:
    main = views.GroupText(
      prompt=record.prompt, responses=record.responses, eos=eos
    )
    return {"main": main}

  return views.View(name=f"all_responses(eos={eos})", groups=groups)


def _model_digest(
  policy: run_loading.Policy,
  encoder: encoding.Encoder,
  compute: language_model.Compute,
) -> str:
  """Digest of everything but the record that decides a score."""
  weights = checkpoint.tree_digest(policy.weights)
  parts = {
    "weights": {k: dataclasses.asdict(v) for k, v in weights.items()},
    "model": repr(policy.model.config),
    "dtype": str(compute.dtype),
    "encoder": encoder.key(),
  }
  return hashlib.sha256(
    json.dumps(parts, sort_keys=True, default=list).encode()
  ).hexdigest()


def _number(value: float) -> float | None:
  return float(value) if math.isfinite(value) else None


def _rows(
  scored: scoring.Scored, records: Sequence[schema.Record], keys
) -> Iterator[dict[str, Any]]:
  """The lines of one batch."""
  sums, lengths = scored.sums(), scored.lengths()
  for i in np.flatnonzero(scored.kept):
    record = records[int(scored.batch.example_id[i])]
    k = len(record.responses)
    yield {
      "id": record.id,
      "key": keys[record.id],
      "logps": [_number(value) for value in sums[i, :k]],
      "lengths": [int(value) for value in lengths[i, :k]],
    }


def score(
  policy: run_loading.Policy,
  records: Sequence[schema.Record],
  out: str | os.PathLike,
  *,
  lengths: encoding.Lengths,
  batch_size: int = 8,
  eos: bool = True,
  compute: language_model.Compute = language_model.Compute(),  # noqa: B008
  progress: Callable[[int, int], None] | None = None,
) -> Outcome:
  """Scores every response of every record into a file, or goes on with one.

  Args:
    policy: the model.
    records: of any kinds.
    out: JSON lines; see the module.
    lengths: limits in tokens; what becomes of longer ones.
    batch_size: records of a batch; rounded up to fill the devices.
    eos: whether responses end with the end-of-sequence token.
    compute: how the model is run.
    progress: called with (records done, records).

  Raises:
    DataError: the file belongs to another model or is no such file.
    ConfigError: a record is longer than the model.
  """
  encoder = encoding.Encoder(
    policy.tokenizer,
    all_responses(eos=eos),
    lengths,
    template=policy.template,
    media=run_data.media_options(policy.model),
  )
  model = _model_digest(policy, encoder, compute)
  keys = {
    record.id: score_lines.record_key(model, record) for record in records
  }
  path = pathlib.Path(out)
  with contextlib.closing(score_lines.File(path)) as file:
    present = file.keys()
    left = score_lines.left(path, records, keys, present)
    done, unusable = len(records) - len(left), 0
    empty = [r for r in left if not r.responses]
    file.write(
      [
        {"id": r.id, "key": keys[r.id], "logps": [], "lengths": []}
        for r in empty
      ]
    )
    done += len(empty)
    left = [r for r in left if r.responses]
    if left:
      for rows in _batches(policy, left, encoder, batch_size, compute, keys):
        file.write(rows)
        done += len(rows)
        unusable += sum("error" in row for row in rows)
        if progress is not None:
          progress(done, len(records))
  return Outcome(
    len(empty) + len(left), unusable, len(records) - len(left) - len(empty)
  )


def _batches(
  policy, records, encoder, batch_size, compute, keys
) -> Iterator[list[dict[str, Any]]]:
  """Lines of the records, batch by batch; first those that cannot be used."""
  try:
    tokens = loading.open_store(encoder, records)
  except errors.DataError:
    if encoder.report.kept or not encoder.report.dropped:
      raise
    tokens = None  # none can be used
  report = encoder.report
  reasons = {i: reason for i, _, reason in report.dropped_records}
  kept = set() if tokens is None else set(tokens.index.example_id.tolist())
  yield [
    {"id": r.id, "key": keys[r.id], "error": reasons.get(i, "is left out")}
    for i, r in enumerate(records)
    if i not in kept
  ]
  if tokens is None:
    return
  place = placement.Placement(mesh_lib.make_mesh())
  source = run_data.eval_source(tokens, place.rows(batch_size))
  run_data.check_lengths(policy.model, source, "--max_prompt, --max_response")
  weights = place.put(policy.weights, language_model.SHARDING_RULES)
  for scored in scoring.score_source(
    scoring.scorer(policy.model, compute),
    weights,
    source,
    place=lambda group: mesh_lib.spread(place.mesh, group),
    groups=("main",),
  ):
    yield list(_rows(scored, records, keys))
