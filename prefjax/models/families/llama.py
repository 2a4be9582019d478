# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Llama, Mistral, Qwen2, Qwen3 and OLMo-2 checkpoints."""

from typing import Any

from prefjax.models import config as config_lib
from prefjax.models.families import common

Config = config_lib.DecoderConfig


def _fields(raw: common.Raw, **defaults: Any) -> dict[str, Any]:
  fields = common.common_fields(raw, **defaults)
  fields["activation"] = common.activation(raw, "hidden_act")
  fields["query_scale"] = fields["head_dim"] ** -0.5
  return fields


def _pattern(raw: common.Raw, types: list[str], window: int | None):
  rope = common.rope_from_hf(raw)
  ropes = {"full_attention": rope, "sliding_attention": rope}
  return common.pattern(raw, types, window, ropes)


def _full(raw: common.Raw) -> list[str]:
  return ["full_attention"] * common.need(raw, "num_hidden_layers")


def _llama(raw: common.Raw) -> Config:
  bias = bool(raw.get("attention_bias", False))
  return Config(
    **_fields(raw),
    pattern=_pattern(raw, _full(raw), None),
    qkv_bias=bias,
    out_bias=bias,
    mlp_bias=bool(raw.get("mlp_bias", False)),
  )


def _mistral(raw: common.Raw) -> Config:
  fields = _fields(raw, num_key_value_heads=8)
  # A config without the key means the first release, whose window was 4096.
  window = raw.get("sliding_window", 4096)
  kind = "full_attention" if window is None else "sliding_attention"
  types = [kind] * fields["num_layers"]
  return Config(**fields, pattern=_pattern(raw, types, window))


def _qwen(raw: common.Raw) -> Config:
  fields = _fields(raw)
  window, first = None, raw.get("max_window_layers", 28)
  if raw.get("use_sliding_window", False):
    window = raw.get("sliding_window", 4096)
  types = [
    "full_attention" if window is None or i < first else "sliding_attention"
    for i in range(fields["num_layers"])
  ]
  third = raw["model_type"] == "qwen3"
  bias = bool(raw.get("attention_bias", False)) if third else True
  return Config(
    **fields,
    pattern=_pattern(raw, types, window),
    qkv_bias=bias,
    out_bias=bias and third,
    qk_norm="head" if third else "none",
  )


def _olmo2(raw: common.Raw) -> Config:
  bias = bool(raw.get("attention_bias", False))
  return Config(
    **_fields(raw, rms_norm_eps=1e-5),
    pattern=_pattern(raw, _full(raw), None),
    placement="post",
    qk_norm="projection",
    qkv_bias=bias,
    out_bias=bias,
  )


def _to_hf(config: Config) -> dict[str, Any]:
  out = {
    "model_type": config.family,
    **common.common_to_hf(config),
    **common.rope_to_hf(config.pattern[0].rope),
    "hidden_act": common.activation_name(config.activation),
    "attention_dropout": 0.0,
  }
  window = common.window(config)
  if config.family in ("llama", "qwen3", "olmo2"):
    out["attention_bias"] = config.qkv_bias
  if config.family == "llama":
    out["mlp_bias"] = config.mlp_bias
  elif config.family == "mistral":
    out["sliding_window"] = window
  elif config.family in ("qwen2", "qwen3"):
    types = common.layer_types(config)
    full = types.count("full_attention")
    out |= {
      "layer_types": types,
      "use_sliding_window": window is not None,
      "sliding_window": window,
      "max_window_layers": full,
    }
  return out


def _family(architecture: str, from_hf) -> common.Family:
  return common.Family(
    architecture=architecture,
    config_from_hf=from_hf,
    config_to_hf=_to_hf,
    model_tensors=common.model_tensors,
    layer_tensors=common.layer_tensors,
  )


FAMILIES = {
  "llama": _family("LlamaForCausalLM", _llama),
  "mistral": _family("MistralForCausalLM", _mistral),
  "qwen2": _family("Qwen2ForCausalLM", _qwen),
  "qwen3": _family("Qwen3ForCausalLM", _qwen),
  "olmo2": _family("Olmo2ForCausalLM", _olmo2),
}
