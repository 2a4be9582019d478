# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Held-out numbers: while training, and before against after."""

import json
import os
import pathlib
from typing import Any

import jax
import numpy as np

from prefjax.analysis import length_bias
from prefjax.core import types
from prefjax.methods import method as method_lib
from prefjax.runs import data as run_data
from prefjax.runs import held_out
from prefjax.runs import references as references_lib
from prefjax.runs import samples as samples_lib
from prefjax.train import mesh as mesh_lib
from prefjax.train import metrics as metrics_lib

_BEFORE = "eval_before.json"


def summarise(pairs: held_out.Pairs) -> dict[str, float]:
  """ranking_accuracy, logps/* and the length bias of pairs."""
  gap = pairs.margins
  correlation = length_bias.margin_length_correlation(
    gap, pairs.length_differences
  )
  return {
    "ranking_accuracy": float(
      np.mean(np.where(gap == 0, 0.5, (gap > 0).astype(np.float64)))
    ),
    "logps/chosen": float(np.mean(pairs.chosen)),
    "logps/rejected": float(np.mean(pairs.rejected)),
    "margin_length_correlation": float(correlation["spearman"]),
  }


def _write_json(path: pathlib.Path, value: Any) -> None:
  if jax.process_index():
    return
  scratch = path.with_suffix(".partial")
  scratch.write_text(json.dumps(value), encoding="utf-8")
  os.replace(scratch, path)


class Watcher:
  """Evaluates one stage on its held-out records.

  Args:
    run: the run (see `runs.run.Run`).
    objective: of the stage.
    stage: what is trained.
    still: frozen roles that never change.
    references: precomputed reference log-probs of the held-out records, where
      the stage uses them.
  """

  def __init__(
    self,
    run: Any,
    objective: Any,
    stage: Any,
    still: Any,
    references: references_lib.ReferenceStore | None = None,
  ):
    self._run = run
    self._stage = stage
    self._source = None
    self._step = None
    if stage.held_out is not None:
      config = stage.config
      wanted = config.eval.batch_size or config.data.batch_size
      self._source = run_data.eval_source(
        stage.held_out, run.place.rows(wanted), config.data.eval_limit
      )
      self._step = run.place.eval_step(objective, still)
      if references is not None:
        self._source = references_lib.WithReference(self._source, references)

  def _place(self, group: Any) -> Any:
    return mesh_lib.spread(self._run.place.mesh, group)

  @property
  def has_data(self) -> bool:
    return self._source is not None

  def evaluate(self, state: Any) -> dict[str, float]:
    """Held-out metrics named eval/..., each example once."""
    if self._source is None:
      return {}
    total: dict[str, types.WeightedSum] = {}
    for step in range(self._source.num_steps):
      metrics = jax.device_get(self._step(state, self._source.batch(step)))
      total = metrics_lib.add(total, metrics)
    values = metrics_lib.finish(total)
    return {f"eval/{name}": value for name, value in values.items()}

  # --- before and after ------------------------------------------------------

  def _measure(self, state: Any) -> dict[str, Any]:
    """Margins of held-out pairs and samples, by the policy of a state."""
    weights, adapter = self._run.policy_weights(state.params["policy"])
    out: dict[str, Any] = {}
    is_pair = self._stage.method.record_kind in (
      *method_lib.PAIR_KINDS,
      "ranked",
    )
    if self._source is not None and is_pair:
      pairs = held_out.score_pairs(
        self._run.scorer, weights, self._source, self._place, adapter=adapter
      )
      if len(pairs.record):
        out["pairs"] = {
          "margin": pairs.margins.tolist(),
          "length_difference": pairs.length_differences.tolist(),
        }
        out["summary"] = summarise(pairs)
    number = self._stage.config.eval.samples
    if number and self._stage.records.held_out:
      out["samples"] = samples_lib.answer(
        self._run, self._stage, weights, adapter, number
      )
    return out

  def before(self, state: Any) -> None:
    """Keeps the numbers of the policy that the stage starts from."""
    _write_json(self._run.workdir / _BEFORE, self._measure(state))

  def after(self, state: Any) -> None:
    """Writes eval.json and samples.jsonl."""
    folder = self._run.workdir
    try:
      before = json.loads((folder / _BEFORE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
      before = {}
    after = self._measure(state)
    result: dict[str, Any] = {
      "before": before.get("summary", {}),
      "after": after.get("summary", {}),
    }
    beta = self._stage.beta
    if beta is not None:
      result["beta"] = beta
    if "pairs" in before and "pairs" in after:
      result["pairs"] = {
        "margin_before": before["pairs"]["margin"],
        "margin_after": after["pairs"]["margin"],
        "length_difference": after["pairs"]["length_difference"],
      }
    rows = samples_lib.join(before.get("samples"), after.get("samples"))
    golds = [(r["gold_before"], r["gold_after"]) for r in rows]
    if golds and all(None not in pair for pair in golds):
      result["gold"] = {
        "before": [a for a, _ in golds],
        "after": [b for _, b in golds],
      }
    _write_json(folder / "eval.json", result)
    if jax.process_index():
      return
    with (folder / "samples.jsonl").open("w", encoding="utf-8") as file:
      for row in rows:
        file.write(json.dumps(row) + "\n")
