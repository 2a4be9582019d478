# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tool calls as a model writes them, and their reading.

The layout is that of Themis (arXiv:2310.01045): after the answer come rounds
of "Thought / Action / Action Input", each followed by "Observation", and then
the rationale.
"""

import re
from typing import Any

from prefjax.core import tool_traces

START_TOOL = tool_traces.START_TOOL
START_OBSERVATION = tool_traces.START_OBSERVATION
START_WORK = tool_traces.START_WORK

_OBSERVATION = re.compile(
  rf"{re.escape(START_OBSERVATION)}|^[^\S\n]*Observation:", re.MULTILINE
)
_ACTION = re.compile(
  r"Action(?:\s+\d+)?\s*:[^\S\n]*(?P<tool>[^\n]*)"
  r"\n+[^\S\n]*Action(?:\s+\d+)?\s+Input(?:\s+\d+)?\s*:(?P<input>.*)",
  re.DOTALL,
)
_WORK = re.compile(rf"{re.escape(START_WORK)}(?:\s*Work:)?|Work:")
_FINISHED = tool_traces.FINISHED


def parse_action(*, text: str) -> dict[str, Any]:
  """What a model wants after what it wrote.

  Args:
    text: its output; all from the observation on is ignored.

  Returns:
    {"kind": "action", "tool", "input"}, {"kind": "rationale", "text"},
    {"kind": "finish", "text"} or {"kind": "none"}; texts without outer white
    space, an input without outer double quotes too.
  """
  cut = _OBSERVATION.search(text)
  if cut is not None:
    text = text[: cut.start()]
  action = _ACTION.search(text)
  if action is not None:
    given = action["input"].strip().strip('"').strip()
    return {"kind": "action", "tool": action["tool"].strip(), "input": given}
  work = _WORK.search(text)
  if work is not None:
    return {"kind": "rationale", "text": text[work.end() :].strip()}
  _, found, rest = text.rpartition(_FINISHED)
  if found:
    return {"kind": "finish", "text": rest.strip()}
  return {"kind": "none"}


def render_action(thought: str, tool: str, argument: str) -> str:
  """A call as `parse_action` reads it; the input is the last of it."""
  return tool_traces.call(thought, tool, argument)
