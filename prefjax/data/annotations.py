# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Ratings as text: what judges write, and what models are asked for."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from prefjax.core import errors

# Aspects whose annotation also names types of flaws or merits.
_TYPED = ("truthfulness", "helpfulness")
_INTEGER = re.compile(r"\d+")
_ITEM = re.compile(r"\s*([^:\s][^:]*?)\s*:\s*(-?\d+)\s*")


def _field(block: str, name: str) -> str | None:
  """The rest of the first line that begins with 'name:'."""
  for line in block.splitlines():
    if line.strip().startswith(f"{name}:"):
      return line.strip()[len(name) + 1 :]
  return None


def _blocks(text: str) -> list[str]:
  blocks = re.split(r"\n[^\S\n]*\n", text.strip())
  return [block for block in blocks if block.strip()]


def parse_annotation(*, text: str, aspect: str) -> list[dict[str, Any]]:
  """Ratings out of a judge's reply, one block of lines a response.

  Args:
    text: blocks split by blank lines, each with a line "Rating: ..." and,
      for some aspects, one before it "Type: ...".
    aspect: which was asked for; truthfulness and helpfulness have types.

  Returns:
    For each block {"rating": first integer of the rating, or None}, with
    "types": integers, for the aspects that have them.

  Reference:
    Cui et al., "UltraFeedback: Boosting Language Models with High-quality
    Feedback", arXiv:2310.01377.
  """
  out = []
  for block in _blocks(text):
    found = _INTEGER.search(_field(block, "Rating") or "")
    item: dict[str, Any] = {"rating": int(found[0]) if found else None}
    if aspect in _TYPED:
      types = _INTEGER.findall(_field(block, "Type") or "")
      item["types"] = [int(value) for value in types]
    out.append(item)
  return out


def parse_rationales(*, text: str) -> list[str]:
  """What a judge's reply gives as reasons, "" for a block without any.

  Args:
    text: blocks as `parse_annotation` reads them, with lines
      "Rationale: ...".
  """
  found = (_field(block, "Rationale") or "" for block in _blocks(text))
  return [reason.strip() for reason in found]


def attribute_string(
  scores: Mapping[str, float], *, names: Sequence[str], separator: str = ","
) -> str:
  """Ratings as "name:value" items, for a prompt that asks for them.

  Args:
    scores: name -> rating; rounded to whole numbers.
    names: which, in this order.
    separator: between items.

  Returns:
    Such as "helpfulness:4,verbosity:2".

  Raises:
    DataError: a name has no rating.

  Reference:
    Dong et al., "SteerLM: Attribute Conditioned SFT as an (User-Steerable)
    Alternative to RLHF", arXiv:2310.05344.
  """
  items = []
  for name in names:
    if name not in scores:
      raise errors.DataError(
        f"attribute_string: no rating of {name!r}{errors.nearest(name, scores)}"
      )
    items.append(f"{name}:{math.floor(scores[name] + 0.5)}")
  return separator.join(items)


def parse_attribute_string(
  *, text: str, separator: str = ","
) -> dict[str, int]:
  """The inverse of `attribute_string`.

  Args:
    text: "name:value" items.
    separator: between items.

  Returns:
    name -> rating; empty for an empty text.

  Raises:
    DataError: an item is not "name:integer", or a name comes twice.
  """
  out: dict[str, int] = {}
  if not text.strip():
    return out
  for item in text.split(separator):
    match = _ITEM.fullmatch(item)
    if match is None:
      raise errors.DataError(
        f"parse_attribute_string: {item[:40]!r} is not 'name:integer'"
      )
    name, value = match[1], int(match[2])
    if name in out:
      raise errors.DataError(f"parse_attribute_string: {name!r} comes twice")
    out[name] = value
  return out


def feedback_sft_records(
  records: Sequence[Mapping[str, Any]], *, swap_roles: bool = True
) -> list[dict[str, Any]]:
  """Demonstrations of a user's feedback, to tune a scorer of follow-ups.

  Args:
    records: have prompt, response and feedback, all texts.
    swap_roles: the model speaks as the user: an opening turn asks it for a
      question and for feedback on the answer. Otherwise the feedback is a
      user turn.

  Returns:
    Records with "prompt", a conversation, and "completion", its last turn.

  Raises:
    DataError: a record lacks a field.

  Reference:
    "Aligning Language Models Using Follow-up Likelihood as Reward Signal",
    arXiv:2409.13948.
  """
  out = []
  for index, record in enumerate(records):
    for field in ("prompt", "response", "feedback"):
      if not isinstance(record.get(field), str):
        raise errors.DataError(
          f"feedback_sft_records: record {index} has no text {field!r}"
        )
    turns = [("user", record["prompt"]), ("assistant", record["response"])]
    last = ("user", record["feedback"])
    if swap_roles:
      opening = "Ask me a question, then tell me what you think of my answer."
      turns = [
        ("user", opening),
        ("assistant", record["prompt"]),
        ("user", record["response"]),
      ]
      last = ("assistant", record["feedback"])
    out.append(
      {
        "prompt": [{"role": r, "content": c} for r, c in turns],
        "completion": [{"role": last[0], "content": last[1]}],
      }
    )
  return out
