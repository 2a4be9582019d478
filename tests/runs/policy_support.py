# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Models in folders, records of every kind, and log-probs the long way."""

import functools
import json
import pathlib

import jax
import numpy as np
import run_support

from prefjax import models
from prefjax.data import chat, tokenizers

ROWS = [
  {"id": "pair", "prompt": "2+2=", "chosen": "4", "rejected": "five"},
  {
    "id": "ranked",
    "prompt": "say hi: ",
    "responses": ["hi", "hello there", "no"],
    "scores": [1.0, 3.0, 2.0],
  },
  {"id": "liked", "prompt": "why? ", "completion": "because", "label": True},
  {"id": "demo", "prompt": "a b ", "completion": "c d e"},
]


def save_model(folder: pathlib.Path, seed: int) -> pathlib.Path:
  """A random decoder with the byte tokenizer, as a model directory."""
  model = models.Model(models.preset("tiny", **run_support.SMALL))
  params = model.init(jax.random.key(seed))
  models.save_pretrained(folder, model, params, tokenizers.ByteTokenizer())
  return folder


def write(path: pathlib.Path, rows) -> pathlib.Path:
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return path


@functools.lru_cache
def _scorer(folder: pathlib.Path):
  """(tokenizer, ids [1, 96] -> log-probs [96, V]) of a model directory."""
  model, params = models.from_pretrained(folder)
  logits = jax.jit(lambda ids: models.logits(model, params, ids)[0])
  return tokenizers.load(folder), lambda ids: np.asarray(
    jax.nn.log_softmax(logits(ids)), np.float64
  )


def log_prob(folder, prompt: str, response: str) -> tuple[float, int]:
  """(summed log-prob, tokens) of a response and its end, one row at a time."""
  tokenizer, log_softmax = _scorer(folder)
  encoded = chat.encode_example(tokenizer, prompt, [response], add_eos=True)
  ids = [*encoded.prompt_ids, *encoded.responses[0]]
  row = np.zeros((1, 96), np.int32)  # what follows is not looked at
  row[0, : len(ids)] = ids
  logps = log_softmax(row)
  start = len(encoded.prompt_ids)
  total = sum(logps[t - 1, ids[t]] for t in range(start, len(ids)))
  return float(total), len(ids) - start
