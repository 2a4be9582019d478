# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Floating-point operations that a decoder needs, counted from its shape.

What has to be computed, and nothing else: no pads that a row happens to
hold, no second forward pass in the backward one. Products count two
operations an element; everything beside products is left out, as usual.
"""

import dataclasses

from prefjax.models import config as config_lib
from prefjax.models import lora as lora_lib

Config = config_lib.DecoderConfig


@dataclasses.dataclass(frozen=True)
class Shape:
  """Groups of real tokens, or of slots where pads are to count.

  Attributes:
    groups: B.
    responses: K of each.
    prompt: tokens of a prompt.
    response: tokens of a response.
    shared: whether a prompt is computed once, or once a response.
  """

  groups: float
  responses: float
  prompt: float
  response: float
  shared: bool = True

  @property
  def tokens(self) -> float:
    """Tokens that pass through the layers."""
    prompts = 1 if self.shared else self.responses
    return self.groups * (prompts * self.prompt + self.predicted_each)

  @property
  def predicted_each(self) -> float:
    return self.responses * self.response

  @property
  def predicted(self) -> float:
    """Tokens whose log-probs are wanted."""
    return self.groups * self.predicted_each

  def visible(self, window: int | None) -> float:
    """Pairs of a query and a key that it sees, over all groups."""

    def causal(first: float, count: float) -> float:
      """Of queries first .. first + count - 1 of a path."""
      if window is None or first + count <= window:
        return count * (first + (count + 1) / 2)
      full = max(0.0, min(count, first + count - window))
      return full * window + _triangle(first, count - full)

    prompts = 1 if self.shared else self.responses
    return self.groups * (
      prompts * causal(0, self.prompt)
      + self.responses * causal(self.prompt, self.response)
    )


def _triangle(first: float, count: float) -> float:
  return count * (first + (count + 1) / 2)


def layer_weights(config: Config) -> int:
  """Entries of the matrices of one layer."""
  sizes = lora_lib.projections(config).values()
  return sum(inputs * outputs for inputs, outputs in sizes)


@dataclasses.dataclass(frozen=True)
class Parts:
  """Operations of a forward pass.

  Attributes:
    dense: of the layers' matrices.
    attention: of scores and of mixing values.
    head: of the LM head, at the predicted tokens.
  """

  dense: float
  attention: float
  head: float

  @property
  def total(self) -> float:
    return self.dense + self.attention + self.head


def forward(config: Config, shape: Shape) -> Parts:
  """What one forward pass takes."""
  pattern = config.pattern
  wide = config.num_heads * config.head_dim
  return Parts(
    dense=2.0 * layer_weights(config) * config.num_layers * shape.tokens,
    attention=sum(
      4.0 * wide * shape.visible(pattern[i % len(pattern)].window)
      for i in range(config.num_layers)
    ),
    head=2.0 * config.hidden_size * config.vocab_size * shape.predicted,
  )


def train(
  config: Config,
  shape: Shape,
  *,
  references: int = 0,
  adapter: bool = False,
) -> float:
  """One step: the policy forward and backward, each reference forward.

  Args:
    config: the decoder.
    shape: of the batch.
    references: models that are run without a gradient.
    adapter: only an adapter is trained, so that no gradient of a large
      matrix is computed; the adapter's own products are left out.
  """
  once = forward(config, shape)
  backward = once.dense + once.head
  backward = (1 if adapter else 2) * backward + 2 * once.attention
  return (1 + references) * once.total + backward
