# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Held-out prompts answered and scored, while training and at its ends."""

import dataclasses
from typing import Any

import numpy as np

from prefjax.runs import data as run_data
from prefjax.runs import evaluation
from prefjax.runs.online import collecting, sampling, telemetry


class OnlineWatcher(evaluation.Watcher):
  """Evaluates a policy by what it says to held-out prompts.

  Args:
    run: the run.
    stage: what is trained.
    still: frozen roles that never change.
    collector: samples and scores.
  """

  def __init__(
    self,
    run: Any,
    stage: Any,
    still: Any,
    collector: collecting.Collector,
  ):
    self._run, self._stage, self._still = run, stage, still
    self._collector = collector
    self._source = None
    if stage.held_out is not None:
      config = stage.config
      wanted = config.eval.batch_size or config.data.batch_size
      self._source = run_data.eval_source(
        stage.held_out, run.place.rows(wanted), config.data.eval_limit
      )

  def evaluate(self, state: Any) -> dict[str, float]:
    """eval/reward and the like, one response to each held-out prompt."""
    if self._source is None:
      return {}
    with self._collector.engine() as engine:
      return self._evaluate(engine, state)

  def _evaluate(self, engine: Any, state: Any) -> dict[str, float]:
    run, config = self._run, self._stage.config
    engine.load(*run.policy_weights(state.params["policy"]))
    settings = dataclasses.replace(
      self._collector.settings,
      num_samples=1,
      temperature=config.eval.temperature,
    )
    totals, parts, lengths, ended = [], {}, [], []
    for step in range(self._source.num_steps):
      batch = self._source.batch(step)
      real = np.asarray(batch.example_weight) > 0
      ids = np.asarray(batch.example_id)[real]
      asked = sampling.prompts_of(batch.main)
      made = engine.sample(
        asked,
        settings,
        prompt_ids=sampling.draw_ids(np.asarray(batch.example_id)),
      )
      made = sampling.take(made, np.flatnonzero(real))
      records = [self._stage.records.held_out[int(i)] for i in ids]
      found = self._collector.score(
        records,
        sampling.texts_of(run.source.tokenizer, made),
        made.lengths,
      )
      totals.append(found.total)
      for name, values in found.parts.items():
        parts.setdefault(name, []).append(values)
      lengths.append(made.lengths)
      ended.append(made.finish != 0)
    out = {"reward": float(np.concatenate(totals).mean())}
    for name, values in parts.items():
      known = np.concatenate(values)
      known = known[np.isfinite(known)]
      if known.size:
        out[f"rewards/{name}/mean"] = float(known.mean())
    out |= telemetry.length_metrics(
      np.concatenate(lengths), np.concatenate(ended)
    )
    del out["val/num_eos_tokens"]
    return {f"eval/{name}": value for name, value in out.items()}
