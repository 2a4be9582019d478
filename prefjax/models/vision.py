# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A small vision transformer whose features begin the decoder's prompt.

Patches of an image (or of every frame of a clip) are embedded, go through the
decoder's own layers with attention in all directions, are averaged over
neighbours and projected to the decoder's width (Dosovitskiy et al.,
arXiv:2010.11929; prefix tokens as in Liu et al., arXiv:2304.08485). Images
come before frames, both in their order, so that positions tell the time.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from prefjax.core import errors, prng
from prefjax.models import config as config_lib
from prefjax.models import decoder, layouts

Config = config_lib.DecoderConfig
Vision = config_lib.Vision
Params = dict[str, Any]


class Media(NamedTuple):
  """What comes before N prompts; fields as those of `types.Group`.

  Attributes:
    images: float32 [N, I, H, W, C] in [0, 1], or None.
    image_mask: bool [N, I], which are real; None for all.
    frames: float32 [N, F, H, W, C], or None.
    frame_mask: bool [N, F]; None for all.
  """

  images: Any = None
  image_mask: Any = None
  frames: Any = None
  frame_mask: Any = None

  @property
  def number(self) -> int:
    """Most images and frames of a prompt."""
    return sum(x.shape[1] for x in (self.images, self.frames) if x is not None)


def tower(vision: Vision) -> Config:
  """The encoder's layers as those of a decoder; its embedding is unused."""
  return Config(
    family="vision",
    vocab_size=1,
    hidden_size=vision.width,
    intermediate_size=4 * vision.width,
    num_layers=max(vision.layers, 1),
    num_heads=vision.heads,
    num_kv_heads=vision.heads,
    head_dim=vision.width // vision.heads,
    max_positions=vision.side**2,
    pattern=(config_lib.Slot(),),
    norm="layer",
    activation="gelu",
    gated=False,
    qkv_bias=True,
    out_bias=True,
    mlp_bias=True,
    query_scale=(vision.width // vision.heads) ** -0.5,
    learned_positions=True,
  )


def _linear(key, inputs: int, outputs: int, dtype, gain: float = 1.0) -> Params:
  kernel = jax.random.normal(key, (inputs, outputs)) * gain / math.sqrt(inputs)
  return {"kernel": kernel.astype(dtype), "bias": jnp.zeros(outputs, dtype)}


def init(config: Config, key: jax.Array, dtype: Any = jnp.float32) -> Params:
  """Random parameters of the encoder of `config`."""
  vision = config.vision
  patch_key, layer_key, place_key, out_key = (
    jax.random.fold_in(key, prng.tag_id(f"vision/{tag}"))
    for tag in ("patch", "layers", "positions", "project")
  )
  layers = decoder.init(tower(vision), layer_key, dtype)
  params = {
    "patch": _linear(
      patch_key, vision.patch**2 * vision.channels, vision.width, dtype
    ),
    "positions": {
      "table": (
        0.02 * jax.random.normal(place_key, (vision.side**2, vision.width))
      ).astype(dtype)
    },
    "final_norm": layers["final_norm"],
    # Features begin as large as the embeddings of tokens.
    "project": _linear(
      out_key,
      vision.width,
      config.hidden_size,
      dtype,
      config.init_std * config.embedding_scale,
    ),
  }
  if vision.layers:
    params["blocks"] = layers["blocks"]
  return params


def _patches(vision: Vision, images: jax.Array) -> jax.Array:
  """[N, H, W, C] in [0, 1] -> [N, side^2, patch^2 C] in [-1, 1]."""
  n, s, p = images.shape[0], vision.side, vision.patch
  x = images.reshape(n, s, p, s, p, vision.channels)
  x = x.transpose(0, 1, 3, 2, 4, 5).reshape(n, s * s, -1)
  return 2 * x - 1


def _apply(linear: Params, x: jax.Array) -> jax.Array:
  kernel, bias = linear["kernel"].astype(x.dtype), linear["bias"]
  return x @ kernel + bias.astype(x.dtype)


def encode(
  config: Config, params: Params, images: jax.Array, dtype: Any = None
) -> jax.Array:
  """Features of images, as tokens for the decoder.

  Args:
    config: the decoder, with `vision`.
    params: the parameters of its encoder.
    images: float [N, H, W, C] in [0, 1].
    dtype: compute dtype; None for that of the parameters.

  Returns:
    [N, tokens, D].

  Raises:
    ModelError: the images have another size.
  """
  vision = config.vision
  expected = (vision.image_size, vision.image_size, vision.channels)
  if tuple(images.shape[1:]) != expected:
    raise errors.ModelError(
      f"images have shape {tuple(images.shape[1:])}, the encoder wants"
      f" {expected}"
    )
  dtype = params["patch"]["kernel"].dtype if dtype is None else dtype
  layers, n, count = tower(vision), images.shape[0], vision.side**2
  x = _apply(params["patch"], _patches(vision, images).astype(dtype))
  x = x + params["positions"]["table"].astype(dtype)
  if vision.layers:
    everywhere = jnp.ones((1, count, count), bool)
    mix = layouts.masked_mix(layers, None, everywhere)
    x, _ = decoder.run(layers, params, x, [mix])
  else:
    x = decoder.final_norm(layers, params, x)
  side, pool = vision.side // vision.pool, vision.pool
  x = x.reshape(n, side, pool, side, pool, vision.width).mean(axis=(2, 4))
  return _apply(params["project"], x.reshape(n, side * side, vision.width))


def prefix_tokens(config: Config, images: int) -> int:
  """Slots that so many images take before a prompt."""
  return 0 if config.vision is None else config.vision.tokens * images


def prefix(
  config: Config, params: Params, media: Any, dtype: Any = None
) -> tuple[jax.Array, jax.Array] | None:
  """What images and frames put before B prompts.

  Args:
    config: the decoder.
    params: its parameters, with "vision".
    media: Media, or a Group, which has its fields.
    dtype: compute dtype; None for that of the parameters.

  Returns:
    (embeddings [B, N, D], mask bool [B, N]), or None without media.

  Raises:
    ModelError: the model has no encoder.
  """
  parts = [
    (name, getattr(media, name), getattr(media, mask))
    for name, mask in (("images", "image_mask"), ("frames", "frame_mask"))
    if getattr(media, name) is not None
  ]
  if not parts:
    return None
  if config.vision is None:
    raise errors.ModelError(
      f"the batch has {parts[0][0]}, but the model has no vision encoder: set"
      " model.vision.image_size, or data.media=drop"
    )
  # One run of the encoder: images and frames beside each other.
  pixels = jnp.concatenate(
    [jnp.asarray(pixels, jnp.float32) for _, pixels, _ in parts], axis=1
  )  # [B, N, H, W, C]
  b, number = pixels.shape[:2]
  masks = [
    jnp.ones((b, pixels.shape[1]), bool) if mask is None else jnp.asarray(mask)
    for _, pixels, mask in parts
  ]
  kept = jnp.concatenate(masks, axis=1).astype(bool)  # [B, N]
  # A pad may hold anything.
  pixels = jnp.where(kept[..., None, None, None], pixels, 0.0)
  flat = pixels.reshape(b * number, *pixels.shape[2:])
  features = encode(config, params["vision"], flat, dtype)
  tokens = config.vision.tokens
  return (
    features.reshape(b, number * tokens, -1),
    jnp.repeat(kept, tokens, axis=1),
  )


@functools.lru_cache(maxsize=64)
def shapes(config: Config, dtype: Any = jnp.float32) -> Params:
  """The encoder's parameters as ShapeDtypeStructs."""
  return jax.eval_shape(lambda: init(config, jax.random.key(0), dtype))
