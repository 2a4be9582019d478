# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Numbers as people and models write them, and nothing executed."""

import time
from fractions import Fraction

import hypothesis
import pytest
from hypothesis import strategies as st

from prefjax import rewards
from prefjax.rewards import numbers


@pytest.mark.parametrize(
  "text,value",
  [
    ("42", 42),
    ("-3", -3),
    ("\u22123", -3),
    ("1,234.5", Fraction(2469, 2)),
    ("12,345,678", 12345678),
    ("$12", 12),
    ("\\$1,000.", 1000),
    (".5", Fraction(1, 2)),
    ("3/4", Fraction(3, 4)),
    ("-3/4", Fraction(-3, 4)),
    ("\\frac{3}{4}", Fraction(3, 4)),
    ("\\dfrac{-3}{4}", Fraction(-3, 4)),
    ("\\frac12", Fraction(1, 2)),
    ("1\\frac{1}{2}", Fraction(3, 2)),
    ("50%", Fraction(1, 2)),
    ("50\\%", Fraction(1, 2)),
    ("1e3", 1000),
    ("2^{10}", 1024),
    ("2^-2", Fraction(1, 4)),
    ("-2^2", -4),
    ("2^3^2", 512),
    ("\\sqrt{16}", 4),
    ("\\sqrt{\\frac{1}{4}}", Fraction(1, 2)),
    ("\u221a9", 3),
    ("2\\times 3", 6),
    ("7\u00d78", 56),
    ("(1+2)*3-4/2", 7),
    ("\\left(3\\right)", 3),
    ("12 \\text{ apples}", 12),
    ("10\\,000", None),  # a space is no thousands separator
    ("1,2", None),
    ("1/0", None),
    ("\\sqrt{2}", None),
    ("", None),
    ("x", None),
    ("3 4", None),
    ("9^9^9^9", None),
    ("1e999", None),
    ("__import__('os').system('id')", None),
    ("(" * 500 + "1" + ")" * 500, None),
    ("-" * 200 + "1", 1),
    ("9" * 10_000, None),
  ],
)
def test_parse_number(text, value):
  assert numbers.parse_number(text) == value


@pytest.mark.parametrize(
  "text,answer",
  [
    ("so \\boxed{\\frac{1}{2}} it is, not \\boxed{3}", "3"),
    ("it is \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
    ("16 - 3 - 4 = 9 eggs\n#### 18", "18"),
    ("The answer is 12.", "12"),
    ("Answer: 7\nFinal answer: 8", "8"),
    ("it costs $3.50, or 7 for two", "7"),
    ("first 3, then 1,234.5 of them", "1,234.5"),
    ("nothing here", None),
    ("", None),
    ("\\boxed{unclosed 5", "5"),
  ],
)
def test_extract_answer(text, answer):
  assert rewards.extract_answer(text) == answer


@pytest.mark.parametrize(
  "given,wanted,equal",
  [
    ("0.5", "1/2", True),
    ("50%", "0.5", True),
    ("1,000", "1000.0", True),
    ("(1, 2)", "(1.0,2)", True),
    ("(1, 2)", "[1, 2]", False),
    ("(1, 2)", "(2, 1)", False),
    ("1, 2", "1,2", True),
    ("1, 2", "1, 2, 3", False),
    ("x + 1", "X+1", True),
    ("x", "5", False),
    ("5", "x", False),
    ("0.333", "1/3", False),
    ("", "", False),
    ("nan", "0", False),
  ],
)
def test_maths_equal(given, wanted, equal):
  assert rewards.maths_equal(given, wanted) is equal


def test_tolerance():
  assert rewards.maths_equal("0.333", "1/3", tolerance=0.01)
  assert not rewards.maths_equal("0.333", "1/3", tolerance=0.0001)
  assert not rewards.maths_equal("0.1", "0", tolerance=0.5)
  with pytest.raises(ValueError, match="tolerance=-1"):
    rewards.maths_equal("1", "1", tolerance=-1)


@hypothesis.given(st.fractions(max_denominator=1000))
def test_every_fraction_is_read_back(value):
  text = f"{value.numerator}/{value.denominator}"
  latex = f"\\frac{{{value.numerator}}}{{{value.denominator}}}"
  assert numbers.parse_number(text) == numbers.parse_number(latex) == value


@hypothesis.given(st.text(max_size=300))
def test_any_text_is_answered(text):
  numbers.parse_number(text)
  answer = numbers.extract_answer(text)
  assert answer is None or isinstance(answer, str)
  assert numbers.maths_equal(text, "17") in (True, False)


@pytest.mark.parametrize(
  "text",
  ["answer:" * 20_000, "1," * 50_000, "\\boxed{" * 20_000, "9" * 200_000,
   "(" * 100_000, "answer is " * 20_000 + "x"],
)  # fmt: skip
def test_long_texts_take_no_time(text):
  start = time.monotonic()
  numbers.extract_answer(text)
  numbers.maths_equal(text, text)
  assert time.monotonic() - start < 2
