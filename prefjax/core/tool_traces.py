# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""How a judged answer and the tool calls about it stand in one text.

The layout is that of Themis (arXiv:2310.01045): a user's turn with question
and answer, then rounds of "Thought / Action / Action Input", each followed by
what the tool said, then the rationale. Records, losses and the reading of what
a model wrote share it.
"""

START_TOOL = "<start_tool>"
START_OBSERVATION = "<start_observation>"
START_WORK = "<start_work>"
BEFORE_TRACE = "\n### ASSISTANT: "
FINISHED = "Finished"

# What a token of such a text belongs to.
NONE, TOOL, OBSERVATION, RATIONALE, ANSWER = range(5)


def question(text: str, context: str = "") -> str:
  """All that stands before the answer, but for a space."""
  head = f"{context}\n" if context else ""
  return f"### USER: {head}{text}"


def call(thought: str, tool: str, argument: str) -> str:
  """A call of a tool; its input is the last of it."""
  return f"Thought: {thought}\nAction: {tool}\nAction Input: {argument}\n"


def observation(said: str) -> str:
  """What a tool said, as the model reads it."""
  return f"{START_OBSERVATION}Observation: {said}\n"
