# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scorers that ask language models for log-probs: no training of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefjax import rewards
from prefjax.core import errors
from prefjax.data import chat, schema
from prefjax.methods import language_model
from prefjax.rewards import followups as followups_lib
from prefjax.rewards import sequences
from prefjax.runs import loading, scoring
from prefjax.runs.scorers import base

CATEGORIES = ("understanding", "engagingness", "instruction_following")


class Reader:
  """A policy that says how likely continuations are.

  Args:
    policy: the model.
    max_prompt: longer prompts lose their beginning.
    batch_size: prompts of a batch.
    compute: how the model is run.
  """

  def __init__(
    self,
    policy: loading.Policy,
    *,
    max_prompt: int = 1024,
    batch_size: int = 8,
    compute: language_model.Compute = language_model.Compute(),  # noqa: B008
  ):
    self.policy = policy
    self._max_prompt, self._batch = max_prompt, batch_size
    self.apply = scoring.scorer(policy.model, compute)

  def is_chat(self, record: schema.Record | None = None) -> bool:
    """Whether texts are shown as turns of a conversation."""
    has_template = bool(
      self.policy.template or self.policy.tokenizer.chat_template
    )
    return has_template and (record is None or record.is_chat)

  def encode(
    self, prompt: Any, responses: Sequence[Any], *, add_eos: bool = False
  ) -> chat.Encoded:
    return chat.encode_example(
      self.policy.tokenizer,
      _messages(prompt),
      [_messages(response) for response in responses],
      template=self.policy.template,
      add_eos=add_eos,
    )

  def token_logps(
    self, items: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]]
  ) -> list[list[np.ndarray]]:
    """Log-probs of every token of every continuation of (prompt, K ids)."""
    limit = self.policy.model.config.max_positions
    made = []
    for prompt, responses in items:
      longest = max(map(len, responses), default=0)
      room = min(self._max_prompt, max(limit - sequences.slots(longest), 1))
      made.append(sequences.Item(sequences.cut_left(prompt, room), responses))
    return sequences.token_logps(
      self.apply, self.policy.weights, made, batch_size=self._batch
    )


def _messages(text: Any) -> Any:
  return text if isinstance(text, str) else [dict(m) for m in text]


def _with_instruction(prompt: Any, text: str) -> Any:
  """A prompt that begins with an instruction."""
  if not text:
    return prompt
  if isinstance(prompt, str):
    return f"{text}\n\n{prompt}"
  return [{"role": "system", "content": text}, *prompt]


class DensityScorer:
  """How much likelier a response is under a strong than under a weak model.

  Args:
    strong: reads the responses.
    weak: the same with a weaker model.
    instruction: text that both read before the prompt.
    instructions: domain -> such a text, by metadata.domain of the record.
    normalize: "none" or "tokens".
  """

  name = "density"

  def __init__(
    self,
    strong: Reader,
    weak: Reader,
    *,
    instruction: str = "",
    instructions: Mapping[str, str] | None = None,
    normalize: str = "none",
  ):
    if normalize not in ("none", "tokens"):
      raise errors.ConfigError(
        f"--options.normalize: {normalize!r} is neither 'none' nor 'tokens'"
      )
    self._models = strong, weak
    self._text, self._table = instruction, dict(instructions or {})
    self._normalize = normalize

  def digest(self) -> str:
    return base.digest(
      models=[base.digest_of_policy(m.policy) for m in self._models],
      instruction=self._text,
      instructions=self._table,
      normalize=self._normalize,
    )

  def _instruction(self, record: schema.Record) -> str:
    domain = str(record.metadata.get("domain", ""))
    return self._table.get(domain, self._text)

  def _sums(self, model: Reader, records) -> list[Any]:
    """(summed log-probs, lengths) of each record, or why there are none."""

    def encode(record):
      prompt = _with_instruction(record.prompt, self._instruction(record))
      found = model.encode(prompt, record.responses)
      return found.prompt_ids, found.responses

    items = [base.attempt(encode, record) for record in records]
    logps = iter(
      model.token_logps([x for x in items if not isinstance(x, str)])
    )
    out: list[Any] = []
    for item in items:
      if isinstance(item, str):
        out.append(item)
        continue
      rows = next(logps)
      sums = [float(np.sum(x, dtype=np.float64)) for x in rows]
      out.append((sums, [len(x) for x in rows]))
    return out

  def score(self, records: Sequence[schema.Record]) -> list[base.Row]:
    out: list[base.Row] = []
    for strong, weak in zip(
      *(self._sums(model, records) for model in self._models), strict=True
    ):
      bad = next((x for x in (strong, weak) if isinstance(x, str)), None)
      if bad is not None:
        out.append({"error": bad})
        continue
      values = rewards.density_ratio(
        np.asarray(strong[0]),
        np.asarray(weak[0]),
        np.asarray(strong[1]),
        np.asarray(weak[1]),
        normalize=self._normalize,
      )
      out.append(
        {
          "scores": np.asarray(values).tolist(),
          "strong": strong[0],
          "weak": weak[0],
          "lengths": strong[1],
        }
      )
    return out


class FollowupScorer:
  """Follow-up likelihood: what would the user say next?

  Args:
    model: reads the remarks after each response.
    categories: of `rewards.FOLLOWUPS`.
    baseline: subtracts the remarks' log-probs after the prompt alone, so that
      scores of different prompts can be compared.
  """

  name = "followups"

  def __init__(
    self,
    model: Reader,
    *,
    categories: Sequence[str] = CATEGORIES,
    baseline: bool = False,
  ):
    known = rewards.FOLLOWUPS
    for name in categories:
      if name not in known:
        raise errors.ConfigError(
          f"--options.categories: {name!r} is unknown"
          f"{errors.nearest(name, known)}; known are {', '.join(known)}"
        )
    if not categories:
      raise errors.ConfigError("--options.categories: names no category")
    self._model, self._categories = model, tuple(categories)
    self._baseline = bool(baseline)
    self._remarks = [
      remark
      for sign in ("positive", "negative")
      for name in self._categories
      for remark in known[name][sign]
    ]

  def digest(self) -> str:
    return base.digest(
      model=base.digest_of_policy(self._model.policy),
      remarks=self._remarks,
      baseline=self._baseline,
    )

  def _encode(self, record, response) -> followups_lib.EncodedFollowups:
    """The remarks as the user's next turn."""
    model = self._model
    if not model.is_chat():
      prompt, _ = base.texts_of(record)
      before = prompt + ("" if response is None else str(response))
      return followups_lib.plain_followups(
        model.policy.tokenizer, before, "", self._remarks
      )
    turns = list(_as_turns(record.prompt, "user"))
    if response is not None:
      turns += _as_turns(response, "assistant")
    encoded = model.encode(
      turns, [[{"role": "user", "content": r}] for r in self._remarks]
    )
    says = [
      [0 <= start < len(remark) for start, _ in offsets]
      for remark, offsets in zip(self._remarks, encoded.offsets, strict=True)
    ]
    return encoded.prompt_ids, encoded.responses, says

  def _likelihoods(self, encoded) -> np.ndarray:
    """Log-prob per token of each remark, float64 [rows, remarks]."""
    logps = self._model.token_logps([(ids, ends) for ids, ends, _ in encoded])
    out = np.zeros((len(encoded), len(self._remarks)))
    for row, (values, (_, _, says)) in enumerate(
      zip(logps, encoded, strict=True)
    ):
      for column, (x, mask) in enumerate(zip(values, says, strict=True)):
        kept = x[np.asarray(mask, bool)]
        out[row, column] = kept.mean(dtype=np.float64) if len(kept) else 0.0
    return out

  def _rows(
    self, record: schema.Record
  ) -> list[followups_lib.EncodedFollowups]:
    texts = list(record.responses)
    if self._baseline:
      texts.append(None)
    return [self._encode(record, text) for text in texts]

  def score(self, records: Sequence[schema.Record]) -> list[base.Row]:
    encoded = [base.attempt(self._rows, record) for record in records]
    table = self._likelihoods(
      [row for rows in encoded if not isinstance(rows, str) for row in rows]
    )
    out: list[base.Row] = []
    at = 0
    for rows in encoded:
      if isinstance(rows, str):
        out.append({"error": rows})
        continue
      part = table[at : at + len(rows)]
      at += len(rows)
      if self._baseline:
        part = part[:-1] - part[-1:]
      halves = part.reshape(len(part), 2, len(self._categories), -1)
      found = rewards.flr_categories(halves[:, 0], halves[:, 1])
      out.append(
        {
          "scores": np.asarray(found["reward"]).tolist(),
          "categories": np.asarray(found["categories"]).tolist(),
        }
      )
    return out


def _as_turns(text: Any, role: str) -> list[dict[str, Any]]:
  if isinstance(text, str):
    return [{"role": role, "content": text}]
  return [dict(message) for message in text]


def judge_encoder(reader: Reader):
  """(text, options) -> ids, for `rewards.judge_probabilities`."""

  def encode(text: str, options: Sequence[str]):
    if not reader.is_chat():
      return sequences.encode_text(reader.policy.tokenizer, text, options)
    encoded = reader.encode(
      [{"role": "user", "content": text.rstrip()}],
      [[{"role": "assistant", "content": o.strip()}] for o in options],
    )
    return encoded.prompt_ids, encoded.responses

  return encode
