# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Answers of a policy to held-out prompts, with gold rewards where known."""

from typing import Any

from prefjax import generation
from prefjax.data import chat, language, prompting, schema
from prefjax.data import media as media_lib
from prefjax.runs import data as run_data


def prompt_ids(source: Any, prompt: schema.Text, limit: int) -> list[int]:
  """Token ids of a prompt, ready for an answer, at most `limit` of them."""
  if isinstance(prompt, str):
    messages: Any = prompt
  else:
    messages = list(prompt)
  encoded = chat.encode_example(
    source.tokenizer, messages, [""], template=source.template, add_eos=False
  )
  return list(encoded.prompt_ids)[-limit:]


def text_of(prompt: schema.Text) -> str:
  """A prompt as one text, for people."""
  if isinstance(prompt, str):
    return prompt
  return "\n".join(f"{m['role']}: {m.get('content')}" for m in prompt)


def answer(
  run: Any, stage: Any, weights: Any, adapter: Any, number: int
) -> list[dict[str, Any]]:
  """One answer to each of the first distinct held-out prompts.

  Returns:
    {"prompt", "text", "gold"} each; gold is None where it is not known.
  """
  config = stage.config
  chosen, seen = [], set()
  for record in stage.records.held_out:
    text = text_of(record.prompt)
    if record.prompt and text not in seen:
      seen.add(text)
      chosen.append(record)
    if len(chosen) == number:
      break
  prompts = [media_lib.without_placeholders(record).prompt for record in chosen]
  ids = [
    prompt_ids(run.source, prompt, config.data.max_prompt) for prompt in prompts
  ]
  tokenizer = run.source.tokenizer
  is_chat = not all(isinstance(prompt, str) for prompt in prompts)
  made = generation.generate(
    run.source.model,
    weights,
    ids,
    max_new_tokens=config.eval.max_new_tokens,
    temperature=config.eval.temperature,
    eos_ids=prompting.end_ids(
      tokenizer, template=run.source.template, is_chat=is_chat
    ),
    seed=config.seed,
    lora=adapter,
    dtype=run.compute.dtype,
    media=run_data.media_of(run.source.model, chosen, config.data),
  )
  out = []
  for i, prompt in enumerate(prompts):
    length = int(made.lengths[i, 0])
    tokens = [int(t) for t in made.tokens[i, 0, :length]]
    text = tokenizer.decode(tokens, skip_special=True)
    gold = None
    if stage.records.is_language:
      gold = float(language.gold_reward(text_of(prompt), text))
    out.append({"prompt": text_of(prompt), "text": text, "gold": gold})
  return out


def join(before: Any, after: Any) -> list[dict[str, Any]]:
  """Rows {prompt, before, after, gold_before, gold_after} by prompt."""
  first = {row["prompt"]: row for row in before or ()}
  rows = []
  for row in after or ():
    old = first.get(row["prompt"])
    if old is not None:
      rows.append(
        {
          "prompt": row["prompt"],
          "before": old["text"],
          "after": row["text"],
          "gold_before": old["gold"],
          "gold_after": row["gold"],
        }
      )
  return rows
