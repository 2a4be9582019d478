# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
r"""Finds the prompt that two whole texts or conversations share.

Three forms are known: transcripts '\n\nHuman: ... \n\nAssistant: ...',
conversations as messages, and plain strings that begin alike.
"""

import re
from typing import Any

from prefjax.data import fields

_TURN = re.compile(r"\n\n(Human|Assistant):")
_SPEAKERS = {"Human": "user", "Assistant": "assistant"}


def is_transcript(text: Any) -> bool:
  """Whether a text is a Human/Assistant transcript."""
  return (
    isinstance(text, str)
    and _TURN.match("\n\n" + text.lstrip()) is not None
    and "\n\nAssistant:" in text
  )


def turns(text: Any, field: str) -> list[fields.Message]:
  """The messages of a transcript; white space around a turn is dropped.

  Raises:
    Problem: not text, or it does not begin with a speaker.
  """
  text = "\n\n" + fields.string(text, field).lstrip()
  marks = list(_TURN.finditer(text))
  if not marks or marks[0].start() != 0:
    raise fields.Problem(
      field, "does not begin with 'Human:', so it is not a transcript"
    )
  ends = [mark.start() for mark in marks[1:]] + [len(text)]
  return [
    {"role": _SPEAKERS[mark[1]], "content": text[mark.end() : end].strip()}
    for mark, end in zip(marks, ends, strict=True)
  ]


def split_conversations(
  chosen: Any, rejected: Any, names: tuple[str, str] = ("chosen", "rejected")
) -> tuple[list[Any], list[Any], list[Any]]:
  """(prompt, rest of chosen, rest of rejected) of two conversations.

  The prompt is the longest run of messages that both share, cut so that each
  rest begins with an assistant's message and neither is empty.

  Raises:
    Problem: no shared prompt, or a side has no answer of its own.
  """
  shared = 0
  while (
    shared < min(len(chosen), len(rejected))
    and chosen[shared] == rejected[shared]
  ):
    shared += 1
  shared = min(shared, len(chosen) - 1, len(rejected) - 1)
  while shared > 0 and not all(
    side[shared]["role"] == "assistant" for side in (chosen, rejected)
  ):
    shared -= 1
  if shared == 0:
    raise fields.Problem(
      names[1], f"shares no prompt with {names[0]}: they differ from the start"
    )
  return list(chosen[:shared]), list(chosen[shared:]), list(rejected[shared:])


def split_transcripts(
  chosen: Any, rejected: Any
) -> tuple[list[Any], list[Any], list[Any]]:
  """`split_conversations` for two transcripts that end in an answer.

  Raises:
    Problem: not transcripts, an empty last answer, or no shared prompt.
  """
  sides = []
  for text, name in ((chosen, "chosen"), (rejected, "rejected")):
    messages = turns(text, name)
    if messages[-1]["role"] != "assistant":
      raise fields.Problem(name, "does not end with an answer of 'Assistant:'")
    if not messages[-1]["content"]:
      raise fields.Problem(name, "ends with an empty answer")
    sides.append(messages)
  return split_conversations(*sides)


def split_strings(chosen: Any, rejected: Any) -> tuple[str, str, str]:
  """(prompt, rest, rest) of two strings that begin alike.

  The prompt ends where the strings part, moved back to the last white space
  so that no word is cut, and kept with that white space.

  Raises:
    Problem: not text, or the strings share no beginning.
  """
  chosen = fields.string(chosen, "chosen")
  rejected = fields.string(rejected, "rejected")
  shortest = min(len(chosen), len(rejected))
  low, high = 0, shortest
  while low < high:  # binary search: slices compare fast, characters do not
    middle = (low + high + 1) // 2
    if chosen[:middle] == rejected[:middle]:
      low = middle
    else:
      high = middle - 1
  if chosen == rejected:
    raise fields.Problem(
      "rejected", "equals chosen, and there is no prompt to tell apart"
    )
  while low > 0 and not chosen[low - 1].isspace():
    low -= 1
  if not chosen[:low].strip():
    raise fields.Problem(
      "prompt", "is missing, and chosen and rejected do not begin alike"
    )
  return chosen[:low], chosen[low:], rejected[low:]


def split_implicit(chosen: Any, rejected: Any) -> tuple[Any, Any, Any]:
  """`split_conversations` or `split_strings`, by the type of `chosen`.

  Raises:
    Problem: the sides are of different types or share no prompt.
  """
  if isinstance(chosen, str) and isinstance(rejected, str):
    return split_strings(chosen, rejected)
  if isinstance(chosen, str) or isinstance(rejected, str):
    raise fields.Problem("rejected", "is not of the same type as chosen")
  return split_conversations(
    fields.messages(chosen, "chosen"), fields.messages(rejected, "rejected")
  )


def split_last_answer(value: Any, field: str) -> tuple[list[Any], list[Any]]:
  """(prompt, last answer) of a conversation that ends with an assistant.

  Raises:
    Problem: it does not end so, or nothing comes before the answer.
  """
  messages = fields.messages(value, field)
  if messages[-1]["role"] != "assistant":
    raise fields.Problem(field, "does not end with a message of the assistant")
  if len(messages) < 2:
    raise fields.Problem(field, "has an answer but no prompt before it")
  return list(messages[:-1]), [messages[-1]]


def split_first_answer(value: Any, field: str) -> tuple[list[Any], list[Any]]:
  """(prompt, rest) where the rest begins with the first answer.

  Raises:
    Problem: no assistant speaks, or one speaks first.
  """
  messages = fields.messages(value, field)
  for index, item in enumerate(messages):
    if item["role"] == "assistant":
      if index == 0:
        raise fields.Problem(field, "begins with the assistant: no prompt")
      return list(messages[:index]), list(messages[index:])
  raise fields.Problem(field, "has no message of the assistant")
