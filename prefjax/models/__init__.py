# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Decoder language models: static descriptions beside trees of arrays."""

from prefjax.core.skew import (
  normalize_embeddings,
  preference_gates,
  preference_matrix,
  preference_score,
)
from prefjax.models.base import GroupHidden, Model, logits
from prefjax.models.config import DecoderConfig, Rope, Slot, Vision
from prefjax.models.lora import LoraSpec
from prefjax.models.peft import load_adapter, save_adapter
from prefjax.models.presets import preset
from prefjax.models.pretrained import (
  from_pretrained,
  load_config,
  save_pretrained,
)
from prefjax.models.reward_heads import (
  GeneralPreferenceHead,
  PreferenceHeads,
  RewardHead,
)

__all__ = [
  "DecoderConfig",
  "GeneralPreferenceHead",
  "GroupHidden",
  "LoraSpec",
  "Model",
  "PreferenceHeads",
  "RewardHead",
  "Rope",
  "Slot",
  "Vision",
  "from_pretrained",
  "load_adapter",
  "load_config",
  "logits",
  "normalize_embeddings",
  "preference_gates",
  "preference_matrix",
  "preference_score",
  "preset",
  "save_adapter",
  "save_pretrained",
]
