# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Phi-3 checkpoints: Llama with fused qkv and gate_up projections."""

from typing import Any

from prefjax.models import config as config_lib
from prefjax.models.families import common

Config = config_lib.DecoderConfig


def _from_hf(raw: common.Raw) -> Config:
  fields = common.common_fields(raw, rms_norm_eps=1e-5)
  window = raw.get("sliding_window")
  kind = "full_attention" if window is None else "sliding_attention"
  rope = common.rope_from_hf(raw)
  return Config(
    **fields,
    activation=common.activation(raw, "hidden_act"),
    query_scale=fields["head_dim"] ** -0.5,
    pattern=common.pattern(
      raw, [kind] * fields["num_layers"], window, {kind: rope}
    ),
  )


def _to_hf(config: Config) -> dict[str, Any]:
  rope = config.pattern[0].rope
  return {
    "model_type": config.family,
    **common.common_to_hf(config),
    "partial_rotary_factor": rope.partial,
    **common.rope_to_hf(rope),
    "original_max_position_embeddings": rope.original_positions
    or config.max_positions,
    "hidden_act": common.activation_name(config.activation),
    "sliding_window": common.window(config),
    "attention_dropout": 0.0,
    "embd_pdrop": 0.0,
    "resid_pdrop": 0.0,
  }


def _layer_tensors(config: Config) -> list[common.Tensor]:
  layer = "model.layers.{layer}."
  wide = config.num_heads * config.head_dim
  narrow = config.num_kv_heads * config.head_dim
  inner = config.intermediate_size
  fused = [
    (("attention", "q"), "self_attn.qkv_proj", 0, wide),
    (("attention", "k"), "self_attn.qkv_proj", wide, narrow),
    (("attention", "v"), "self_attn.qkv_proj", wide + narrow, narrow),
    (("mlp", "gate"), "mlp.gate_up_proj", 0, inner),
    (("mlp", "up"), "mlp.gate_up_proj", inner, inner),
  ]
  out = common.norm_tensors(config)
  out += [
    common.Tensor(
      (*path, "kernel"),
      f"{layer}{name}.weight",
      transposed=True,
      start=start,
      outputs=outputs,
    )
    for path, name, start, outputs in fused
  ]
  out += common.linear(("attention", "o"), f"{layer}self_attn.o_proj", False)
  out += common.linear(("mlp", "down"), f"{layer}mlp.down_proj", False)
  return out


FAMILIES = {
  "phi3": common.Family(
    architecture="Phi3ForCausalLM",
    config_from_hf=_from_hf,
    config_to_hf=_to_hf,
    model_tensors=common.model_tensors,
    layer_tensors=_layer_tensors,
  )
}
