# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scorers of the table, those of PrefJAX and a few that only it needs."""

import argparse
import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from prefjax import data
from prefjax.core import errors
from prefjax.methods import language_model
from prefjax.runs import scorers, sentences
from prefjax.runs.scorers import base, texts
from real_data import sets

_RIDGE, _FOLDS = 1.0, 5
LANGUAGE_MODEL = ("followups", "likelihood", "likelihood_per_token", "judge")
NAMES = (
  "random",
  "length",
  "minilm_relevance",
  "r3",
  "minilm_head",
  "reward_model",
  "likelihood",
  "likelihood_per_token",
  "followups",
  "judge",
)


class _Simple:
  """A number for each text."""

  def __init__(self, name: str, function: Callable[[str], float]):
    self.name, self._function = name, function

  def digest(self) -> str:
    return base.digest(name=self.name)

  def score(self, records):
    return [
      {"scores": [self._function(text) for text in base.texts_of(record)[1]]}
      for record in records
    ]


def _random(text: str) -> float:
  return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16) / 16**12


class _Likelihood:
  """Log-prob of the response under a language model.

  Args:
    reader: the model.
    known: record -> log-probs of its responses; sums and means share them.
    per_token: the mean of the tokens in place of the sum.
  """

  def __init__(self, reader, known: dict[str, Any], per_token: bool):
    self.name = "likelihood_per_token" if per_token else "likelihood"
    self._reader, self._known, self._per_token = reader, known, per_token

  def digest(self) -> str:
    return base.digest(
      model=base.digest_of_policy(self._reader.policy), each=self._per_token
    )

  def _read(self, records) -> list[str]:
    """Reads those that are new; for each record "" or what is wrong."""

    def encode(record):
      found = self._reader.encode(record.prompt, record.responses)
      return found.prompt_ids, found.responses

    items = [base.attempt(encode, record) for record in records]
    new = {
      record.content_digest: item
      for record, item in zip(records, items, strict=True)
      if not isinstance(item, str) and record.content_digest not in self._known
    }
    rows = self._reader.token_logps(list(new.values()))
    self._known |= zip(new, rows, strict=True)
    return [item if isinstance(item, str) else "" for item in items]

  def score(self, records):
    reduce = np.mean if self._per_token else np.sum
    out = []
    for record, problem in zip(records, self._read(records), strict=True):
      if problem:
        out.append({"error": problem})
        continue
      rows = self._known[record.content_digest]
      out.append({"scores": [float(reduce(x)) for x in rows]})
    return out


class _Encoder(sentences.SentenceEncoder):
  """Remembers the vectors of texts: several scorers read the same ones."""

  def __init__(self, name: str):
    super().__init__(name)
    self._known: dict[str, np.ndarray] = {}

  def __call__(self, passages: Sequence[str]) -> np.ndarray:
    new = list(dict.fromkeys(t for t in passages if t not in self._known))
    if new:
      self._known |= zip(new, super().__call__(new), strict=True)
    return np.stack([self._known[text] for text in passages])


class _Heads:
  """Bradley-Terry on sentence vectors.

  Args:
    encoder: of texts.
    records: that it learns from.
    folds: where the same records are scored, each by a head that was trained
      on the parts it is not in; 1 for other records.
  """

  name = "minilm_head"

  def __init__(self, encoder, records: sets.Records, folds: int = _FOLDS):
    self._encoder, self._records = encoder, records
    self._folds = folds
    self._heads: list[np.ndarray] | None = None

  def digest(self) -> str:
    return base.digest(
      weights=base.digest_of_tree(self._encoder.params),
      records=[record.content_digest for record in self._records],
      ridge=_RIDGE,
      **({} if self._folds == _FOLDS else {"folds": self._folds}),
    )

  def _features(self, record) -> np.ndarray:
    """[K, 2 D]: the response, and what it shares with the prompt."""
    prompt, responses = base.texts_of(record)
    first, *rest = self._encoder([prompt, *responses]).astype(np.float64)
    after = np.stack(rest)
    return np.concatenate([after, first * after], axis=1)

  def _train(self) -> list[np.ndarray]:
    every = [base.texts_of(record) for record in self._records]
    # At once, so that texts of a like length share a batch.
    self._encoder([text for p, rest in every for text in (p, *rest)])
    parts: list[list[np.ndarray]] = [[] for _ in range(self._folds)]
    for record in self._records:
      x, pairs = self._features(record), sets.pairs_of(record)
      rows = [(x[i] - x[j]) / len(pairs) ** 0.5 for i, j in pairs]
      parts[_fold(record, self._folds)].append(np.stack(rows))
    if self._folds == 1:
      return [_bradley_terry(np.concatenate(parts[0]))]
    return [
      _bradley_terry(
        np.concatenate([x for k, p in enumerate(parts) if k != fold for x in p])
      )
      for fold in range(self._folds)
    ]

  def score(self, records):
    if self._heads is None:
      self._heads = self._train()
    return [
      {"scores": (self._features(r) @ self._heads[place]).tolist()}
      for r, place in ((r, _fold(r, self._folds)) for r in records)
    ]


def _fold(record: data.Record, folds: int) -> int:
  """By prompt: its answers are never on both sides."""
  text = base.texts_of(record)[0] or record.id
  return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % folds


def _bradley_terry(delta: np.ndarray) -> np.ndarray:
  """Ridge-regularised weights of differences [N, D], by Newton's method."""
  w = np.zeros(delta.shape[1])
  for _ in range(30):
    p = 1 / (1 + np.exp(delta @ w))
    slope = _RIDGE * w - delta.T @ p
    curve = (delta * (p * (1 - p))[:, None]).T @ delta
    step = np.linalg.solve(curve + _RIDGE * np.eye(len(w)), slope)
    w = w - step
    if np.abs(step).max() < 1e-8:
      break
  return w


class Makers:
  """Scorers by name; models are opened once."""

  def __init__(self, args: argparse.Namespace):
    self._sources = scorers.Sources(
      model=args.model,
      encoder=args.encoder,
      max_prompt=args.max_prompt,
      compute=language_model.Compute(
        dtype=None if args.dtype == "float32" else jnp.dtype(args.dtype)
      ),
    )
    self._reward = args.reward
    self._open: dict[str, Any] = {}

  def _once(self, name: str, make: Callable[[], Any]) -> Any:
    if name not in self._open:
      self._open[name] = make()
    return self._open[name]

  def _encoder(self):
    name = self._sources.need("encoder", "minilm_head")
    return self._once("encoder", lambda: _Encoder(name))

  def make(self, name: str, records: sets.Records, train: sets.Records) -> Any:
    """A scorer of records, which may learn from others."""
    if name == "random":
      return _Simple(name, _random)
    if name == "length":
      return _Simple(name, len)
    if name == "minilm_relevance":
      only = dict(use_length=False, use_repetition=False)
      return texts.RelevanceScorer(self._encoder(), only)
    if name == "r3":
      return texts.RelevanceScorer(self._encoder(), {})
    if name == "minilm_head":
      if train:
        return _Heads(self._encoder(), train, folds=1)
      return _Heads(self._encoder(), records)
    if name == "reward_model":
      if not self._reward:
        raise errors.ConfigError("--reward: the scorer 'reward_model' needs it")
      # As long as in training, and whole where the answer is longer.
      own = dataclasses.replace(self._sources, model=self._reward)
      return self._once(name, lambda: scorers.make("model", own, {}))
    if name.startswith("likelihood"):
      reader = self._once(
        "reader", lambda: self._sources.reader("model", "likelihood")
      )
      known = self._once("logps", dict)
      return _Likelihood(reader, known, name.endswith("per_token"))
    return self._once(name, lambda: scorers.make(name, self._sources, {}))
