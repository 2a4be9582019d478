# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records without their images, and responses written for those."""

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefjax.core import errors


def without(text: str, placeholder: str) -> str:
  """A text without a placeholder and the newline after each."""
  if not placeholder:
    return text
  return re.sub(re.escape(placeholder) + r"\n?", "", text)


def _blind_content(content: Any, drop: Sequence[str], placeholder: str) -> Any:
  """Content of a message: text, or a list of typed parts."""
  if isinstance(content, str):
    return without(content, placeholder)
  if not isinstance(content, (list, tuple)):
    return content
  parts = []
  for part in content:
    if isinstance(part, Mapping):
      if part.get("type") in drop:
        continue
      if isinstance(part.get("text"), str):
        part = {**part, "text": without(part["text"], placeholder)}
    parts.append(part)
  return parts


def blind(
  record: Mapping[str, Any],
  *,
  drop: Sequence[str] = ("image",),
  placeholder: str = "<image>",
) -> dict[str, Any]:
  """A copy of a record that shows nothing of its image.

  Args:
    record: has prompt, a text or a conversation, and the keys to drop.
    drop: keys to leave out; parts of a message of such a type go too.
    placeholder: what stands for the image in the prompt. Each one goes, with
      the newline right after it. "" removes none.

  Returns:
    A deep copy without them; everything else is the same.

  Reference:
    Li et al., "Towards Harmless Multimodal Assistants with Blind Preference
    Optimization", arXiv:2503.14189.
  """
  out = {
    name: copy.deepcopy(value)
    for name, value in record.items()
    if name not in drop
  }
  prompt = out.get("prompt")
  if isinstance(prompt, str):
    out["prompt"] = without(prompt, placeholder)
  elif isinstance(prompt, (list, tuple)):
    out["prompt"] = [
      {
        **message,
        "content": _blind_content(message.get("content"), drop, placeholder),
      }
      for message in prompt
    ]
  return out


def attach_blind_responses(
  key,
  records: Sequence[Mapping[str, Any]],
  sample_fn: Callable[[Any, list[dict[str, Any]]], Sequence[str]],
  *,
  drop_identical: bool = True,
  drop: Sequence[str] = ("image",),
  placeholder: str = "<image>",
) -> list[dict[str, Any]]:
  """Adds to each record what the reference answers without the image.

  Args:
    key: random key, handed on to sample_fn.
    records: have prompt, chosen and the image. One without an image should
      get weight 0 in `losses.bpo_blind`.
    sample_fn: (key, blinded records) -> one response each, in order; run on
      the reference model.
    drop_identical: leaves out records whose blind response is the chosen
      one: they would teach nothing.
    drop: as in `blind`.
    placeholder: as in `blind`.

  Returns:
    Copies of the records, in order, with the field "blind".

  Raises:
    DataError: sample_fn gave another number of responses or one that is not
      text.

  Reference:
    Li et al., "Towards Harmless Multimodal Assistants with Blind Preference
    Optimization", arXiv:2503.14189.
  """
  blinded = [blind(r, drop=drop, placeholder=placeholder) for r in records]
  responses = list(sample_fn(key, blinded))
  if len(responses) != len(records):
    raise errors.DataError(
      f"attach_blind_responses: sample_fn gave {len(responses)} responses,"
      f" expected {len(records)}, one a record"
    )
  out = []
  for index, (record, response) in enumerate(
    zip(records, responses, strict=True)
  ):
    if not isinstance(response, str):
      raise errors.DataError(
        f"attach_blind_responses: response {index} of sample_fn is"
        f" {type(response).__name__}, expected text"
      )
    if drop_identical and response == record.get("chosen"):
      continue
    out.append({**copy.deepcopy(dict(record)), "blind": response})
  return out
