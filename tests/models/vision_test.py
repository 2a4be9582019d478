# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Images as prefix tokens: what is seen, what is not, files, gradients."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import model_support
import numpy as np
import pytest

from prefjax import models
from prefjax.core import errors
from prefjax.models import layouts, vision

_VISION = models.Vision(
  image_size=8, patch=4, pool=1, width=8, layers=1, heads=2
)
PROMPTS, RESPONSES = [5, 1, 3], [[4, 2], [3, 4], [1, 4]]


@functools.cache
def _model(**changes):
  fields = dataclasses.asdict(_VISION)
  own = models.Vision(**{**fields, **changes})
  model = models.Model(model_support.config(vision=own))
  return model, jax.jit(model.init)(jax.random.key(0))


def _images(number, rows=3, seed=0):
  rng = np.random.default_rng(seed)
  return rng.uniform(size=(rows, number, 8, 8, 3)).astype(np.float32)


def _group(**fields):
  return model_support.group(
    PROMPTS, RESPONSES, prompt_slots=6, response_slots=4, vocab=32, **fields
  )


@functools.cache
def _run(layout="shared"):
  model, _ = _model()
  return jax.jit(lambda p, group: model.hidden(p, group, layout=layout).predict)


def _gap(a, b, group):
  return model_support.masked_gap(a, b, group.token_mask)


# --- the encoder --------------------------------------------------------------


def _layer_norm(x):
  centred = x - x.mean(-1, keepdims=True)
  return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)


def test_patches_are_embedded_normed_pooled_and_projected():
  """Without layers, against float64 NumPy."""
  model, params = _model(layers=0, pool=2, patch=2)
  own = jax.tree.map(lambda x: np.asarray(x, np.float64), params["vision"])
  image = _images(1)[0]  # [1, 8, 8, 3]
  rows = []
  for top in range(0, 8, 2):
    for left in range(0, 8, 2):
      patch = image[0, top : top + 2, left : left + 2].astype(np.float64)
      rows.append((2 * patch - 1).reshape(-1))
  x = np.stack(rows) @ own["patch"]["kernel"] + own["positions"]["table"]
  x = _layer_norm(x).reshape(2, 2, 2, 2, 8).mean(axis=(1, 3)).reshape(4, 8)
  want = x @ own["project"]["kernel"] + own["project"]["bias"]
  found = vision.encode(model.config, params["vision"], jnp.asarray(image))
  assert found.shape == (1, model.config.vision.tokens, 16) == (1, 4, 16)
  np.testing.assert_allclose(found[0], want, rtol=1e-4, atol=1e-5)


def test_a_layer_sees_every_patch():
  image = jnp.asarray(_images(1)[0])
  last = image.at[0, 7, 7, 0].add(0.5)  # in the last patch
  for layers, same in ((0, True), (1, False)):
    model, params = _model(layers=layers)
    first, second = (
      vision.encode(model.config, params["vision"], x)[0, 0]
      for x in (image, last)
    )
    assert np.allclose(first, second, atol=1e-7) == same


def test_features_are_as_large_as_embeddings():
  model, params = _model()
  features = vision.encode(
    model.config, params["vision"], jnp.asarray(_images(3).reshape(-1, 8, 8, 3))
  )
  ratio = jnp.std(features) / jnp.std(params["embed"]["tokens"])
  assert 0.3 < ratio < 3


# --- as prefix tokens ---------------------------------------------------------


def test_images_are_prefix_embeddings():
  model, params = _model()
  images = _images(2)
  group = _group(images=images, image_mask=np.ones((3, 2), bool))
  features = vision.encode(
    model.config, params["vision"], jnp.asarray(images.reshape(-1, 8, 8, 3))
  ).reshape(3, 8, 16)
  given = model.hidden(params, _group(), prefix_embeddings=features).predict
  found = _run()(params, group)
  assert _gap(found, given, group) < 1e-5
  assert _gap(found, _run("concat")(params, group), group) < 1e-5
  # They change what is said.
  assert _gap(found, _run()(params, _group()), group) > 1e-2


def test_ragged_images_and_pads():
  """Rows with fewer images are as if alone; a row without is text only."""
  _, params = _model()
  images = _images(2)
  images[0, 1:] = np.nan
  images[2] = np.nan
  mask = np.asarray([[True, False], [True, True], [False, False]])
  found = _run()(params, _group(images=images, image_mask=mask))
  one = _group(images=_images(2)[:, :1], image_mask=np.ones((3, 1), bool))
  both = _group(images=_images(2), image_mask=np.ones((3, 2), bool))
  for row, want in enumerate((one, both, _group())):
    wanted = _run()(params, want)
    own = want.token_mask[row]
    np.testing.assert_allclose(
      np.where(own[..., None], found[row], 0),
      np.where(own[..., None], wanted[row], 0),
      rtol=1e-4,
      atol=1e-5,
    )


def test_frames_have_an_order_and_follow_the_images():
  _, params = _model()
  clip = _images(3)
  mask = np.ones((3, 3), bool)
  group = _group(frames=clip, frame_mask=mask)
  forward = _run()(params, group)
  back = _run()(params, _group(frames=clip[:, ::-1], frame_mask=mask))
  assert _gap(forward, back, group) > 1e-3
  # One image, and a clip of two, is three images in that order.
  mixed = _group(
    images=clip[:, :1],
    image_mask=mask[:, :1],
    frames=clip[:, 1:],
    frame_mask=mask[:, 1:],
  )
  assert _gap(forward, _run()(params, mixed), group) < 1e-5


def test_a_prompt_limit_does_not_count_the_prefix():
  model, params = _model()
  images = _images(1)
  mask = np.asarray([[True], [True], [False]])
  full = np.full((3, 2, 4), 6, np.int32)
  group = _group(images=images, image_mask=mask)
  limited = dataclasses.replace(group, prompt_limit=full)
  found = model.hidden(params, limited).predict
  assert _gap(found, _run()(params, group), group) < 1e-5


def test_the_prefix_rule_in_plain_python():
  rng = np.random.default_rng(0)
  prompt, prefix = rng.normal(size=(4, 3, 2)), rng.normal(size=(4, 5, 2))
  prompt_mask = np.asarray([[0, 1, 1], [1, 1, 1], [0, 0, 1], [0, 1, 1]], bool)
  mask = rng.uniform(size=(4, 5)) < 0.5
  mask[3] = False
  x, valid = layouts.with_prefix(
    jnp.asarray(prompt), jnp.asarray(prompt_mask), jnp.asarray(prefix),
    jnp.asarray(mask),
  )  # fmt: skip
  for b in range(4):
    want = np.concatenate([prefix[b][mask[b]], prompt[b][prompt_mask[b]]])
    assert valid[b].sum() == len(want)
    np.testing.assert_allclose(x[b, 8 - len(want) :], want, rtol=1e-6)
    assert not valid[b, : 8 - len(want)].any()


def test_gradients_reach_the_encoder_but_no_pad():
  model, params = _model()
  images = _images(2)
  mask = np.asarray([[True, False], [True, True], [False, False]])

  def loss(params, images):
    group = _group(images=images, image_mask=mask)
    out = model.hidden(params, group).predict
    return jnp.sum(jnp.where(group.token_mask[..., None], jnp.sin(out), 0))

  grads, pixels = jax.jit(jax.grad(loss, argnums=(0, 1)))(
    params, jnp.asarray(images)
  )
  for path, leaf in jax.tree_util.tree_flatten_with_path(grads["vision"])[0]:
    name = jax.tree_util.keystr(path)
    # A key's bias moves all scores of a query alike.
    if not name.endswith("['attention']['k']['bias']"):
      assert np.abs(leaf).max() > 0, name
  used = np.abs(pixels).max(axis=(2, 3, 4)) > 0
  np.testing.assert_array_equal(used, mask)


# --- what is refused ----------------------------------------------------------


@pytest.mark.parametrize(
  "fields, message",
  [
    (dict(image_size=10), "image_size=10 is not a multiple of patch x pool"),
    (dict(image_size=8, patch=4, width=9), "width=9 is not a multiple of"),
    (dict(image_size=0), "image_size=0 is not a whole number of 1 or more"),
    (dict(image_size=8, layers=-1), "layers=-1 is not a whole number of 0"),
  ],
)
def test_encoders_that_are_refused(fields, message):
  with pytest.raises(errors.ModelError, match=message):
    models.Vision(**fields)


def test_images_that_are_refused():
  model, params = _model()
  plain = models.Model(model_support.config())
  group = _group(images=_images(1), image_mask=np.ones((3, 1), bool))
  with pytest.raises(errors.ModelError, match="has images, but the model has"):
    plain.hidden(params, group)
  small = _group(images=_images(1)[:, :, :4], image_mask=None)
  with pytest.raises(errors.ModelError, match="have shape .4, 8, 3., the enc"):
    model.hidden(params, small)


# --- files --------------------------------------------------------------------


def test_a_directory_keeps_the_encoder(tmp_path):
  model, params = _model()
  models.save_pretrained(tmp_path, model, params)
  again, weights = models.from_pretrained(tmp_path)
  assert again.config.vision == model.config.vision
  jax.tree.map(np.testing.assert_array_equal, params, weights)
  path = tmp_path / "config.json"
  raw = json.loads(path.read_text())
  for value, message in (
    ({"size": 3}, "config key prefjax_vision"),
    ({"image_size": 9}, "image_size=9 is not a multiple"),
    ({"image_size": 8, "patch": 2, "width": 8, "heads": 2, "layers": 1},
     "vision.*has shape"),
    ({**dataclasses.asdict(_VISION), "layers": 0}, "is unknown"),
  ):  # fmt: skip
    path.write_text(json.dumps({**raw, "prefjax_vision": value}))
    with pytest.raises(errors.ModelError, match=message):
      models.from_pretrained(tmp_path)
  del raw["prefjax_vision"]
  path.write_text(json.dumps(raw))
  with pytest.raises(errors.ModelError, match="vision.*does not belong"):
    models.from_pretrained(tmp_path)
