# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Generation that sees images: the same distribution as in training."""

import jax
import model_support
import numpy as np
import pytest

from prefjax import generation, models
from prefjax.core import errors, types
from prefjax.methods import language_model
from prefjax.models import vision

_VISION = models.Vision(image_size=8, patch=4, width=8, layers=1, heads=2)
MODEL = models.Model(model_support.config(vision=_VISION, eos_id=3))
PROMPTS = [[4, 5, 6], [7], [8, 9]]


def _media():
  rng = np.random.default_rng(0)
  images = rng.uniform(size=(3, 2, 8, 8, 3)).astype(np.float32)
  mask = np.asarray([[True, True], [True, False], [False, False]])
  return vision.Media(images=images, image_mask=mask)


def test_what_is_sampled_is_what_is_scored():
  params = jax.jit(MODEL.init)(jax.random.key(0))
  media = _media()
  made = generation.generate(
    MODEL, params, PROMPTS, max_new_tokens=6, num_samples=2, media=media
  )
  group = types.Group(
    prompt=np.asarray([[0, 4, 5, 6], [0, 0, 0, 7], [0, 0, 8, 9]], np.int32),
    prompt_mask=np.asarray([[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 1, 1]], bool),
    response=made.tokens,
    token_mask=made.mask,
    token_weights=made.mask.astype(np.float32),
    response_mask=np.ones((3, 2), bool),
    images=media.images,
    image_mask=media.image_mask,
  )
  scored = jax.jit(
    lambda p, g: language_model.token_logps_of(MODEL, p, g)
  )(params, group)  # fmt: skip
  np.testing.assert_allclose(
    np.asarray(scored) * made.mask, made.policy_logps, rtol=1e-4, atol=1e-5
  )
  # The row without an image answers as a text model does.
  blind = generation.generate(
    MODEL, params, PROMPTS, max_new_tokens=6, num_samples=2
  )
  np.testing.assert_array_equal(made.tokens[2], blind.tokens[2])
  gap = np.abs(made.policy_logps[:2] - blind.policy_logps[:2]).max()
  assert gap > 1e-3


def test_images_take_positions():
  params = jax.jit(MODEL.init)(jax.random.key(0))
  with pytest.raises(errors.ModelError, match="11 prompt . 26 response"):
    # 2 images of 4 tokens before 3 of the prompt, in 32 positions.
    generation.generate(
      MODEL, params, [[4] * 3], max_new_tokens=26, media=vision.Media(
        images=_media().images[:1]
      )
    )  # fmt: skip
