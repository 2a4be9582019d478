# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scores of answers after the model has called its tools.

The model writes, the tool that it names runs, what the tool says is put into
the text, and the model goes on; then the reward is read at the end. A model
is given as two functions, so that any decoder, or a test, will do.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from prefjax.core import errors, tool_traces
from prefjax.rewards import actions
from prefjax.rewards import tools as tools_lib

MAX_ROUNDS = 3
_MAX_OBSERVATION = 2000  # characters of what a tool said


@dataclasses.dataclass(frozen=True)
class TracedModel:
  """A reward model that writes before it scores.

  Attributes:
    write: texts -> what the model adds to each, up to (not including) the
      next marker of `actions`.
    score: whole texts -> a number each.
  """

  write: Callable[[Sequence[str]], Sequence[str]]
  score: Callable[[Sequence[str]], Sequence[float]]


def render_prompt(question: str, answer: str, context: str = "") -> str:
  """How a question and the answer that is judged stand before the trace."""
  before = tool_traces.question(question, context)
  return f"{before} {answer}{tool_traces.BEFORE_TRACE}"


def _call(tools: Mapping[str, tools_lib.Tool], step: Mapping[str, str]) -> str:
  """What a tool says; a name is matched without case."""
  by_name = {name.casefold(): tool for name, tool in tools.items()}
  tool = by_name.get(step["tool"].casefold())
  said = tools_lib.FAILED if tool is None else tool(step["input"])
  return said[:_MAX_OBSERVATION]


def tool_reward(
  model: TracedModel,
  tools: Mapping[str, tools_lib.Tool],
  prompts: Sequence[str],
  responses: Sequence[str],
  *,
  max_rounds: int = MAX_ROUNDS,
) -> tuple[list[float], list[str]]:
  """(scores, traces) of responses.

  Args:
    model: writes and scores.
    tools: by the name that the model calls them by.
    prompts: N texts.
    responses: N texts.
    max_rounds: most tool calls of a response.

  Returns:
    A number each, and the whole text it was read from. What cannot be parsed
    is scored as it stands.

  Raises:
    DataError: the lists differ in length.

  Reference:
    Li et al., "Tool-Augmented Reward Modeling", arXiv:2310.01045.
  """
  if len(prompts) != len(responses):
    raise errors.DataError(
      f"tool_reward: {len(responses)} responses for {len(prompts)} prompts"
    )
  texts = [
    render_prompt(question, answer)
    for question, answer in zip(prompts, responses, strict=True)
  ]
  open_rows = list(range(len(texts)))
  for turn in range(max_rounds + 1):
    if not open_rows:
      break
    starts = [texts[i] + actions.START_TOOL for i in open_rows]
    written = model.write(starts)
    still = []
    for row, start, more in zip(open_rows, starts, written, strict=True):
      step = actions.parse_action(text=more)
      if step["kind"] == "action" and turn < max_rounds:
        said = _call(tools, step)
        call = more.rstrip("\n")
        texts[row] = f"{start}{call}\n{tool_traces.observation(said)}"
        still.append(row)
      else:
        texts[row] = start + more
    open_rows = still
  # The rationale, where the model has not written it yet.
  missing = [i for i, t in enumerate(texts) if actions.START_WORK not in t]
  if missing:
    starts = [texts[i] + actions.START_WORK for i in missing]
    for row, start, more in zip(
      missing, starts, model.write(starts), strict=True
    ):
      texts[row] = start + more
  return [float(v) for v in model.score(texts)], texts
