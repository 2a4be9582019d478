# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Transcripts, and the alpaca and ShareGPT forms that LLaMA-Factory reads."""

from typing import Any

from prefjax.data import conversion, fields, transcripts
from prefjax.data.conversion import Converted, Layout, Row

_SIDES = {"responses[0]": "chosen", "responses[1]": "rejected"}


def _hh_match(row: Row) -> str | None:
  if row.get("prompt") is not None:
    return None
  if all(transcripts.is_transcript(row.get(n)) for n in ("chosen", "rejected")):
    return "chosen and rejected are Human/Assistant transcripts"
  return None


def _hh(row: Row) -> Converted:
  prompt, chosen, rejected = transcripts.split_transcripts(
    row["chosen"], row["rejected"]
  )
  return conversion.finish(
    row,
    ("chosen", "rejected"),
    {"kind": "pair", "prompt": prompt, "responses": [chosen, rejected]},
    _SIDES,
  )


def _talk_column(row: Row) -> str:
  return "conversations" if row.get("conversations") is not None else "messages"


def _with_talk(*names: str, without: tuple[str, ...] = ()):
  """A matcher for a conversation column together with other columns."""

  def matches(row: Row) -> str | None:
    for column in ("conversations", "messages"):
      reason = conversion.has(column, *names, without=without)(row)
      if reason:
        return reason
    return None

  return matches


def _sharegpt_ranking(row: Row) -> Converted:
  column = _talk_column(row)
  used = [column, "chosen", "rejected"]
  prompt = conversion.with_system(row, row[column], used)
  return conversion.finish(
    row,
    used,
    {
      "kind": "pair",
      "prompt": prompt,
      "responses": [row["chosen"], row["rejected"]],
    },
    {"prompt": column, **_SIDES},
  )


def _sharegpt_kto(row: Row) -> Converted:
  column = _talk_column(row)
  tag = "kto_tag" if row.get("kto_tag") is not None else "label"
  used = [column, tag]
  prompt, answer = transcripts.split_last_answer(row[column], column)
  prompt = conversion.with_system(row, prompt, used)
  return conversion.finish(
    row,
    used,
    {
      "kind": "unpaired",
      "prompt": prompt,
      "responses": [answer],
      "labels": [row[tag]],
    },
    {"prompt": column, "responses[0]": column, "labels[0]": tag},
  )


def _sharegpt(row: Row) -> Converted:
  column = _talk_column(row)
  used = [column]
  prompt, rest = transcripts.split_first_answer(row[column], column)
  prompt = conversion.with_system(row, prompt, used)
  return conversion.finish(
    row,
    used,
    {"kind": "sft", "prompt": prompt, "responses": [rest]},
    {"prompt": column, "responses[0]": column},
  )


def _alpaca_prompt(row: Row, used: list[str]) -> Any:
  """Instruction and input, after a system text and earlier turns if any."""
  used.extend(["instruction", "input", "history"])
  prompt = conversion.joined(row, ("instruction", "input"), gap="\n")
  history = row.get("history")
  if history:
    if not isinstance(history, (list, tuple)):
      raise fields.Problem(
        "history", f"is {fields.shown(history)}, expected [question, answer]s"
      )
    earlier = []
    for index, turn in enumerate(history):
      name = f"history[{index}]"
      two = fields.sequence(turn, name, most=2, what="texts")
      if len(two) != 2:
        raise fields.Problem(name, "needs a question and an answer")
      for role, text in zip(("user", "assistant"), two, strict=True):
        earlier.append({"role": role, "content": fields.string(text, name)})
    if isinstance(prompt, str):
      prompt = [*earlier, {"role": "user", "content": prompt}]
  return conversion.with_system(row, prompt, used)


def _alpaca_ranking(row: Row) -> Converted:
  used = ["chosen", "rejected"]
  prompt = _alpaca_prompt(row, used)
  return conversion.finish(
    row,
    used,
    {
      "kind": "pair",
      "prompt": prompt,
      "responses": [row["chosen"], row["rejected"]],
    },
    {"prompt": "instruction", **_SIDES},
  )


def _alpaca_kto(row: Row) -> Converted:
  used = ["output", "kto_tag"]
  prompt = _alpaca_prompt(row, used)
  return conversion.finish(
    row,
    used,
    {
      "kind": "unpaired",
      "prompt": prompt,
      "responses": [row["output"]],
      "labels": [row["kto_tag"]],
    },
    {
      "prompt": "instruction",
      "responses[0]": "output",
      "labels[0]": "kto_tag",
    },
  )


def _alpaca(row: Row) -> Converted:
  used = ["output"]
  output = row["output"]
  prompt = _alpaca_prompt(row, used)
  names = {"prompt": "instruction", "responses[0]": "output"}
  raw = {"kind": "sft", "prompt": prompt, "responses": [output]}
  if isinstance(output, (list, tuple)):
    # The older ranking form: the better answer comes first.
    if len(output) != 2:
      raise fields.Problem(
        "output", f"has {len(output)} answers, expected a better and a worse"
      )
    raw.update(kind="pair", responses=list(output))
    names = {
      "prompt": "instruction",
      "responses[0]": "output[0]",
      "responses[1]": "output[1]",
    }
  return conversion.finish(row, used, raw, names)


LAYOUTS = (
  Layout(
    "hh_rlhf",
    "chosen, rejected as whole Human/Assistant transcripts",
    _hh_match,
    _hh,
  ),
  Layout(
    "sharegpt_ranking",
    "conversations (or messages), chosen, rejected (one message each)",
    _with_talk("chosen", "rejected", without=("prompt",)),
    _sharegpt_ranking,
  ),
  Layout(
    "sharegpt_kto",
    "conversations (or messages) and kto_tag",
    _with_talk("kto_tag"),
    _sharegpt_kto,
  ),
  Layout(
    "sharegpt_label",
    "conversations (or messages) and label",
    _with_talk("label", without=("prompt",)),
    _sharegpt_kto,
  ),
  Layout(
    "alpaca_ranking",
    "instruction, input, chosen, rejected",
    conversion.has("instruction", "chosen", "rejected"),
    _alpaca_ranking,
  ),
  Layout(
    "alpaca_kto",
    "instruction, input, output, kto_tag",
    conversion.has("instruction", "output", "kto_tag"),
    _alpaca_kto,
  ),
  Layout(
    "alpaca",
    "instruction, input, output",
    conversion.has("instruction", "output"),
    _alpaca,
  ),
  Layout(
    "sharegpt",
    "conversations or messages: every answer is trained on",
    _with_talk(without=("chosen", "rejected", "prompt")),
    _sharegpt,
  ),
)
