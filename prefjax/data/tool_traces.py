# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Answers with the tool calls that judge them, for reward models that reason.

A record has its traces under metadata['traces'], one a response: a mapping
with 'rounds', a list of {'thought', 'tool', 'input', 'observation'}, and
'rationale', a text. Both may be missing: then no tool was needed.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefjax.core import tool_traces
from prefjax.data import fields, group_texts, paired_views, schema, tokenizers

Part = tuple[str, int]  # a text, and what it is (`core.tool_traces`)
_MOST_ROUNDS = 64
_KEYS = ("thought", "tool", "input", "observation")


def _text(item: Mapping[str, Any], key: str, where: str) -> str:
  return fields.string(item.get(key, ""), f"{where}.{key}", empty=True)


def _parts(answer: str, trace: Any, where: str) -> tuple[Part, ...]:
  """The parts of one response and its trace."""
  if not isinstance(trace, Mapping):
    raise fields.Problem(where, f"is {fields.shown(trace)}, not a mapping")
  parts: list[Part] = [
    (f" {answer}", tool_traces.ANSWER),
    (tool_traces.BEFORE_TRACE, tool_traces.NONE),
  ]
  rounds = trace.get("rounds") or ()
  if rounds:
    name = f"{where}.rounds"
    rounds = fields.sequence(rounds, name, most=_MOST_ROUNDS, what="rounds")
  for i, item in enumerate(rounds):
    place = f"{where}.rounds[{i}]"
    if not isinstance(item, Mapping):
      raise fields.Problem(place, f"is {fields.shown(item)}, not a mapping")
    thought, tool, argument, said = (_text(item, k, place) for k in _KEYS)
    written = tool_traces.call(thought, tool, argument)
    parts += [
      (tool_traces.START_TOOL + written, tool_traces.TOOL),
      (tool_traces.observation(said), tool_traces.OBSERVATION),
    ]
  finished = f"{tool_traces.START_TOOL}{tool_traces.FINISHED}.\n"
  rationale = tool_traces.START_WORK + _text(trace, "rationale", where)
  return (
    *parts,
    (finished, tool_traces.TOOL),
    (rationale, tool_traces.RATIONALE),
  )


def render_trace(
  record: schema.Record,
) -> tuple[str, tuple[tuple[Part, ...], ...]]:
  """(prompt, parts of each response with its trace) of a record.

  Joined, prompt and parts are the text that `rewards.tool_reward` scores
  after the same calls.

  Raises:
    Problem: the traces are not one for each response, or malformed.
  """
  number = len(record.responses)
  traces = record.metadata.get("traces")
  if traces is None:
    traces = [{}] * number
  name = "metadata.traces"
  traces = fields.sequence(
    traces, name, most=fields.Limits.responses, what="traces"
  )
  if len(traces) != number:
    raise fields.Problem(name, f"are {len(traces)}, not {number}")
  prompt = tool_traces.question(paired_views.spoken(record.prompt))
  parts = tuple(
    _parts(paired_views.spoken(response), trace, f"{name}[{i}]")
    for i, (response, trace) in enumerate(
      zip(record.responses, traces, strict=True)
    )
  )
  return prompt, parts


def join(parts: Sequence[Part]) -> str:
  """The text of parts."""
  return "".join(text for text, _ in parts)


def trace_segments(
  text_parts: Sequence[Part], tokenizer: tokenizers.Tokenizer
) -> tuple[list[int], np.ndarray]:
  """Tokens of joined parts, and what each belongs to.

  Args:
    text_parts: (text, kind) in their order.
    tokenizer: text to ids.

  Returns:
    (T ids, int32 [T] of kinds): a token is of the part that it starts in.
  """
  ids, offsets = tokenizer.encode_with_offsets(join(text_parts))
  ends = list(itertools.accumulate(len(text) for text, _ in text_parts))
  kinds = np.asarray([kind for _, kind in text_parts], np.int32)
  starts = [start for start, _ in offsets]
  place = np.searchsorted(ends[:-1], starts, side="right")
  return list(ids), kinds[place] if len(ids) else np.zeros(0, np.int32)


def traced(
  record: schema.Record, *, pairs: str, eos: bool
) -> group_texts.Groups:
  """'main': the pair, each response followed by its trace, as plain text."""
  main = group_texts.pair(record, pairs=pairs, eos=eos)["main"]
  prompt, rendered = render_trace(record)
  parts = [rendered[place] for place in group_texts.preferred(record)]
  return {
    "main": group_texts.GroupText(
      prompt=prompt,
      responses=tuple(join(p) for p in parts),
      scores=main.scores,
      pieces=tuple(tuple(text for text, _ in p) for p in parts),
      kinds=tuple(tuple(kind for _, kind in p) for p in parts),
      eos=eos,
    )
  }
