# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A stage that trains a reward model: a head on the policy's decoder."""

import pathlib
from typing import Any

import jax
import numpy as np

from prefjax.analysis import length_bias
from prefjax.core import prng
from prefjax.methods import adapters
from prefjax.methods import method as method_lib
from prefjax.runs import evaluation, held_out, reward_files, scoring, stage_run
from prefjax.runs import run as run_lib
from prefjax.train import mesh as mesh_lib


class RewardStageRun(stage_run.StageRun):
  """A stage of a method that has a head."""

  def _head(self) -> Any:
    """Fresh parameters of the head, float32, as of the start of the stage."""
    key = prng.step_key(self.run.config.seed, self.stage.start, "reward")
    width = self.run.source.model.config.hidden_size
    return self.stage.method.head.init(key, width, np.float32)

  def roles(self, policy: Any) -> dict[str, Any]:
    head = self.run.place.put(self._head(), run_lib.RULES)
    return {"policy": policy, "reward": head}

  def role_shapes(self) -> dict[str, Any]:
    return {**super().role_shapes(), "reward": jax.eval_shape(self._head)}

  def watcher(self, still: Any) -> evaluation.Watcher:
    return RewardWatcher(
      self.run,
      self.objective,
      self.stage,
      still,
      self.references.get("held_out"),
    )

  def export(self, params: Any, folder: pathlib.Path) -> None:
    """Writes the head beside the exported decoder."""
    reward_files.write(folder, self.stage.config.method, params["reward"])


class RewardWatcher(evaluation.Watcher):
  """Ranks held-out pairs by what the head says."""

  def __init__(self, run: Any, objective: Any, stage: Any, still: Any, *rest):
    super().__init__(run, objective, stage, still, *rest)
    self._still = still
    method = objective.method
    needs = {adapters.POLICY: ("head",)}
    own = objective.with_method(
      method_lib.Method(
        inputs=("main",), needs=needs, loss=method.loss, head=method.head
      )
    )

    def compare(params, frozen, batch):
      found = own.outputs(params, frozen, batch, {}, None)
      group = batch.main
      pairs, _ = group.pair_indices()
      return method.head.margins(found[adapters.POLICY], pairs)

    self._compare = jax.jit(compare)

  def _measure(self, state: Any) -> dict[str, Any]:
    pairs = self._pairs(state)
    if pairs is None or not len(pairs.record):
      return {}
    gap = pairs.margins
    bias = length_bias.margin_length_correlation(gap, pairs.length_differences)
    return {
      "pairs": {
        "margin": gap.tolist(),
        "length_difference": pairs.length_differences.tolist(),
      },
      "summary": {
        "ranking_accuracy": float(
          np.mean(np.where(gap == 0, 0.5, (gap > 0).astype(np.float64)))
        ),
        "margin": float(np.mean(gap)),
        "margin_length_correlation": float(bias["spearman"]),
      },
    }

  def _pairs(self, state: Any) -> held_out.Pairs | None:
    method = self._stage.method
    ranks = hasattr(method.head, "margins") and method.record_kind in (
      *method_lib.PAIR_KINDS,
      "ranked",
      "orders",
      "traced",
    )
    if self._source is None or not ranks:
      return None
    rows, seen = [], set()
    for step in range(self._source.num_steps):
      batch = self._source.batch(step)
      placed = mesh_lib.spread(self._run.place.mesh, batch)
      margins = np.asarray(
        mesh_lib.gather(self._compare(state.params, self._still, placed)),
        np.float64,
      )
      group = batch.main
      pairs, valid = scoring.pairs_of(group)
      lengths = np.sum(np.asarray(group.token_weights) > 0, axis=-1)
      for i, example in enumerate(batch.example_id):
        if int(example) in seen:
          continue  # it only fills up
        seen.add(int(example))
        for m in np.flatnonzero(valid[i]):
          better, worse = pairs[i, m]
          rows.append(
            (
              example,
              margins[i, m],
              0.0,
              lengths[i, better],
              lengths[i, worse],
            )
          )
    table = np.asarray(rows, np.float64).reshape(-1, 5)
    return held_out.Pairs(table[:, 0].astype(np.int64), *table[:, 1:].T)
