# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records to token ids: one example a record, and an account of the rest.

Texts go through `chat.encode_example`, so all responses of a group share the
same prompt ids, and through `chat.truncate`.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from prefjax.core import errors
from prefjax.data import (
  chat,
  chat_templates,
  examples,
  fields,
  joint_texts,
  schema,
  tokenizers,
  views,
)
from prefjax.data import media as media_lib

_KEEP = ("tail", "head")
LISTED = 1000  # dropped records that a report names one by one
VERSION = 1  # counts changes of what the same record becomes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lengths:
  """How long prompts and responses may be, in tokens.

  Attributes:
    prompt: most prompt tokens.
    response: most tokens of a response.
    groups: (prompt, response) for groups with limits of their own.
    too_long: 'cut' shortens, 'drop' leaves the record out.
    keep: 'tail' or 'head' of a prompt that is too long.
  """

  prompt: int = 512
  response: int = 512
  groups: tuple[tuple[str, tuple[int, int]], ...] = ()
  too_long: str = "cut"
  keep: str = "tail"

  def __post_init__(self):
    for name, known in (("too_long", ("cut", "drop")), ("keep", _KEEP)):
      value = getattr(self, name)
      if value not in known:
        raise errors.ConfigError(
          f"data.{name}: {value!r} is neither {known[0]!r} nor {known[1]!r}"
        )
    sizes = [(self.prompt, self.response), *dict(self.groups).values()]
    if any(size < 1 for pair in sizes for size in pair):
      raise errors.ConfigError(
        "data.max_prompt and data.max_response must be 1 or more"
      )

  def of(self, group: str) -> tuple[int, int]:
    """(prompt, response) limits of a group."""
    return dict(self.groups).get(group, (self.prompt, self.response))


@dataclasses.dataclass
class EncodeReport:
  """What became of the records; seen = kept + dropped.

  Attributes:
    seen: records met.
    kept: examples made.
    dropped: records left out.
    reasons: reason -> how many records.
    dropped_records: (example id, record id, reason) of the first LISTED.
    cut_prompts: prompts that were too long.
    cut_responses: responses that were too long.
    merges: token merges across the border of prompt and response.
  """

  seen: int = 0
  kept: int = 0
  dropped: int = 0
  reasons: dict[str, int] = dataclasses.field(default_factory=dict)
  dropped_records: list[tuple[int, str, str]] = dataclasses.field(
    default_factory=list
  )
  cut_prompts: int = 0
  cut_responses: int = 0
  merges: int = 0

  def drop(self, example_id: int, record_id: str, kind: str, text: str) -> None:
    self.dropped += 1
    self.reasons[kind] = self.reasons.get(kind, 0) + 1
    if len(self.dropped_records) < LISTED:
      self.dropped_records.append((example_id, record_id, text))

  def extend(self, later: "EncodeReport") -> None:
    """Adds what became of records that come after these."""
    for name in ("seen", "kept", "dropped", "cut_prompts", "cut_responses"):
      setattr(self, name, getattr(self, name) + getattr(later, name))
    self.merges += later.merges
    for kind, count in later.reasons.items():
      self.reasons[kind] = self.reasons.get(kind, 0) + count
    room = LISTED - len(self.dropped_records)
    self.dropped_records.extend(later.dropped_records[:room])

  def summary(self) -> str:
    """One line."""
    parts = [f"{self.kept} examples of {self.seen} records"]
    parts += [f"{n} dropped: {kind}" for kind, n in self.reasons.items()]
    for count, text in (
      (self.cut_prompts, "prompts cut"),
      (self.cut_responses, "responses cut"),
      (self.merges, "token merges at a border"),
    ):
      if count:
        parts.append(f"{count} {text}")
    return ", ".join(parts)


class _Drop(Exception):  # noqa: N818 - caught in this module
  def __init__(self, kind: str, text: str):
    super().__init__(text)
    self.kind = kind


def _segments(offsets, pieces: Sequence[str]) -> np.ndarray:
  """int32 [t]: the piece in which each response token starts.

  Tokens of the frame around the answer go to the nearest piece.
  """
  ends = list(itertools.accumulate(len(piece) for piece in pieces))
  starts = [start for start, _ in offsets]
  return np.searchsorted(ends[:-1], starts, side="right").astype(np.int32)


def _without_prefix(weights, offsets, prefix: str) -> list[float]:
  """Weights where the tokens that start inside a prefix count nothing."""
  return [
    0.0 if start < len(prefix) else weight
    for weight, (start, _) in zip(weights, offsets, strict=True)
  ]


class Encoder:
  """Encodes records with one tokenizer, view and set of limits.

  Args:
    tokenizer: text to ids.
    view: record to groups of text.
    lengths: limits in tokens.
    template: chat template that replaces the tokenizer's own, or 'own' to
      use that for plain text as well; see `chat.encode_example`.
    limits: what no record may exceed.
    media: what images and frames become; without it a record that has any is
      an error.

  Attributes:
    report: what became of the records of the latest `encode_all`.
  """

  def __init__(
    self,
    tokenizer: tokenizers.Tokenizer,
    view: views.View,
    lengths: Lengths,
    *,
    template: str | None = None,
    limits: fields.Limits = fields.Limits(),  # noqa: B008 - frozen
    media: media_lib.Options = media_lib.Options(),  # noqa: B008 - frozen
  ):
    self.tokenizer = tokenizer
    self.view = view
    self.lengths = lengths
    self.template = template
    self.report = EncodeReport()
    self._limits = limits
    self._media = media

  def key(self) -> dict[str, Any]:
    """Everything besides the records that decides the tokens."""
    template = self.template
    if template is not None:
      own = self.tokenizer.chat_template
      template = chat_templates.source(template, own)
    return {
      "version": VERSION,
      "tokenizer": self.tokenizer.fingerprint,
      "template": template,
      "plain": chat_templates.starts_plainly(self.template),
      "limit": self._limits.tokens,
      "view": self.view.name,
      "mismatched": self.view.mismatched,
      "lengths": dataclasses.asdict(self.lengths),
      "media": dataclasses.asdict(self._media),
    }

  def _encoded(
    self, name: str, text: views.GroupText, tools: Any
  ) -> chat.Encoded:
    """Token ids of the group of a name, nothing cut.

    Raises:
      DataError: the conversation does not suit the template.
    """
    prompt, responses = text.prompt, text.responses
    if not prompt and not all(isinstance(r, str) for r in responses):
      prompt = ()  # conversations without a prompt
    encoded = chat.encode_example(
      self.tokenizer,
      _messages(prompt),
      # An empty response shows where the prompt ends.
      [_messages(r) for r in responses] or [""],
      template=self.template,
      add_eos=text.eos and bool(responses),
      tools=tools,
    )
    self.report.merges += encoded.merges
    longest = max(map(len, (encoded.prompt_ids, *encoded.responses)))
    if longest > self._limits.tokens:
      raise _Drop("long", f"is over {self._limits.tokens:,} tokens")
    return encoded

  def _cut(
    self, name: str, text: views.GroupText, tools: Any
  ) -> tuple[chat.Encoded, int]:
    """(a group within its limits, prompt tokens that were cut)."""
    encoded = self._encoded(name, text, tools)
    most_prompt, most_response = self.lengths.of(name)
    if not text.responses:
      # Only the prompt counts: `truncate` would miss a response.
      encoded = dataclasses.replace(
        encoded, responses=[[0]], weights=[[1.0]], offsets=[[(0, 0)]]
      )
    result = chat.truncate(
      encoded,
      most_prompt,
      most_response,
      keep=self.lengths.keep,
      policy=self.lengths.too_long,
      bos_id=self.tokenizer.bos_id if most_prompt > 1 else None,
    )
    if result.encoded is None:
      sizes = max(map(len, encoded.responses)) if text.responses else 0
      raise _Drop(
        result.reason,
        f"{name}: {result.reason} ({len(encoded.prompt_ids)} prompt and"
        f" {sizes} response tokens, limits {most_prompt} and {most_response})",
      )
    self.report.cut_prompts += result.cut_prompt > 0
    self.report.cut_responses += sum(n > 0 for n in result.cut_responses)
    return result.encoded, result.cut_prompt

  def _group(
    self, name: str, text: views.GroupText, tools: Any
  ) -> examples.EncodedGroup:
    encoded, cut = self._cut(name, text, tools)
    prompt, segments = encoded.prompt_ids, None
    responses, weights = encoded.responses, encoded.weights
    if not text.responses:
      responses, weights = [], []
    if text.pieces is not None:
      segments = [
        _segments(offsets, pieces)
        for offsets, pieces in zip(encoded.offsets, text.pieces, strict=True)
      ]
    if text.kinds is not None:
      segments = [
        np.asarray(kinds, np.int32)[places]
        for kinds, places in zip(text.kinds, segments, strict=True)
      ]
    if text.prefixes is not None:
      weights = [
        _without_prefix(*parts)
        for parts in zip(weights, encoded.offsets, text.prefixes, strict=True)
      ]
    if text.joint:
      number = 1
      if not cut:
        number = joint_texts.opening(
          self.tokenizer, text.prompt, self.template, tools
        )
      prompt, *parts = joint_texts.join(
        prompt, responses[0], weights[0], number
      )
      responses, weights, segments = ([part] for part in parts)
    if not all(any(w > 0 for w in ws) for ws in weights):
      raise _Drop(
        "no_weighted_token", f"{name}: a response has no token that counts"
      )
    flat = [token for ids in responses for token in ids]
    if max([*prompt, *flat]) >= self.tokenizer.vocab_size:
      raise errors.ModelError(
        f"the tokenizer gave the id {max([*prompt, *flat])}, outside its"
        f" vocabulary of {self.tokenizer.vocab_size}"
      )
    return examples.EncodedGroup(
      prompt=np.asarray(prompt, np.int32),
      tokens=np.asarray(flat, np.int32),
      weights=np.asarray([w for ws in weights for w in ws], np.float32),
      lengths=np.asarray([len(r) for r in responses], np.int32),
      segments=None if segments is None else np.concatenate(segments),
      scores=None
      if text.scores is None
      else np.asarray(text.scores, np.float32),
      pairs=None
      if text.pairs is None
      else np.asarray(text.pairs, np.int32).reshape(-1, 2),
    )

  def encode(self, example_id: int, record: schema.Record) -> examples.Example:
    """One record.

    Raises:
      Problem: the view cannot use the record.
      MediaError: an image or frame cannot be used.
      _Drop: it is too long or empty.
    """
    tools = record.metadata.get("tools")
    tools = tools if isinstance(tools, list) else None
    pixels = media_lib.load(record, self._media)
    record = media_lib.without_placeholders(record)
    groups = {
      name: dataclasses.replace(self._group(name, text, tools), **pixels)
      for name, text in self.view.groups(record).items()
    }
    first = next(iter(groups.values()))
    prompt_parts = [first.prompt, *(pixels[name] for name in sorted(pixels))]
    hashed = hashlib.sha256(
      b"".join(part.tobytes() for part in prompt_parts)
    ).digest()
    return examples.Example(
      example_id=example_id,
      weight=float(record.weight),
      groups=groups,
      extras={
        name: _array(value) for name, value in self.view.extras(record).items()
      },
      prompt_hash=int.from_bytes(hashed[:8], "little") >> 1,
    )

  def encode_all(
    self,
    records: Sequence[schema.Record],
    progress: Callable[[int, int], None] | None = None,
    part: tuple[int, int] = (0, 1),
  ) -> Iterator[examples.Example]:
    """All records that can be used, in order; the others are in the report.

    Args:
      records: all of them.
      progress: called with (records done, records).
      part: (i, n) for the i-th of n parts of the records, which one after
        the other are the whole.
    """
    self.report = EncodeReport()
    prepared = self.view.prepare(records)
    first, last = (
      len(prepared) * at // part[1] for at in (part[0], part[0] + 1)
    )
    for index in range(first, last):
      record = prepared[index]
      self.report.seen += 1
      try:
        example = self.encode(index, record)
      except fields.Problem as problem:
        self.report.drop(index, record.id, "view", str(problem))
        continue
      except _Drop as drop:
        self.report.drop(index, record.id, drop.kind, str(drop))
        continue
      except media_lib.MediaError:
        raise  # left out in silence, a missing folder would empty a run
      except errors.DataError as error:
        self.report.drop(index, record.id, "encoding", str(error))
        continue
      self.report.kept += 1
      if progress is not None:
        progress(index + 1, len(prepared))
      yield example


def _messages(text: schema.Text) -> Any:
  return text if isinstance(text, str) else [dict(m) for m in text]


def _array(value: Any) -> np.ndarray:
  array = np.asarray(value)
  kind = np.float32 if array.dtype.kind == "f" else np.int32
  return array.astype(kind)
