# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The model section of a config as a model, weights and a tokenizer."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from prefjax import config as config_lib
from prefjax import models
from prefjax.core import errors, prng, storage
from prefjax.data import chat_templates, tokenizers
from prefjax.models import base, vision
from prefjax.models import config as decoder_config
from prefjax.models import lora as lora_lib

PRESET = "preset:"
_MAX_TEMPLATE = 1 << 20


@dataclasses.dataclass(frozen=True)
class Source:
  """Where weights come from, before any is read.

  Attributes:
    model: the decoder, with its LoraSpec if there is an adapter.
    tokenizer: text to ids.
    template: chat template that replaces the tokenizer's own, or None.
    load: shardings (tree or None) -> weights; every call reads anew.
    dtype: of the weights.
  """

  model: base.Model
  tokenizer: Any
  template: str | None
  load: Callable[[Any], Any]
  dtype: Any


def compute_dtype(config: config_lib.ModelConfig) -> Any:
  return jnp.dtype(config.compute_dtype)


def lora_spec(config: config_lib.LoraConfig) -> lora_lib.LoraSpec | None:
  """The adapter's meaning, None for rank 0."""
  if not config.rank:
    return None
  return lora_lib.LoraSpec(**dataclasses.asdict(config))


def _preset(config: config_lib.ModelConfig) -> decoder_config.DecoderConfig:
  name = config.source[len(PRESET) :]
  try:
    return models.preset(name, **config.overrides)
  except (errors.ModelError, TypeError) as error:
    raise errors.ConfigError(f"model.source: {error}") from None


def _with_vision(
  config: config_lib.ModelConfig, decoder: decoder_config.DecoderConfig
) -> decoder_config.DecoderConfig:
  """The decoder with the encoder that the config asks for, or its own."""
  if not config.vision.image_size:
    return decoder
  try:
    wanted = decoder_config.Vision(**dataclasses.asdict(config.vision))
  except errors.ModelError as error:
    raise errors.ConfigError(f"model.{error}") from None
  if decoder.vision not in (None, wanted):
    raise errors.ConfigError(
      f"model.vision: {config.source} brings another encoder"
      f" ({decoder.vision}); set model.vision.image_size=0 to take it"
    )
  return dataclasses.replace(decoder, vision=wanted)


def _add_vision(model: base.Model, weights, key, dtype, shardings):
  """A fresh encoder, where the weights of a directory have none."""
  if model.config.vision is None or "vision" in weights:
    return weights
  init = jax.jit(
    lambda key: vision.init(model.config, key, dtype),
    out_shardings=None if shardings is None else shardings["vision"],
  )
  return {**weights, "vision": init(key)}


def _tokenizer(config: config_lib.ModelConfig):
  name = config.tokenizer
  if not name:
    is_preset = config.source.startswith(PRESET)
    name = "bytes" if is_preset else config.source
  return tokenizers.load(storage.local(name, "model.tokenizer"))


def read_template(name: str, key: str) -> str | None:
  """A chat template's name, or the text of its file; None for "".

  Raises:
    ConfigError: names the key and why it cannot be read.
  """
  if not name:
    return None
  if name in chat_templates.TEMPLATES:
    return name
  path = pathlib.Path(storage.local(name, key))
  try:
    text = path.read_text(encoding="utf-8")
  except (OSError, UnicodeDecodeError) as error:
    raise errors.ConfigError(
      f"{key}: {path} cannot be read ({error})"
    ) from None
  if len(text) > _MAX_TEMPLATE:
    raise errors.ConfigError(f"{key}: {path} is over 1 MiB")
  return text


def check_vocabulary(name: str, tokenizer: Any, model: base.Model) -> None:
  """Checks that the model knows every id of the tokenizer.

  Raises:
    ModelError: it does not.
  """
  if tokenizer.vocab_size > model.config.vocab_size:
    raise errors.ModelError(
      f"{name}: the tokenizer has {tokenizer.vocab_size} ids, the model"
      f" {model.config.vocab_size}: give the model's own tokenizer"
    )


def open_source(config: config_lib.ModelConfig, seed: int) -> Source:
  """Resolves the model section; reads no weights yet.

  Raises:
    ConfigError: an unknown preset or field.
    ModelError: the files cannot be used, or the tokenizer has ids that the
      model lacks.
  """
  for name in ("dtype", "compute_dtype"):
    if getattr(config, name) == "float64" and not jax.config.jax_enable_x64:
      raise errors.ConfigError(
        f"model.{name}: float64 needs the 64-bit mode of JAX; set the"
        " environment variable JAX_ENABLE_X64=1"
      )
  dtype = jnp.dtype(config.dtype)
  spec = lora_spec(config.lora)
  tokenizer = _tokenizer(config)
  key = jax.random.fold_in(jax.random.key(seed), prng.tag_id("model"))
  if config.source.startswith(PRESET):
    model = base.Model(_with_vision(config, _preset(config)), lora=spec)

    def load(shardings):
      init = jax.jit(
        lambda key: model.init(key, dtype), out_shardings=shardings
      )
      return init(key)

  else:
    if config.overrides:
      raise errors.ConfigError(
        "model.overrides: only a preset has fields to replace"
      )
    where = storage.local(config.source, "model.source")
    decoder = _with_vision(config, models.load_config(where))
    model = base.Model(decoder, lora=spec)

    def load(shardings):
      weights = models.from_pretrained(where, dtype=dtype, shardings=shardings)[
        1
      ]
      return _add_vision(model, weights, key, dtype, shardings)

  check_vocabulary(config.source, tokenizer, model)
  template = read_template(config.chat_template, "model.chat_template")
  return Source(model, tokenizer, template, load, dtype)
