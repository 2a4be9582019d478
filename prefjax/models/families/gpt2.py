# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""GPT-2 checkpoints: [inputs, outputs] kernels and learned positions."""

from typing import Any

from prefjax.models import config as config_lib
from prefjax.models.families import common

Config = config_lib.DecoderConfig


def _from_hf(raw: common.Raw) -> Config:
  common.refuse(
    raw,
    scale_attn_by_inverse_layer_idx=True,
    scale_attn_weights=False,
    add_cross_attention=True,
  )
  hidden, heads = common.need(raw, "n_embd"), common.need(raw, "n_head")
  return Config(
    family=raw["model_type"],
    vocab_size=common.need(raw, "vocab_size"),
    hidden_size=hidden,
    intermediate_size=raw.get("n_inner") or 4 * hidden,
    num_layers=common.need(raw, "n_layer"),
    num_heads=heads,
    num_kv_heads=heads,
    head_dim=hidden // heads,
    max_positions=common.need(raw, "n_positions"),
    pattern=(config_lib.Slot(),),
    norm="layer",
    norm_eps=float(raw.get("layer_norm_epsilon", 1e-5)),
    activation=common.activation(
      raw, "activation_function", default="gelu_new"
    ),
    gated=False,
    qkv_bias=True,
    out_bias=True,
    mlp_bias=True,
    query_scale=(hidden // heads) ** -0.5,
    tied=bool(raw.get("tie_word_embeddings", True)),
    learned_positions=True,
    init_std=float(raw.get("initializer_range", 0.02)),
    **common.token_ids(raw),
  )


def _to_hf(config: Config) -> dict[str, Any]:
  name = common.activation_name(config.activation)
  name = "gelu_new" if config.activation == "gelu_tanh" else name
  return {
    "model_type": config.family,
    "vocab_size": config.vocab_size,
    "n_embd": config.hidden_size,
    "n_inner": config.intermediate_size,
    "n_layer": config.num_layers,
    "n_head": config.num_heads,
    "n_positions": config.max_positions,
    "n_ctx": config.max_positions,
    "layer_norm_epsilon": config.norm_eps,
    "activation_function": name,
    "tie_word_embeddings": config.tied,
    "initializer_range": config.init_std,
    "attn_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "resid_pdrop": 0.0,
    "bos_token_id": config.bos_id,
    "eos_token_id": config.eos_id,
    "pad_token_id": config.pad_id,
    "use_cache": True,
  }


def _model_tensors(config: Config) -> list[common.Tensor]:
  out = [
    common.Tensor(("embed", "tokens"), "transformer.wte.weight"),
    common.Tensor(("embed", "positions"), "transformer.wpe.weight"),
    common.Tensor(("final_norm", "scale"), "transformer.ln_f.weight"),
    common.Tensor(("final_norm", "bias"), "transformer.ln_f.bias"),
  ]
  if not config.tied:
    out.append(common.Tensor(("head", "weight"), "lm_head.weight"))
  return out


def _layer_tensors(config: Config) -> list[common.Tensor]:
  size = config.hidden_size
  layer = "transformer.h.{layer}."
  out = []
  for ours, theirs in (("attention_norm", "ln_1"), ("mlp_norm", "ln_2")):
    out.append(common.Tensor((ours, "scale"), f"{layer}{theirs}.weight"))
    out.append(common.Tensor((ours, "bias"), f"{layer}{theirs}.bias"))
  parts = [
    (("attention", "q"), "attn.c_attn", 0, size),
    (("attention", "k"), "attn.c_attn", size, size),
    (("attention", "v"), "attn.c_attn", 2 * size, size),
    (("attention", "o"), "attn.c_proj", 0, None),
    (("mlp", "up"), "mlp.c_fc", 0, None),
    (("mlp", "down"), "mlp.c_proj", 0, None),
  ]
  for path, name, start, outputs in parts:
    for ours, theirs in (("kernel", "weight"), ("bias", "bias")):
      out.append(
        common.Tensor(
          (*path, ours),
          f"{layer}{name}.{theirs}",
          start=start,
          outputs=outputs,
        )
      )
  return out


FAMILIES = {
  "gpt2": common.Family(
    architecture="GPT2LMHeadModel",
    config_from_hf=_from_hf,
    config_to_hf=_to_hf,
    model_tensors=_model_tensors,
    layer_tensors=_layer_tensors,
  )
}
