# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Preferences from votes and from judges that read text (host)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from prefjax.core import checks, errors, prng
from prefjax.data import annotations

FIRST, SECOND, TIE = 1, 0, 2
# Shares are quotients; equal ones may differ by rounding.
_ROUNDING = 1e-6


def preference_from_votes(
  votes_a, votes_b, labels, *, min_gap: float = 0.0
) -> np.ndarray:
  """Which of two inputs more annotators gave its label to.

  Args:
    votes_a: [B, C], votes for each class of the first input.
    votes_b: [B, C], of the second input.
    labels: int [B], the class that both have.
    min_gap: >= 0, difference of shares up to which it is a tie.

  Returns:
    int32 [B]: 1 the first, 0 the second, 2 a tie. An input without votes has
    a share of 0.

  Raises:
    ValueError: shapes differ or min_gap is negative.

  Reference:
    Kim et al., "Prefer to Classify: Improving Text Classifiers via
    Auxiliary Preference Learning", arXiv:2306.04925 (extractive).
  """
  name = "preference_from_votes"
  checks.rank(name, 2, votes_a=votes_a)
  checks.same_shape(name, votes_a=votes_a, votes_b=votes_b)
  checks.in_range(name, 0, min_gap=min_gap)
  index = np.asarray(labels)
  checks.same_shape(name, rows=np.asarray(votes_a)[:, 0], labels=index)

  def share(votes):
    votes = np.asarray(votes, np.float64)
    total = votes.sum(axis=1)
    own = np.take_along_axis(votes, index[:, None], axis=1)[:, 0]
    return own / np.where(total > 0, total, 1)

  gap = share(votes_a) - share(votes_b)
  bound = min_gap + _ROUNDING
  out = np.where(gap > bound, FIRST, np.where(gap < -bound, SECOND, TIE))
  return out.astype(np.int32)


def judge_preferences(
  judge: Callable[[str, str, str], int],
  texts_a: Sequence[str],
  texts_b: Sequence[str],
  label_name: str,
) -> np.ndarray:
  """Asks a judge which of two texts shows a label more, in both orders.

  Args:
    judge: (first text, second text, label name) -> 1 first, 0 second, 2
      neither.
    texts_a: [B] texts.
    texts_b: [B] texts.
    label_name: the label in words.

  Returns:
    int32 [B]: 1 a, 0 b, and 2 where the orders disagree, for a judge that
    looks at the order alone too.

  Raises:
    DataError: the lists differ in length or the judge says something else.

  Reference:
    Kim et al., "Prefer to Classify: Improving Text Classifiers via
    Auxiliary Preference Learning", arXiv:2306.04925 (generative; asking
    twice is our addition).
  """
  if len(texts_a) != len(texts_b):
    raise errors.DataError(
      f"judge_preferences: {len(texts_b)} texts_b for {len(texts_a)} texts_a"
    )

  def ask(first: str, second: str) -> int:
    said = judge(first, second, label_name)
    if said not in (FIRST, SECOND, TIE):
      raise errors.DataError(
        f"judge_preferences: the judge said {said!r}, expected 1, 0 or 2"
      )
    return int(said)

  swapped = {FIRST: SECOND, SECOND: FIRST, TIE: TIE}
  out = []
  for a, b in zip(texts_a, texts_b, strict=True):
    forward, backward = ask(a, b), swapped[ask(b, a)]
    out.append(forward if forward == backward else TIE)
  return np.array(out, np.int32)


def annotate(
  judge: Callable[[str], str],
  prompts: Sequence[str],
  responses: Sequence[Sequence[str]],
  *,
  aspects: Mapping[str, Callable[[str, Sequence[str]], str]],
  shuffle_key,
  parse: Callable[..., Sequence[Mapping[str, Any]]] | None = None,
  retries: int = 2,
) -> dict[str, Any]:
  """Has a judge rate responses on several aspects, in a shuffled order.

  One call sees all responses to a prompt; their order is drawn anew each
  time and undone afterwards, so that no model profits from its place.

  Args:
    judge: a question in words -> the reply.
    prompts: B prompts.
    responses: B lists of K responses.
    aspects: name -> (prompt, responses in the order shown) -> question.
    shuffle_key: integer seed, JAX key or NumPy generator.
    parse: (text=, aspect=) -> one mapping with "rating", and "rationale"
      where it has one, for each response shown; None for
      `data.parse_annotation` with `data.parse_rationales`.
    retries: >= 0, further calls while a reply cannot be parsed.

  Returns:
    ratings float32 [B, K, A], mask int32 [B, K, A] (0 where a rating is
    missing), rationales, [B][K][A] texts ("" for none), and replies, [B][A]
    texts.

  Raises:
    DataError: the lists differ in length.

  Reference:
    Cui et al., "UltraFeedback: Boosting Language Models with High-quality
    Feedback", arXiv:2310.01377.
  """
  if len(prompts) != len(responses):
    raise errors.DataError(
      f"annotate: {len(responses)} lists of responses for {len(prompts)}"
      " prompts"
    )
  width = max(map(len, responses), default=0)
  shape = (len(prompts), width, len(aspects))
  ratings, mask = np.zeros(shape, np.float32), np.zeros(shape, np.int32)
  draw = prng.host_generator(shuffle_key, "annotate")
  parse = parse or _read
  replies = []
  rationales = [[[""] * len(aspects) for _ in texts] for texts in responses]
  for row, (prompt, texts) in enumerate(zip(prompts, responses, strict=True)):
    replies.append([])
    for column, (aspect, question) in enumerate(aspects.items()):
      order = draw.permutation(len(texts))
      asked = question(prompt, [texts[i] for i in order])
      for _ in range(retries + 1):
        reply = judge(asked)
        found = parse(text=reply, aspect=aspect)
        if len(found) == len(texts):
          break
      replies[-1].append(reply)
      if len(found) != len(texts):
        continue
      for place, item in zip(order, found, strict=True):
        rationales[row][place][column] = item.get("rationale", "")
        if item["rating"] is not None:
          ratings[row, place, column] = item["rating"]
          mask[row, place, column] = 1
  return {
    "ratings": ratings,
    "mask": mask,
    "rationales": rationales,
    "replies": replies,
  }


def _read(*, text: str, aspect: str) -> list[dict[str, Any]]:
  reasons = annotations.parse_rationales(text=text)
  items = annotations.parse_annotation(text=text, aspect=aspect)
  return [
    {**item, "rationale": reason}
    for item, reason in zip(items, reasons, strict=True)
  ]
