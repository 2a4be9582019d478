# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The dataset types of TRL, plain and conversational, and Step-DPO's pairs.

Checked from the most to the least specific: preference (explicit and implicit
prompt), stepwise, unpaired, prompt-completion, language modelling, prompt
only.
"""

from typing import Any

from prefjax.data import conversion, fields, transcripts
from prefjax.data.conversion import Converted, Layout, Row

_PROMPTS = ("prompt", "question", "query", "problem")


def _prompt_column(row: Row) -> str:
  return next((n for n in _PROMPTS if row.get(n) is not None), "prompt")


def _same_prompt(prompt: Any, messages: list[Any]) -> bool:
  """Whether a prompt column repeats what the conversations begin with."""
  if prompt is None:
    return True
  if isinstance(prompt, str):
    spoken = [m["content"] for m in messages if m["role"] == "user"]
    return any(prompt.strip() == text.strip() for text in spoken)
  return list(fields.messages(prompt, "prompt")) == messages


def _preference(row: Row) -> Converted:
  column = _prompt_column(row)
  used = [column, "chosen", "rejected"]
  prompt, chosen, rejected = row.get(column), row["chosen"], row["rejected"]
  extra = {}
  if isinstance(chosen, (list, tuple)) and isinstance(rejected, (list, tuple)):
    # Some sets repeat the whole conversation in both sides.
    sides = [
      list(fields.messages(chosen, "chosen")),
      list(fields.messages(rejected, "rejected")),
    ]
    if all(side[0]["role"] in ("user", "system") for side in sides):
      shared, *rest = transcripts.split_conversations(*sides)
      if _same_prompt(prompt, shared):
        prompt, (chosen, rejected) = shared, rest
  prompt = conversion.with_system(row, prompt, used)
  return conversion.finish(
    row,
    used,
    {"kind": "pair", "prompt": prompt, "responses": [chosen, rejected]},
    {"prompt": column, **_SIDES},
    extra,
  )


_SIDES = {"responses[0]": "chosen", "responses[1]": "rejected"}


def _implicit_match(row: Row) -> str | None:
  if any(row.get(name) is not None for name in _PROMPTS):
    return None
  if row.get("chosen") is None or row.get("rejected") is None:
    return None
  return "columns chosen, rejected without prompt"


def _implicit(row: Row) -> Converted:
  prompt, chosen, rejected = transcripts.split_implicit(
    row["chosen"], row["rejected"]
  )
  return conversion.finish(
    row,
    ("chosen", "rejected"),
    {"kind": "pair", "prompt": prompt, "responses": [chosen, rejected]},
    _SIDES,
  )


def _stepwise(row: Row) -> Converted:
  column = _prompt_column(row)
  completions = row["completions"]
  if row["labels"] is None:
    raise fields.Problem("labels", "is missing, expected one label a step")
  # A list of one-message conversations says the same as a list of texts.
  if isinstance(completions, (list, tuple)):
    completions = [
      fields.message(c, f"completions[{i}]")["content"]
      if isinstance(c, dict)
      else c
      for i, c in enumerate(completions)
    ]
  steps = conversion.attach_separators(completions)
  return conversion.finish(
    row,
    (column, "completions", "labels"),
    {
      "kind": "steps",
      "prompt": row.get(column),
      "steps": steps,
      "step_labels": row["labels"],
    },
    {
      "prompt": column,
      "steps": "completions",
      "step_labels": "labels",
    },
  )


def _completion_column(row: Row) -> str:
  return "completion" if row.get("completion") is not None else "response"


def _unpaired(row: Row) -> Converted:
  column, answer = _prompt_column(row), _completion_column(row)
  used = [column, answer, "label"]
  return conversion.finish(
    row,
    used,
    {
      "kind": "unpaired",
      "prompt": conversion.with_system(row, row.get(column), used),
      "responses": [row[answer]],
      "labels": [row["label"]],
    },
    {"prompt": column, "responses[0]": answer, "labels[0]": "label"},
  )


def _unpaired_match(row: Row) -> str | None:
  for answer in ("completion", "response"):
    reason = conversion.has("prompt", answer, "label")(row)
    if reason:
      return reason
  return None


def _sft_match(row: Row) -> str | None:
  for answer in ("completion", "response"):
    reason = conversion.has("prompt", answer)(row)
    if reason:
      return reason
  return None


def _sft(row: Row) -> Converted:
  column, answer = _prompt_column(row), _completion_column(row)
  used = [column, answer]
  return conversion.finish(
    row,
    used,
    {
      "kind": "sft",
      "prompt": conversion.with_system(row, row.get(column), used),
      "responses": [row[answer]],
    },
    {"prompt": column, "responses[0]": answer},
  )


def _step_pair(row: Row) -> Converted:
  before = row["initial_reason_steps"]
  if not isinstance(before, str):
    raise fields.Problem(
      "initial_reason_steps", f"is {fields.shown(before)}, expected text"
    )
  prompt, sides = row["prompt"], [row["chosen"], row["rejected"]]
  extra: dict[str, Any] = {"initial_reason_steps": before}
  # The steps so far are context, shared by both sides: part of a plain
  # prompt, or the beginning of an answer in a conversation, with weight 0.
  if isinstance(prompt, str):
    prompt += before
  elif before and all(isinstance(side, str) and side for side in sides):
    sides = [before + side for side in sides]
    extra["context_prefixes"] = [before, before]
  return conversion.finish(
    row,
    ("prompt", "initial_reason_steps", "chosen", "rejected"),
    {"kind": "pair", "prompt": prompt, "responses": sides},
    _SIDES,
    extra,
  )


def _text(row: Row) -> Converted:
  return conversion.finish(
    row,
    ("text",),
    {"kind": "text", "responses": [row["text"]]},
    {"responses[0]": "text"},
  )


def _prompt_only_match(row: Row) -> str | None:
  return conversion.has(_prompt_column(row))(row)


def _prompt_only(row: Row) -> Converted:
  column = _prompt_column(row)
  used = [column]
  prompt = conversion.with_system(row, row[column], used)
  return conversion.finish(
    row, used, {"kind": "prompt", "prompt": prompt}, {"prompt": column}
  )


def _preference_match(row: Row) -> str | None:
  return conversion.has(_prompt_column(row), "chosen", "rejected")(row)


def _stepwise_match(row: Row) -> str | None:
  return conversion.has(_prompt_column(row), "completions", "labels")(row)


LAYOUTS = (
  Layout(
    "step_pair",
    "prompt, initial_reason_steps, chosen, rejected (one step each)",
    conversion.has("prompt", "initial_reason_steps", "chosen", "rejected"),
    _step_pair,
  ),
  Layout(
    "trl_preference",
    "prompt, chosen, rejected (text or messages)",
    _preference_match,
    _preference,
  ),
  Layout(
    "trl_preference_implicit",
    "chosen, rejected that begin with the same prompt",
    _implicit_match,
    _implicit,
  ),
  Layout(
    "trl_stepwise",
    "prompt, completions (steps), labels (one a step)",
    _stepwise_match,
    _stepwise,
  ),
  Layout(
    "trl_unpaired",
    "prompt, completion, label (true or false)",
    _unpaired_match,
    _unpaired,
  ),
  Layout(
    "trl_prompt_completion",
    "prompt, completion",
    _sft_match,
    _sft,
  ),
  Layout("trl_language_modeling", "text", conversion.has("text"), _text),
)
PROMPT_ONLY = Layout(
  "trl_prompt_only", "prompt (or question)", _prompt_only_match, _prompt_only
)
