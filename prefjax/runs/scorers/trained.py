# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scores by trained reward models of any kind.

What a head says becomes one number a response:

  scalar          the reward
  ensemble        the mean; all members under "members"
  attributes      a weighted sum; all of them under "attributes"
  preference      the mean preference over the other responses ("matrix")
  both orders     the same, from texts that show two responses
  traced          the reward after the response's trace of metadata.traces
  steps           the least, mean or last probability that a step is right
  classifier      the probability of the last class; all under "classes"
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from prefjax import rewards
from prefjax.core import errors
from prefjax.data import paired_views, schema, tool_traces
from prefjax.methods import language_model
from prefjax.models import reward_heads
from prefjax.rewards import sequences
from prefjax.runs import reward_files
from prefjax.runs.scorers import base, models

AGGREGATES = ("min", "mean", "last", "product")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """How a reward model is read.

  Attributes:
    weights: of attributes; () for those of the published reward model where
      there are five, else all 1.
    aggregate: of the probabilities of steps.
    eos: responses end with the end-of-sequence token, as in training.
    max_prompt, max_response: longer prompts lose their beginning, longer
      responses are an error.
  """

  weights: tuple[float, ...] = ()
  aggregate: str = "min"
  eos: bool = True
  max_prompt: int = 1024
  max_response: int = 1024

  def __post_init__(self):
    """Checks the aggregate."""
    if self.aggregate not in AGGREGATES:
      raise errors.ConfigError(
        f"--options.aggregate: {self.aggregate!r} is not one of"
        f" {', '.join(AGGREGATES)}"
      )


class ModelScorer:
  """Scores by a trained reward model.

  Args:
    model: of `reward_files.open_reward`.
    settings: how it is read.
    batch_size: prompts of a batch.
    compute: how the decoder is run.
  """

  name = "model"

  def __init__(
    self,
    model: reward_files.RewardModel,
    settings: Settings = Settings(),  # noqa: B008 - frozen
    *,
    batch_size: int = 8,
    compute: language_model.Compute = language_model.Compute(),  # noqa: B008
  ):
    self._model, self._settings = model, settings
    self._reader = models.Reader(
      model.policy, max_prompt=settings.max_prompt, batch_size=batch_size
    )
    self._batch = batch_size
    decoder, head = model.policy.model, model.head

    def run(weights, params, group):
      hidden = decoder.hidden(
        weights, group, layout=compute.layout, dtype=compute.dtype,
        attention=compute.attention,
      )  # fmt: skip
      return head.apply(params, hidden, group, None)

    self._run = jax.jit(run)

  def digest(self) -> str:
    return base.digest(
      policy=base.digest_of_policy(self._model.policy),
      head=base.digest_of_tree(self._model.params),
      kind=repr(self._model.head),
      settings=dataclasses.asdict(self._settings),
    )

  # --- texts -----------------------------------------------------------------

  def _texts(self, record: schema.Record) -> tuple[Any, list[Any]]:
    """(prompt, what the model reads after it)."""
    if self._model.record_kind == "traced":
      prompt, parts = tool_traces.render_trace(record)
      return prompt, [tool_traces.join(part) for part in parts]
    if self._model.record_kind != "orders":
      return record.prompt, list(record.responses)
    texts = [paired_views.spoken(r) for r in record.responses]
    if len(texts) < 2:
      raise errors.DataError("a preference model needs two responses")
    like = record.responses[0]
    return record.prompt, [
      paired_views.as_turn(
        like, "assistant", paired_views.BOTH.format(first=a, second=b)
      )
      for a, b in itertools.permutations(texts, 2)
    ]

  def _item(self, record: schema.Record) -> tuple[sequences.Item, Any]:
    prompt, responses = self._texts(record)
    encoded = self._reader.encode(prompt, responses, add_eos=self._settings.eos)
    longest = max(map(len, encoded.responses), default=0)
    if longest > self._settings.max_response:
      raise errors.DataError(
        f"a response has {longest} tokens, over max_response"
        f" {self._settings.max_response}"
      )
    if any(not ids for ids in encoded.responses):
      raise errors.DataError("a response has no token")
    limit = self._model.policy.model.config.max_positions
    room = min(self._settings.max_prompt, limit - sequences.slots(longest))
    if room < 1:
      raise errors.DataError(f"a response of {longest} tokens fills the model")
    prompt = sequences.cut_left(encoded.prompt_ids, room)
    return sequences.Item(prompt, encoded.responses), encoded.offsets

  # --- numbers ---------------------------------------------------------------

  def score(self, records: Sequence[schema.Record]) -> list[base.Row]:
    made = [base.attempt(self._item, record) for record in records]
    good = [i for i, x in enumerate(made) if not isinstance(x, str)]
    out: list[base.Row] = [
      {"error": x} if isinstance(x, str) else {} for x in made
    ]
    items = [made[i][0] for i in good]
    for rows, group in sequences.batches(items, self._batch):
      found = jax.device_get(
        self._run(self._model.policy.weights, self._model.params, group)
      )
      for place, row in enumerate(rows):
        own = {name: np.asarray(v[place]) for name, v in found.items()}
        record = records[good[row]]
        out[good[row]] = self._row(own, record, made[good[row]])
    for i in good:
      if not out[i]:
        out[i] = {"error": "has too few responses to compare"}
    return out

  def _row(self, found: Mapping[str, np.ndarray], record, made) -> base.Row:
    head, k = self._model.head, len(record.responses)
    if isinstance(head, reward_heads.GeneralPreferenceHead):
      gates = found.get("gates")
      matrix = np.asarray(
        head.matrix({"embeddings": found["embeddings"][None],
                     **({} if gates is None else {"gates": gates[None]})})
      )[0]  # fmt: skip
      return _of_matrix(matrix)
    if isinstance(head, reward_heads.PreferenceHeads):
      logits = found["class_logits"].astype(np.float64)
      share = np.exp(logits - logits.max(-1, keepdims=True))
      share /= share.sum(-1, keepdims=True)
      return {"scores": share[:, -1].tolist(), "classes": share.tolist()}
    if "token_rewards" in found:
      return self._of_steps(found["token_rewards"], record, made)
    values = found["rewards"]
    if self._model.record_kind == "orders":
      matrix = np.zeros((k, k))
      for value, (i, j) in zip(
        values, itertools.permutations(range(k), 2), strict=True
      ):
        matrix[i, j] = value
      return _of_matrix((matrix - matrix.T) / 2)
    if values.ndim == 1:
      return {"scores": values.tolist()}
    if self._model.method == "attribute_regression":
      weights = self._weights(values.shape[-1])
      return {
        "scores": (values @ weights).tolist(),
        "attributes": values.tolist(),
      }
    return {"scores": values.mean(-1).tolist(), "members": values.tolist()}

  def _weights(self, number: int) -> np.ndarray:
    given = self._settings.weights
    if not given:
      own = rewards.attributes.HELPSTEER_WEIGHTS
      given = own if number == len(own) else (1.0,) * number
    if len(given) != number:
      raise errors.ConfigError(
        f"--options.weights: are {len(given)}, the model has {number}"
        " attributes"
      )
    return np.asarray(given, np.float64)

  def _of_steps(self, values: np.ndarray, record, made) -> base.Row:
    """Probabilities that steps are right, read at their last tokens."""
    item, offsets = made
    rows = []
    for response, ids, places in zip(
      values, item.responses, offsets, strict=True
    ):
      ends = [len(ids) - 1]
      if record.steps and len(item.responses) == 1:
        borders = list(itertools.accumulate(map(len, record.steps)))
        starts = np.asarray([start for start, _ in places])
        segment = np.searchsorted(borders[:-1], starts, side="right")
        ends = [
          int(np.flatnonzero(segment == s)[-1])
          for s in range(len(borders))
          if (segment == s).any()
        ]
      rows.append([float(1 / (1 + np.exp(-response[end]))) for end in ends])
    reduce = {
      "min": min,
      "mean": np.mean,
      "last": lambda x: x[-1],
      "product": np.prod,
    }[self._settings.aggregate]
    return {"scores": [float(reduce(row)) for row in rows], "steps": rows}


def _of_matrix(matrix: np.ndarray) -> base.Row:
  """Mean preference over the other responses."""
  if len(matrix) < 2:
    return {"error": "a preference model needs two responses to compare"}
  scores = rewards.preference_vs_policy(matrix[None], include_self=False)[0]
  return {"scores": np.asarray(scores).tolist(), "matrix": matrix.tolist()}
