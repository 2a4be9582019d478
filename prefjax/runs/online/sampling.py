# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""From an rl section to engines and settings, and from tokens to texts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from prefjax import config as config_lib
from prefjax import generation
from prefjax.core import errors
from prefjax.data import prompting
from prefjax.generation import engine as engine_lib

_MIX = 0x9E3779B1  # spreads repetitions of a prompt over 32 bits


def settings(
  config: config_lib.Config, source: Any, is_chat: bool
) -> engine_lib.Settings:
  """How a round is sampled.

  Args:
    config: of the stage.
    source: model and tokenizer.
    is_chat: whether prompts are conversations.
  """
  rl, tokenizer = config.rl, source.tokenizer
  for text in rl.stop:
    if not isinstance(text, str) or not text:
      raise errors.ConfigError(f"rl.stop: {text!r} is no text")
  if rl.temperature <= 0:
    raise errors.ConfigError(
      "rl.temperature: 0 gives the same response every time; use more"
    )
  return engine_lib.Settings(
    max_new_tokens=rl.max_new_tokens,
    num_samples=rl.samples,
    temperature=rl.temperature,
    top_k=rl.top_k,
    top_p=rl.top_p,
    min_p=rl.min_p,
    repetition_penalty=rl.repetition_penalty,
    eos_ids=prompting.end_ids(
      tokenizer, template=source.template, is_chat=is_chat
    ),
    stop=tuple(tuple(tokenizer.encode(text)) for text in rl.stop),
    stop_texts=tuple(rl.stop),
    seed=config.seed,
  )


def changes_distribution(rl: config_lib.RLConfig) -> bool:
  """Whether sampling differs from the model's own distribution."""
  return bool(
    rl.temperature != 1.0
    or rl.top_k
    or rl.top_p < 1.0
    or rl.min_p
    or rl.repetition_penalty != 1.0
  )


def draw_ids(example_id: np.ndarray) -> np.ndarray:
  """Numbers for the keys: an example that comes twice draws anew.

  int64 [B] in 0 .. 2^32 - 1.
  """
  seen: dict[int, int] = {}
  out = []
  for i in np.asarray(example_id).tolist():
    times = seen.get(i, 0)
    seen[i] = times + 1
    out.append((i ^ (times * _MIX)) & 0xFFFFFFFF)
  return np.asarray(out, np.int64)


def prompts_of(group: Any) -> list[list[int]]:
  """Token ids of the prompts of a group."""
  return [
    row[mask].tolist()
    for row, mask in zip(
      np.asarray(group.prompt), np.asarray(group.prompt_mask, bool), strict=True
    )
  ]


def texts_of(tokenizer: Any, made: generation.Generations) -> list[list[str]]:
  """Responses as texts, [B][K]."""
  return [
    [tokenizer.decode(ids, skip_special=True) for ids in row]
    for row in made.responses()
  ]


def beside(
  first: generation.Generations, second: generation.Generations
) -> generation.Generations:
  """Responses of two calls to the same prompts as one group."""
  return generation.Generations(
    *(
      np.concatenate([getattr(first, name), getattr(second, name)], axis=1)
      for name in ("tokens", "lengths", "logps", "policy_logps", "finish")
    )
  )


def stack(parts: Sequence[generation.Generations]) -> generation.Generations:
  """Responses to different prompts, one after the other."""
  return generation.Generations(
    *(
      np.concatenate([getattr(part, name) for part in parts], axis=0)
      for name in ("tokens", "lengths", "logps", "policy_logps", "finish")
    )
  )


def take(
  made: generation.Generations, rows: np.ndarray
) -> generation.Generations:
  """The responses of some prompts."""
  return generation.Generations(
    *(
      getattr(made, name)[rows]
      for name in ("tokens", "lengths", "logps", "policy_logps", "finish")
    )
  )
