# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Prompt and responses as token ids, with the weight of each response token.

A prompt followed by a response is rendered and tokenized as one text, as the
model will see it; the response is then found by character offsets. Rendering
the two apart and joining the ids gives other tokens wherever one crosses the
seam. The K responses of a group share one list of prompt ids, which is a
token prefix of all K texts and of the prompt alone, so what is trained is
what is sampled from.
"""

import dataclasses
import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefjax.core import errors
from prefjax.data import chat_templates, encoded, template_sandbox
from prefjax.data import tokenizers as tokenizers_lib

TEMPLATES = chat_templates.TEMPLATES
REASONS = encoded.REASONS
Encoded = encoded.Encoded
Truncation = encoded.Truncation
truncate = encoded.truncate

# Templates that print the date get this one, so that ids do not change
# overnight.
TODAY = datetime.date(2024, 7, 26)

Message = Mapping[str, Any]
Text = str | Sequence[Message]
Offsets = encoded.Offsets


@dataclasses.dataclass(frozen=True)
class _Rendered:
  """A text and which of its characters the model is to say."""

  text: str
  start: int  # where the response starts
  content: int  # where the text of its first turn starts
  spans: tuple[tuple[int, int], ...]
  ends_open: bool  # the model spoke last
  plain: bool


def render(
  template: str,
  messages: Sequence[Message],
  tokenizer: tokenizers_lib.Tokenizer,
  *,
  add_generation_prompt: bool = False,
  tools: Sequence[Any] | None = None,
  variables: Mapping[str, Any] | None = None,
) -> str:
  """Text of a conversation.

  Args:
    template: Jinja source, run in the sandbox.
    messages: {"role", "content", ...} each.
    tokenizer: names the special tokens.
    add_generation_prompt: end with the opening of the model's turn.
    tools: what the template sees as `tools`.
    variables: further names the template sees, e.g. enable_thinking.

  Raises:
    ModelError: the template is malformed or refused by the sandbox.
    DataError: it cannot be rendered with these messages.
  """
  return template_sandbox.render(
    template,
    {
      "tools": tools,
      "documents": None,
      "bos_token": tokenizer.bos_token,
      "eos_token": tokenizer.eos_token,
      "strftime_now": template_sandbox.dates(TODAY),
      **(variables or {}),
      "messages": [dict(message) for message in messages],
      "add_generation_prompt": add_generation_prompt,
    },
  )


def encode_example(
  tokenizer: tokenizers_lib.Tokenizer,
  prompt: Text,
  responses: Sequence[Text],
  *,
  template: str | None = None,
  add_eos: bool = True,
  add_bos: bool | None = None,
  tools: Sequence[Any] | None = None,
  variables: Mapping[str, Any] | None = None,
) -> Encoded:
  """Encodes one group.

  Args:
    tokenizer: any Tokenizer.
    prompt: text, or a conversation (possibly empty).
    responses: K texts, or conversations that continue the prompt and may
      contain user or tool turns, which get weight 0.
    template: a name in TEMPLATES, Jinja source, 'own' for the tokenizer's,
      or None: the tokenizer's for conversations and none at all where prompt
      and responses are text.
      With a template, a prompt that is text is a user's message.
    add_eos: end every response with an end token. EOS is appended only where
      the text does not end with a control token already.
    add_bos: start with BOS where the text does not already. None: as the
      template has it; plain text follows `tokenizer.adds_bos`.
    tools: what the template sees as `tools`.
    variables: further names the template sees.

  Returns:
    The ids. Nothing is cut; see `truncate`.

  Raises:
    DataError: the conversation cannot be rendered, or has no token of its
      own to start from.
    ConfigError: a template is needed and none is known.
    ModelError: the template is malformed or refused by the sandbox.
  """
  if not responses:
    raise errors.DataError("responses: a group needs at least one response")
  texts = [prompt, *responses]
  if template is None and all(isinstance(text, str) for text in texts):
    alone, rendered = _plain(prompt, responses)
  else:
    source = chat_templates.source(template, tokenizer.chat_template)

    def show(messages: Sequence[Message], generate: bool) -> str:
      return render(
        source,
        messages,
        tokenizer,
        add_generation_prompt=generate,
        tools=tools,
        variables=variables,
      )

    alone, rendered = _conversations(show, prompt, responses)
  if add_bos is None:
    by_habit = rendered[0].plain or chat_templates.starts_plainly(template)
    add_bos = by_habit and tokenizer.adds_bos
  lone, _ = _tokenize(tokenizer, alone, add_bos)
  whole = [_tokenize(tokenizer, r.text, add_bos) for r in rendered]
  if not alone and all(ids[:1] == [tokenizer.bos_id] for ids, _ in whole):
    lone = [ids[0] for ids, _ in whole[:1]]  # an empty prompt is BOS
  shared = _common_prefix([lone, *(ids for ids, _ in whole)])
  parts = [
    _response(tokenizer, ids, offsets, r, shared, add_eos)
    for (ids, offsets), r in zip(whole, rendered, strict=True)
  ]
  return Encoded(
    prompt_ids=lone[:shared] or [_opening(tokenizer)],
    responses=[ids for ids, _, _ in parts],
    weights=[weights for _, weights, _ in parts],
    offsets=[offsets for _, _, offsets in parts],
    merges=len(lone) - shared,
  )


def _plain(
  prompt: str, responses: Sequence[str]
) -> tuple[str, list[_Rendered]]:
  """(prompt text, texts) without a template: prompt and response joined."""
  start = len(prompt)
  return prompt, [
    _Rendered(
      text=prompt + response,
      start=start,
      content=start,
      spans=((start, start + len(response)),),
      ends_open=True,
      plain=True,
    )
    for response in responses
  ]


def _conversations(
  show: Callable[[Sequence[Message], bool], str],
  prompt: Text,
  responses: Sequence[Text],
) -> tuple[str, list[_Rendered]]:
  """(prompt text, texts) through a template."""
  before = _messages(prompt, "prompt", "user")
  alone = show(before, True) if before else ""
  rendered = []
  for k, response in enumerate(responses):
    turns = _messages(response, f"responses[{k}]", "assistant")
    if not turns:
      raise errors.DataError(f"responses[{k}]: has no message")
    rendered.append(_conversation(show, before, alone, turns, k))
  return alone, rendered


def _conversation(
  show: Callable[[Sequence[Message], bool], str],
  before: list[Message],
  alone: str,
  turns: list[Message],
  k: int,
) -> _Rendered:
  """One response's text and the characters of its assistant turns."""
  text = show([*before, *turns], False)
  spans, opened = [], alone
  for j, turn in enumerate(turns):
    last = j == len(turns) - 1
    closed = text if last else show([*before, *turns[: j + 1]], False)
    if turn["role"] == "assistant":
      if not text.startswith(closed):
        raise errors.DataError(
          f"responses[{k}][{j}]: the template renders this turn differently"
          " once others follow; train on its last turn only"
        )
      spans.append((_shared_characters(opened, text), len(closed)))
    if not last and turns[j + 1]["role"] == "assistant":
      opened = show([*before, *turns[: j + 1]], True)
  start = _shared_characters(alone, text)
  content = turns[0].get("content")
  found = text.find(content, start) if isinstance(content, str) else -1
  return _Rendered(
    text=text,
    start=start,
    content=found if found >= 0 else start,
    spans=tuple(spans),
    ends_open=turns[-1]["role"] == "assistant",
    plain=False,
  )


def _messages(text: Text, field: str, role: str) -> list[Message]:
  """A conversation; a text becomes one message of the given role."""
  if isinstance(text, str):
    return [{"role": role, "content": text}]
  for i, message in enumerate(text):
    if not isinstance(message, Mapping):
      raise errors.DataError(
        f"{field}[{i}]: is {type(message).__name__}, expected a message with"
        " 'role' and 'content'"
      )
    if not isinstance(message.get("role"), str):
      raise errors.DataError(f"{field}[{i}].role: is not a string")
    if not isinstance(message.get("content"), str | None):
      raise errors.DataError(f"{field}[{i}].content: is not a string")
  return list(text)


def _tokenize(
  tokenizer: tokenizers_lib.Tokenizer, text: str, add_bos: bool
) -> tuple[list[int], Offsets]:
  ids, offsets = tokenizer.encode_with_offsets(text)
  bos = tokenizer.bos_id
  if add_bos and bos is None:
    raise errors.DataError("add_bos: the tokenizer has no BOS token")
  if add_bos and ids[:1] != [bos]:
    return [bos, *ids], [(0, 0), *offsets]
  return ids, offsets


def _response(
  tokenizer: tokenizers_lib.Tokenizer,
  ids: list[int],
  offsets: Offsets,
  rendered: _Rendered,
  shared: int,
  add_eos: bool,
) -> tuple[list[int], list[float], Offsets]:
  """(ids, weights, offsets) of what follows the shared prompt."""
  ids, offsets = ids[shared:], offsets[shared:]
  weights = [
    float(any(_covers(offset, span) for span in rendered.spans))
    for offset in offsets
  ]
  offsets = [
    (start - rendered.content, end - rendered.content) for start, end in offsets
  ]
  if add_eos and rendered.ends_open and not _ended(tokenizer, ids, rendered):
    if tokenizer.eos_id is None:
      raise errors.DataError(
        "add_eos: the tokenizer has no EOS token; name one in"
        " tokenizer_config.json or set add_eos=False"
      )
    end = len(rendered.text) - rendered.content
    ids = [*ids, tokenizer.eos_id]
    weights = [*weights, 1.0]
    offsets = [*offsets, (end, end)]
  return ids, weights, offsets


def _covers(offset: tuple[int, int], span: tuple[int, int]) -> bool:
  """Whether a token says any character of a span.

  A token of no characters (a marker that a normaliser puts in) belongs to
  the span it lies in.
  """
  start, end = offset
  if start == end:
    return span[0] < start < span[1]
  return start < span[1] and end > span[0]


def _ended(
  tokenizer: tokenizers_lib.Tokenizer, ids: list[int], rendered: _Rendered
) -> bool:
  """Whether the ids end with an end token.

  Plain text ends with EOS itself; a template may end a turn with another
  control token and white space after it.
  """
  if rendered.plain:
    return ids[-1:] == [tokenizer.eos_id]
  for token in reversed(ids):
    if token in tokenizer.special_ids:
      return True
    if tokenizer.decode([token]).strip():
      return False
  return False


def _opening(tokenizer: tokenizers_lib.Tokenizer) -> int:
  """The token that stands in for a prompt that has none of its own."""
  for token in (tokenizer.bos_id, tokenizer.eos_id):
    if token is not None:
      return token
  raise errors.DataError(
    "prompt: has no token of its own and the tokenizer no BOS to start from"
  )


def _common_prefix(lists: Sequence[Sequence[int]]) -> int:
  """Length of the longest prefix that all lists share."""
  length = 0
  for column in zip(*lists, strict=False):
    if len(set(column)) != 1:
      break
    length += 1
  return length


def _shared_characters(a: str, b: str) -> int:
  """Length of the longest prefix that two texts share."""
  return len(os.path.commonprefix([a, b]))
