# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Adapters: off, fresh, merged, dropped out, and in the published layout."""

import functools
import json

import jax
import jax.numpy as jnp
import model_support
import numpy as np
import pytest
from safetensors import numpy as safetensors_numpy

from prefjax import models
from prefjax.core import errors
from prefjax.models import lora

TOKENS = np.random.default_rng(0).integers(0, 32, (3, 9))


def _tiny(spec, **changes):
  """(model, params, adapter with a B that is not zero)."""
  model = models.Model(model_support.config(**changes), lora=spec)
  params = model.init(jax.random.key(0))
  adapter = lora.init(jax.random.key(1), model.config, spec)
  return model, params, _stir(adapter)


def _stir(adapter, seed=2):
  leaves, tree = jax.tree.flatten(adapter)
  keys = jax.random.split(jax.random.key(seed), len(leaves))
  return jax.tree.unflatten(
    tree,
    [
      x + 0.3 * jax.random.normal(k, x.shape)
      for x, k in zip(leaves, keys, strict=True)
    ],
  )


@functools.partial(jax.jit, static_argnums=0)
def _run(model, params, options):
  return models.logits(model, params, TOKENS, **options)


def _logits(model, params, **options):
  return np.asarray(_run(model, params, options))


def test_off_and_fresh_are_the_base_model_to_the_last_bit():
  spec = models.LoraSpec(rank=3)
  model, params, stirred = _tiny(spec)
  base = _logits(models.Model(model.config), params)
  np.testing.assert_array_equal(_logits(model, params), base)
  fresh = lora.init(jax.random.key(1), model.config, spec)
  np.testing.assert_array_equal(_logits(model, params, lora=fresh), base)
  assert np.abs(_logits(model, params, lora=stirred) - base).max() > 0.1


@pytest.mark.parametrize("stabilised", [False, True])
def test_merged_weights_give_the_logits_of_the_adapter(stabilised):
  spec = models.LoraSpec(rank=4, alpha=6.0, rank_stabilised=stabilised)
  # Three layers of a pattern of two: stacked and unrolled ones.
  slots = (
    models.Slot(window=3, rope=models.Rope()),
    models.Slot(rope=models.Rope()),
  )
  model, params, adapter = _tiny(spec, pattern=slots, num_layers=3)
  merged = lora.merge(params, adapter, spec)
  np.testing.assert_allclose(
    _logits(model, params, lora=adapter), _logits(model, merged), atol=5e-5
  )
  kernel = params["rest"]["0"]["mlp"]["up"]["kernel"]
  pair = adapter["rest"]["0"]["mlp"]["up"]
  want = np.asarray(kernel) + spec.scale * np.asarray(pair["a"] @ pair["b"])
  got = merged["rest"]["0"]["mlp"]["up"]["kernel"]
  np.testing.assert_allclose(got, want, atol=1e-6)
  assert spec.scale == (3.0 if stabilised else 1.5)


def test_targets_choose_projections():
  spec = models.LoraSpec(rank=2, targets="attention/[qv]|mlp/down")
  config = model_support.config()
  adapter = lora.init(jax.random.key(0), config, spec)
  names = {
    "/".join(str(k.key) for k in path[2:4])
    for path, _ in jax.tree_util.tree_leaves_with_path(adapter)
  }
  assert names == {"attention/q", "attention/v", "mlp/down"}
  pair = adapter["blocks"]["0"]["mlp"]["down"]
  assert pair["a"].shape == (2, 24, 2)
  assert pair["b"].shape == (2, 2, 16)
  assert not pair["b"].any()
  assert 0.15 < float(jnp.abs(pair["a"]).max()) <= 24**-0.5
  assert not np.array_equal(pair["a"][0], pair["a"][1])
  with pytest.raises(errors.ModelError, match="matches none of attention/q"):
    lora.init(jax.random.key(0), config, models.LoraSpec(targets="q_proj"))


def test_only_the_adapter_learns():
  model, params, adapter = _tiny(models.LoraSpec(rank=2))
  grad = jax.grad(
    lambda a: jnp.sum(models.logits(model, params, TOKENS, lora=a) ** 2)
  )(adapter)
  assert jax.tree.structure(grad) == jax.tree.structure(adapter)
  assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(grad))


def test_dropout_depends_on_the_keys_of_the_rows():
  spec = models.LoraSpec(rank=2, dropout=0.5)
  model, params, adapter = _tiny(spec)
  base = _logits(model, params)
  free = _logits(model, params, lora=adapter)
  keys = jax.random.split(jax.random.key(5), 3)
  dropped = _logits(model, params, lora=adapter, key=keys)
  again = _logits(model, params, lora=adapter, key=keys[::-1][::-1])
  np.testing.assert_array_equal(dropped, again)
  assert np.abs(dropped - free).max() > 1e-2
  assert np.abs(dropped - base).max() > 1e-2
  # Row 0 keeps its key, row 2 gets another one.
  other = keys.at[2].set(jax.random.key(9))
  changed = _logits(model, params, lora=adapter, key=other)
  np.testing.assert_allclose(changed[:2], dropped[:2], atol=1e-6)
  assert np.abs(changed[2] - dropped[2]).max() > 1e-2
  # Without dropout in the spec keys change nothing.
  sober = models.Model(model.config, lora=models.LoraSpec(rank=2))
  quiet = _logits(sober, params, lora=adapter, key=keys)
  np.testing.assert_array_equal(quiet, free)


def test_dropout_keeps_the_mean():
  spec = models.LoraSpec(rank=4, dropout=0.25)
  a = jax.random.normal(jax.random.key(0), (64, 4))
  pair = {"a": a, "b": jnp.ones((4, 2))}
  x = jax.random.normal(jax.random.key(1), (1, 64))
  rows = jnp.broadcast_to(x, (4000, 1, 64))
  keys = jax.random.split(jax.random.key(2), 4000)
  out = lora.Adapter(spec, pair, keys).add(rows, jnp.zeros((4000, 1, 2)))
  want = lora.Adapter(spec, pair).add(rows[:1], jnp.zeros((1, 1, 2)))[0, 0, 0]
  spread = float(jnp.std(out[:, 0, 0]))
  assert spread > 0
  assert abs(float(jnp.mean(out[:, 0, 0])) - want) < 4 * spread / 4000**0.5


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"rank": 0}, "lora.rank=0"),
    ({"rank": 2.0}, "lora.rank=2.0"),
    ({"dropout": 1.0}, "lora.dropout=1.0"),
    ({"targets": "("}, "not a regular expression"),
  ],
)
def test_specs_out_of_range(changes, message):
  with pytest.raises(errors.ModelError, match=message):
    models.LoraSpec(**changes)


# The published layout.


@pytest.mark.parametrize("family", model_support.FAMILIES)
def test_adapters_survive_the_published_layout(family, tmp_path):
  model, _ = model_support.load(family)
  spec = models.LoraSpec(rank=2, alpha=5.0, dropout=0.1)
  adapter = _stir(lora.init(jax.random.key(0), model.config, spec))
  models.save_adapter(tmp_path, model.config, adapter, spec)
  again, read = models.load_adapter(tmp_path, model.config)
  assert jax.tree.structure(again) == jax.tree.structure(adapter)
  for got, want in zip(
    jax.tree.leaves(again), jax.tree.leaves(adapter), strict=True
  ):
    np.testing.assert_array_equal(got, want)
  assert (read.rank, read.alpha, read.dropout) == (2, 5.0, 0.1)
  assert read.scale == spec.scale
  # What the spec read back chooses has the shape of what was saved.
  fresh = lora.init(jax.random.key(0), model.config, read)
  assert jax.tree.structure(fresh) == jax.tree.structure(adapter)


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi3"])
def test_files_say_what_a_reader_of_the_layout_computes(family, tmp_path):
  """W + alpha / r B A on the checkpoint's own tensors is `merge`."""
  model, params = model_support.load(family)
  spec = models.LoraSpec(rank=2, alpha=5.0, targets="attention/[qv]|mlp/up")
  adapter = _stir(lora.init(jax.random.key(0), model.config, spec))
  models.save_adapter(
    tmp_path, model.config, adapter, spec, base_model="some/base"
  )
  config = json.loads((tmp_path / "adapter_config.json").read_text())
  assert config["base_model_name_or_path"] == "some/base"
  assert (config["peft_type"], config["bias"]) == ("LORA", "none")
  tensors = safetensors_numpy.load_file(tmp_path / "adapter_model.safetensors")
  source = safetensors_numpy.load_file(
    model_support.TINY / family / "model.safetensors"
  )
  models.save_pretrained(
    tmp_path / "merged", model, lora.merge(params, adapter, spec)
  )
  merged = safetensors_numpy.load_file(tmp_path / "merged/model.safetensors")
  adapted = set()
  for name, a in tensors.items():
    if not name.endswith(".lora_A.weight"):
      continue
    module = name.removesuffix(".lora_A.weight")
    short = module.removeprefix("base_model.model.")
    assert module != short
    assert any(f".{short}".endswith(f".{t}") for t in config["target_modules"])
    ending = next(
      (t for t in config["rank_pattern"] if short.endswith(f".{t}")), None
    )
    rank = config["rank_pattern"].get(ending, config["r"])
    alpha = config["alpha_pattern"].get(ending, config["lora_alpha"])
    assert a.shape[0] == rank
    update = tensors[f"{module}.lora_B.weight"] @ a * (alpha / rank)
    if config["fan_in_fan_out"]:
      update = update.T
    want = source[f"{short}.weight"] + update
    np.testing.assert_allclose(merged[f"{short}.weight"], want, atol=1e-5)
    adapted.add(f"{short}.weight")
  for name, tensor in merged.items():
    if name not in adapted:
      np.testing.assert_array_equal(tensor, source[name])


def test_a_common_a_of_fused_parts_serves_them_all(tmp_path):
  """What other libraries make of c_attn: one A, one dense B."""
  model, params = model_support.load("gpt2")
  rng = np.random.default_rng(0)
  tensors = {}
  for layer in range(model.config.num_layers):
    name = f"base_model.model.transformer.h.{layer}.attn.c_attn"
    tensors[f"{name}.lora_A.weight"] = rng.normal(size=(4, 64))
    tensors[f"{name}.lora_B.weight"] = rng.normal(size=(192, 4))
  tensors = {k: v.astype(np.float32) for k, v in tensors.items()}
  _write(tmp_path, tensors, r=4, lora_alpha=2, alpha_pattern={"c_attn": 8})
  adapter, spec = models.load_adapter(tmp_path, model.config)
  assert spec.targets == "attention/q|attention/k|attention/v"
  merged = lora.merge(params, adapter, spec)
  name = "transformer.h.1.attn.c_attn"
  source = safetensors_numpy.load_file(
    model_support.TINY / "gpt2/model.safetensors"
  )
  update = (
    tensors[f"base_model.model.{name}.lora_B.weight"]
    @ tensors[f"base_model.model.{name}.lora_A.weight"]
  ).T * (8 / 4)
  want = source[f"{name}.weight"] + update
  for i, x in enumerate("qkv"):
    got = merged["blocks"]["0"]["attention"][x]["kernel"][1]
    np.testing.assert_allclose(got, want[:, 64 * i : 64 * i + 64], atol=1e-5)


def test_layers_without_an_adapter_stay_as_they_are(tmp_path):
  model, params = model_support.load("llama")
  name = "base_model.model.model.layers.1.self_attn.q_proj"
  tensors = {
    f"{name}.lora_A.weight": np.ones((2, 64), np.float32),
    f"{name}.lora_B.weight": np.ones((64, 2), np.float32),
  }
  _write(tmp_path, tensors)
  adapter, spec = models.load_adapter(tmp_path, model.config)
  merged = lora.merge(params, adapter, spec)
  kernel = params["blocks"]["0"]["attention"]["q"]["kernel"]
  got = merged["blocks"]["0"]["attention"]["q"]["kernel"]
  np.testing.assert_array_equal(got[0], kernel[0])
  np.testing.assert_allclose(got[1], kernel[1] + 2 * 2.0, atol=1e-5)


def _write(directory, tensors, **changes):
  config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, **changes}
  (directory / "adapter_config.json").write_text(json.dumps(config))
  safetensors_numpy.save_file(
    tensors, str(directory / "adapter_model.safetensors")
  )


_NAME = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
  "changes, tensors, message",
  [
    ({"peft_type": "IA3"}, {}, "peft_type='IA3' is not 'LORA'"),
    ({"use_dora": True}, {}, "use_dora is not supported"),
    ({"bias": "all"}, {}, "bias='all'"),
    ({"r": 0}, {}, "r, lora_alpha or lora_dropout"),
    ({"lora_alpha": "x"}, {}, "r, lora_alpha or lora_dropout"),
    ({}, {}, "holds no adapter"),
    ({}, {"lm_head.lora_A.weight": (2, 64)}, "'lm_head.lora_A.weight'"),
    ({}, {f"{_NAME}.lora_A.weight": (2, 64)}, "lora_B.weight is missing"),
    (
      {},
      {f"{_NAME}.lora_A.weight": (2, 63), f"{_NAME}.lora_B.weight": (64, 2)},
      "do not fit a module of 64 inputs",
    ),
    (
      {"alpha_pattern": {"(": 1}},
      {f"{_NAME}.lora_A.weight": (2, 64), f"{_NAME}.lora_B.weight": (64, 2)},
      "alpha_pattern",
    ),
  ],
)
def test_adapters_that_cannot_be_used(changes, tensors, message, tmp_path):
  model, _ = model_support.load("llama")
  arrays = {k: np.zeros(v, np.float32) for k, v in tensors.items()}
  _write(tmp_path, arrays, **changes)
  with pytest.raises(errors.ModelError, match=message) as caught:
    models.load_adapter(tmp_path, model.config)
  assert "\n" not in str(caught.value)
  assert str(tmp_path) in str(caught.value)
