# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Gemma 2 and Gemma 3 (text) checkpoints."""

from typing import Any

from prefjax.models import config as config_lib
from prefjax.models.families import common

Config = config_lib.DecoderConfig


def _fields(raw: common.Raw) -> dict[str, Any]:
  common.refuse(raw, use_bidirectional_attention=True)
  fields = common.common_fields(raw, tie_word_embeddings=True, head_dim=256)
  bias = bool(raw.get("attention_bias", False))
  return fields | dict(
    activation=common.activation(
      raw, "hidden_activation", "hidden_act", default="gelu_pytorch_tanh"
    ),
    norm_offset=1.0,
    placement="both",
    qkv_bias=bias,
    out_bias=bias,
    query_scale=float(raw.get("query_pre_attn_scalar", 256)) ** -0.5,
    embedding_scale=float(fields["hidden_size"]) ** 0.5,
  )


def _cap(raw: common.Raw, key: str, default: float | None) -> float | None:
  value = raw.get(key, default)
  return None if value is None else float(value)


def _gemma2(raw: common.Raw) -> Config:
  fields = _fields(raw)
  rope = common.rope_from_hf(raw)
  types = ["sliding_attention", "full_attention"] * fields["num_layers"]
  return Config(
    **fields,
    pattern=common.pattern(
      raw,
      types[: fields["num_layers"]],
      raw.get("sliding_window", 4096),
      {"sliding_attention": rope, "full_attention": rope},
    ),
    attention_softcap=_cap(raw, "attn_logit_softcapping", 50.0),
    final_softcap=_cap(raw, "final_logit_softcapping", 30.0),
  )


def _gemma3(raw: common.Raw) -> Config:
  fields = _fields(raw)
  period = raw.get("sliding_window_pattern")
  period = period or raw.get("_sliding_window_pattern") or 6
  types = [
    "sliding_attention" if (i + 1) % period else "full_attention"
    for i in range(fields["num_layers"])
  ]
  full = common.rope_from_hf(raw, "full_attention", theta=1e6)
  if raw.get("rope_parameters"):
    local = common.rope_from_hf(raw, "sliding_attention")
  else:  # the older form scales the global embedding only
    theta = float(raw.get("rope_local_base_freq", 10000.0))
    local = config_lib.Rope(theta=theta)
  return Config(
    **fields,
    pattern=common.pattern(
      raw,
      types,
      raw.get("sliding_window", 4096),
      {"sliding_attention": local, "full_attention": full},
    ),
    qk_norm="head",
    attention_softcap=_cap(raw, "attn_logit_softcapping", None),
    final_softcap=_cap(raw, "final_logit_softcapping", None),
  )


def _to_hf(config: Config) -> dict[str, Any]:
  slots = {slot.window is not None: slot for slot in config.pattern}
  full = slots.get(False, config.pattern[0])
  out = {
    "model_type": config.family,
    **common.common_to_hf(config),
    **common.rope_to_hf(full.rope),
    "hidden_activation": common.activation_name(config.activation),
    "attention_bias": config.qkv_bias,
    "attention_dropout": 0.0,
    "query_pre_attn_scalar": _integral(config.query_scale**-2),
    "attn_logit_softcapping": config.attention_softcap,
    "final_logit_softcapping": config.final_softcap,
    "sliding_window": common.window(config),
    "layer_types": common.layer_types(config),
  }
  if config.family == "gemma3_text":
    local = slots.get(True, config.pattern[0])
    out["rope_local_base_freq"] = local.rope.theta
    out["sliding_window_pattern"] = len(config.pattern)
  return out


def _integral(value: float) -> float | int:
  """The integer that a reciprocal square root came from, if there is one."""
  return round(value) if abs(value - round(value)) < 1e-6 * value else value


def _family(architecture: str, from_hf) -> common.Family:
  return common.Family(
    architecture=architecture,
    config_from_hf=from_hf,
    config_to_hf=_to_hf,
    model_tensors=common.model_tensors,
    layer_tensors=common.layer_tensors,
  )


FAMILIES = {
  "gemma2": _family("Gemma2ForCausalLM", _gemma2),
  "gemma3_text": _family("Gemma3ForCausalLM", _gemma3),
}
