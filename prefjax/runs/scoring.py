# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Log-probs of every response of a source: evaluation, references, scores."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from prefjax.core import host, types
from prefjax.data import pipeline
from prefjax.kernels import select
from prefjax.methods import language_model
from prefjax.models import base, vision
from prefjax.train import mesh as mesh_lib


class Scored(NamedTuple):
  """One batch of responses.

  Attributes:
    batch: the host batch.
    group: the group's name.
    token_logps: float32 [B, K, R], 0 at pads.
    kept: bool [B], False for rows that only fill up.
  """

  batch: types.Batch
  group: str
  token_logps: np.ndarray
  kept: np.ndarray

  def sums(self) -> np.ndarray:
    """Weighted sums over each response, float64 [B, K]."""
    weights = self.batch.groups[self.group].token_weights
    return np.sum(self.token_logps.astype(np.float64) * weights, axis=-1)

  def lengths(self) -> np.ndarray:
    """Counted tokens of each response, int64 [B, K]."""
    weights = np.asarray(self.batch.groups[self.group].token_weights)
    return np.sum(weights > 0, axis=-1)


def pairs_of(group: types.Group) -> tuple[np.ndarray, np.ndarray]:
  """`Group.pair_indices` of a host batch, without touching a device."""
  present = np.asarray(group.response_mask, bool)
  b, k = present.shape
  if group.pairs is None:
    pairs = np.tile(np.asarray([[0, min(1, k - 1)]], np.int32), (b, 1, 1))
    valid = np.full((b, 1), k > 1)
  else:
    pairs = np.asarray(group.pairs)
    valid = np.ones(pairs.shape[:2], bool)
    if group.pair_valid is not None:
      valid = np.asarray(group.pair_valid, bool)
  rows = np.arange(b)[:, None]
  both = present[rows, pairs[..., 0]] & present[rows, pairs[..., 1]]
  return pairs, valid & both


def scorer(
  model: base.Model,
  compute: language_model.Compute,
  *,
  has_adapter: bool = False,
) -> Callable[..., jax.Array]:
  """A jitted (weights, group, adapter=None) -> token log-probs [B, K, R]."""

  def run(weights, group, adapter):
    return language_model.token_logps_of(
      model, weights, group, lora=adapter, compute=compute
    )

  # Compiled like the train step, so that both round alike.
  options = host.compiler_options(select.target_device().platform)
  jitted = jax.jit(run, compiler_options=options)

  def call(weights, group, adapter=None):
    # Only what the forward pass reads, so that other fields never recompile.
    bare = types.Group(
      prompt=group.prompt,
      prompt_mask=group.prompt_mask,
      response=group.response,
      token_mask=group.token_mask,
      token_weights=group.token_weights,
      response_mask=group.response_mask,
      **{name: getattr(group, name) for name in vision.Media._fields},
    )
    return jitted(weights, bare, adapter if has_adapter else None)

  return call


def score_source(
  run: Callable[..., jax.Array],
  weights: Any,
  source: pipeline.Source,
  *,
  adapter: Any = None,
  place: Callable[[Any], Any] = lambda batch: batch,
  groups: tuple[str, ...] | None = None,
) -> Iterator[Scored]:
  """Scores every row of a finite source, batch by batch in order.

  Args:
    run: from `scorer`.
    weights: of the model.
    source: with a number of steps; every process makes all rows.
    adapter: LoRA tree, or None for the base model.
    place: puts a batch on the devices, see `mesh.spread`.
    groups: which groups; None for all.
  """
  seen: set[int] = set()
  for step in range(source.num_steps):
    batch = source.batch(step)
    kept = np.ones(len(batch.example_id), bool)
    for i, example in enumerate(batch.example_id):
      # Rows that only fill up repeat one that came before.
      kept[i] = int(example) not in seen
      seen.add(int(example))
    for name, group in batch.groups.items():
      if groups is not None and name not in groups:
        continue
      logps = run(weights, place(group), adapter)
      yield Scored(batch, name, mesh_lib.gather(logps), kept)
