# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checks of single values in a record: texts, messages, numbers, metadata.

Each function returns the value in its canonical form or raises `Problem`
with the field's name and what is wrong with it. Nothing here knows about
files or rows.
"""

import dataclasses
import datetime
import decimal
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

# A text is a plain string or a conversation of {"role", "content"} mappings.
Message = dict[str, Any]
Text = str | tuple[Message, ...]

# Names used by other formats for the same speaker.
ROLES = {
  "human": "user",
  "gpt": "assistant",
  "bot": "assistant",
  "model": "assistant",
  "chatbot": "assistant",
  "observation": "tool",
  "function": "tool",
  "ipython": "tool",
  "function_call": "assistant",
}
_ROLE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*")
_TRUE = {"true", "1", "1.0", "yes"}
_FALSE = {"false", "0", "0.0", "no"}
_KEPT_KEYS = ("name", "tool_call_id", "tool_calls")
_SHOWN = 48  # characters of a bad value that a message shows


class Problem(Exception):  # noqa: N818 - becomes a DataError with its place
  """What is wrong with one field of one record.

  Attributes:
    field: path inside the record, such as 'responses[1]'.
    reason: what is wrong and what would be right.
  """

  def __init__(self, field: str, reason: str):
    super().__init__(f"{field}: {reason}")
    self.field = field
    self.reason = reason


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
  """Upper bounds that keep one bad record from eating the machine.

  Attributes:
    bytes: UTF-8 bytes of a whole record as JSON.
    depth: nesting of lists and mappings in its metadata.
    responses: responses to a prompt (K).
    messages: messages in a conversation.
    steps: steps of a solution.
    pairs: explicit (better, worse) pairs.
    tokens: tokens of a prompt or of a response, before truncation.
  """

  bytes: int = 1_000_000
  depth: int = 16
  responses: int = 64
  messages: int = 1_000
  steps: int = 1_000
  pairs: int = 4_096
  tokens: int = 1_000_000


def shown(value: Any) -> str:
  """A short one-line rendering of a bad value."""
  if isinstance(value, (str, bytes)):
    text = repr(value[: 2 * _SHOWN])
  elif isinstance(value, (bool, float)) or value is None:
    text = repr(value)
  elif isinstance(value, int):
    text = repr(value) if abs(value) < 10**18 else "a very long integer"
  elif isinstance(value, Mapping):
    text = f"a mapping with {len(value)} keys"
  elif isinstance(value, Sequence):
    text = f"a list of {len(value)}"
  else:
    text = f"a {type(value).__name__}"
  text = text.encode("ascii", "backslashreplace").decode()
  return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def string(value: Any, field: str, *, empty: bool = False) -> str:
  """A str that can be written as UTF-8, and is not blank.

  Args:
    value: anything.
    field: its name, for the message.
    empty: allow a blank string.

  Raises:
    Problem: not a str, blank, or holds surrogate code points.
  """
  if not isinstance(value, str):
    raise Problem(field, f"is {shown(value)}, expected text")
  try:
    value.encode("utf-8")
  except UnicodeEncodeError as error:
    code = ord(value[error.start])
    raise Problem(
      field,
      f"has the code point U+{code:04X} at character {error.start}, which is"
      " not text (half of a surrogate pair, or bytes that are not UTF-8)",
    ) from None
  if not empty and not value.strip():
    raise Problem(field, "is empty, expected text")
  return value


def _content(value: Any, field: str) -> str:
  """The text of a message; a list of parts becomes one string."""
  if isinstance(value, list):
    parts = []
    for index, part in enumerate(value):
      name = f"{field}[{index}]"
      if isinstance(part, str):
        parts.append(part)
      elif isinstance(part, Mapping) and part.get("type") == "text":
        parts.append(string(part.get("text"), f"{name}.text", empty=True))
      elif isinstance(part, Mapping) and part.get("type") in (
        "image",
        "image_url",
      ):
        parts.append("<image>")
      else:
        raise Problem(name, f"is {shown(part)}, expected a text or image part")
    value = "".join(parts)
  return string(value, field, empty=True)


def message(value: Any, field: str) -> Message:
  """One message: {"role", "content"}, or the form {"from", "value"}.

  Raises:
    Problem: not a mapping, no known speaker, or no text.
  """
  if not isinstance(value, Mapping):
    raise Problem(field, f"is {shown(value)}, expected a message mapping")
  role_key = "from" if "from" in value and "role" not in value else "role"
  text_key = "value" if role_key == "from" else "content"
  role = value.get(role_key)
  if not isinstance(role, str) or not _ROLE.fullmatch(role):
    raise Problem(
      f"{field}.{role_key}",
      f"is {shown(role)}, expected a role such as 'user' or 'assistant'",
    )
  out: Message = {"role": ROLES.get(role.lower(), role.lower())}
  text = value.get(text_key)
  if text is None and value.get("tool_calls"):
    text = ""  # a turn that only calls a tool
  if text_key not in value and text is None:
    raise Problem(f"{field}.{text_key}", "is missing, expected text")
  out["content"] = _content(text, f"{field}.{text_key}")
  for key in _KEPT_KEYS:
    if value.get(key) is not None:
      out[key] = metadata(value[key], f"{field}.{key}", depth=8)
  return out


def messages(
  value: Any, field: str, *, most: int = Limits.messages
) -> tuple[Message, ...]:
  """A conversation; a single message counts as one of length 1.

  Raises:
    Problem: empty, too long, or a message is bad.
  """
  if isinstance(value, Mapping):
    return (message(value, field),)
  if not isinstance(value, (list, tuple)):
    raise Problem(field, f"is {shown(value)}, expected messages")
  if not value:
    raise Problem(field, "is an empty list, expected messages")
  if len(value) > most:
    raise Problem(field, f"has {len(value)} messages, the limit is {most}")
  return tuple(
    message(item, f"{field}[{index}]") for index, item in enumerate(value)
  )


def text(value: Any, field: str, *, most: int = Limits.messages) -> Text:
  """A plain string or a conversation, in canonical form.

  A conversation whose messages are all blank is refused like blank text.

  Raises:
    Problem: neither, or blank.
  """
  if value is None:
    raise Problem(field, "is missing, expected text or messages")
  if isinstance(value, str):
    return string(value, field)
  if isinstance(value, (Mapping, list, tuple)):
    turns = messages(value, field, most=most)
    if not any(t["content"].strip() or t.get("tool_calls") for t in turns):
      raise Problem(field, "has no text in any message")
    return turns
  raise Problem(field, f"is {shown(value)}, expected text or messages")


def number(
  value: Any,
  field: str,
  *,
  low: float | None = None,
  high: float | None = None,
) -> float:
  """A finite float; text such as '4.5' counts, NaN and infinity do not.

  Raises:
    Problem: not a number, not finite, or out of range.
  """
  if isinstance(value, str) and _NUMBER.fullmatch(value):
    value = float(value)
  if not isinstance(value, (bool, int, float)):
    raise Problem(field, f"is {shown(value)}, expected a number")
  try:
    result = float(value)
  except OverflowError:
    result = math.inf
  if not math.isfinite(result):
    raise Problem(field, f"is {shown(value)}, expected a finite number")
  if (low is not None and result < low) or (high is not None and result > high):
    span = (
      f"{'-inf' if low is None else low}..{'inf' if high is None else high}"
    )
    raise Problem(field, f"is {shown(value)}, outside {span}")
  return result


def integer(value: Any, field: str) -> int:
  """A whole number that fits 32 bits; '3' and 3.0 count.

  Raises:
    Problem: anything else.
  """
  result = number(value, field)
  if isinstance(value, bool) or result != int(result) or abs(result) >= 2**31:
    raise Problem(field, f"is {shown(value)}, expected a whole number")
  return int(result)


def boolean(value: Any, field: str) -> bool:
  """True or False; 0, 1 and their usual spellings count.

  Raises:
    Problem: anything else.
  """
  if isinstance(value, bool):
    return value
  if isinstance(value, (int, float)) and value in (0, 1):
    return bool(value)
  if isinstance(value, str) and value.strip().lower() in _TRUE | _FALSE:
    return value.strip().lower() in _TRUE
  raise Problem(field, f"is {shown(value)}, expected true or false")


def sequence(value: Any, field: str, *, most: int, what: str) -> list[Any]:
  """A list with at least 1 and at most `most` entries.

  Raises:
    Problem: not a list, empty or too long.
  """
  if not isinstance(value, (list, tuple)):
    raise Problem(field, f"is {shown(value)}, expected a list of {what}")
  if not value:
    raise Problem(field, f"is an empty list, expected {what}")
  if len(value) > most:
    raise Problem(field, f"has {len(value)} {what}, the limit is {most}")
  return list(value)


def metadata(value: Any, field: str, *, depth: int = Limits.depth) -> Any:
  """Anything, as plain JSON values.

  Dates become ISO text, tuples lists, a NaN (a missing cell of a table)
  None, and raw bytes a note of their length.

  Raises:
    Problem: nested too deep, text that is not UTF-8, or an odd type.
  """
  if depth < 0:
    raise Problem(field, "is nested too deeply")
  if value is None or isinstance(value, bool):
    return value
  if isinstance(value, str):
    return string(value, field, empty=True)
  if isinstance(value, int):
    if abs(value) >= 2**63:
      raise Problem(field, "is a whole number beyond 64 bits")
    return value
  if isinstance(value, float):
    return value if math.isfinite(value) else None
  if isinstance(value, Mapping):
    return {
      string(key, field, empty=True)
      if isinstance(key, str)
      else str(key): metadata(item, f"{field}.{shown(key)}", depth=depth - 1)
      for key, item in value.items()
    }
  if isinstance(value, (list, tuple)):
    return [
      metadata(item, f"{field}[{index}]", depth=depth - 1)
      for index, item in enumerate(value)
    ]
  if isinstance(value, (datetime.date, datetime.time)):
    return value.isoformat()
  if isinstance(value, (bytes, bytearray)):
    return f"<{len(value)} bytes>"
  if hasattr(value, "tolist"):  # a NumPy scalar or array
    return metadata(value.tolist(), field, depth=depth)
  if isinstance(value, datetime.timedelta):
    return value.total_seconds()
  if isinstance(value, decimal.Decimal):
    return float(value) if value.is_finite() else None
  raise Problem(field, f"is {shown(value)}, expected JSON values")
