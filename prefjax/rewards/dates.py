# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a calendar knows; dates are ISO texts such as 2004-05-03."""

import datetime

_DAYS = (
  "Monday",
  "Tuesday",
  "Wednesday",
  "Thursday",
  "Friday",
  "Saturday",
  "Sunday",
)


def _date(text: str) -> datetime.date:
  try:
    return datetime.date.fromisoformat(text.strip())
  except ValueError:
    raise ValueError(f"{text[:40]!r} is no date such as 2004-05-03") from None


def week_day(*, date: str) -> str:
  """The day of the week, "Monday" to "Sunday".

  Raises:
    ValueError: it is no date.
  """
  return _DAYS[_date(date).weekday()]


def day_difference(*, first: str, second: str) -> int:
  """Days between two dates, whichever comes first.

  Raises:
    ValueError: one is no date.
  """
  return abs((_date(first) - _date(second)).days)


def target_day(*, date: str, days: int) -> str:
  """The date so many days later, or earlier for a negative number.

  Raises:
    ValueError: it is no date, or the result is outside the years 1 to 9999.
  """
  try:
    return (_date(date) + datetime.timedelta(days=int(days))).isoformat()
  except OverflowError:
    raise ValueError(f"{days} days from {date} is no date") from None
