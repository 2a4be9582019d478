# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Shapes by name: tiny ones for tests, published ones for planning."""

import dataclasses
from typing import Any

from prefjax.core import errors
from prefjax.models import config as config_lib

Config = config_lib.DecoderConfig
Rope = config_lib.Rope
Slot = config_lib.Slot

_LLAMA3 = dict(
  kind="llama3",
  theta=500000.0,
  original_positions=8192,
  low_freq_factor=1.0,
  high_freq_factor=4.0,
)


def _llama(
  hidden: int,
  inner: int,
  layers: int,
  heads: int,
  kv_heads: int,
  *,
  rope: Rope,
  **fields: Any,
) -> Config:
  head_dim = fields.pop("head_dim", hidden // heads)
  return Config(
    **{
      "family": "llama",
      "hidden_size": hidden,
      "intermediate_size": inner,
      "num_layers": layers,
      "num_heads": heads,
      "num_kv_heads": kv_heads,
      "head_dim": head_dim,
      "query_scale": head_dim**-0.5,
      "pattern": (Slot(rope=rope),),
      "norm_eps": 1e-5,
      **fields,
    }
  )


# Byte-level models: 256 bytes and 4 special ids, rounded up.
_BYTES = dict(
  vocab_size=264,
  max_positions=1024,
  rope=Rope(),
  bos_id=256,
  eos_id=257,
  pad_id=258,
)
_LLAMA3_IDS = dict(
  vocab_size=128256, max_positions=131072, bos_id=128000, eos_id=128001
)

PRESETS: dict[str, Config] = {
  "tiny": _llama(64, 176, 2, 4, 2, **_BYTES),
  "small": _llama(256, 704, 4, 8, 4, **_BYTES),
  "smollm2-135m": _llama(
    576,
    1536,
    30,
    9,
    3,
    rope=Rope(theta=100000.0),
    vocab_size=49152,
    max_positions=8192,
    bos_id=1,
    eos_id=2,
    pad_id=2,
  ),
  "llama-3.2-1b": _llama(
    2048, 8192, 16, 32, 8, rope=Rope(factor=32.0, **_LLAMA3), **_LLAMA3_IDS
  ),
  "llama-3.1-8b": _llama(
    4096,
    14336,
    32,
    32,
    8,
    rope=Rope(factor=8.0, **_LLAMA3),
    tied=False,
    **_LLAMA3_IDS,
  ),
  "llama-3.1-70b": _llama(
    8192,
    28672,
    80,
    64,
    8,
    rope=Rope(factor=8.0, **_LLAMA3),
    tied=False,
    **_LLAMA3_IDS,
  ),
  "qwen3-32b": _llama(
    5120,
    25600,
    64,
    64,
    8,
    family="qwen3",
    head_dim=128,
    qk_norm="head",
    norm_eps=1e-6,
    rope=Rope(theta=1e6),
    vocab_size=151936,
    max_positions=40960,
    tied=False,
    bos_id=151643,
    eos_id=151645,
  ),
}


def preset(name: str, **changes: Any) -> Config:
  """A named configuration, with fields replaced.

  Args:
    name: a key of `PRESETS`.
    **changes: fields of DecoderConfig, e.g. vocab_size=512.

  Raises:
    ModelError: unknown name or field.
  """
  if name not in PRESETS:
    raise errors.ModelError(
      f"model preset {name!r} is not one of {', '.join(PRESETS)}"
      f"{errors.nearest(name, PRESETS)}"
    )
  known = {field.name for field in dataclasses.fields(Config)}
  for key in changes:
    if key not in known:
      raise errors.ModelError(
        f"model preset {name!r}: no field {key!r}{errors.nearest(key, known)}"
      )
  return dataclasses.replace(PRESETS[name], **changes)
