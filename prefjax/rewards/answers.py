# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Whether a text ends in the right answer."""

import re
import unicodedata

ANSWER_PATTERN = r"(?:answer\s*:|#+)\s*([^\n#]+)"
_MARKS = re.compile("#+")


def _plain(text: str) -> str:
  """Full-width forms folded, case folded, no edge space, no full stop."""
  text = unicodedata.normalize("NFKC", text).casefold().strip()
  return text[:-1].rstrip() if text.endswith((".", "。")) else text


def final_answer_match(
  text: str, answer: str, *, pattern: str = ANSWER_PATTERN
) -> bool:
  """Whether the last answer that a text marks is the right one.

  Args:
    text: a response, such as a trace of reasoning.
    answer: the right answer.
    pattern: regular expression, searched without case; group 1 of its last
      match is the answer given. The default reads "answer: ..." and "#...".

  Returns:
    True if both are equal after Unicode normalisation (NFKC), without case,
    edge spaces and one trailing full stop. False where nothing is marked.

  Reference:
    Kawakami et al., "Stabilizing Reasoning in Medical LLMs with Continued
    Pretraining and Reasoning Preference Optimization", arXiv:2504.18080
    (answers are right or wrong; the default pattern is our own).
  """
  text = unicodedata.normalize("NFKC", text)
  if pattern == ANSWER_PATTERN:
    # One mark is as good as many, and a text of marks alone would take time
    # in the square of its length.
    text = _MARKS.sub("#", text)
  last = None
  for match in re.finditer(pattern, text, re.IGNORECASE):
    last = match
  return last is not None and _plain(last[1]) == _plain(answer)
