# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tiny published-form models of every family, and random ragged groups."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from prefjax import models
from prefjax.core import types

TINY = pathlib.Path(__file__).parents[1] / "data" / "tiny-models"
FAMILIES = sorted(path.name for path in TINY.iterdir() if path.is_dir())


@functools.cache
def load(family: str):
  """(model, params) of a tiny model."""
  return models.from_pretrained(TINY / family)


@functools.cache
def expected(family: str) -> dict[str, np.ndarray]:
  """The numbers that the family's tiny model must give."""
  with np.load(TINY / family / "expected.npz", allow_pickle=False) as file:
    return dict(file)


@functools.cache
def logits_function(family: str):
  """A jitted (params, tokens, mask) -> logits; compiled once a shape."""
  model, _ = load(family)
  return jax.jit(lambda params, t, m: models.logits(model, params, t, m))


def config(**changes) -> models.DecoderConfig:
  """A two-layer model small enough to compile in no time."""
  fields = dict(
    vocab_size=32,
    hidden_size=16,
    intermediate_size=24,
    num_heads=4,
    num_kv_heads=2,
    head_dim=4,
    query_scale=0.5,
    init_std=0.5,
    max_positions=32,
  )
  return models.preset("tiny", **{**fields, **changes})


def group(
  prompt_lengths,
  response_lengths,
  *,
  prompt_slots: int,
  response_slots: int,
  vocab: int = 512,
  seed: int = 0,
  garbage: int | None = None,
  **fields,
) -> types.Group:
  """Random tokens by (row, place), whatever the number of slots.

  Args:
    prompt_lengths: [B].
    response_lengths: [B, K].
    prompt_slots: P.
    response_slots: R.
    vocab: ids are below it.
    seed: of the tokens.
    garbage: id written into pads; None for 0.
    **fields: more fields of Group.
  """
  lengths = np.asarray(response_lengths)
  b, k = lengths.shape
  rng = np.random.default_rng(seed)
  stream = rng.integers(0, vocab, (b, k + 1, 64))
  pad = garbage or 0
  prompt = np.full((b, prompt_slots), pad)
  response = np.full((b, k, response_slots), pad)
  for i, n in enumerate(prompt_lengths):
    prompt[i, prompt_slots - n :] = stream[i, k, :n]
    for j in range(k):
      response[i, j, : lengths[i, j]] = stream[i, j, : lengths[i, j]]
  counts = np.asarray(prompt_lengths)[:, None]
  token_mask = np.arange(response_slots) < lengths[..., None]
  return types.Group(
    prompt=jnp.asarray(prompt, jnp.int32),
    prompt_mask=jnp.asarray(
      np.arange(prompt_slots)[None] >= prompt_slots - counts
    ),
    response=jnp.asarray(response, jnp.int32),
    token_mask=jnp.asarray(token_mask),
    token_weights=jnp.asarray(token_mask, jnp.float32),
    response_mask=jnp.asarray(lengths > 0),
    **fields,
  )


def masked_gap(a, b, mask) -> float:
  """Largest difference of two [..., D] arrays where the mask holds."""
  gap = np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64))
  return float(np.max(gap[np.asarray(mask)]))


def tree_gap(a, b) -> float:
  """Largest difference of two trees, each leaf relative to its size.

  A leaf whose true gradient is zero (the key biases of a softmax) holds
  rounding only, so its size counts as a thousandth of the largest leaf's.
  """
  sizes = [float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(a)]
  floor = max(sizes) / 1000
  gaps = [
    float(jnp.max(jnp.abs(x - y))) / max(size, floor)
    for x, y, size in zip(
      jax.tree.leaves(a), jax.tree.leaves(b), sizes, strict=True
    )
  ]
  return max(gaps)
