# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Instruction and answer as one text that counts, after a template's start.

Joint preferences compare (instruction, answer) pairs, so the instruction is
part of what the model is scored on (Bansal et al., arXiv:2404.00530); only
what a chat template puts before it is the prompt.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from prefjax.data import chat, chat_templates, schema, tokenizers


def opening(
  tokenizer: tokenizers.Tokenizer,
  prompt: schema.Text,
  template: str | None,
  tools: Sequence[Any] | None = None,
) -> int:
  """How many tokens of a prompt come before its instruction.

  Args:
    tokenizer: any Tokenizer.
    prompt: text or conversation, not empty.
    template: as for `chat.encode_example`.
    tools: what the template sees as `tools`.

  Returns:
    The number of whole tokens before the first word of the first message that
    is not the system's; 1 where there is none, for a prompt has a token.
  """
  if isinstance(prompt, str):
    if template is None:
      return 1
    prompt = ({"role": "user", "content": prompt},)
  text = chat.render(
    chat_templates.source(template, tokenizer.chat_template),
    prompt,
    tokenizer,
    add_generation_prompt=True,
    tools=tools,
  )
  said = [m.get("content") or "" for m in prompt if m["role"] != "system"]
  start = max(text.find(said[0].strip()), 0) if said else 0
  ids, offsets = tokenizer.encode_with_offsets(text)
  number = sum(end <= start for _, end in offsets)
  if (
    chat_templates.starts_plainly(template)
    and tokenizer.adds_bos
    and ids[:1] != [tokenizer.bos_id]
  ):
    number += 1
  return max(number, 1)


def join(
  prompt: list[int],
  response: list[int],
  weights: list[float],
  number: int,
) -> tuple[list[int], list[int], list[float], np.ndarray]:
  """Moves all but the first tokens of a prompt to its response.

  Args:
    prompt: ids.
    response: ids.
    weights: of the response's tokens.
    number: tokens that stay, at least 1.

  Returns:
    (prompt, response, weights, segments int32 [t]): the instruction counts
    with weight 1 and is segment 0, the answer is segment 1.
  """
  moved = prompt[number:]
  segments = np.repeat([0, 1], [len(moved), len(response)]).astype(np.int32)
  return (
    prompt[:number],
    [*moved, *response],
    [1.0] * len(moved) + list(weights),
    segments,
  )
