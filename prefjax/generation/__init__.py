# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sampling from language models."""

from prefjax.generation.beams import Beams, beam_search
from prefjax.generation.completion_server import (
  CompletionEngine,
  reload_from_disk,
)
from prefjax.generation.decoding import FINISH_REASONS, Partner
from prefjax.generation.engine import OwnEngine, RolloutEngine, Settings
from prefjax.generation.mixtures import mixture_logits
from prefjax.generation.processing import (
  Allowed,
  Grammar,
  MinP,
  Processor,
  RepetitionPenalty,
  Temperature,
  TopK,
  TopP,
)
from prefjax.generation.sampling import Generations, bucket, generate

__all__ = [
  "FINISH_REASONS",
  "Allowed",
  "Beams",
  "CompletionEngine",
  "Generations",
  "Grammar",
  "MinP",
  "OwnEngine",
  "Partner",
  "Processor",
  "RepetitionPenalty",
  "RolloutEngine",
  "Settings",
  "Temperature",
  "TopK",
  "TopP",
  "beam_search",
  "bucket",
  "generate",
  "mixture_logits",
  "reload_from_disk",
]
