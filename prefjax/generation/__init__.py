# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sampling from language models."""

from prefjax.generation.decoding import FINISH_REASONS
from prefjax.generation.mixtures import mixture_logits
from prefjax.generation.sampling import Generations, generate

__all__ = [
  "FINISH_REASONS",
  "Generations",
  "generate",
  "mixture_logits",
]
