# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints out and in again, and those that cannot be used."""

import json
import shutil

import jax
import jax.numpy as jnp
import model_support
import numpy as np
import pytest
from safetensors import numpy as safetensors_numpy

from prefjax import models
from prefjax.core import errors
from prefjax.data import tokenizers
from prefjax.models import decoder


def _same(a, b):
  assert jax.tree.structure(a) == jax.tree.structure(b)
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
    assert x.dtype == y.dtype
    np.testing.assert_array_equal(
      np.asarray(x).view(np.uint8), np.asarray(y).view(np.uint8)
    )


def _random(model):
  """Parameters without compiling anything."""
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda s: jnp.asarray(rng.normal(size=s.shape), s.dtype), model.shapes()
  )


def _bits(directory):
  """name -> (dtype, shape, bytes) of every tensor of a directory."""
  out = {}
  for path in directory.glob("*.safetensors"):
    for name, tensor in safetensors_numpy.load_file(path).items():
      out[name] = (tensor.dtype, tensor.shape, tensor.tobytes())
  return out


@pytest.mark.parametrize("family", model_support.FAMILIES)
def test_export_writes_what_was_imported(family, tmp_path):
  model, params = model_support.load(family)
  models.save_pretrained(tmp_path / "one", model, params)
  assert _bits(tmp_path / "one") == _bits(model_support.TINY / family)
  # In shards, and from there again.
  models.save_pretrained(
    tmp_path / "many", model, params, max_shard_bytes=40_000
  )
  index = json.loads(
    (tmp_path / "many/model.safetensors.index.json").read_text()
  )
  assert len(set(index["weight_map"].values())) > 2
  assert set(index["weight_map"]) == set(_bits(tmp_path / "one"))
  for name in ("one", "many"):
    again, read = models.from_pretrained(tmp_path / name)
    assert again == model
    _same(read, params)


def test_bfloat16_stays_bfloat16(tmp_path):
  model, params = model_support.load("qwen3")
  low = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
  models.save_pretrained(tmp_path, model, low)
  config = json.loads((tmp_path / "config.json").read_text())
  assert config["torch_dtype"] == "bfloat16"
  _same(models.from_pretrained(tmp_path, dtype=None)[1], low)
  wide = models.from_pretrained(tmp_path)[1]
  _same(wide, jax.tree.map(lambda x: x.astype(jnp.float32), low))
  _same(models.from_pretrained(tmp_path, dtype=jnp.bfloat16)[1], low)


def test_weights_are_as_readable_as_the_config(tmp_path):
  model, params = model_support.load("llama")
  models.save_pretrained(tmp_path, model, params)
  modes = {path.stat().st_mode for path in tmp_path.iterdir()}
  assert len(modes) == 1


def test_a_single_file_replaces_older_shards(tmp_path):
  model, params = model_support.load("llama")
  models.save_pretrained(tmp_path, model, params, max_shard_bytes=40_000)
  other = jax.tree.map(lambda x: x + 1, params)
  models.save_pretrained(tmp_path, model, other)
  _same(models.from_pretrained(tmp_path)[1], other)


def test_the_tokenizer_goes_along(tmp_path):
  model = models.Model(models.preset("tiny", num_layers=1))
  params = _random(model)
  source = tokenizers.ByteTokenizer(chat_template="{{ messages[0].content }}")
  models.save_pretrained(tmp_path, model, params, tokenizer=source)
  again = tokenizers.load(tmp_path)
  assert again.fingerprint == source.fingerprint
  _same(models.from_pretrained(tmp_path)[1], params)


@pytest.mark.parametrize(
  "rope",
  [
    models.Rope(kind="linear", factor=2.0),
    models.Rope(kind="dynamic", factor=2.0, original_positions=16),
    models.Rope(
      kind="yarn",
      factor=4.0,
      original_positions=8,
      beta_fast=20.0,
      truncate=False,
      mscale=0.7,
      mscale_all_dim=0.5,
    ),
    models.Rope(kind="llama3", factor=8.0, original_positions=16),
    models.Rope(
      kind="longrope",
      factor=4.0,
      original_positions=8,
      attention_factor=1.2,
      short_factor=(1.0, 1.5),
      long_factor=(2.0, 6.0),
    ),
  ],
  ids=lambda rope: rope.kind,
)
def test_rotary_settings_survive(rope, tmp_path):
  config = model_support.config(
    pattern=(models.Slot(rope=rope),), tied=False, qkv_bias=True, out_bias=True
  )
  model = models.Model(config)
  params = _random(model)
  models.save_pretrained(tmp_path, model, params)
  again, read = models.from_pretrained(tmp_path)
  assert again.config == config
  _same(read, params)


def test_layers_after_the_last_full_block_survive(tmp_path):
  config = models.load_config(model_support.TINY / "gemma2")
  raw = json.loads((model_support.TINY / "gemma2/config.json").read_text())
  raw["num_hidden_layers"] = 3
  raw["layer_types"] = [*raw["layer_types"], raw["layer_types"][0]]
  (tmp_path / "config.json").write_text(json.dumps(raw))
  longer = models.load_config(tmp_path)
  assert (longer.num_blocks, len(longer.rest)) == (1, 1)
  assert longer.pattern == config.pattern
  model = models.Model(longer)
  params = _random(model)
  models.save_pretrained(tmp_path, model, params)
  again, read = models.from_pretrained(tmp_path)
  assert again == model
  _same(read, params)


def test_init_has_the_shapes_of_a_checkpoint():
  for family in ("gpt2", "olmo2"):
    model, params = model_support.load(family)
    fresh = jax.eval_shape(lambda m=model: m.init(jax.random.key(0)))
    shapes = jax.tree.map(lambda x: (x.shape, x.dtype), params)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), fresh) == shapes


def test_devices_read_their_own_slices():
  devices = np.array(jax.devices())
  mesh = jax.sharding.Mesh(devices, ("data",))

  def sharding(shape):
    divides = shape[-1] % len(devices) == 0
    axes = (None,) * (len(shape) - 1) + ("data" if divides else None,)
    spec = jax.sharding.PartitionSpec(*axes)
    return jax.sharding.NamedSharding(mesh, spec)

  def shardings(shapes):
    assert jax.tree.leaves(shapes)[0].dtype == jnp.float32
    return jax.tree.map(lambda s: sharding(s.shape), shapes)

  for family in ("phi3", "gpt2"):
    _, params = model_support.load(family)
    path = model_support.TINY / family
    _, read = models.from_pretrained(path, shardings=shardings)
    _same(read, params)
    kernel = read["blocks"]["0"]["attention"]["o"]["kernel"]
    assert kernel.sharding == sharding(kernel.shape)
    local = kernel.addressable_shards[0].data.shape
    assert local == (2, 64, 64 // len(devices))


# What cannot be used.


def _copy(family, tmp_path):
  directory = tmp_path / family
  shutil.copytree(model_support.TINY / family, directory)
  return directory


def _edit(directory, **changes):
  path = directory / "config.json"
  raw = json.loads(path.read_text()) | changes
  raw = {k: v for k, v in raw.items() if v is not ...}
  path.write_text(json.dumps(raw))


def _fails(path, message):
  with pytest.raises(errors.ModelError, match=message) as caught:
    models.from_pretrained(path)
  assert "\n" not in str(caught.value)
  return str(caught.value)


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"model_type": "lama"}, "model_type='lama'.*did you mean 'llama'"),
    ({"model_type": ...}, "model_type=None"),
    ({"hidden_size": ...}, "'hidden_size' is missing"),
    ({"hidden_size": "64"}, "hidden_size='64' is not a whole number"),
    ({"num_hidden_layers": 3}, "tensor 'model.layers.2.*missing"),
    ({"num_hidden_layers": 1}, "does not belong to a llama model"),
    ({"intermediate_size": 41}, "has shape .* expected"),
    ({"num_key_value_heads": 3}, "not a multiple of num_kv_heads=3"),
    ({"hidden_act": "mish"}, "hidden_act='mish'"),
    (
      {"rope_parameters": {"rope_type": "new", "rope_theta": 1e4, "factor": 2}},
      "rope.kind='new'",
    ),
  ],
)
def test_configs_that_cannot_be_used(changes, message, tmp_path):
  directory = _copy("llama", tmp_path)
  _edit(directory, **changes)
  assert str(directory) in _fails(directory, message)


def test_files_that_cannot_be_used(tmp_path):
  _fails(tmp_path / "nowhere", "no model there.*nothing is downloaded")
  _fails(tmp_path, "config.json: no such file")
  directory = _copy("llama", tmp_path)
  weights = directory / "model.safetensors"
  weights.write_bytes(weights.read_bytes()[:-100])
  _fails(directory, "model.safetensors: not a readable safetensors file")
  weights.unlink()
  _fails(directory, "holds neither model.safetensors nor")
  (directory / "config.json").write_text("{")
  _fails(directory, "config.json: not readable as JSON")
  (directory / "config.json").write_text("[]")
  _fails(directory, "config.json: holds no JSON object")
  _fails(tmp_path / "x.gguf", "x.gguf")


@pytest.mark.parametrize(
  "index, message",
  [
    ({}, "has no 'weight_map' object"),
    ({"weight_map": {"a": "../model.safetensors"}}, "outside the directory"),
    ({"weight_map": {"a": "model.safetensors"}}, "tensor 'a' is missing"),
  ],
)
def test_indexes_that_cannot_be_used(index, message, tmp_path):
  directory = _copy("llama", tmp_path)
  path = directory / "model.safetensors.index.json"
  path.write_text(json.dumps(index))
  _fails(directory, message)


def test_a_tied_model_may_carry_its_head_if_it_is_the_same(tmp_path):
  directory = _copy("gemma2", tmp_path)
  path = directory / "model.safetensors"
  tensors = safetensors_numpy.load_file(path)
  head = tensors["model.embed_tokens.weight"].copy()
  safetensors_numpy.save_file(tensors | {"lm_head.weight": head}, str(path))
  _same(models.from_pretrained(directory)[1], model_support.load("gemma2")[1])
  safetensors_numpy.save_file(tensors | {"lm_head.weight": head + 1}, str(path))
  _fails(directory, "'lm_head.weight' differs from 'model.embed_tokens.weight'")


def test_names_of_base_models_and_buffers(tmp_path):
  directory = _copy("gpt2", tmp_path)
  path = directory / "model.safetensors"
  tensors = {
    name.removeprefix("transformer."): tensor
    for name, tensor in safetensors_numpy.load_file(path).items()
  }
  tensors["h.0.attn.bias"] = np.tril(np.ones((1, 1, 64, 64), np.float32))
  safetensors_numpy.save_file(tensors, str(path))
  _same(models.from_pretrained(directory)[1], model_support.load("gpt2")[1])


def test_models_that_are_unwritable_say_so(tmp_path):
  model, params = model_support.load("llama")
  (tmp_path / "file").write_text("")
  with pytest.raises(errors.ModelError, match="cannot be written"):
    models.save_pretrained(tmp_path / "file", model, params)


def test_presets():
  small = models.preset("small", vocab_size=512)
  assert (small.vocab_size, small.num_layers) == (512, 4)
  count = sum(
    np.prod(x.shape)
    for x in jax.tree.leaves(decoder.shapes(models.preset("smollm2-135m")))
  )
  assert count == 134_515_008
  with pytest.raises(errors.ModelError, match="'smal'.*did you mean 'small'"):
    models.preset("smal")
  with pytest.raises(errors.ModelError, match="no field 'num_layer'.*layers"):
    models.preset("small", num_layer=2)
