# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""One interface for whoever compares responses: models, servers, rules.

A judge is asked about comparisons and gives a verdict for each, or says why
there is none. What could not be read is never guessed: it has no probability,
is counted, and is left out by name.
"""

import collections
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from prefjax.core import errors

OK = "ok"
UNPARSED = "unparsed"  # a reply came, but no verdict can be read in it
FAILED = "failed"  # no reply came
SKIPPED = "skipped"  # it was not asked, e.g. because of the budget
STATUSES = (OK, UNPARSED, FAILED, SKIPPED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
  """Two responses to a prompt.

  Attributes:
    id: names the comparison in reports.
    prompt: what was asked.
    first: the response that is shown first.
    second: the other one.
  """

  id: str
  prompt: str
  first: str
  second: str

  def swapped(self) -> "Comparison":
    """The same with the responses in the other order."""
    return dataclasses.replace(self, first=self.second, second=self.first)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
  """What a judge says about a comparison.

  Attributes:
    first: probability that the first response is the better one, 1/2 for a
      tie; None where there is no verdict.
    status: one of STATUSES; `first` is a number exactly where it is "ok".
    reason: why there is none.
    reply: the text that was read, "" for judges without one.
  """

  first: float | None
  status: str = OK
  reason: str = ""
  reply: str = ""

  def __post_init__(self):
    """A verdict cannot be half there."""
    if self.status not in STATUSES:
      raise ValueError(f"Verdict: status={self.status!r} is unknown")
    number = self.first is not None
    if number != (self.status == OK):
      raise ValueError(
        f"Verdict: first={self.first} does not go with status={self.status}"
      )
    if number and not 0.0 <= self.first <= 1.0:
      raise ValueError(f"Verdict: first={self.first} is outside [0, 1]")


class Judge(Protocol):
  """Compares responses."""

  name: str

  def compare(self, items: Sequence[Comparison]) -> list[Verdict]:
    """A verdict for each comparison, in order."""


class RuleJudge:
  """A judge that scores each response by a rule.

  Args:
    name: of the judge.
    score: (prompt, response) -> number; the higher one wins.
    band: gaps up to this are ties.
  """

  def __init__(
    self, name: str, score: Callable[[str, str], float], *, band: float = 0.0
  ):
    self.name, self._score, self._band = name, score, band

  def compare(self, items: Sequence[Comparison]) -> list[Verdict]:
    out = []
    for item in items:
      gap = float(self._score(item.prompt, item.first)) - float(
        self._score(item.prompt, item.second)
      )
      if gap != gap:
        out.append(
          Verdict(first=None, status=UNPARSED, reason="a score is NaN")
        )
        continue
      sign = 0 if abs(gap) <= self._band else (1 if gap > 0 else -1)
      out.append(Verdict(first=0.5 + 0.5 * sign))
    return out


class ProbabilityJudge:
  """A judge that reads the probabilities of two option tokens.

  Args:
    name: of the judge.
    probabilities: (prompts, first, second) -> (p1, p2), arrays [N]: the
      probabilities of choosing the response shown first, and second. See
      `rewards.judge_probabilities`.
    least: p1 + p2 below this is no verdict: the model said something else.
  """

  def __init__(
    self,
    name: str,
    probabilities: Callable[..., tuple[np.ndarray, np.ndarray]],
    *,
    least: float = 1e-6,
  ):
    self.name, self._probabilities, self._least = name, probabilities, least

  def compare(self, items: Sequence[Comparison]) -> list[Verdict]:
    if not items:
      return []
    p1, p2 = self._probabilities(
      [item.prompt for item in items],
      [item.first for item in items],
      [item.second for item in items],
    )
    out = []
    for first, second in zip(map(float, p1), map(float, p2), strict=True):
      total = first + second
      if not total > self._least:
        reason = f"the options have a probability of {total:.2g}"
        out.append(Verdict(first=None, status=UNPARSED, reason=reason))
      else:
        out.append(Verdict(first=min(max(first / total, 0.0), 1.0)))
    return out


@dataclasses.dataclass(frozen=True)
class Judged:
  """Comparisons in both orders.

  Attributes:
    ids: of the comparisons that have a verdict.
    first: float64 [N], probability that the response given first is better,
      averaged over both orders.
    by_order: float64 [N, 2], the same by order.
    left_out: id -> why, of the others.
  """

  ids: tuple[str, ...]
  first: np.ndarray
  by_order: np.ndarray
  left_out: Mapping[str, str]

  def summary(self) -> str:
    """One line."""
    reasons = collections.Counter(self.left_out.values())
    parts = [f"{len(self.ids)} judged"]
    parts += [f"{n} left out: {reason}" for reason, n in reasons.most_common(5)]
    return ", ".join(parts)


def compare_both_orders(judge: Judge, items: Sequence[Comparison]) -> Judged:
  """Asks a judge twice, with the responses in either order.

  A comparison counts only where both orders have a verdict; a judge that
  looks at the place alone ends at 1/2.

  Raises:
    DataError: two comparisons have the same id.
  """
  ids = [item.id for item in items]
  repeated = [i for i, n in collections.Counter(ids).items() if n > 1]
  if repeated:
    raise errors.DataError(
      f"compare_both_orders: the id {repeated[0]!r} comes twice"
    )
  asked = [*items, *(item.swapped() for item in items)]
  said = judge.compare(asked)
  kept, rows, left_out = [], [], {}
  for item, forward, backward in zip(
    items, said[: len(items)], said[len(items) :], strict=True
  ):
    bad = next((v for v in (forward, backward) if v.status != OK), None)
    if bad is not None:
      left_out[item.id] = bad.status + (f": {bad.reason}" if bad.reason else "")
      continue
    kept.append(item.id)
    rows.append((forward.first, 1.0 - backward.first))
  table = np.asarray(rows, np.float64).reshape(-1, 2)
  return Judged(tuple(kept), table.mean(axis=1), table, left_out)


# --- replies in words ---------------------------------------------------------

PAIR_TEMPLATE = """\
Compare two answers to the same question. Judge how well each of them does \
what the question asks: right, complete, clear, and harmless. Neither the \
order nor the length of the answers matters.

[Question]
{prompt}

[Answer 1]
{first}

[Answer 2]
{second}

Give your reasons in at most three sentences. Then write the verdict on a line \
of its own: [[1]] if answer 1 is better, [[2]] if answer 2 is better, or \
[[tie]]."""

_VERDICT = re.compile(r"\[\[\s*(1|2|tie)\s*\]\]", re.IGNORECASE)
_CHOICES = {"1": 1.0, "2": 0.0, "tie": 0.5}


def read_verdict(reply: str) -> float | None:
  """The verdict on the last line of a reply, or None.

  Only the marks of `PAIR_TEMPLATE` count. A mark elsewhere may quote an
  answer, so it is no verdict; and a reply that names two different ones is
  not read, because whichever was taken could be the wrong one.
  """
  lines = [line for line in reply.splitlines() if line.strip()]
  last = {m.lower() for m in _VERDICT.findall(lines[-1])} if lines else set()
  everywhere = {match.lower() for match in _VERDICT.findall(reply)}
  return _CHOICES[last.pop()] if len(last) == len(everywhere) == 1 else None


def fill(template: str, item: Comparison) -> str:
  """A template with a comparison's texts, which are never templates."""
  parts = re.split(r"\{(prompt|first|second)\}", template)
  return "".join(
    getattr(item, part) if place % 2 else part
    for place, part in enumerate(parts)
  )
