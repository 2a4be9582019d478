# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What text and token ids must be before a tokenizer sees them."""

from collections.abc import Iterable

from prefjax.core import errors

MAX_TEXT = 1 << 24  # characters of one text


def utf8(text: str) -> bytes:
  """The text as strict UTF-8.

  Raises:
    DataError: it is not a string, holds a lone surrogate, or is longer than
      MAX_TEXT characters.
  """
  if not isinstance(text, str):
    raise errors.DataError(f"text is {type(text).__name__}, not a string")
  if len(text) > MAX_TEXT:
    raise errors.DataError(
      f"text of {len(text)} characters is over the limit of {MAX_TEXT}"
    )
  try:
    return text.encode("utf-8")
  except UnicodeEncodeError as e:
    raise errors.DataError(
      f"text has a lone surrogate at character {e.start}; it is not Unicode"
    ) from e


def ids(values: Iterable[int]) -> list[int]:
  """Token ids as Python integers.

  Raises:
    DataError: one is negative.
  """
  result = [int(value) for value in values]
  if result and min(result) < 0:
    raise errors.DataError(f"token id {min(result)} is negative")
  return result
