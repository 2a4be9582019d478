# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a loop asks of whatever samples: our own decoder, or a server.

An engine is given weights with `load` and prompts with `sample`. One that
runs elsewhere may be behind the weights it was given; its log-probs then say
so, and the loss corrects for the difference.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from prefjax.generation import decoding, processing, sampling
from prefjax.models import base


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """How responses are drawn; see `generate`.

  Attributes:
    max_new_tokens: most tokens of a response, EOS included.
    num_samples: responses to each prompt.
    temperature: divides the logits; 0 is greedy.
    top_k: draw among so many likeliest tokens; 0 for all.
    top_p: draw among the likeliest tokens of this probability.
    min_p: least share of the likeliest token's probability.
    repetition_penalty: lowers logits of what was said; 1 does not.
    eos_ids: tokens that end a response.
    stop: token sequences that end a response as well.
    stop_texts: the same as texts, for engines that see texts.
    seed: of the draws.
  """

  max_new_tokens: int
  num_samples: int = 1
  temperature: float = 1.0
  top_k: int = 0
  top_p: float = 1.0
  min_p: float = 0.0
  repetition_penalty: float = 1.0
  eos_ids: tuple[int, ...] = ()
  stop: tuple[tuple[int, ...], ...] = ()
  stop_texts: tuple[str, ...] = ()
  seed: int = 0


class RolloutEngine(Protocol):
  """Responses to token prompts, with their log-probs."""

  def load(self, weights: Any, lora: Any = None) -> None:
    """Takes the policy's weights for the calls that follow."""

  def sample(
    self,
    prompts: Sequence[Sequence[int]],
    settings: Settings,
    *,
    step: int = 0,
    prompt_ids: Sequence[int] | None = None,
    partner: decoding.Partner | None = None,
  ) -> sampling.Generations:
    """Draws responses.

    Args:
      prompts: N lists of token ids.
      settings: how to draw.
      step: a number that tells draws for the same prompt apart.
      prompt_ids: [N], stand for the prompts in the keys.
      partner: a second model to mix in, where the engine can.

    Returns:
      Generations; `policy_logps` are NaN where the engine does not know them.
    """


class OwnEngine:
  """Our decoder, on the weights it is given; nothing is copied.

  Args:
    model: the decoder.
    dtype: compute dtype; None for that of the parameters.
    batch_size: prompts decoded together; None for all.
    rows: responses decoded at a time, as for `generate`; None for all.
    place: as for `generate`.
    processors: more changes of the distribution, e.g. `Grammar`.
  """

  def __init__(
    self,
    model: base.Model,
    *,
    dtype: Any = None,
    batch_size: int | None = None,
    rows: int | None = None,
    place: Callable[[Any], Any] | None = None,
    processors: Sequence[processing.Processor] = (),
  ):
    self._model = model
    self._options = dict(
      dtype=dtype,
      batch_size=batch_size,
      rows=rows,
      place=place,
      processors=tuple(processors),
    )
    self._weights, self._lora = None, None

  def load(self, weights: Any, lora: Any = None) -> None:
    self._weights, self._lora = weights, lora

  def sample(
    self,
    prompts: Sequence[Sequence[int]],
    settings: Settings,
    *,
    step: int = 0,
    prompt_ids: Sequence[int] | None = None,
    partner: decoding.Partner | None = None,
  ) -> sampling.Generations:
    return sampling.generate(
      self._model,
      self._weights,
      prompts,
      max_new_tokens=settings.max_new_tokens,
      num_samples=settings.num_samples,
      temperature=settings.temperature,
      top_k=settings.top_k or None,
      top_p=settings.top_p,
      min_p=settings.min_p,
      repetition_penalty=settings.repetition_penalty,
      eos_ids=settings.eos_ids,
      stop=settings.stop,
      seed=settings.seed,
      step=step,
      prompt_ids=prompt_ids,
      lora=self._lora,
      partner=partner,
      **self._options,
    )
