# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tool traces of answers: their text, their parts, the view of them."""

import pytest

from prefjax import data, rewards
from prefjax.core import tool_traces as kinds
from prefjax.data import encoding, fields, records, tool_traces, views

TRACE = {
  "rounds": [
    {
      "thought": "Let me compute.",
      "tool": "calculator",
      "input": "2+3",
      "observation": "5",
    }
  ],
  "rationale": "It is 5.",
}


def _record(**metadata):
  return records.validate(
    {
      "id": "r",
      "kind": "pair",
      "prompt": "2+3?",
      "responses": ["7", "5"],
      "pairs": [[1, 0]],
      "metadata": metadata,
    },
    "test",
  )


def test_a_trace_reads_as_it_was_written():
  prompt, (plain, parts) = data.render_trace(_record(traces=[{}, TRACE]))
  text = prompt + tool_traces.join(parts)
  assert text.startswith("### USER: 2+3? 5\n### ASSISTANT: <start_tool>")
  calls = text.split(kinds.START_TOOL)[1:]
  assert rewards.parse_action(text=calls[0]) == {
    "kind": "action",
    "tool": "calculator",
    "input": "2+3",
  }
  assert rewards.parse_action(text=calls[1]) == {
    "kind": "rationale",
    "text": "It is 5.",
  }
  # Without a trace no tool was needed.
  alone = tool_traces.join(plain).split(kinds.START_TOOL)[1]
  assert rewards.parse_action(text=alone)["kind"] == "rationale"
  assert kinds.OBSERVATION not in [kind for _, kind in plain]


def test_training_and_tool_reward_have_the_same_text():
  """A model that writes the trace is scored on the text it was trained on."""
  prompt, (_, parts) = data.render_trace(_record(traces=[{}, TRACE]))
  step = TRACE["rounds"][0]
  said = {
    kinds.START_TOOL: [
      kinds.call(step["thought"], step["tool"], step["input"]),
      f"{kinds.FINISHED}.\n",
    ],
    kinds.START_WORK: [TRACE["rationale"]],
  }

  def write(texts):
    (text,) = texts
    (marker,) = [m for m in said if text.endswith(m)]
    return [said[marker].pop(0)]

  # A tool as the model calls it, and what it says.
  model = rewards.tool_rewards.TracedModel(write, lambda texts: [0.0])
  _, (text,) = rewards.tool_reward(
    model, {"calculator": lambda argument: "5"}, ["2+3?"], ["5"]
  )
  assert text == prompt + tool_traces.join(parts)


def test_segments_follow_the_parts():
  tokenizer = data.ByteTokenizer()
  _, (_, parts) = data.render_trace(_record(traces=[{}, TRACE]))
  ids, segments = data.trace_segments(parts, tokenizer)
  assert tokenizer.decode(ids) == tool_traces.join(parts)
  want = [kind for text, kind in parts for _ in text.encode()]
  assert segments.tolist() == want
  assert set(want) == {
    kinds.ANSWER,
    kinds.NONE,
    kinds.TOOL,
    kinds.OBSERVATION,
    kinds.RATIONALE,
  }
  ids, segments = data.trace_segments([], tokenizer)
  assert ids == [] and segments.shape == (0,)


def test_the_view_numbers_tokens_by_their_kind():
  record = _record(traces=[{}, TRACE])
  encoder = encoding.Encoder(
    data.ByteTokenizer(),
    views.view("traced"),
    encoding.Lengths(prompt=64, response=400),
  )
  main = encoder.encode(0, record).groups["main"]
  _, (plain, parts) = data.render_trace(record)
  # The better response first; the end token belongs to the rationale.
  want = []
  for part in (parts, plain):
    want += [kind for text, kind in part for _ in text.encode()]
    want.append(kinds.RATIONALE)
  assert main.segments.tolist() == want


@pytest.mark.parametrize(
  "traces, field",
  [
    ([{}], "metadata.traces"),
    ([{}, "text"], "metadata.traces[1]"),
    ([{"rounds": ["x"]}, {}], "metadata.traces[0].rounds[0]"),
    (
      [{"rounds": [{"thought": 3}]}, {}],
      "metadata.traces[0].rounds[0].thought",
    ),
    ([{"rationale": 3}, {}], "metadata.traces[0].rationale"),
  ],
)
def test_a_bad_trace_is_named(traces, field):
  with pytest.raises(fields.Problem) as caught:
    data.render_trace(_record(traces=traces))
  assert caught.value.field == field
