# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tools of a reward model: what they know, and what they refuse."""

import datetime
import random
import sys
import time

import pytest

from prefjax import rewards
from prefjax.core import errors
from prefjax.rewards import actions, search_index, tool_rewards, tools

# --- calculator ---------------------------------------------------------------


def _expression(draw: random.Random, depth: int) -> str:
  if depth == 0 or draw.random() < 0.2:
    number = draw.choice([str(draw.randint(0, 99)), f"{draw.random():.3f}"])
    return f"({draw.choice('+-')}{number})" if draw.random() < 0.2 else number
  sign = draw.choice(["+", "-", "*", "/", "//", "%", "**"])
  left, right = (_expression(draw, depth - 1) for _ in range(2))
  return f"({left} {sign} {right})"


def test_random_expressions_are_computed_as_python_does():
  draw, known = random.Random(0), 0
  for _ in range(2000):
    text = _expression(draw, 3)
    try:
      # Written by this test alone.
      want = eval(_floats(text))
      want = None if isinstance(want, complex) else want
    except (ZeroDivisionError, OverflowError, TypeError):
      want = None
    try:
      found = rewards.calculator(expression=text)
    except ValueError:
      found = None
    if want is None or abs(want) == float("inf") or want != want:
      assert found is None, text
    elif found is None:
      assert "**" in text  # an exponent over 64
    else:
      known += 1
      assert found == want, text
  assert known > 1000


def _floats(text: str) -> str:
  """Integers of an expression as floats."""
  out, number = [], ""
  for c in [*text, " "]:
    if c.isdigit() or c == ".":
      number += c
      continue
    if number:
      out.append(number if "." in number else f"{number}.0")
      number = ""
    out.append(c)
  return "".join(out)


@pytest.mark.parametrize(
  "expression",
  [
    "__import__('os')",
    "x",
    "(1).real",
    "abs(1)",
    "[1]",
    "1 if 1 else 2",
    "True",
    "'a'*3",
    "1j",
    "2**65",
    "9**9**9",
    "1/0",
    "1e308*10",
    "(-8)**0.5",
    "1//(-8)**0.5",
    "1 << 3",
    "1;2",
    "lambda: 1",
    "",
    "(" * 200,
    "1+" * 300 + "1",
  ],
)
def test_what_is_no_arithmetic_is_refused(expression):
  start = time.monotonic()
  with pytest.raises(ValueError, match="calculator: "):
    rewards.calculator(expression=expression)
  assert time.monotonic() - start < 1


def test_the_spoken_calculator():
  tool = tools.TOOLS["Calculator"]
  assert tool("12 * (3 + 4) = ?") == "84"
  assert tool("1,234 + 1") == "1235" and tool("2^10") == "1024"
  assert tool("7/2") == "3.5" and tool("6 × 7") == "42"
  assert tool("1/0") == tool("import os") == tools.FAILED


# --- calendar -----------------------------------------------------------------


def test_dates_go_both_ways():
  draw = random.Random(0)
  for _ in range(300):
    start = datetime.date.fromordinal(draw.randint(100_000, 800_000))
    days = draw.randint(-5000, 5000)
    end = rewards.target_day(date=start.isoformat(), days=days)
    assert rewards.day_difference(first=start.isoformat(), second=end) == abs(
      days
    )
    assert rewards.week_day(date=end) == datetime.date.fromisoformat(
      end
    ).strftime("%A")


def test_the_spoken_calendar():
  tool = tools.TOOLS["Calendar"]
  assert tool("2004-05-03") == tool("May 3, 2004") == "Monday"
  assert tool("3 May 2004.") == "Monday"
  assert tool("2004-02-28 + 3") == tool("3 days after 2004-02-28")
  assert tool("2004-02-28 - 3") == tool("3 days before 2004-02-28")
  assert tool("2004-02-28 - 3") == "2004-02-25"
  assert tool("2004-05-03, 2004-02-28") == "65"
  for wrong in ("", "yesterday", "2004-13-01", "9999-12-31 + 400", "1" * 30000):
    assert tool(wrong) == tools.FAILED


# --- tables, search, code -----------------------------------------------------


def test_translation_takes_the_longest_phrase():
  tool = tools.translator_tool({"good": "gut", "good morning": "guten Morgen",
                                "friend": "Freund"})  # fmt: skip
  assert tool("Good morning, friend!") == "guten Morgen, Freund!"
  assert tool("a good friend") == "a gut Freund"
  assert tool("nothing known") == tools.FAILED


def test_tables(tmp_path):
  path = tmp_path / "weather.json"
  path.write_text('{"Paris": "rain"}')
  tool = tools.lookup_tool(tools.read_table(path), name="Weather")
  assert tool.name == "Weather"
  assert tool(' "paris". ') == "rain" and tool("Rome") == tools.FAILED
  for text in ("[1]", '{"a": 1}', "{", ""):
    path.write_text(text)
    with pytest.raises(errors.DataError, match="weather.json"):
      tools.read_table(path)
  with pytest.raises(errors.DataError, match="cannot be read"):
    tools.read_table(tmp_path / "none")


def test_search_finds_by_words_and_takes_no_orders(tmp_path):
  documents = [
    ("Otter", "Otters swim in rivers and eat fish."),
    ("Hawk", "A hawk hunts mice in open fields."),
    ("River", "A river flows to the sea."),
  ]
  index = search_index.build(tmp_path / "animals.sqlite", documents)
  tool = tools.search_tool(index, limit=2)
  assert tool("What do otters eat?").startswith("Otter: Otters swim")
  assert "River" in tool("rivers flowing") and "\n" in tool("rivers flowing")
  # Operators and quotes are words like any others.
  for text in ('"', "NEAR(hawk fish)", "title: hawk*", "hawk AND (", "'; --"):
    assert tool(text) == tools.FAILED or "Hawk" in tool(text)
  assert tool("!?") == tool("xylophone") == tools.FAILED
  index.close()
  again = search_index.SearchIndex(tmp_path / "animals.sqlite")
  assert again.search("hawk")[0][0] == "Hawk"
  again.close()
  with pytest.raises(errors.DataError, match="exists"):
    search_index.build(tmp_path / "animals.sqlite", documents)
  (tmp_path / "text").write_text("no database " * 400)
  with pytest.raises(errors.DataError, match="search index"):
    search_index.SearchIndex(tmp_path / "text")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
def test_code_runs_in_the_isolated_process():
  tool = tools.TOOLS["Code"]
  said = tool("print(sum(range(10)))")
  if said == tools.FAILED:
    pytest.skip("this system cannot isolate code")
  assert said == "45"
  for wrong in ("1/0", "import os; print(os.listdir('/'))", "while True: pass"):
    assert tool(wrong) == tools.FAILED


# --- calls --------------------------------------------------------------------


def test_a_call_is_read_as_it_was_written():
  text = actions.render_action("add them", "Calculator", "3+4")
  assert rewards.parse_action(text=text) == {
    "kind": "action",
    "tool": "Calculator",
    "input": "3+4",
  }
  more = "Thought: no tool\nFinished: yes. Finished."
  assert rewards.parse_action(text=more) == {"kind": "finish", "text": "."}
  assert rewards.parse_action(text="Thought: hm") == {"kind": "none"}
  code = actions.render_action("run", "Code", "for i in range(2):\n  print(i)")
  assert rewards.parse_action(text=code)["input"].endswith("\n  print(i)")
  numbered = 'Action 2: Calendar\nAction Input 2: "2004-05-03"\n'
  assert rewards.parse_action(text=numbered)["input"] == "2004-05-03"
  after = text + "  Observation: 7\nAction: Code\nAction Input: x"
  assert rewards.parse_action(text=after)["tool"] == "Calculator"


class _Adder:
  """Calls the calculator on 'a+b is c', and scores by what it said."""

  def __init__(self, tool="Calculator"):
    self.tool, self.calls = tool, 0

  def write(self, texts):
    out = []
    for text in texts:
      self.calls += 1
      question = text.split("USER: ")[1].split(" is ")[0]
      if text.endswith(actions.START_WORK):
        out.append("It is compared.")
      elif "Observation" in text:
        out.append("Finished.")
      else:
        out.append(actions.render_action("check", self.tool, question))
    return out

  def score(self, texts):
    out = []
    for text in texts:
      said = text.partition("Observation: ")[2].split("\n")[0]
      answer = text.split(" is ")[1].split("\n")[0]
      out.append(float(said == answer))
    return out

  def model(self):
    return tool_rewards.TracedModel(self.write, self.score)


def test_a_reward_with_a_tool_is_right_where_the_answer_is():
  scores, traces = tool_rewards.tool_reward(
    _Adder().model(), tools.TOOLS, ["2+3", "2+3", "10*4"],
    ["is 5", "is 6", "is 40"],
  )  # fmt: skip
  assert scores == [1.0, 0.0, 1.0]
  assert traces[0].count(actions.START_OBSERVATION) == 1
  assert actions.START_WORK in traces[0]
  assert "Observation: 5\n" in traces[0]


def test_unknown_tools_and_endless_calls_end():
  scores, traces = tool_rewards.tool_reward(
    _Adder("Oracle").model(), tools.TOOLS, ["2+3"], ["is 5"]
  )
  assert scores == [0.0] and f"Observation: {tools.FAILED}" in traces[0]

  class Endless(_Adder):
    def write(self, texts):
      return [actions.render_action("again", self.tool, "1") for _ in texts]

  _, traces = tool_rewards.tool_reward(
    Endless().model(), tools.TOOLS, ["2+3"], ["is 5"], max_rounds=2
  )
  assert traces[0].count(actions.START_OBSERVATION) == 2
  with pytest.raises(errors.DataError, match="2 responses for 1 prompts"):
    tool_rewards.tool_reward(_Adder().model(), {}, ["a"], ["b", "c"])


@pytest.mark.parametrize(
  "expression",
  ["1/(1e308*10)", "1/1e400", "5%1e400", "5//(1e308*10)", "(1e308*10)**0"],
)
def test_an_overflow_on_the_way_is_one(expression):
  with pytest.raises(ValueError, match="overflows"):
    rewards.calculator(expression=expression)
