# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""GGUF settings -> the keys of a Hugging Face `config.json`.

What a file leaves out (Gemma's score scale, Llama 3's rotary constants) is
derived where it is certain and refused where it is not.
"""

from typing import Any

import numpy as np

from prefjax.core import errors, gguf_file


class Keys:
  """Typed access to the settings of one architecture."""

  def __init__(self, file: gguf_file.GGUFFile, arch: str):
    self.file, self.arch = file, arch

  def fail(self, key: str, reason: str) -> errors.ModelError:
    return errors.ModelError(f"{self.file.path}: {self.arch}.{key} {reason}")

  def get(self, key: str, default: Any = None) -> Any:
    value = self.file.metadata.get(f"{self.arch}.{key}", default)
    if isinstance(value, list):  # one value a layer
      if len(set(value)) != 1:
        raise self.fail(key, "differs between layers, which is not supported")
      value = value[0]
    return value

  def integer(self, key: str, default: int | None = None) -> int:
    value = self.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
      raise self.fail(key, f"is {value!r}, not an integer")
    if not 0 < value < 1 << 31:
      raise self.fail(key, f"={value} is out of range")
    return value

  def number(self, key: str, default: float | None = None) -> float:
    value = self.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
      raise self.fail(key, f"is {value!r}, not a number")
    if not 0 < value < float("inf"):
      raise self.fail(key, f"={value} is out of range")
    return float(value)

  def window(self) -> int | None:
    """The sliding window; 0 stands for none."""
    value = self.get("attention.sliding_window", 0)
    return self.integer("attention.sliding_window") if value else None

  def refuse(self, key: str, why: str) -> None:
    if self.get(key):
      raise self.fail(key, f"={self.get(key)!r} is not supported ({why})")

  def table(self, name: str) -> np.ndarray | None:
    """A float32 table of the file, or None."""
    info = self.file.tensors.get(name)
    if info is None:
      return None
    if info.kind != "F32" or len(info.shape) != 1:
      raise self.fail(name, "is not a float32 vector")
    return self.file.raw(name).view(np.float32)


def _common(keys: Keys, model_type: str, name: str) -> dict[str, Any]:
  """The settings that decoders of Llama's kind share."""
  hidden = keys.integer("embedding_length")
  heads = keys.integer("attention.head_count")
  head_dim = keys.integer("attention.key_length", max(1, hidden // heads))
  if keys.integer("attention.value_length", head_dim) != head_dim:
    raise keys.fail("attention.value_length", f"is not key_length={head_dim}")
  rotated = keys.integer("rope.dimension_count", head_dim)
  config = {
    "architectures": [name],
    "model_type": model_type,
    "hidden_size": hidden,
    "intermediate_size": keys.integer("feed_forward_length"),
    "num_hidden_layers": keys.integer("block_count"),
    "num_attention_heads": heads,
    "num_key_value_heads": keys.integer("attention.head_count_kv", heads),
    "head_dim": head_dim,
    "max_position_embeddings": keys.integer("context_length"),
    "rms_norm_eps": keys.number("attention.layer_norm_rms_epsilon"),
    "rope_theta": keys.number("rope.freq_base", 10000.0),
    "hidden_act": "silu",
  }
  if rotated != head_dim:
    config["partial_rotary_factor"] = rotated / head_dim
  scaling = _scaling(keys)
  if scaling:
    config["rope_scaling"] = scaling
  return config


def _scaling(keys: Keys) -> dict[str, Any] | None:
  """rope_scaling of config.json."""
  kind = keys.get("rope.scaling.type", "none")
  if kind == "linear":
    factor = keys.number("rope.scaling.factor")
    return {"rope_type": "linear", "factor": factor} if factor != 1 else None
  if kind == "yarn":
    keys.refuse("rope.scaling.attn_factor", "with yarn")
    return {
      "rope_type": "yarn",
      "factor": keys.number("rope.scaling.factor"),
      "original_max_position_embeddings": keys.integer(
        "rope.scaling.original_context_length"
      ),
    }
  if kind not in ("none", "longrope"):
    raise keys.fail("rope.scaling.type", f"={kind!r} is not supported")
  return None


def llama(keys: Keys) -> dict[str, Any]:
  """Llama, and Mistral, which shares its architecture."""
  keys.refuse("expert_count", "mixtures of experts")
  window = keys.window()
  if window is not None:
    config = _common(keys, "mistral", "MistralForCausalLM")
    return {**config, "sliding_window": window}
  config = _common(keys, "llama", "LlamaForCausalLM")
  if "partial_rotary_factor" in config:
    raise keys.fail("rope.dimension_count", "is not the size of a head")
  config["attention_bias"] = "blk.0.attn_q.bias" in keys.file.tensors
  config["mlp_bias"] = "blk.0.ffn_down.bias" in keys.file.tensors
  table = keys.table("rope_freqs.weight")
  if table is not None:
    config["rope_scaling"] = _llama3_scaling(keys, config, table)
  return config


# Llama 3's constants, which the file keeps only through their result.
_LLAMA3 = {
  "low_freq_factor": 1.0,
  "high_freq_factor": 4.0,
  "original_max_position_embeddings": 8192,
}


def _llama3_scaling(
  keys: Keys, config: dict[str, Any], table: np.ndarray
) -> dict[str, Any]:
  """rope_scaling whose divisors are the table, or an error."""
  low, high = _LLAMA3["low_freq_factor"], _LLAMA3["high_freq_factor"]
  original = _LLAMA3["original_max_position_embeddings"]
  size = config["head_dim"] // 2
  factor = float(np.max(table, initial=1.0))
  turns = (
    original
    * config["rope_theta"] ** -(np.arange(size, dtype=np.float64) / size)
    / (2 * np.pi)
  )
  smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
  expected = 1 / ((1 - smooth) / factor + smooth)
  if table.shape != (size,) or not np.allclose(table, expected, rtol=1e-4):
    raise keys.fail("rope_freqs.weight", "is not Llama 3's scaling")
  return {"rope_type": "llama3", "factor": factor, **_LLAMA3}


def qwen2(keys: Keys) -> dict[str, Any]:
  """Qwen 2 and 2.5."""
  config = _common(keys, "qwen2", "Qwen2ForCausalLM")
  return {**config, "use_sliding_window": False}


def qwen3(keys: Keys) -> dict[str, Any]:
  """Qwen 3, dense."""
  config = _common(keys, "qwen3", "Qwen3ForCausalLM")
  bias = "blk.0.attn_q.bias" in keys.file.tensors
  return {**config, "use_sliding_window": False, "attention_bias": bias}


def olmo2(keys: Keys) -> dict[str, Any]:
  """OLMo 2."""
  keys.refuse("attention.sliding_window", "OLMo 3")
  config = _common(keys, "olmo2", "Olmo2ForCausalLM")
  return {**config, "attention_bias": False}


def _gemma(keys: Keys, config: dict[str, Any], wide: int) -> dict[str, Any]:
  """Gemma's scale of the scores: by head size but for the largest model."""
  scale = config["head_dim"]
  if config["num_hidden_layers"] == wide:
    scale = config["hidden_size"] // config["num_attention_heads"]
  return {
    **config,
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_activation": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": scale,
    "sliding_window": keys.integer("attention.sliding_window", 4096),
  }


def gemma2(keys: Keys) -> dict[str, Any]:
  """Gemma 2."""
  config = _common(keys, "gemma2", "Gemma2ForCausalLM")
  return {
    **_gemma(keys, config, wide=46),
    "attn_logit_softcapping": keys.number("attn_logit_softcapping", 50.0),
    "final_logit_softcapping": keys.number("final_logit_softcapping", 30.0),
  }


def gemma3(keys: Keys) -> dict[str, Any]:
  """Gemma 3, text part."""
  config = _common(keys, "gemma3_text", "Gemma3ForCausalLM")
  cap = keys.get("final_logit_softcapping")
  return {
    **_gemma(keys, config, wide=62),
    "rope_theta": keys.number("rope.freq_base", 1e6),
    "rope_local_base_freq": keys.number("rope.freq_base_swa", 10000.0),
    "sliding_window_pattern": 6,
    "attn_logit_softcapping": None,
    "final_logit_softcapping": float(cap) if cap else None,
  }


def phi3(keys: Keys) -> dict[str, Any]:
  """Phi 3 and Phi 4."""
  config = _common(keys, "phi3", "Phi3ForCausalLM")
  config["sliding_window"] = keys.window()
  long = keys.table("rope_factors_long.weight")
  short = keys.table("rope_factors_short.weight")
  original = keys.integer(
    "rope.scaling.original_context_length", config["max_position_embeddings"]
  )
  config["original_max_position_embeddings"] = original
  if (long is None) != (short is None):
    raise keys.fail("rope_factors", "has only one of its two tables")
  if long is not None and short is not None:
    scaling = {
      "rope_type": "longrope",
      "long_factor": long.tolist(),
      "short_factor": short.tolist(),
    }
    if keys.get("rope.scaling.attn_factor"):
      factor = keys.number("rope.scaling.attn_factor")
      scaling["attention_factor"] = factor
    config["rope_scaling"] = scaling
  return config


def gpt2(keys: Keys) -> dict[str, Any]:
  """GPT-2."""
  return {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "n_embd": keys.integer("embedding_length"),
    "n_inner": keys.integer("feed_forward_length"),
    "n_layer": keys.integer("block_count"),
    "n_head": keys.integer("attention.head_count"),
    "n_positions": keys.integer("context_length"),
    "layer_norm_epsilon": keys.number("attention.layer_norm_epsilon"),
    "activation_function": "gelu_new",
  }
