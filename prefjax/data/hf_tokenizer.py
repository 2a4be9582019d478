# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tokenizers in the `tokenizer.json` form, run by the `tokenizers` library.

Reads tokenizer.json and, beside it, tokenizer_config.json,
special_tokens_map.json and chat_template.jinja. All of them are data: JSON
with a size cap, no code is fetched or imported.
"""

import contextlib
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import tokenizers

from prefjax.core import errors, gguf_file, gguf_vocab
from prefjax.data import text_checks

_MAX_TOKENIZER = 1 << 27  # bytes; the largest published are a quarter of it
_MAX_CONFIG = 1 << 23
_MAX_ID = (1 << 32) - 1

# Keys of tokenizer_config.json that would make others import code.
_CODE_KEYS = ("auto_map", "tokenizer_file", "trust_remote_code")


class HFTokenizer:
  """A `tokenizer.json`, its special tokens and its chat template.

  The library's own post-processor, truncation and padding are switched off:
  `encode` gives the ids of exactly the text, and offsets include the white
  space that belongs to a token.
  """

  def __init__(
    self,
    tokenizer_json: dict[str, Any],
    *,
    bos_token: str | None = None,
    eos_token: str | None = None,
    pad_token: str | None = None,
    adds_bos: bool | None = None,
    chat_template: str | None = None,
    config: dict[str, Any] | None = None,
    source: str = "tokenizer.json",
  ):
    """Tokenizer.

    Args:
      tokenizer_json: content of a tokenizer.json.
      bos_token: text of the begin-of-sequence token.
      eos_token: text of the end-of-sequence token.
      pad_token: text of the padding token; EOS, else id 0, where None.
      adds_bos: whether plain text starts with BOS; None asks the file's
        post-processor.
      chat_template: Jinja source or None.
      config: further keys of tokenizer_config.json, kept by `save`.
      source: names the tokenizer in messages.

    Raises:
      ModelError: the content is not a tokenizer, or a special token is not
        in its vocabulary.
    """
    if not isinstance(tokenizer_json.get("model"), dict):
      raise errors.ModelError(f"{source}: no 'model'; not a tokenizer.json")
    self._json = tokenizer_json
    self._source = source
    self._config = dict(config or {})
    refused = f"{source}: refused by the tokenizers library"
    with _library(errors.ModelError, refused):
      self._tokenizer = tokenizers.Tokenizer.from_str(
        json.dumps(tokenizer_json, ensure_ascii=False)
      )
      self._tokenizer.no_truncation()
      self._tokenizer.no_padding()
    vocab = self._tokenizer.get_vocab(with_added_tokens=True)
    if not vocab:
      raise errors.ModelError(f"{source}: the vocabulary is empty")
    self.vocab_size = max(vocab.values()) + 1
    self.bos_id = self._id(vocab, "bos_token", bos_token)
    self.eos_id = self._id(vocab, "eos_token", eos_token)
    pad = self._id(vocab, "pad_token", pad_token)
    fallback = self.eos_id if self.eos_id is not None else 0
    self.pad_id = pad if pad is not None else fallback
    self.bos_token = bos_token or ""
    self.eos_token = eos_token or ""
    self._pad_token = pad_token
    self.special_ids = frozenset(
      i
      for i, token in self._tokenizer.get_added_tokens_decoder().items()
      if token.special
    )
    if adds_bos is None:
      with _library(errors.ModelError, refused):
        adds_bos = self._tokenizer.encode("a").ids[:1] == [self.bos_id]
    self.adds_bos = adds_bos and self.bos_id is not None
    # From here on `encode` gives the text's own tokens and offsets.
    self._tokenizer.post_processor = tokenizers.processors.Sequence([])
    self.chat_template = chat_template
    self.fingerprint = self._digest()

  def _id(
    self, vocab: dict[str, int], key: str, token: str | None
  ) -> int | None:
    if token is None:
      return None
    if token not in vocab:
      raise errors.ModelError(
        f"{self._source}: {key} {token!r} is not in the vocabulary; correct"
        " tokenizer_config.json"
      )
    return vocab[token]

  def _specials(self) -> dict[str, Any]:
    return {
      "bos_token": self.bos_token or None,
      "eos_token": self.eos_token or None,
      "pad_token": self._pad_token,
      "add_bos_token": self.adds_bos,
    }

  def _digest(self) -> str:
    digest = hashlib.sha256()
    for part in (self._json, self._specials(), self.chat_template):
      digest.update(json.dumps(part, sort_keys=True).encode("utf-8"))
      digest.update(b"\n")
    return digest.hexdigest()

  def encode(self, text: str) -> list[int]:
    """Token ids; text that spells a special token becomes that token.

    Raises:
      DataError: the text holds a lone surrogate or is too long.
    """
    return self._encode(text).ids

  def encode_with_offsets(
    self, text: str
  ) -> tuple[list[int], list[tuple[int, int]]]:
    """As `encode`, with the [start, end) characters each token covers.

    Tokens that share a character (its bytes are split over them) share its
    offsets.
    """
    encoding = self._encode(text)
    return encoding.ids, encoding.offsets

  def _encode(self, text: str) -> tokenizers.Encoding:
    text_checks.utf8(text)
    with _library(errors.DataError, f"{self._source}: cannot tokenize"):
      return self._tokenizer.encode(text, add_special_tokens=False)

  def decode(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
    """Text of token ids; ids outside the vocabulary are left out."""
    checked = [i for i in text_checks.ids(ids) if i <= _MAX_ID]
    with _library(errors.DataError, f"{self._source}: cannot decode"):
      return self._tokenizer.decode(checked, skip_special_tokens=skip_special)

  def save(self, directory: str | os.PathLike) -> None:
    """Writes tokenizer.json and tokenizer_config.json."""
    folder = pathlib.Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
      "tokenizer_class": "PreTrainedTokenizerFast",
      **self._config,
      **self._specials(),
    }
    if self.chat_template is not None:
      config["chat_template"] = self.chat_template
    for name, content in (
      ("tokenizer.json", self._json),
      ("tokenizer_config.json", config),
    ):
      text = json.dumps(content, indent=2, ensure_ascii=False)
      (folder / name).write_text(text + "\n", encoding="utf-8")


@contextlib.contextmanager
def _library(kind: type[errors.PrefjaxError], what: str) -> Iterator[None]:
  """Turns whatever the tokenizers library raises into an error of ours."""
  try:
    yield
  except Exception as e:  # the library raises Exception itself
    raise kind(f"{what}: {_line(e)}") from e
  except BaseException as e:
    # A panic in its Rust code: a BaseException whose class has no module.
    if type(e).__name__ != "PanicException":
      raise
    raise kind(f"{what}: it panicked: {_line(e)}") from e


def from_file(path: pathlib.Path) -> HFTokenizer:
  """A tokenizer.json with the specials and template its neighbours name.

  Raises:
    ModelError: a file is missing, too large, not JSON, or not a tokenizer.
  """
  folder = path.parent
  config = read_json(folder / "tokenizer_config.json", missing={})
  special = read_json(folder / "special_tokens_map.json", missing={})
  named = {
    key: _token(config.get(key), special.get(key), f"{folder}: {key}")
    for key in ("bos_token", "eos_token", "pad_token")
  }
  adds_bos = config.get("add_bos_token")
  if not isinstance(adds_bos, bool | None):
    raise errors.ModelError(
      f"{folder / 'tokenizer_config.json'}: add_bos_token={adds_bos!r} is not"
      " true or false"
    )
  kept = {
    key: value
    for key, value in config.items()
    if key not in _CODE_KEYS and key != "chat_template"
  }
  return HFTokenizer(
    read_json(path, limit=_MAX_TOKENIZER),
    **named,
    adds_bos=adds_bos,
    chat_template=_template(folder, config),
    config=kept,
    source=str(path),
  )


def from_gguf(path: pathlib.Path) -> HFTokenizer:
  """The tokenizer inside a GGUF file.

  Raises:
    ModelError: the file is damaged, or its vocabulary is of a kind that is
      not read exactly.
  """
  metadata = gguf_file.read(path).metadata
  vocabulary = gguf_vocab.read(metadata, str(path))
  tokens = metadata["tokenizer.ggml.tokens"]

  def text(index: int | None) -> str | None:
    return None if index is None else tokens[index]

  return HFTokenizer(
    vocabulary.tokenizer_json,
    bos_token=text(vocabulary.bos_id),
    eos_token=text(vocabulary.eos_id),
    pad_token=text(vocabulary.pad_id),
    adds_bos=vocabulary.adds_bos,
    chat_template=vocabulary.chat_template,
    source=str(path),
  )


def read_json(
  path: pathlib.Path,
  *,
  limit: int = _MAX_CONFIG,
  missing: dict[str, Any] | None = None,
) -> dict[str, Any]:
  """A JSON object from a file of at most `limit` bytes.

  Args:
    path: of the file.
    limit: most bytes that are read.
    missing: returned when there is no such file; None makes that an error.

  Raises:
    ModelError: the file is absent, too large, not UTF-8, not JSON, nested too
      deeply, or not an object.
  """
  text = _read_text(path, limit, optional=missing is not None)
  if text is None:
    return dict(missing or {})
  try:
    value = json.loads(text)
  except (ValueError, RecursionError) as e:
    raise errors.ModelError(f"{path}: not JSON: {_line(e)}") from e
  if not isinstance(value, dict):
    raise errors.ModelError(f"{path}: holds {type(value).__name__}, no object")
  return value


def _read_text(path: pathlib.Path, limit: int, optional: bool) -> str | None:
  """A small UTF-8 file; None where an optional one is absent."""
  try:
    if optional and not path.exists():
      return None
    with open(path, "rb") as f:
      content = f.read(limit + 1)
    if len(content) > limit:
      raise errors.ModelError(f"{path}: over the limit of {limit} bytes")
    return content.decode("utf-8")
  except OSError as e:
    raise errors.ModelError(f"{path}: cannot be read: {_line(e)}") from e
  except UnicodeDecodeError as e:
    raise errors.ModelError(f"{path}: not UTF-8 at byte {e.start}") from e


def _token(first: Any, second: Any, what: str) -> str | None:
  """A special token: a string, or an object that has its content."""
  value = first if first is not None else second
  if isinstance(value, dict):
    value = value.get("content")
  if not isinstance(value, str | None):
    raise errors.ModelError(f"{what}={value!r} is not a string")
  return value or None


def _template(folder: pathlib.Path, config: dict[str, Any]) -> str | None:
  """The chat template: its own file, else the config's (default) one."""
  own = _read_text(folder / "chat_template.jinja", _MAX_CONFIG, optional=True)
  if own is not None:
    return own
  value = config.get("chat_template")
  if isinstance(value, list):
    named = {
      entry.get("name"): entry.get("template")
      for entry in value
      if isinstance(entry, dict)
    }
    value = named.get("default")
  if not isinstance(value, str | None):
    raise errors.ModelError(
      f"{folder / 'tokenizer_config.json'}: chat_template is not a string"
    )
  return value


def _line(error: BaseException) -> str:
  return " ".join(str(error).split()) or type(error).__name__
