# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Two small models, records of every kind, and a scorer that counts."""

import json

import policy_support as support

from prefjax.data import readers
from prefjax.runs import scorers
from prefjax.runs.scorers import base

ROWS = [
  {"id": "pair", "kind": "pair", "prompt": "2+2=",
   "responses": ["4", "five"], "pairs": [[0, 1]]},
  {"id": "ranked", "kind": "ranked", "prompt": "say hi: ",
   "responses": ["hi", "hello there", "no"], "scores": [1.0, 3.0, 2.0]},
  {"id": "liked", "kind": "unpaired", "prompt": "why? ",
   "responses": ["because"], "labels": [True]},
  {"id": "demo", "kind": "sft", "prompt": "a b ", "responses": ["c d e"]},
]  # fmt: skip


def make_folder(path):
  """Two models, a and b, and ROWS as data.jsonl in a new folder."""
  support.save_model(path / "a", 0)
  support.save_model(path / "b", 1)
  support.write(path / "data.jsonl", ROWS)
  return path


def read_all(folder):
  return readers.read(folder / "data.jsonl").records


def lines(path):
  return {
    row["id"]: row for row in map(json.loads, path.read_text().splitlines())
  }


def sources(folder, **more):
  settings = dict(
    model=str(folder / "a"), weak=str(folder / "b"), batch_size=2,
    max_prompt=64, max_response=64,
  )  # fmt: skip
  return scorers.Sources(**{**settings, **more})


class Counting:
  """Scores by length; counts what it was asked."""

  name = "counting"

  def __init__(self, key="k", bad=()):
    self.asked, self._key, self._bad = [], key, bad

  def digest(self):
    return base.digest(key=self._key)

  def score(self, records):
    out = []
    for record in records:
      self.asked.append(record.id)
      if record.id in self._bad:
        out.append({"error": "cannot be scored"})
      else:
        out.append({"scores": [len(str(r)) for r in record.responses]})
    return out
