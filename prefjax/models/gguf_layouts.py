# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What each GGUF architecture calls its tensors."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from prefjax.core import errors, gguf_file
from prefjax.models import gguf_settings

_LAYER = re.compile(r"blk\.(\d{1,5})\.([a-z_]+)\.(weight|bias)")
_ROPE_TABLES = (
  "rope_freqs.weight",
  "rope_factors_long.weight",
  "rope_factors_short.weight",
)


class Source(NamedTuple):
  """Where a Hugging Face tensor comes from.

  Attributes:
    name: its name in the file.
    heads: of a projection whose rows are stored as rotary pairs; 0 for none.
    offset: subtracted from the stored values.
    transposed: stored [inputs, outputs] the other way round.
  """

  name: str
  heads: int = 0
  offset: float = 0.0
  transposed: bool = False


class Layout(NamedTuple):
  """A file under Hugging Face names.

  Attributes:
    config: config.json without special ids.
    sources: Hugging Face name -> Source.
  """

  config: dict[str, Any]
  sources: dict[str, Source]


class _Architecture(NamedTuple):
  """One GGUF architecture.

  Attributes:
    config: settings -> config.json.
    modules: name in blk.N -> name in a layer; all of them are needed.
    layer: prefix of a layer's tensors.
    outside: name -> name of the tensors outside the layers.
    permuted: query and key rows are stored as rotary pairs.
    norm_offset: what was added to weights whose name ends in "norm.weight".
    transposed: modules whose matrices are stored transposed.
  """

  config: Callable[[gguf_settings.Keys], dict[str, Any]]
  modules: dict[str, str]
  layer: str = "model.layers"
  outside: dict[str, str] = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
  }
  permuted: bool = False
  norm_offset: float = 0.0
  transposed: frozenset[str] = frozenset()


_ATTENTION = {f"attn_{x}": f"self_attn.{x}_proj" for x in "qkv"} | {
  "attn_output": "self_attn.o_proj"
}
_MLP = {f"ffn_{x}": f"mlp.{x}_proj" for x in ("gate", "up", "down")}
_PRE = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
_POST = {
  "post_attention_norm": "post_attention_layernorm",
  "post_ffw_norm": "post_feedforward_layernorm",
}
_BOTH = _POST | {
  "attn_norm": "input_layernorm",
  "ffn_norm": "pre_feedforward_layernorm",
}
_QK_NORM = {f"attn_{x}_norm": f"self_attn.{x}_norm" for x in "qk"}

_KNOWN = {
  "llama": _Architecture(
    gguf_settings.llama, _ATTENTION | _MLP | _PRE, permuted=True
  ),
  "qwen2": _Architecture(gguf_settings.qwen2, _ATTENTION | _MLP | _PRE),
  "qwen3": _Architecture(
    gguf_settings.qwen3, _ATTENTION | _MLP | _PRE | _QK_NORM
  ),
  "olmo2": _Architecture(
    gguf_settings.olmo2, _ATTENTION | _MLP | _POST | _QK_NORM
  ),
  "gemma2": _Architecture(
    gguf_settings.gemma2, _ATTENTION | _MLP | _BOTH, norm_offset=1.0
  ),
  "gemma3": _Architecture(
    gguf_settings.gemma3, _ATTENTION | _MLP | _BOTH | _QK_NORM, norm_offset=1.0
  ),
  "phi3": _Architecture(
    gguf_settings.phi3,
    {
      "attn_qkv": "self_attn.qkv_proj",
      "attn_output": "self_attn.o_proj",
      "ffn_up": "mlp.gate_up_proj",
      "ffn_down": "mlp.down_proj",
      **_PRE,
    },
  ),
  "gpt2": _Architecture(
    gguf_settings.gpt2,
    {
      "attn_norm": "ln_1",
      "attn_qkv": "attn.c_attn",
      "attn_output": "attn.c_proj",
      "ffn_norm": "ln_2",
      "ffn_up": "mlp.c_fc",
      "ffn_down": "mlp.c_proj",
    },
    layer="transformer.h",
    outside={
      "token_embd.weight": "transformer.wte.weight",
      "position_embd.weight": "transformer.wpe.weight",
      "output_norm.weight": "transformer.ln_f.weight",
      "output_norm.bias": "transformer.ln_f.bias",
      "output.weight": "lm_head.weight",
    },
    transposed=frozenset({"attn_qkv", "attn_output", "ffn_up", "ffn_down"}),
  ),
}


def resolve(file: gguf_file.GGUFFile) -> Layout:
  """The file's tensors and settings under Hugging Face names.

  Raises:
    ModelError: the architecture, a setting or a tensor is not known, or one
      is missing.
  """
  arch = file.metadata.get("general.architecture")
  if not isinstance(arch, str) or arch not in _KNOWN:
    raise errors.ModelError(
      f"{file.path}: general.architecture={arch!r} is not one of"
      f" {', '.join(_KNOWN)}{errors.nearest(str(arch), _KNOWN)}"
    )
  known, keys = _KNOWN[arch], gguf_settings.Keys(file, arch)
  config = known.config(keys)
  tied = _tied(file)
  config["tie_word_embeddings"] = tied
  layers = keys.integer("block_count")
  _check_names(file, known, layers)
  embedding = file.tensors["token_embd.weight"].shape
  hidden = keys.integer("embedding_length")
  if len(embedding) != 2 or embedding[1] != hidden:
    raise keys.fail(
      "embedding_length", f"={hidden} does not fit token_embd {embedding}"
    )
  config["vocab_size"] = embedding[0]
  sources = {}
  for name in file.tensors:
    if name in _ROPE_TABLES or (tied and name == "output.weight"):
      continue
    theirs, source = _source(name, known, keys)
    sources[theirs] = source
  return Layout(config, sources)


def _tied(file: gguf_file.GGUFFile) -> bool:
  """Whether the head is the embedding: absent, or the same bytes."""
  head = file.tensors.get("output.weight")
  table = file.tensors.get("token_embd.weight")
  if head is None or table is None:
    return True
  return (head.kind, head.shape) == (table.kind, table.shape) and bool(
    np.array_equal(file.raw("output.weight"), file.raw("token_embd.weight"))
  )


def _check_names(
  file: gguf_file.GGUFFile, known: _Architecture, layers: int
) -> None:
  """Every needed tensor is there and no other."""
  optional = {"output.weight", *_ROPE_TABLES}
  needed = [name for name in known.outside if name not in optional]
  if layers * len(known.modules) > len(file.tensors):
    raise errors.ModelError(
      f"{file.path}: {len(file.tensors)} tensors are too few for"
      f" block_count={layers}"
    )
  needed += [
    f"blk.{i}.{module}.weight"
    for i in range(layers)
    for module in known.modules
  ]
  for name in needed:
    if name not in file.tensors:
      raise errors.ModelError(f"{file.path}: tensor {name!r} is missing")
  for name in file.tensors:
    match = _LAYER.fullmatch(name)
    fits = match and int(match[1]) < layers and match[2] in known.modules
    if not fits and name not in known.outside and name not in optional:
      raise errors.ModelError(
        f"{file.path}: tensor {name!r} does not belong to this architecture"
      )


def _source(
  name: str, known: _Architecture, keys: gguf_settings.Keys
) -> tuple[str, Source]:
  """(Hugging Face name, where it comes from) of one tensor."""
  offset = known.norm_offset if name.endswith("norm.weight") else 0.0
  match = _LAYER.fullmatch(name)
  if match is None:
    return known.outside[name], Source(name, offset=offset)
  layer, module, suffix = match.groups()
  theirs = f"{known.layer}.{int(layer)}.{known.modules[module]}.{suffix}"
  heads = 0
  if known.permuted and module in ("attn_q", "attn_k"):
    total = keys.integer("attention.head_count")
    heads = total
    if module == "attn_k":
      heads = keys.integer("attention.head_count_kv", total)
    rows = keys.file.tensors[name].shape[0]
    if rows % (2 * heads):
      raise errors.ModelError(
        f"{keys.file.path}: tensor {name!r} has {rows} rows, not {heads} heads"
        " of even size"
      )
  matrix = suffix == "weight" and module in known.transposed
  return theirs, Source(name, heads, offset, matrix)
