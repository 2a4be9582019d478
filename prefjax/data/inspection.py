# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a file would be to a run: its layout, lengths, buckets and losses."""

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from prefjax.core import errors
from prefjax.data import (
  chat,
  encoding,
  examples,
  pipeline,
  reports,
  schema,
  tokenizers,
  views,
)
from prefjax.data import store as store_lib

QUANTILES = (0.5, 0.9, 0.99, 1.0)


@dataclasses.dataclass(frozen=True)
class Lengths:
  """Token counts of one part of a group, before anything is cut.

  Attributes:
    part: e.g. "main prompt".
    number: how many there are.
    mean: tokens on average.
    quantiles: tokens at QUANTILES.
    limit: longest that is not cut.
    over: how many are longer than the limit.
  """

  part: str
  number: int
  mean: float
  quantiles: tuple[int, ...]
  limit: int
  over: int


@dataclasses.dataclass(frozen=True)
class Bucket:
  """What one epoch puts into batches of one shape.

  Attributes:
    shapes: group -> (B, K, P, R).
    batches: batches of this shape.
    examples: examples in them.
    tokens: real tokens in them.
    slots: token slots of these batches.
  """

  shapes: dict[str, tuple[int, int, int, int]]
  batches: int
  examples: int
  tokens: int
  slots: int

  @property
  def padding(self) -> float:
    """Share of the slots that holds no token."""
    return 1 - self.tokens / self.slots if self.slots else 0.0


@dataclasses.dataclass(frozen=True)
class Span:
  """Consecutive tokens with the same weight, as text."""

  text: str
  weight: float
  tokens: int


@dataclasses.dataclass(frozen=True)
class Part:
  """A prompt or a response of one example.

  Attributes:
    name: e.g. "main prompt" or "main response 1".
    tokens: how many.
    counted: how many have a weight above 0.
    spans: what they say; a prompt is one span of weight 0.
    prompt: whether it is a prompt.
    score: of the response, where it has one.
  """

  name: str
  tokens: int
  counted: int
  spans: tuple[Span, ...]
  prompt: bool
  score: float | None = None


@dataclasses.dataclass(frozen=True)
class Shown:
  """One example as people read it."""

  example_id: int
  record_id: str
  weight: float
  parts: tuple[Part, ...]
  pairs: tuple[tuple[int, int], ...]
  extras: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Inspection:
  """What a file would be to a run.

  Attributes:
    report: of the reading.
    kinds: kind of record -> how many.
    view: name of the view.
    template: what renders texts: a name, "given", "own" or "none".
    encoded: of the tokenising.
    lengths: of prompts and responses, before cutting.
    buckets: of one epoch, small to large.
    batch_size: of those buckets.
    shown: some examples.
  """

  report: reports.ReadReport
  kinds: dict[str, int]
  view: str
  template: str
  encoded: encoding.EncodeReport
  lengths: tuple[Lengths, ...]
  buckets: tuple[Bucket, ...]
  batch_size: int
  shown: tuple[Shown, ...]


class _Measuring(encoding.Encoder):
  """An encoder that remembers how long groups were before they were cut."""

  def __init__(self, *args, **options):
    super().__init__(*args, **options)
    self.seen: dict[tuple[str, str], list[int]] = {}

  def _encoded(
    self, name: str, text: views.GroupText, tools: Any
  ) -> chat.Encoded:
    encoded = super()._encoded(name, text, tools)
    self.seen.setdefault((name, "prompt"), []).append(len(encoded.prompt_ids))
    if text.responses:
      self.seen.setdefault((name, "response"), []).extend(
        len(ids) for ids in encoded.responses
      )
    return encoded

  def measured(self) -> Iterator[Lengths]:
    for (group, part), values in self.seen.items():
      limit = self.lengths.of(group)[part == "response"]
      numbers = np.quantile(values, QUANTILES, method="higher")
      yield Lengths(
        part=f"{group} {part}",
        number=len(values),
        mean=float(np.mean(values)),
        quantiles=tuple(int(n) for n in numbers),
        limit=limit,
        over=sum(value > limit for value in values),
      )


def default_view(
  records: Sequence[schema.Record], **options: Any
) -> views.View:
  """The built-in view for the kind that most records have.

  Args:
    records: at least one.
    **options: of `views.view`; the attributes of rated records are found.
  """
  kinds = collections.Counter(record.kind for record in records)
  name = kinds.most_common(1)[0][0]
  if name == "pair" and not any(record.prompt for record in records):
    name = "joint"
  if name == "rated" and not options.get("attributes"):
    options["attributes"] = sorted(
      {a for record in records for row in record.attributes or () for a in row}
    )
  return views.view(name, **options)


def _fill(source: pipeline.Source, store: store_lib.Store) -> list[Bucket]:
  """The buckets of one epoch."""
  tokens = {}
  for row, example_id in enumerate(store.index.example_id):
    (example,) = store.get([row])
    tokens[int(example_id)] = sum(
      len(group.prompt) + len(group.tokens) for group in example.groups.values()
    )
  counts = [[0, 0, 0] for _ in source.batch_shapes()]
  for step in range(source.num_steps):
    count = counts[source.level(step)]
    ids = np.unique(source.example_ids(step))  # rows that fill up repeat one
    count[0] += 1
    count[1] += len(ids)
    count[2] += sum(tokens[int(i)] for i in ids)
  groups = store.index.groups
  out = []
  for shapes, (number, held, real) in zip(
    source.batch_shapes(), counts, strict=True
  ):
    own = {name: shapes[name] for name in groups}
    row = sum(b * (p + k * r) for b, k, p, r in own.values())
    out.append(Bucket(own, number, held, real, number * row))
  return out


def _token(tokenizer: tokenizers.Tokenizer, token: int) -> str:
  return tokenizer.decode([token]) or f"<{token}>"


def _text(tokenizer: tokenizers.Tokenizer, ids: Sequence[int]) -> str:
  """The text of tokens, control tokens included."""
  out, run = [], []
  for token in map(int, ids):
    if token in tokenizer.special_ids:
      out += [tokenizer.decode(run), _token(tokenizer, token)]
      run = []
    else:
      run.append(token)
  return "".join([*out, tokenizer.decode(run)])


def _spans(
  tokenizer: tokenizers.Tokenizer, ids: np.ndarray, weights: np.ndarray
) -> tuple[Span, ...]:
  """Runs of equal weight."""
  edges = np.flatnonzero(np.diff(weights)) + 1
  return tuple(
    Span(_text(tokenizer, part), float(weight[0]), len(part))
    for part, weight in zip(
      np.split(ids, edges), np.split(weights, edges), strict=True
    )
    if len(part)
  )


def show(
  tokenizer: tokenizers.Tokenizer, example: examples.Example, record_id: str
) -> Shown:
  """An example as text again, from its tokens."""
  parts, pairs = [], ()
  for name, group in example.groups.items():
    nothing = np.zeros(len(group.prompt))
    parts.append(
      Part(
        name=f"{name} prompt",
        tokens=len(group.prompt),
        counted=0,
        spans=_spans(tokenizer, group.prompt, nothing),
        prompt=True,
      )
    )
    cuts = np.cumsum(group.lengths)[:-1]
    if not len(group.lengths):
      continue
    for k, (ids, weights) in enumerate(
      zip(
        np.split(group.tokens, cuts), np.split(group.weights, cuts), strict=True
      )
    ):
      parts.append(
        Part(
          name=f"{name} response {k}",
          tokens=len(ids),
          counted=int((weights > 0).sum()),
          spans=_spans(tokenizer, ids, weights),
          prompt=False,
          score=None if group.scores is None else float(group.scores[k]),
        )
      )
    if group.pairs is not None and not pairs:
      pairs = tuple((int(a), int(b)) for a, b in group.pairs)
  return Shown(
    example_id=example.example_id,
    record_id=record_id,
    weight=example.weight,
    parts=tuple(parts),
    pairs=pairs,
    extras={name: value.tolist() for name, value in example.extras.items()},
  )


def inspect(
  data: reports.Dataset,
  tokenizer: tokenizers.Tokenizer,
  *,
  view: views.View | None = None,
  lengths: encoding.Lengths = encoding.Lengths(),  # noqa: B008 - frozen
  template: str | None = None,
  options: pipeline.Options | None = None,
  rows: int = 3,
) -> Inspection:
  """Encodes a data set and looks at the outcome.

  Args:
    data: what `readers.read` gave.
    tokenizer: text to ids.
    view: which groups records become; None picks by their kind.
    lengths: limits in tokens.
    template: chat template; None takes the tokenizer's, or 'chatml' where it
      has none and there are conversations.
    options: how batches are cut; None: 8 rows.
    rows: how many examples to show, evenly over the file.

  Raises:
    DataError: no record can be used.
    ConfigError: an option is wrong.
  """
  if rows < 0:
    raise errors.ConfigError(f"rows: {rows} is negative")
  view = default_view(data.records) if view is None else view
  if (
    template is None
    and tokenizer.chat_template is None
    and any(record.is_chat for record in data)
  ):
    template = "chatml"
  encoder = _Measuring(tokenizer, view, lengths, template=template)
  store = store_lib.MemoryStore(encoder, data.records)
  options = options or pipeline.Options(batch_size=8)
  source = pipeline.Source(
    store, dataclasses.replace(options, epochs=1, remainder="fill")
  )
  number = len(store.index)
  chosen = np.unique(np.linspace(0, number - 1, min(rows, number)).astype(int))
  prepared = view.prepare(data.records)
  if template is None:
    named = "own" if any(record.is_chat for record in data) else "none"
  else:
    named = template if len(template) <= 64 else "given"
  return Inspection(
    report=data.report,
    kinds=dict(collections.Counter(record.kind for record in data)),
    view=view.name,
    template=named,
    encoded=store.report,
    lengths=tuple(encoder.measured()),
    buckets=tuple(_fill(source, store)),
    batch_size=options.batch_size,
    shown=tuple(
      show(tokenizer, example, prepared[example.example_id].id)
      for example in store.get(chosen)
    ),
  )
