# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Mathematical answers compared as numbers, without evaluating any code.

A small parser of its own reads what answers are written as: signs, decimals,
thousands, fractions, percentages, powers, roots, the LaTeX for them, and
lists of these. Everything is exact (fractions), bounded in length, depth and
size, and never reaches Python's own evaluator.
"""

import math
import re
import unicodedata
from fractions import Fraction

_MAX_TEXT = 256  # characters of an answer
_MAX_DEPTH = 24
_MAX_EXPONENT = 64
_MAX_BITS = 4096  # of a numerator or denominator

_MARK = re.compile(
  r"(?:####|(?:final\s+)?answer\s*(?:is|:|=))\s*:?\s*([^\n]*)", re.IGNORECASE
)
_NUMBER = re.compile(
  r"(?<![\w.])[-+]?\$?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?%?"
)
_TOKEN = re.compile(
  r"\s*(?:(?P<number>(?:\d{1,3}(?:,\d{3})+(?![\d])|\d+)(?:\.\d+)?|\.\d+)"
  r"(?P<exponent>[eE][-+]?\d{1,2}(?!\w))?"
  r"|\\(?P<command>[dtc]?frac|sqrt|times|cdot|div|left|right|pi|%|\$)"
  r"|(?P<symbol>[-+*/^()\[\]{}%,:]))"
)
_REPLACED = {
  "\u2212": "-",
  "\u2013": "-",
  "\u00d7": "*",
  "\u00f7": "/",
  "\u00b7": "*",
  "\u221a": "\\sqrt",
}
_UNITS = re.compile(r"\\(?:text|mathrm|mbox)\s*\{[^{}]*\}|\\[,;!: ]|~")
_EDGES = " \t\r\n$.\u20ac\u00a3"


class _NoNumber(Exception):  # noqa: N818 - caught in this module
  """The text is not a number."""


def boxed(text: str) -> str | None:
  r"""What stands in the last \boxed{...} of a text, or None.

  Args:
    text: a response.
  """
  start = text.rfind("\\boxed")
  if start < 0:
    return None
  at = start + len("\\boxed")
  while at < len(text) and text[at] == " ":
    at += 1
  if at >= len(text) or text[at] != "{":
    return None
  depth = 0
  for end in range(at, min(len(text), at + 4 * _MAX_TEXT)):
    depth += {"{": 1, "}": -1}.get(text[end], 0)
    if not depth:
      return text[at + 1 : end]
  return None


def extract_answer(text: str) -> str | None:
  r"""The final answer of a response, as it is written there.

  The last \boxed{...}; else what follows the last "####" or "answer:"; else
  the last number.

  Args:
    text: a response, such as a trace of reasoning.

  Returns:
    Text without edge spaces, or None where there is nothing like an answer.
  """
  found = boxed(text)
  if found is not None:
    return found.strip()
  last = None
  for match in _MARK.finditer(text):
    if match[1].strip():
      last = match[1]
  if last is not None:
    return last.strip().rstrip(".").strip()
  numbers = _NUMBER.findall(text)
  return numbers[-1] if numbers else None


class _Parser:
  """Recursive descent over tokens; values are exact fractions."""

  def __init__(self, text: str):
    self._tokens: list[str] = []
    at = 0
    while at < len(text):
      match = _TOKEN.match(text, at)
      if match is None:
        if text[at:].isspace():
          break
        raise _NoNumber
      at = match.end()
      if match["number"]:
        number = match["number"].replace(",", "")
        self._tokens.append(number + (match["exponent"] or ""))
      elif match["command"]:
        word = match["command"]
        if word in ("left", "right", "$"):
          continue
        self._tokens.append(
          {"times": "*", "cdot": "*", "div": "/", "%": "%"}.get(
            word, "frac" if word.endswith("frac") else word
          )
        )
      else:
        self._tokens.append(match["symbol"])
    self._at = 0

  def _peek(self) -> str:
    return self._tokens[self._at] if self._at < len(self._tokens) else ""

  def _take(self, wanted: str = "") -> str:
    token = self._peek()
    if not token or (wanted and token != wanted):
      raise _NoNumber
    self._at += 1
    return token

  def whole(self) -> Fraction:
    """The value of all tokens."""
    value = self._sum(0)
    if self._peek():
      raise _NoNumber
    return value

  def _sum(self, depth: int) -> Fraction:
    if depth > _MAX_DEPTH:
      raise _NoNumber
    value = self._product(depth)
    while self._peek() in ("+", "-"):
      sign = self._take()
      other = self._product(depth)
      value = _small(value + other if sign == "+" else value - other)
    return value

  def _product(self, depth: int) -> Fraction:
    value = self._power(depth)
    while True:
      token = self._peek()
      if token in ("*", "/", ":"):
        self._take()
        other = self._power(depth)
        if token == "*":
          value = _small(value * other)
        elif other == 0:
          raise _NoNumber
        else:
          value = _small(value / other)
      elif token == "frac" and value.denominator == 1:
        # 1\frac{1}{2} is a mixed number.
        part = self._power(depth)
        if not 0 < part < 1:
          raise _NoNumber
        value = value + (part if value >= 0 else -part)
      else:
        return value

  def _power(self, depth: int) -> Fraction:
    sign = 1
    while self._peek() in ("+", "-"):
      sign = -sign if self._take() == "-" else sign
    value = self._atom(depth + 1)
    if self._peek() == "^":
      self._take()
      exponent = (
        self._braced(depth + 1)
        if self._peek() == "{"
        else self._power(depth + 1)
      )
      value = _raised(value, exponent)
    while self._peek() == "%":
      self._take()
      value = value / 100
    return sign * value

  def _braced(self, depth: int) -> Fraction:
    self._take("{")
    value = self._sum(depth)
    self._take("}")
    return value

  def _atom(self, depth: int) -> Fraction:
    if depth > _MAX_DEPTH:
      raise _NoNumber
    token = self._take()
    if token in ("(", "["):
      value = self._sum(depth)
      self._take(")" if token == "(" else "]")
      return value
    if token == "{":
      self._at -= 1
      return self._braced(depth)
    if token == "frac":
      top, bottom = self._braced(depth), self._braced(depth)
      if bottom == 0:
        raise _NoNumber
      return _small(top / bottom)
    if token == "sqrt":
      inner = self._braced(depth) if self._peek() == "{" else self._atom(depth)
      return _root(inner)
    if token[0].isdigit() or token[0] == ".":
      return Fraction(token)
    raise _NoNumber


def _small(value: Fraction) -> Fraction:
  if max(value.numerator.bit_length(), value.denominator.bit_length()) > (
    _MAX_BITS
  ):
    raise _NoNumber
  return value


def _raised(value: Fraction, exponent: Fraction) -> Fraction:
  if exponent.denominator != 1 or abs(exponent) > _MAX_EXPONENT:
    raise _NoNumber
  bits = max(value.numerator.bit_length(), value.denominator.bit_length())
  if bits * abs(int(exponent)) > _MAX_BITS or (value == 0 and exponent < 0):
    raise _NoNumber
  return value ** int(exponent)


def _root(value: Fraction) -> Fraction:
  """The square root where it is rational."""
  if value < 0:
    raise _NoNumber
  top, bottom = math.isqrt(value.numerator), math.isqrt(value.denominator)
  if top * top != value.numerator or bottom * bottom != value.denominator:
    raise _NoNumber
  return Fraction(top, bottom)


def _clean(text: str) -> str:
  text = unicodedata.normalize("NFKC", text)
  for old, new in _REPLACED.items():
    text = text.replace(old, new)
  text = re.sub(r"\\([dtc]?frac)(\d)(\d)", r"\\\1{\2}{\3}", text)
  text = _UNITS.sub(" ", text).replace("\\$", "")
  return text.lstrip(_EDGES.replace(".", "")).rstrip(_EDGES)


def parse_number(text: str) -> Fraction | None:
  r"""The exact value of a written number, or None where it is none.

  Understands signs, thousands ("1,234.5"), decimals, "1e3", fractions
  ("3/4", "\frac{3}{4}", "1\frac{1}{2}"), percentages, sums, products, whole
  powers and rational square roots, with currency signs, LaTeX spacing and
  units in \text{...} left out.

  Args:
    text: at most 256 characters; longer ones are no number.
  """
  text = _clean(text)
  if not text or len(text) > _MAX_TEXT:
    return None
  try:
    return _Parser(text).whole()
  except (_NoNumber, ValueError, ZeroDivisionError, OverflowError):
    return None


def _parts(text: str) -> list[str] | None:
  """Elements of "(1, 2)" or "1, 2", None for one value."""
  inner = text
  if len(text) > 1 and text[0] + text[-1] in ("()", "[]", "{}"):
    inner = text[1:-1]
  pieces, depth, start = [], 0, 0
  for i, letter in enumerate(inner):
    depth += (letter in "([{") - (letter in ")]}")
    if depth < 0:
      return None
    is_comma = letter == "," and not depth
    thousands = (
      inner[i + 1 : i + 4].isdigit()
      and inner[max(i - 1, 0) : i].isdigit()
      and not inner[i + 4 : i + 5].isdigit()
      and inner is text
    )
    if is_comma and not thousands:
      pieces.append(inner[start:i].strip())
      start = i + 1
  if not pieces:
    return None
  return [*pieces, inner[start:].strip()]


def _close(first: Fraction, second: Fraction, tolerance: float) -> bool:
  if first == second:
    return True
  if not tolerance:
    return False
  bound = Fraction(tolerance) * max(abs(first), abs(second))
  return abs(first - second) <= bound


def maths_equal(given: str, wanted: str, *, tolerance: float = 0.0) -> bool:
  """Whether two written answers are the same value.

  Args:
    given: an answer, such as `extract_answer` finds.
    wanted: the right one.
    tolerance: largest relative difference of numbers.

  Returns:
    True where both are equal numbers, lists (in order, with the same
    brackets) of such, or, where one is no number, equal texts without case,
    spaces and dollar signs.

  Raises:
    ValueError: the tolerance is negative or 1 or more.
  """
  if not 0 <= tolerance < 1:
    raise ValueError(f"maths_equal: tolerance={tolerance} is outside [0, 1)")
  given, wanted = _clean(given), _clean(wanted)
  if max(len(given), len(wanted)) > _MAX_TEXT:
    return False
  first, second = parse_number(given), parse_number(wanted)
  if first is not None and second is not None:
    return _close(first, second, tolerance)
  if first is not None or second is not None:
    return False
  lists = _parts(given), _parts(wanted)
  if lists[0] is not None and lists[1] is not None:
    same_frame = (given[0] in "([{") == (wanted[0] in "([{") and (
      given[0] not in "([{" or (given[0], given[-1]) == (wanted[0], wanted[-1])
    )
    return (
      same_frame
      and len(lists[0]) == len(lists[1])
      and all(
        maths_equal(a, b, tolerance=tolerance)
        for a, b in zip(*lists, strict=True)
      )
    )
  return _plain(given) == _plain(wanted) and bool(_plain(wanted))


def _plain(text: str) -> str:
  return re.sub(r"[\s$]|\\left|\\right", "", text).casefold()
