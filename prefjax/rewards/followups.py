# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Follow-up likelihood: what would the user say next?

A response is good if a satisfied user's remark is likelier after it than a
dissatisfied one's. The method is FLR, "Aligning Language Models Using
Follow-up Likelihood as Reward Signal", arXiv:2409.13948; the remarks are our
own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefjax.core import checks, errors, masking, numerics
from prefjax.rewards import sequences

_AGGREGATES = ("mean", "logmeanexp")

# category -> polarity -> remarks of a user
FOLLOWUPS: dict[str, dict[str, list[str]]] = {
  "understanding": {
    "positive": [
      "Yes, that is what I meant.",
      "You understood my question perfectly.",
      "Exactly, you got my point.",
      "Right, that is the thing I was asking about.",
      "You read my mind.",
    ],
    "negative": [
      "No, that is not what I meant.",
      "You misunderstood my question.",
      "I was asking about something else.",
      "You missed my point.",
      "Please read my question again.",
    ],
  },
  "relevance": {
    "positive": [
      "This is right on topic.",
      "Everything here is about what I asked.",
      "Good, you kept to the subject.",
      "That answers my question directly.",
      "All of this is to the point.",
    ],
    "negative": [
      "This has nothing to do with my question.",
      "You went off topic.",
      "Why are you telling me this?",
      "Most of this is beside the point.",
      "Please keep to the subject.",
    ],
  },
  "correctness": {
    "positive": [
      "I checked it, and it is correct.",
      "That is right.",
      "All of these facts are true.",
      "Your reasoning holds up.",
      "It works just as you said.",
    ],
    "negative": [
      "I checked it, and it is wrong.",
      "That is not true.",
      "There is a mistake in your answer.",
      "Your reasoning does not hold up.",
      "It does not work as you said.",
    ],
  },
  "engagingness": {
    "positive": [
      "Interesting! Tell me more.",
      "I enjoyed reading that.",
      "I would love to hear more about it.",
      "This is fun to talk about.",
      "Wow, please go on.",
    ],
    "negative": [
      "That was boring.",
      "I have lost interest.",
      "Let us talk about something else.",
      "I did not feel like reading all that.",
      "Please stop here.",
    ],
  },
  "informativeness": {
    "positive": [
      "I learned a lot from that.",
      "That has all the details I need.",
      "Very informative, thank you.",
      "Now I know what to do.",
      "That was a thorough answer.",
    ],
    "negative": [
      "That did not tell me anything new.",
      "Important details are missing.",
      "That is far too vague.",
      "I still do not know what to do.",
      "You could have said much more.",
    ],
  },
  "instruction_following": {
    "positive": [
      "You did everything I asked for.",
      "Great, you followed my instructions.",
      "It has just the form I wanted.",
      "You kept to all my conditions.",
      "That is precisely what I requested.",
    ],
    "negative": [
      "You did not do what I asked for.",
      "You ignored my instructions.",
      "It does not have the form I wanted.",
      "You left out one of my conditions.",
      "That is not what I requested.",
    ],
  },
}


def followup_logprob(token_logps, mask, *, normalize=True) -> jax.Array:
  """Log-probability of a follow-up, by default per token.

  Args:
    token_logps: [..., T], log-probs of the follow-up's tokens after prompt
      and response, nats.
    mask: [..., T], the tokens of the utterance alone, without role header
      and end of turn; others may hold anything.
    normalize: mean over tokens, or their sum.

  Returns:
    [...] float32; 0 for an empty follow-up.

  Raises:
    ValueError: shapes differ.
  """
  checks.same_shape("followup_logprob", token_logps=token_logps, mask=mask)
  (logps,) = numerics.to_float32(token_logps)
  reduce = masking.masked_mean if normalize else masking.masked_sum
  return reduce(logps, mask, axis=-1)


def _side(logps, mask, aggregate: str) -> jax.Array:
  """One side's log-likelihood; 0 where it has no follow-up."""
  if aggregate == "mean":
    return masking.masked_mean(logps, mask, axis=-1)
  number = masking.count(mask, axis=-1).astype(logps.dtype)
  present = number > 0
  # A row without follow-ups sums over all of them, and is then dropped.
  seen = jnp.asarray(mask, bool) | ~present[..., None]
  total = masking.masked_logsumexp(masking.replace(logps, mask), seen, axis=-1)
  return jnp.where(present, total - jnp.log(jnp.maximum(number, 1)), 0.0)


def flr(
  positive_logps,
  negative_logps,
  positive_mask=None,
  negative_mask=None,
  *,
  aggregate="mean",
) -> jax.Array:
  """Follow-up likelihood reward: pleased against displeased remarks.

    mean over positive remarks of l(f) - mean over negative ones

  Args:
    positive_logps: [B, P], `followup_logprob` of the positive remarks.
    negative_logps: [B, Q], of the negative remarks.
    positive_mask: [B, P] or None, which remarks count; others may hold
      anything.
    negative_mask: [B, Q] or None.
    aggregate: "mean" of log-probs, or "logmeanexp", the logarithm of the
      mean probability (which the likeliest remark rules).

  Returns:
    [B] float32; a side without remarks counts 0.

  Raises:
    ValueError: shapes differ or an unknown aggregate.
  """
  checks.one_of("flr", _AGGREGATES, aggregate=aggregate)
  sides = []
  for name, logps, mask in (
    ("positive", positive_logps, positive_mask),
    ("negative", negative_logps, negative_mask),
  ):
    if mask is None:
      mask = jnp.ones(jnp.shape(logps), bool)
    checks.same_shape("flr", **{f"{name}_logps": logps, f"{name}_mask": mask})
    sides.append(_side(numerics.to_float32(logps)[0], mask, aggregate))
  checks.same_shape("flr", positive_logps=sides[0], negative_logps=sides[1])
  return sides[0] - sides[1]


def flr_categories(
  positive_logps, negative_logps, *, weights: Sequence[float] | None = None
) -> dict[str, jax.Array]:
  """Follow-up likelihood reward by category, and its weighted mean.

  Args:
    positive_logps: [B, C, N], `followup_logprob` of N positive remarks in
      each of C categories.
    negative_logps: [B, C, N], of the negative remarks.
    weights: [C] or None, of the categories; scaled to sum to 1.

  Returns:
    {"reward": float32 [B], "categories": float32 [B, C]}.

  Raises:
    ValueError: shapes differ, or the weights do not sum to more than 0.
  """
  name = "flr_categories"
  checks.rank(name, 3, positive_logps=positive_logps)
  checks.same_shape(
    name, positive_logps=positive_logps, negative_logps=negative_logps
  )
  positive, negative = numerics.to_float32(positive_logps, negative_logps)
  categories = jnp.mean(positive, axis=-1) - jnp.mean(negative, axis=-1)
  number = categories.shape[1]
  values = [1.0] * number if weights is None else [float(w) for w in weights]
  if len(values) != number or sum(values) <= 0:
    raise ValueError(
      f"{name}: weights={values}, expected {number} numbers with a sum above 0"
    )
  share = jnp.asarray(values, categories.dtype) / sum(values)
  return {"reward": categories @ share, "categories": categories}


# (ids of dialogue and response, ids of each remark after them, for each of
# these whether it says the remark itself)
EncodedFollowups = tuple[list[int], list[list[int]], list[list[bool]]]


def plain_followups(
  tokenizer: Any,
  dialog: str,
  response: str,
  remarks: Sequence[str],
  role: str = "user",
) -> EncodedFollowups:
  """The remarks as the next turn of a plain text."""
  text = f"{dialog}{response}\n{role.capitalize()}: "
  ids, ends = sequences.encode_text(tokenizer, text, remarks)
  whole = len(tokenizer.encode(text))
  # What a merge took from before the remark does not say it.
  extra = whole - len(ids)
  return ids, ends, [[i >= extra for i in range(len(end))] for end in ends]


def score_followups(
  apply_fn: sequences.ApplyFn,
  params: Any,
  tokenizer: Any,
  dialogs: Sequence[str],
  responses: Sequence[str],
  followups: Sequence[str],
  *,
  role: str = "user",
  encode: Callable[..., EncodedFollowups] | None = None,
  max_prompt: int = 2048,
  batch_size: int = 8,
) -> np.ndarray:
  """Log-probability per token of each remark after each dialogue (host).

  All remarks continue one row, so a dialogue is computed once.

  Args:
    apply_fn: (params, group) -> log-probs of response tokens [B, K, R].
    params: of the model.
    tokenizer: with `encode`.
    dialogs: B texts that the responses continue.
    responses: B texts.
    followups: F remarks.
    role: who makes them.
    encode: (dialog, response, followups, role) -> EncodedFollowups, for
      models with a chat template; None writes plain text.
    max_prompt: longer dialogues lose their beginning, never the remark.
    batch_size: dialogues of a batch.

  Returns:
    float32 [B, F]; 0 for an empty remark.

  Raises:
    DataError: the lists differ in length.
  """
  if len(dialogs) != len(responses):
    raise errors.DataError(
      f"score_followups: {len(responses)} responses for {len(dialogs)} dialogs"
    )
  items, masks = [], []
  for dialog, response in zip(dialogs, responses, strict=True):
    if encode is None:
      found = plain_followups(tokenizer, dialog, response, followups, role)
    else:
      found = encode(dialog, response, followups, role)
    ids, ends, says = found
    items.append(sequences.Item(sequences.cut_left(ids, max_prompt), ends))
    masks.append(says)
  logps = sequences.token_logps(apply_fn, params, items, batch_size=batch_size)
  out = np.zeros((len(items), len(followups)), np.float32)
  for row, (rows, says) in enumerate(zip(logps, masks, strict=True)):
    for column, (values, mask) in enumerate(zip(rows, says, strict=True)):
      kept = values[np.asarray(mask, bool)] if len(values) else values
      if len(kept):
        out[row, column] = np.mean(kept, dtype=np.float64)
  return out
