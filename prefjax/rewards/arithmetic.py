# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A calculator that knows numbers and six operations, and nothing else."""

import ast
import math
import operator
from collections.abc import Callable, Sequence

_MAX_TEXT = 400  # characters of an expression
_MAX_EXPONENT = 64.0
_RELATIVE = 1e-9

_BINARY: dict[type, Callable[[float, float], float]] = {
  ast.Add: operator.add,
  ast.Sub: operator.sub,
  ast.Mult: operator.mul,
  ast.Div: operator.truediv,
  ast.FloorDiv: operator.floordiv,
  ast.Mod: operator.mod,
  ast.Pow: operator.pow,
}
_UNARY: dict[type, Callable[[float], float]] = {
  ast.UAdd: operator.pos,
  ast.USub: operator.neg,
}


def _value(node: ast.AST) -> float:
  value = _raw(node)
  # At every step: what divides by an infinity is finite again.
  if not math.isfinite(value):
    raise ValueError("a number overflows")
  return value


def _raw(node: ast.AST) -> float:
  if isinstance(node, ast.Expression):
    return _value(node.body)
  if isinstance(node, ast.Constant) and type(node.value) in (int, float):
    return float(node.value)
  if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
    return _UNARY[type(node.op)](_value(node.operand))
  if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
    left, right = _value(node.left), _value(node.right)
    if isinstance(node.op, ast.Pow) and abs(right) > _MAX_EXPONENT:
      raise ValueError(f"exponent {right} is over {_MAX_EXPONENT:.0f}")
    result = _BINARY[type(node.op)](left, right)
    if isinstance(result, complex):
      raise ValueError("the root of a negative number is not real")
    return result
  raise ValueError(f"{type(node).__name__} is not arithmetic")


def calculator(*, expression: str) -> float:
  """The value of an arithmetic expression; nothing is ever executed.

  Args:
    expression: numbers, parentheses and + - * / // % **, at most 400
      characters. Numbers are floats, exponents at most 64.

  Returns:
    A finite float.

  Raises:
    ValueError: it holds anything else, divides by zero, overflows or has no
      real value.
  """
  if len(expression) > _MAX_TEXT:
    raise ValueError(f"calculator: over {_MAX_TEXT} characters")
  try:
    tree = ast.parse(expression.strip(), mode="eval")
    return _value(tree)
  except (
    SyntaxError,
    ZeroDivisionError,
    OverflowError,
    RecursionError,
    MemoryError,
    ValueError,
  ) as error:
    reason = str(error).partition("\n")[0]
    raise ValueError(
      f"calculator: {expression[:60]!r} has no value ({reason})"
    ) from None


def _equal(a: float, b: float) -> bool:
  return abs(a - b) <= _RELATIVE * max(1.0, abs(a))


def check_calculation(*, expressions: Sequence[str], answer: float) -> int:
  """Whether a calculation and its result are right.

  Args:
    expressions: "left = right", or "left" alone, in order; both sides are
      computed.
    answer: the result that was given.

  Returns:
    0 process and answer right; 1 the answer is wrong; 2 the process is wrong
    but the answer is the value of the last left side that has one; 3 both
    are wrong.
  """
  process, last = True, None
  for expression in expressions:
    left, equals, right = expression.partition("=")
    try:
      value = calculator(expression=left)
    except ValueError:
      process = False
      continue
    last = value
    if equals:
      try:
        process &= _equal(value, calculator(expression=right))
      except ValueError:
        process = False
  matches = last is not None and _equal(last, float(answer))
  return (0 if matches else 1) if process else (2 if matches else 3)
