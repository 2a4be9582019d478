# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""One request with and without the user's history."""

from collections.abc import Callable, Mapping
from typing import Any

from prefjax.core import checks, errors

NO_HISTORY = "None"


def _words(text: str) -> int:
  return len(text.split())


def history_pairs(
  record: Mapping[str, Any],
  *,
  count_tokens: Callable[[str], int] | None = None,
  max_history: int = 8,
  max_prompt_tokens: int = 2048,
) -> dict[str, Any]:
  """Two prompts for what a user wrote: with and without past items.

  Args:
    record: has prompt, response and history, a list of past texts of the
      user, newest first.
    count_tokens: text -> length; None counts words between white space.
    max_history: most entries kept, the newest ones.
    max_prompt_tokens: while the prompt is longer, its oldest entry goes.

  Returns:
    with_history (prompt and entries, one a line), without_history (the word
    "None" in their place), response, and kept, the number of entries. With
    no entry left both prompts are the same.

  Raises:
    DataError: a field is missing or the history is not a list of texts.
    ValueError: a number is negative.

  Reference:
    "NextQuill: Causal Preference Modeling for Enhancing LLM
    Personalization", arXiv:2506.02368.
  """
  checks.in_range(
    "history_pairs",
    0,
    max_history=max_history,
    max_prompt_tokens=max_prompt_tokens,
  )
  for field in ("prompt", "history", "response"):
    if field not in record:
      raise errors.DataError(f"history_pairs: record has no field {field!r}")
  history = record["history"]
  if not isinstance(history, (list, tuple)) or not all(
    isinstance(entry, str) for entry in history
  ):
    raise errors.DataError(
      "history_pairs: history is not a list of texts, newest first"
    )
  count = _words if count_tokens is None else count_tokens
  entries = list(history[:max_history])

  def prompt() -> str:
    return "\n".join([record["prompt"], *(entries or [NO_HISTORY])])

  while entries and count(prompt()) > max_prompt_tokens:
    entries.pop()
  with_history, kept = prompt(), len(entries)
  entries.clear()
  return {
    "with_history": with_history,
    "without_history": prompt(),
    "response": record["response"],
    "kept": kept,
  }
