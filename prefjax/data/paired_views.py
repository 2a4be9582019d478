# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Views of pairs with more beside them: a blind answer, a reason, variants.

Each keeps the pair in the group 'main'. What is drawn is a function of the
record's content, so that every epoch and every process draws the same.
"""

import dataclasses
from typing import Any

from prefjax.data import (
  constraints,
  fields,
  group_texts,
  prompt_variants,
  rationales,
  schema,
)

Record = schema.Record
Groups = group_texts.Groups


def spoken(text: schema.Text) -> str:
  """A prompt or response as plain text; a conversation with its speakers."""
  if isinstance(text, str):
    return text
  if len(text) == 1:
    return str(text[0]["content"])
  return "\n".join(f"{m['role']}: {m['content']}" for m in text)


def _answer(response: schema.Text) -> str:
  """What a response says last."""
  return response if isinstance(response, str) else response[-1]["content"]


def as_turn(like: schema.Text, role: str, text: str) -> schema.Text:
  """Text, or one message where `like` is a conversation."""
  if isinstance(like, str):
    return text
  return ({"role": role, "content": text},)


def blind(record: Record, *, pairs: str, eos: bool) -> Groups:
  """'main': chosen, rejected and, where there is one, the blind response.

  It is written under metadata['blind'], by a model that did not see the
  images; a record without one has two responses.
  """
  main = group_texts.pair(record, pairs=pairs, eos=eos)["main"]
  value = record.metadata.get("blind")
  if value is None:
    return {"main": main}
  text = fields.string(value, "metadata.blind")
  prefixes = main.prefixes
  return {
    "main": dataclasses.replace(
      main,
      responses=(
        *main.responses,
        as_turn(main.responses[0], "assistant", text),
      ),
      # The pair is the default one; a score of the blind response is unknown.
      scores=None,
      prefixes=None if prefixes is None else (*prefixes, ""),
    )
  }


def rationale(record: Record, *, pairs: str, eos: bool) -> Groups:
  """'main' the pair, 'rationale' a prompt that shows both, and the reason.

  The reason is the text under metadata['rationale'].
  """
  main = group_texts.pair(record, pairs=pairs, eos=eos)["main"]
  reason = fields.string(record.metadata.get("rationale"), "metadata.rationale")
  asked = rationales.format_rationale_prompt(
    spoken(main.prompt), *(spoken(r) for r in main.responses)
  )
  return {
    "main": main,
    "rationale": group_texts.GroupText(
      prompt=as_turn(main.prompt, "user", asked),
      responses=(as_turn(main.responses[0], "assistant", reason),),
      eos=eos,
    ),
  }


# How a text shows two answers; a judge of pairs reads the same.
BOTH = "Answer 1:\n{first}\n\nAnswer 2:\n{second}"


def orders(record: Record, *, pairs: str, eos: bool) -> Groups:
  """'main': both answers in one text, the better one first, then last."""
  main = group_texts.pair(record, pairs=pairs, eos=eos)["main"]
  better, worse = (spoken(response) for response in main.responses)
  return {
    "main": dataclasses.replace(
      main,
      responses=tuple(
        as_turn(main.responses[0], "assistant", BOTH.format(first=a, second=b))
        for a, b in ((better, worse), (worse, better))
      ),
      prefixes=None,
    )
  }


def _variants(record: Record) -> tuple[Any, Any, int]:
  """(inter, intra, which response intra is about); None where none fits."""
  main = group_texts.pair(record, pairs="all", eos=True)["main"]
  chosen, rejected = map(_answer, main.responses)
  seed = int(record.content_digest[:15], 16)
  inter = prompt_variants.build_mapl_inter(
    seed, main.prompt, chosen, rejected, constraints.CONSTRAINTS
  )
  about = seed % 2
  intra = prompt_variants.build_mapl_intra(
    seed, main.prompt, (chosen, rejected)[about], constraints.CONSTRAINTS
  )
  return inter, intra, about


def _same(prompt: Any) -> schema.Text:
  """A prompt of `prompt_variants` in the form of records."""
  return prompt if isinstance(prompt, str) else tuple(prompt)


def mapl(record: Record, *, pairs: str, eos: bool) -> Groups:
  """'main' the pair; the same prompts with verifiable instructions added.

  'augmented' is the pair under a prompt that one of the responses meets
  better; 'better' and 'worse' are one response under two prompts that it
  meets more and less. Where none could be drawn they repeat the prompt, and
  the extras (`mapl_extras`) say so.
  """
  main = group_texts.pair(record, pairs=pairs, eos=eos)["main"]
  inter, intra, about = _variants(record)
  augmented = main.prompt if inter is None else _same(inter["aug_prompt"])
  out = {
    "main": main,
    "augmented": dataclasses.replace(main, prompt=augmented, scores=None),
  }
  for name in ("better", "worse"):
    prompt = main.prompt if intra is None else _same(intra[f"prompt_{name}"])
    out[name] = group_texts.GroupText(
      prompt=prompt, responses=(main.responses[about],), eos=eos
    )
  return out


def mapl_extras(record: Record) -> dict[str, Any]:
  """direction: 1, -1 or 0 (no 'augmented'); intra: 1, or 0 without."""
  inter, intra, _ = _variants(record)
  return {
    "direction": 0 if inter is None else int(inter["direction"]),
    "intra": int(intra is not None),
  }
