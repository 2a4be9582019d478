# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""How much a model's answer rests on a part of its input."""

import numpy as np

from prefjax.core import checks


def modality_reliance(logps_full, logps_blind, mask) -> np.ndarray:
  """Mean log-prob that a response loses without the image, in nats a token.

  Args:
    logps_full: [B, T], token log-probs given the whole input.
    logps_blind: [B, T], the same without the image.
    mask: [B, T], which tokens count; others may hold anything.

  Returns:
    float32 [B]; 0 where the image is ignored or no token counts.

  Raises:
    ValueError: shapes differ.

  Reference:
    A diagnostic for Li et al., "Towards Harmless Multimodal Assistants with
    Blind Preference Optimization", arXiv:2503.14189; our own.
  """
  checks.same_shape(
    "modality_reliance",
    logps_full=logps_full,
    logps_blind=logps_blind,
    mask=mask,
  )
  kept = np.asarray(mask).astype(bool)
  gain = np.asarray(logps_full, np.float64) - np.asarray(
    logps_blind, np.float64
  )
  total = np.where(kept, gain, 0.0).sum(axis=-1)
  return (total / np.maximum(kept.sum(axis=-1), 1)).astype(np.float32)
