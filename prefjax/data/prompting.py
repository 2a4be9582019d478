# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Prompts that a model is to continue, and the tokens that end its turn."""

from prefjax.data import chat
from prefjax.data import tokenizers as tokenizers_lib


def encode_prompt(
  tokenizer: tokenizers_lib.Tokenizer,
  prompt: chat.Text,
  *,
  template: str | None = None,
) -> list[int]:
  """Token ids of a prompt, up to where the model's turn begins.

  They are the ids that `chat.encode_example` gives the same prompt, so that
  what is sampled from is what was trained.

  Args:
    tokenizer: any Tokenizer.
    prompt: text, or a conversation.
    template: as for `chat.encode_example`.

  Returns:
    At least one id.

  Raises:
    ConfigError, DataError, ModelError: as `chat.encode_example`.
  """
  encoded = chat.encode_example(
    tokenizer, prompt, [""], template=template, add_eos=False
  )
  return list(encoded.prompt_ids)


def end_ids(
  tokenizer: tokenizers_lib.Tokenizer,
  *,
  template: str | None = None,
  is_chat: bool = True,
) -> tuple[int, ...]:
  """Tokens that end a response: EOS, and what the template ends a turn with.

  Chat formats often close a turn with a control token of their own, which
  the model then says instead of EOS.

  Args:
    tokenizer: any Tokenizer.
    template: as for `chat.encode_example`.
    is_chat: whether prompts are conversations.
  """
  found = [] if tokenizer.eos_id is None else [tokenizer.eos_id]
  has_template = template is not None or tokenizer.chat_template is not None
  if is_chat and has_template:
    question = [{"role": "user", "content": "a"}]
    encoded = chat.encode_example(
      tokenizer, question, ["b"], template=template, add_eos=False
    )
    for token, (start, _) in zip(
      encoded.responses[0], encoded.offsets[0], strict=True
    ):
      if start >= 1 and token in tokenizer.special_ids:
        found.append(token)
        break
  return tuple(dict.fromkeys(found))
