# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The rewards of a config, and the scores that they give responses."""

import dataclasses
import importlib.util
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefjax import rewards
from prefjax.core import errors
from prefjax.data import language

GOLD = "gold"


@dataclasses.dataclass(frozen=True)
class Scores:
  """Scores of K responses to each of B prompts.

  Attributes:
    total: float32 [B, K], the weighted sum.
    parts: name -> float32 [B, K], NaN where a reward had nothing to say.
  """

  total: np.ndarray
  parts: dict[str, np.ndarray]


def _gold(prompt: str, response: str, record: Any) -> float:
  """The gold reward of the built-in instruction language."""
  del record
  return float(language.gold_reward(prompt, response))


def _from_file(name: str) -> rewards.RewardFunction:
  """The function that FILE.py:FUNCTION names."""
  path, _, function = name.rpartition(":")
  if not pathlib.Path(path).is_file():
    raise errors.ConfigError(f"rl.rewards: {path} is not a file")
  spec = importlib.util.spec_from_file_location("prefjax_rewards", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  found = getattr(module, function, None)
  if not callable(found):
    raise errors.ConfigError(f"rl.rewards: {path} has no function {function!r}")
  return found


def _resolve(name: str, settings: Mapping[str, Any]) -> rewards.RewardFunction:
  if name == GOLD or ".py:" in name:
    if settings:
      raise errors.ConfigError(
        f"rl.rewards.{name}: takes a weight only, not {', '.join(settings)}"
      )
    return _gold if name == GOLD else _from_file(name)
  return rewards.get(name, **settings)


def _number(value: Any, name: str, record: Any) -> float:
  """A reward as a float, NaN for None."""
  if value is None:
    return math.nan
  try:
    value = float(value)
  except (TypeError, ValueError):
    value = math.nan
  if not math.isfinite(value):
    raise errors.TrainingError(
      f"the reward {name!r} gave no finite number for record {record.id!r}"
    )
  return value


class Rewards:
  """The weighted rewards of an rl section.

  Args:
    settings: name -> weight, or {"weight": ..., settings of the reward}.

  Raises:
    ConfigError: an unknown reward or setting, or no reward at all.
  """

  def __init__(self, settings: Mapping[str, Any]):
    if not settings:
      raise errors.ConfigError(
        "rl.rewards: names no reward; give e.g. rl.rewards={'exact': 1.0},"
        f" one of {', '.join((GOLD, *rewards.names()))}, or FILE.py:FUNCTION"
      )
    self._functions: dict[str, tuple[float, rewards.RewardFunction]] = {}
    for name, value in settings.items():
      own = dict(value) if isinstance(value, Mapping) else {"weight": value}
      weight = own.pop("weight", 1.0)
      is_number = isinstance(weight, (int, float)) and not isinstance(
        weight, bool
      )
      if not is_number or not math.isfinite(weight):
        raise errors.ConfigError(
          f"rl.rewards.{name}: the weight {weight!r} is not a number"
        )
      short = name.rpartition(":")[2] if ".py:" in name else name
      self._functions[short] = float(weight), _resolve(name, own)

  def _call(self, name, function, prompts, responses, records) -> list[Any]:
    """Raw results, one a response, all in one flat list."""
    try:
      if getattr(function, "batched", False):
        return list(function(prompts, responses, records))
      return [
        function(*arguments)
        for arguments in zip(prompts, responses, records, strict=True)
      ]
    except errors.PrefjaxError:
      raise
    except Exception as error:  # whatever a user's function does
      raise errors.TrainingError(
        f"the reward {name!r} failed: {type(error).__name__}: {error}"
      ) from error

  def score(
    self,
    prompts: Sequence[str],
    responses: Sequence[Sequence[str]],
    records: Sequence[Any],
  ) -> Scores:
    """Scores of B prompts with K responses each.

    Raises:
      TrainingError: a reward failed or gave no finite number.
    """
    k = len(responses[0]) if responses else 0
    flat = [
      (prompt, response, record)
      for prompt, row, record in zip(prompts, responses, records, strict=True)
      for response in row
    ]
    columns = [list(column) for column in zip(*flat, strict=True)]
    shape = (len(prompts), k)
    total, parts = np.zeros(shape), {}
    for name, (weight, function) in self._functions.items():
      raw = self._call(name, function, *columns)
      if len(raw) != len(flat):
        raise errors.TrainingError(
          f"the reward {name!r} gave {len(raw)} results for {len(flat)}"
          " responses"
        )
      values = np.empty(len(flat))
      logged: dict[str, np.ndarray] = {}
      for i, result in enumerate(raw):
        record = flat[i][2]
        if isinstance(result, Mapping):
          rest = {k: v for k, v in result.items() if k != "reward"}
          for key, value in rest.items():
            logged.setdefault(f"{name}/{key}", np.full(len(flat), math.nan))[
              i
            ] = _number(value, name, record)
          whole = result.get("reward", sum(rest.values()))
          values[i] = _number(whole, name, record)
        else:
          values[i] = _number(result, name, record)
      parts[name] = values.reshape(shape).astype(np.float32)
      for key, column in logged.items():
        parts[key] = column.reshape(shape).astype(np.float32)
      total += weight * np.nan_to_num(values.reshape(shape))
    return Scores(total.astype(np.float32), parts)
