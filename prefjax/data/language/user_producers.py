# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records of users with different tastes."""

import functools

from prefjax.core import errors
from prefjax.data.language import (
  corruption,
  people,
  producers,
  randomness,
  sampling,
)


def user_records(
  seed: int,
  n: int,
  split: str = "train",
  *,
  users: int = 16,
  history: int = 0,
  flip_rate: float = 0.1,
  temperature: float = 0.0,
  mixture: producers.Mixture | None = None,
  language: sampling.Language = sampling.QUICK,
  start: int = 0,
) -> list[producers.Record]:
  """{user, prompt, chosen, rejected, flip_rate}: pairs judged by taste.

  Args:
    seed, n, split, language, start: see `producers.prompt_records`.
    users: how many users; user u has `people.taste(seed, u)`.
    history: how many earlier choices of the user come along, as a list of
      {prompt, chosen, rejected}; made from train prompts in every split.
    flip_rate: probability of a uniform flip.
    temperature: Bradley-Terry temperature in units of the user's reward.
    mixture: weights of quality grades, default all alike.

  Returns:
    n records. metadata.gold_* are the user's own rewards.

  Raises:
    ConfigError: an argument is out of range.
  """
  if users < 1 or history < 0 or n < 0 or start < 0:
    raise errors.ConfigError(
      f"users={users} must be 1 or more; history={history}, n={n} and"
      f" start={start} 0 or more"
    )
  grades = corruption.Mixture(producers.GRADES if mixture is None else mixture)
  annotator = people.Annotator(flip_rate, temperature)
  tastes = functools.cache(lambda user: people.taste(seed, user))

  def judge(draw: randomness.Draws, user: int, where: str) -> producers.Record:
    return producers.labelled_pair(
      draw,
      sampling.sample(draw, language, where),
      grades,
      annotator,
      reward=tastes(user).reward,
      longest=language.longest,
    )

  @functools.cache
  def earlier(user: int, index: int) -> producers.Record:
    draw = randomness.draws(seed, index, "history", user)
    pair = judge(draw, user, "train")
    return {name: pair[name] for name in ("prompt", "chosen", "rejected")}

  out = []
  for draw in randomness.stream(seed, start, n, "users", split):
    user = draw.below(users)
    record = {"user": user, **judge(draw, user, split)}
    if history:
      first = draw.below(64)
      record["history"] = [
        dict(earlier(user, first + offset)) for offset in range(history)
      ]
    taste = tastes(user)
    record["metadata"]["archetype"] = taste.archetype
    record["metadata"]["taste"] = {
      name: round(weight, 6) for name, weight in taste.weights.items()
    }
    out.append(record)
  return producers.numbered(out, "users", seed, split, start)
