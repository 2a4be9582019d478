# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Parts of a page that a script makes, between two marks."""


def replace(text: str, begin: str, end: str, body: str) -> str:
  """The page with another body between its marks, on lines of its own.

  Raises:
    ValueError: the page does not have each mark once, in this order.
  """
  if text.count(begin) != 1 or text.count(end) != 1:
    raise ValueError(f"the page does not have {begin!r} and {end!r} once")
  head, _, rest = text.partition(begin)
  _, found, tail = rest.partition(end)
  if not found:
    raise ValueError(f"the page has {end!r} before {begin!r}")
  return f"{head}{begin}\n{body}\n{end}{tail}"
