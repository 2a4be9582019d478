# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What the naming schemes of published checkpoints have in common."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from prefjax.core import errors
from prefjax.models import config as config_lib

Raw = Mapping[str, Any]
Config = config_lib.DecoderConfig

_ACTIVATIONS = {
  "silu": "silu",
  "swish": "silu",
  "gelu": "gelu",
  "gelu_new": "gelu_tanh",
  "gelu_pytorch_tanh": "gelu_tanh",
  "relu": "relu",
}
_ROPE_ALIASES = {"su": "longrope", "ntk": "dynamic"}


@dataclasses.dataclass(frozen=True)
class Tensor:
  """Where one of our arrays lies in a checkpoint.

  Attributes:
    path: keys of the array in its tree (of a layer, or of the model).
    name: the checkpoint's name; "{layer}" stands for the layer's number.
    transposed: the checkpoint holds [outputs, inputs].
    start: first output of the array within a fused tensor.
    outputs: number of outputs of a part of a fused tensor; None for all.
  """

  path: tuple[str, ...]
  name: str
  transposed: bool = False
  start: int = 0
  outputs: int | None = None


@dataclasses.dataclass(frozen=True)
class Family:
  """A naming scheme.

  Attributes:
    architecture: class name in `config.json`.
    config_from_hf: config dictionary -> DecoderConfig.
    config_to_hf: the reverse.
    model_tensors: tensors outside the layers.
    layer_tensors: tensors of one layer.
  """

  architecture: str
  config_from_hf: Callable[[Raw], Config]
  config_to_hf: Callable[[Config], dict[str, Any]]
  model_tensors: Callable[[Config], list[Tensor]]
  layer_tensors: Callable[[Config], list[Tensor]]


def need(raw: Raw, key: str) -> Any:
  """A key that has no sensible default.

  Raises:
    ModelError: it is missing.
  """
  if raw.get(key) is None:
    raise errors.ModelError(f"config key {key!r} is missing")
  return raw[key]


def refuse(raw: Raw, **unsupported: Any) -> None:
  """Raises ModelError where a key has a value that is not implemented."""
  for key, value in unsupported.items():
    if raw.get(key) == value:
      raise errors.ModelError(f"config key {key}={value!r} is not supported")


def activation(raw: Raw, *keys: str, default: str = "silu") -> str:
  """The MLP's activation under the first of `keys` that is set."""
  name = next((raw[k] for k in keys if raw.get(k)), default)
  if name not in _ACTIVATIONS:
    raise errors.ModelError(
      f"config key {keys[0]}={name!r} is not one of"
      f" {', '.join(_ACTIVATIONS)}{errors.nearest(name, _ACTIVATIONS)}"
    )
  return _ACTIVATIONS[name]


def activation_name(kind: str) -> str:
  """The published name of an activation."""
  return "gelu_pytorch_tanh" if kind == "gelu_tanh" else kind


def rope_from_hf(
  raw: Raw, layer_type: str | None = None, theta: float = 10000.0
) -> config_lib.Rope:
  """The rotary embedding, from the newer or the older form of the config.

  Args:
    raw: config dictionary.
    layer_type: which entry, where `rope_parameters` has one a layer type.
    theta: default base.
  """
  fields = raw.get("rope_parameters")
  if fields and layer_type in fields:
    fields = fields[layer_type]
  if not fields:
    fields = {"rope_theta": raw.get("rope_theta")}
    fields |= raw.get("rope_scaling") or {}
  kind = fields.get("rope_type") or fields.get("type") or "default"
  kind = _ROPE_ALIASES.get(kind, kind)
  partial = fields.get("partial_rotary_factor")
  if partial is None:
    partial = raw.get("partial_rotary_factor")
  known: dict[str, Any] = {
    "theta": float(fields.get("rope_theta") or raw.get("rope_theta") or theta),
    "partial": 1.0 if partial is None else float(partial),
    "kind": kind,
  }
  if kind == "default":
    return config_lib.Rope(**known)
  key = "original_max_position_embeddings"
  original = fields.get(key) or raw.get(key)
  if kind != "linear" and original:
    known["original_positions"] = int(original)
  factor = fields.get("factor")
  if factor is None and original:
    factor = need(raw, "max_position_embeddings") / original
  if factor is None:
    raise errors.ModelError(f"config key rope_scaling: {kind} has no factor")
  known["factor"] = float(factor)
  if fields.get("attention_factor") is not None:
    known["attention_factor"] = float(fields["attention_factor"])
  extras = {
    "llama3": ("low_freq_factor", "high_freq_factor"),
    "yarn": ("beta_fast", "beta_slow", "mscale", "mscale_all_dim"),
    "longrope": ("short_factor", "long_factor"),
  }
  for name in extras.get(kind, ()):
    value = fields.get(name)
    if isinstance(value, (list, tuple)):
      known[name] = tuple(float(v) for v in value)
    elif value is not None:
      known[name] = float(value)
    elif kind != "yarn":
      raise errors.ModelError(
        f"config key rope_scaling: {kind} has no {name!r}"
      )
  if kind == "yarn" and fields.get("truncate") is not None:
    known["truncate"] = bool(fields["truncate"])
  return config_lib.Rope(**known)


def rope_to_hf(rope: config_lib.Rope) -> dict[str, Any]:
  """`rope_theta`, `rope_scaling` and `partial_rotary_factor`, as needed."""
  out: dict[str, Any] = {"rope_theta": rope.theta, "rope_scaling": None}
  if rope.partial != 1.0:
    out["partial_rotary_factor"] = rope.partial
  if rope.kind == "default":
    return out
  fields: dict[str, Any] = {"rope_type": rope.kind, "factor": rope.factor}
  if rope.original_positions is not None:
    fields["original_max_position_embeddings"] = rope.original_positions
  if rope.attention_factor is not None:
    fields["attention_factor"] = rope.attention_factor
  names = {
    "llama3": ("low_freq_factor", "high_freq_factor"),
    "yarn": ("beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"),
    "longrope": ("short_factor", "long_factor"),
  }
  for name in names.get(rope.kind, ()):
    value = getattr(rope, name)
    if value is not None:
      fields[name] = list(value) if isinstance(value, tuple) else value
  out["rope_scaling"] = fields
  return out


def pattern(
  raw: Raw,
  default_types: list[str],
  window: int | None,
  ropes: Mapping[str, config_lib.Rope],
) -> tuple[config_lib.Slot, ...]:
  """The repeating block, from `layer_types` or the family's own rule."""
  layer_types = list(raw.get("layer_types") or default_types)
  layers = need(raw, "num_hidden_layers")
  if len(layer_types) != layers:
    raise errors.ModelError(
      f"config key layer_types has {len(layer_types)} entries for"
      f" num_hidden_layers={layers}"
    )
  known = {"full_attention": None, "sliding_attention": window}
  for name in layer_types:
    if name not in known:
      raise errors.ModelError(
        f"config key layer_types: {name!r} is not one of {', '.join(known)}"
      )
  return config_lib.shortest_pattern(
    tuple(
      config_lib.Slot(window=known[name], rope=ropes[name])
      for name in layer_types
    )
  )


def layer_types(config: Config) -> list[str]:
  """`layer_types` of the newer configs, which older ones ignore."""
  kinds = ["full_attention", "sliding_attention"]
  return [
    kinds[config.pattern[i % len(config.pattern)].window is not None]
    for i in range(config.num_layers)
  ]


def window(config: Config) -> int | None:
  """The sliding window of the layers that have one."""
  return next((s.window for s in config.pattern if s.window), None)


def common_fields(raw: Raw, **defaults: Any) -> dict[str, Any]:
  """DecoderConfig arguments that most families spell alike."""
  raw = {**defaults, **{k: v for k, v in raw.items() if v is not None}}
  heads = need(raw, "num_attention_heads")
  hidden = need(raw, "hidden_size")
  return dict(
    family=raw["model_type"],
    vocab_size=need(raw, "vocab_size"),
    hidden_size=hidden,
    intermediate_size=need(raw, "intermediate_size"),
    num_layers=need(raw, "num_hidden_layers"),
    num_heads=heads,
    num_kv_heads=raw.get("num_key_value_heads", heads),
    head_dim=raw.get("head_dim", hidden // heads),
    max_positions=need(raw, "max_position_embeddings"),
    norm_eps=float(raw.get("rms_norm_eps", 1e-6)),
    tied=bool(raw.get("tie_word_embeddings", False)),
    init_std=float(raw.get("initializer_range", 0.02)),
    **token_ids(raw),
  )


def token_ids(raw: Raw) -> dict[str, int | None]:
  """Special ids; of several end tokens the first."""

  def one(key: str) -> int | None:
    value = raw.get(key)
    if isinstance(value, list):
      return value[0] if value else None
    return value

  return {
    "bos_id": one("bos_token_id"),
    "eos_id": one("eos_token_id"),
    "pad_id": one("pad_token_id"),
  }


def common_to_hf(config: Config) -> dict[str, Any]:
  """The keys that `common_fields` reads."""
  return {
    "vocab_size": config.vocab_size,
    "hidden_size": config.hidden_size,
    "intermediate_size": config.intermediate_size,
    "num_hidden_layers": config.num_layers,
    "num_attention_heads": config.num_heads,
    "num_key_value_heads": config.num_kv_heads,
    "head_dim": config.head_dim,
    "max_position_embeddings": config.max_positions,
    "rms_norm_eps": config.norm_eps,
    "tie_word_embeddings": config.tied,
    "initializer_range": config.init_std,
    "bos_token_id": config.bos_id,
    "eos_token_id": config.eos_id,
    "pad_token_id": config.pad_id,
    "use_cache": True,
  }


def model_tensors(config: Config) -> list[Tensor]:
  """Embedding, final norm and head under their usual names."""
  out = [
    Tensor(("embed", "tokens"), "model.embed_tokens.weight"),
    Tensor(("final_norm", "scale"), "model.norm.weight"),
  ]
  if not config.tied:
    out.append(Tensor(("head", "weight"), "lm_head.weight"))
  return out


def linear(path: tuple[str, ...], name: str, bias: bool) -> list[Tensor]:
  """A kernel stored [outputs, inputs] and, if any, its bias."""
  out = [Tensor((*path, "kernel"), f"{name}.weight", transposed=True)]
  if bias:
    out.append(Tensor((*path, "bias"), f"{name}.bias"))
  return out


def norm_tensors(config: Config) -> list[Tensor]:
  """The layer's norms; their names depend on where they stand."""
  names = {
    "pre": {
      "attention_norm": "input_layernorm",
      "mlp_norm": "post_attention_layernorm",
    },
    "post": {
      "attention_out_norm": "post_attention_layernorm",
      "mlp_out_norm": "post_feedforward_layernorm",
    },
    "both": {
      "attention_norm": "input_layernorm",
      "attention_out_norm": "post_attention_layernorm",
      "mlp_norm": "pre_feedforward_layernorm",
      "mlp_out_norm": "post_feedforward_layernorm",
    },
  }[config.placement]
  out = [
    Tensor((ours, "scale"), f"model.layers.{{layer}}.{theirs}.weight")
    for ours, theirs in names.items()
  ]
  if config.qk_norm != "none":
    out += [
      Tensor(
        ("attention", f"{x}_norm", "scale"),
        f"model.layers.{{layer}}.self_attn.{x}_norm.weight",
      )
      for x in "qk"
    ]
  return out


def layer_tensors(config: Config) -> list[Tensor]:
  """A layer with separate projections under their usual names."""
  out = norm_tensors(config)
  for x in "qkvo":
    bias = config.out_bias if x == "o" else config.qkv_bias
    name = f"model.layers.{{layer}}.self_attn.{x}_proj"
    out += linear(("attention", x), name, bias)
  for x in ("gate", "up", "down"):
    name = f"model.layers.{{layer}}.mlp.{x}_proj"
    out += linear(("mlp", x), name, config.mlp_bias)
  return out
