# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reward functions by name: (prompt, response, record) -> number or dict.

A function sees texts and the record that the prompt came from, and returns a
number, None where it has nothing to say, or a dict with the number under
"reward" (or nothing but parts, which are added) and anything else that should
be logged. One with an attribute `batched` that is True takes three lists and
returns a list. `register` adds one of your own.
"""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from prefjax.core import errors
from prefjax.rewards import answers, executed, numbers

Reward = float | None | Mapping[str, float]
RewardFunction = Callable[[str, str, Any], Reward]
_MAX_TEXT = 20_000  # characters of a response that are looked at


def reference(record: Any, field: str) -> str:
  """The right answer that a record holds.

  Args:
    record: with `metadata`, and perhaps `responses`.
    field: name in the metadata; where it is missing there, the record's best
      response stands in for "answer".

  Raises:
    DataError: there is none; names the record and the field.
  """
  value = record.metadata.get(field)
  if value is None and field == "answer" and getattr(record, "responses", ()):
    best = record.pairs[0][0] if record.pairs else 0
    value = record.responses[best]
  if value is None:
    raise errors.DataError(
      f"record {record.id!r}: has no field {field!r}, which a reward compares"
      " with"
    )
  return value if isinstance(value, str) else json.dumps(value)


def exact(*, field: str = "answer", fold: bool = False) -> RewardFunction:
  """1 where the response is the answer, without edge spaces.

  Args:
    field: of the record.
    fold: compare without case.
  """

  def reward(prompt: str, response: str, record: Any) -> float:
    del prompt
    given, wanted = response.strip(), reference(record, field).strip()
    if fold:
      given, wanted = given.casefold(), wanted.casefold()
    return float(given == wanted)

  return reward


def numeric(*, field: str = "answer", tolerance: float = 0.0) -> RewardFunction:
  r"""1 where the final answer is the right number or mathematical value.

  The answer of a response is what is in its last \boxed{}, else what follows
  "####" or "answer:", else its last number; see `numbers.maths_equal`.

  Args:
    field: of the record; "####" in it marks the answer, as in GSM8K.
    tolerance: largest relative difference.
  """

  def reward(prompt: str, response: str, record: Any) -> float:
    del prompt
    wanted = reference(record, field)
    marked = "####" in wanted or "\\boxed" in wanted
    if marked:
      wanted = numbers.extract_answer(wanted) or ""
    given = numbers.extract_answer(response[-_MAX_TEXT:])
    if given is None:
      return 0.0
    return float(numbers.maths_equal(given, wanted, tolerance=tolerance))

  return reward


def final_answer(*, field: str = "answer", pattern: str = "") -> RewardFunction:
  """1 where the marked answer is the right text, see `final_answer_match`."""
  options = {"pattern": pattern} if pattern else {}

  def reward(prompt: str, response: str, record: Any) -> float:
    del prompt
    return float(
      answers.final_answer_match(
        response[-_MAX_TEXT:], reference(record, field), **options
      )
    )

  return reward


def regex(*, pattern: str, whole: bool = True) -> RewardFunction:
  """1 where the response has a form.

  Args:
    pattern: regular expression; '.' matches newlines too. It comes from the
      config, and is asked to be one without nested repetitions.
    whole: match the whole response, or find it somewhere.
  """
  try:
    compiled = re.compile(pattern, re.DOTALL)
  except re.error as error:
    raise errors.ConfigError(
      f"rewards.regex: {pattern!r} is no regular expression ({error})"
    ) from None

  def reward(prompt: str, response: str, record: Any) -> float:
    del prompt, record
    text = response[:_MAX_TEXT]
    found = compiled.fullmatch(text) if whole else compiled.search(text)
    return float(found is not None)

  return reward


def json_format(*, keys: tuple[str, ...] = ()) -> RewardFunction:
  """1 for an object in JSON with all the keys, a half for other JSON.

  Args:
    keys: that the object must have.
  """

  def reward(prompt: str, response: str, record: Any) -> float:
    del prompt, record
    if len(response) > _MAX_TEXT:
      return 0.0
    try:
      value = json.loads(response, parse_constant=_refuse)
    except (ValueError, RecursionError):
      return 0.0
    if isinstance(value, dict) and all(key in value for key in keys):
      return 1.0
    return 0.5

  return reward


def _refuse(name: str) -> float:
  raise ValueError(name)  # NaN and Infinity are no JSON


def length(*, per: float = 100.0) -> RewardFunction:
  """Characters of the response divided by `per`; for small weights."""
  if not per > 0:
    raise errors.ConfigError(f"rewards.length.per: {per} is not positive")

  def reward(prompt: str, response: str, record: Any) -> float:
    del prompt, record
    return len(response) / per

  return reward


_TABLE: dict[str, Callable[..., RewardFunction]] = {
  "exact": exact,
  "final_answer": final_answer,
  "json": json_format,
  "length": length,
  "numeric": numeric,
  "python_tests": executed.python_tests,
  "regex": regex,
  "sql": executed.sql_result,
}
BUILT_IN = tuple(_TABLE)


def names() -> tuple[str, ...]:
  """All names, sorted."""
  return tuple(sorted(_TABLE))


def get(name: str, **settings: Any) -> RewardFunction:
  """A reward function by name.

  Args:
    name: of the table.
    **settings: of the function; lists become tuples.

  Raises:
    ConfigError: an unknown name or setting; lists near matches.
  """
  if name not in _TABLE:
    raise errors.ConfigError(
      f"rl.rewards: unknown reward {name!r}{errors.nearest(name, _TABLE)};"
      f" rewards are {', '.join(names())}, or FILE.py:FUNCTION"
    )
  build = _TABLE[name]
  parameters = inspect.signature(build).parameters
  for key in settings:
    if key not in parameters:
      raise errors.ConfigError(
        f"rl.rewards.{name}.{key}: no such setting"
        f"{errors.nearest(key, parameters)}; it has"
        f" {', '.join(parameters) or 'none'}"
      )
  settings = {
    key: tuple(value) if isinstance(value, list) else value
    for key, value in settings.items()
  }
  try:
    return build(**settings)
  except TypeError as error:
    raise errors.ConfigError(f"rl.rewards.{name}: {error}") from None


def register(name: str, function: RewardFunction) -> None:
  """Gives a reward function of your own a name in this process.

  Args:
    name: for `rl.rewards`.
    function: (prompt, response, record) -> number, None or dict.

  Raises:
    ConfigError: the name is that of a built-in one, or not callable.
  """
  if name in BUILT_IN:
    raise errors.ConfigError(f"reward name {name!r} is that of a built-in one")
  if not callable(function):
    raise errors.ConfigError(f"reward {name!r}: {function!r} is no function")
  _TABLE[name] = lambda: function
