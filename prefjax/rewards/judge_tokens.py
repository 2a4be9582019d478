# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which of two texts a language model would name: probabilities of options."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from prefjax.core import errors
from prefjax.rewards import sequences

TEMPLATE = (
  "Question:\n{prompt}\n\nAnswer 1:\n{first}\n\nAnswer 2:\n{second}\n\nWhich"
  " answer is better, 1 or 2?\nThe better one is answer "
)


def _fill(template: str, **texts: str) -> str:
  """The template with texts in it; what they hold stays as it is."""
  out, rest = "", template
  while rest:
    found = {
      name: at for name in texts if (at := rest.find(f"{{{name}}}")) >= 0
    }
    if not found:
      break
    name = min(found, key=found.__getitem__)
    out += rest[: found[name]] + texts[name]
    rest = rest[found[name] + len(name) + 2 :]
  return out + rest


def judge_probabilities(
  apply_fn: sequences.ApplyFn,
  params: Any,
  tokenizer: Any,
  prompts: Sequence[str],
  texts_1: Sequence[str],
  texts_2: Sequence[str],
  *,
  template: str = TEMPLATE,
  options: Sequence[str] = ("1", "2"),
  max_prompt: int = 2048,
  batch_size: int = 8,
) -> tuple[np.ndarray, np.ndarray]:
  """Probabilities of naming the first and the second text.

  Args:
    apply_fn: (params, group) -> log-probs of response tokens [B, K, R].
    params: of the model.
    tokenizer: with `encode`; or a function (text, options) -> (ids of the
      text, ids of each option after it), for models with a chat template.
    prompts: N prompts.
    texts_1: N texts, shown first.
    texts_2: N texts, shown second.
    template: with {prompt}, {first} and {second}.
    options: how the two are named after the template, which is tokenised
      together with them (a space at its end is a part of their token).
    max_prompt: longer questions lose their beginning.
    batch_size: questions of a batch.

  Returns:
    p1, p2 float32 [N]; they need not sum to 1. Each is that of the first
    token in which the options differ.

  Raises:
    DataError: the lists differ in length, or the options start alike.
  """
  for name, texts in (("texts_1", texts_1), ("texts_2", texts_2)):
    if len(texts) != len(prompts):
      raise errors.DataError(
        f"judge_probabilities: {len(texts)} {name} for {len(prompts)} prompts"
      )

  def encode(text):
    if callable(tokenizer):
      return tokenizer(text, options)
    return sequences.encode_text(tokenizer, text, options)

  items = []
  for prompt, first, second in zip(prompts, texts_1, texts_2, strict=True):
    text = _fill(template, prompt=prompt, first=first, second=second)
    ids, ends = encode(text)
    if any(not end for end in ends) or ends[0][0] == ends[1][0]:
      raise errors.DataError(
        f"judge_probabilities: the options {options} do not differ in their"
        " first token; give others"
      )
    items.append(
      sequences.Item(
        sequences.cut_left(ids, max_prompt), [end[:1] for end in ends]
      )
    )
  logps = sequences.token_logps(apply_fn, params, items, batch_size=batch_size)
  table = np.asarray(
    [[row[0][0], row[1][0]] for row in logps], np.float32
  ).reshape(-1, 2)
  p = np.exp(table)
  return p[:, 0], p[:, 1]
