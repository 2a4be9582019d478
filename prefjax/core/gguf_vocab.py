# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""GGUF vocabulary -> the `tokenizer.json` form, as plain dicts.

Two kinds of vocabulary are read: byte-level BPE ("gpt2": tokens and ranked
merges, split beforehand by a named pattern) and SentencePiece BPE ("llama":
pieces with scores; a higher score merges earlier). Nothing here tokenizes.
"""

import math
from typing import Any, NamedTuple

from prefjax.core import errors

_NORMAL, _UNKNOWN, _CONTROL, _USER = 1, 2, 3, 4

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def _pattern(numbers: str) -> str:
  """The cl100k split, with its own rule for runs of digits."""
  return rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{numbers}|{_TAIL}"


class _Pre(NamedTuple):
  """How text is cut before the merges.

  Attributes:
    digits: every digit is cut out on its own first.
    pattern: what to cut with; None for the GPT-2 pattern.
    whole: a piece that is a token is not merged up to (ignore_merges).
    adds_bos: a sequence starts with BOS unless the file says otherwise.
    nfc: text is NFC-normalised.
  """

  digits: bool = False
  pattern: str | None = None
  whole: bool = False
  adds_bos: bool = False
  nfc: bool = False


_GPT2 = _Pre()
_DIGITS = _Pre(digits=True)
_LLAMA3 = _Pre(pattern=_pattern(r"\p{N}{1,3}"), whole=True, adds_bos=True)
_QWEN2 = _Pre(pattern=_pattern(r"\p{N}"), nfc=True)
_PRE = {
  "gpt-2": _GPT2,
  "olmo": _GPT2,
  "mpt": _GPT2,
  "smollm": _DIGITS,
  "starcoder": _DIGITS,
  "refact": _DIGITS,
  "codeshell": _DIGITS,
  "llama-bpe": _LLAMA3,
  "llama3": _LLAMA3,
  "llama-v3": _LLAMA3,
  "dbrx": _LLAMA3._replace(whole=False, adds_bos=False),
  "qwen2": _QWEN2,
  "deepseek-r1-qwen": _QWEN2,
}


class Vocabulary(NamedTuple):
  """What a GGUF file says about its tokenizer.

  Attributes:
    tokenizer_json: the dict that a tokenizer.json would hold.
    bos_id: begin-of-sequence id or None.
    eos_id: end-of-sequence id or None.
    pad_id: padding id; EOS, else 0, where the file names none.
    adds_bos: whether plain text starts with BOS.
    chat_template: Jinja source or None.
  """

  tokenizer_json: dict[str, Any]
  bos_id: int | None
  eos_id: int | None
  pad_id: int
  adds_bos: bool
  chat_template: str | None


def read(metadata: dict[str, Any], path: str) -> Vocabulary:
  """Reads the vocabulary out of GGUF metadata.

  Args:
    metadata: of `gguf_file.read`.
    path: of the file, for messages.

  Raises:
    ModelError: a key is missing or malformed, or the vocabulary or its
      pre-tokenizer is of a kind that is not known to be read exactly.
  """
  tokens = _strings(metadata, "tokenizer.ggml.tokens", path)
  if len(set(tokens)) != len(tokens):
    raise errors.ModelError(f"{path}: tokenizer.ggml.tokens repeats a token")
  kinds = metadata.get("tokenizer.ggml.token_type", [_NORMAL] * len(tokens))
  if not isinstance(kinds, list) or len(kinds) != len(tokens):
    raise errors.ModelError(
      f"{path}: tokenizer.ggml.token_type does not fit {len(tokens)} tokens"
    )
  model = metadata.get("tokenizer.ggml.model")
  if model == "gpt2":
    content, adds_bos = _byte_level(metadata, tokens, path)
  elif model == "llama":
    content, adds_bos = _sentence_piece(metadata, tokens, kinds, path)
  else:
    raise errors.ModelError(
      f"{path}: tokenizer.ggml.model={model!r} is not 'gpt2' or 'llama'; give"
      " a tokenizer.json instead"
    )
  added = [
    {
      "id": i,
      "content": token,
      "single_word": False,
      "lstrip": False,
      "rstrip": False,
      "normalized": False,
      "special": kind != _USER,
    }
    for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
    if token and (kind in (_CONTROL, _USER) or (kind, model) == _SPM_UNKNOWN)
  ]
  template = metadata.get("tokenizer.chat_template")
  bos, eos, pad = special_ids(metadata, path)
  said = metadata.get("tokenizer.ggml.add_bos_token")
  return Vocabulary(
    tokenizer_json={
      "version": "1.0",
      "truncation": None,
      "padding": None,
      "added_tokens": added,
      **content,
    },
    bos_id=bos,
    eos_id=eos,
    pad_id=pad,
    adds_bos=said if isinstance(said, bool) else adds_bos,
    chat_template=template if isinstance(template, str) else None,
  )


_SPM_UNKNOWN = (_UNKNOWN, "llama")


def special_ids(
  metadata: dict[str, Any], path: str
) -> tuple[int | None, int | None, int]:
  """(BOS, EOS, padding); padding is EOS, else 0, where the file names none.

  A file of weights alone has no vocabulary: (None, None, 0).

  Raises:
    ModelError: an id is not one of the vocabulary's.
  """
  if "tokenizer.ggml.tokens" not in metadata:
    return None, None, 0
  size = len(_strings(metadata, "tokenizer.ggml.tokens", path))
  bos, eos, pad = (
    _id(metadata, name, size, path) for name in ("bos", "eos", "padding")
  )
  fallback = eos if eos is not None else 0
  return bos, eos, pad if pad is not None else fallback


def _byte_level(
  metadata: dict[str, Any], tokens: list[str], path: str
) -> tuple[dict[str, Any], bool]:
  """(normalizer ... model, adds BOS) of byte-level BPE."""
  name = metadata.get("tokenizer.ggml.pre")
  if name is None and metadata.get("general.architecture") == "gpt2":
    name = "gpt-2"  # files older than the key
  if not isinstance(name, str) or name not in _PRE:
    raise errors.ModelError(
      f"{path}: pre-tokenizer tokenizer.ggml.pre={name!r} is not one of"
      f" {', '.join(_PRE)}; give a tokenizer.json instead"
    )
  pre = _PRE[name]
  steps = []
  if pre.digits:
    steps.append({"type": "Digits", "individual_digits": True})
  if pre.pattern is not None:
    steps.append(
      {
        "type": "Split",
        "pattern": {"Regex": pre.pattern},
        "behavior": "Isolated",
        "invert": False,
      }
    )
  to_bytes = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": False,
    "use_regex": pre.pattern is None,
  }
  merges = [
    merge.split(" ") for merge in _strings(metadata, _MERGES, path, empty=True)
  ]
  vocab = {token: i for i, token in enumerate(tokens)}
  for row, pair in enumerate(merges):
    if len(pair) != 2 or not {*pair, "".join(pair)} <= vocab.keys():
      raise errors.ModelError(
        f"{path}: {_MERGES}[{row}]={' '.join(pair)!r} does not join two tokens"
      )
  content = {
    "normalizer": {"type": "NFC"} if pre.nfc else None,
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*steps, to_bytes]},
    "post_processor": None,
    "decoder": {**to_bytes, "use_regex": True},
    "model": _bpe(vocab, merges, ignore_merges=pre.whole),
  }
  return content, pre.adds_bos


_MERGES = "tokenizer.ggml.merges"


def _sentence_piece(
  metadata: dict[str, Any], tokens: list[str], kinds: list[int], path: str
) -> tuple[dict[str, Any], bool]:
  """(normalizer ... model, adds BOS) of SentencePiece BPE.

  SentencePiece joins the adjacent pair whose union scores highest; ranked
  merges say the same once every way to split each piece in two is listed by
  falling score.
  """
  scores = metadata.get("tokenizer.ggml.scores")
  if (
    not isinstance(scores, list)
    or len(scores) != len(tokens)
    or not all(isinstance(x, float) and math.isfinite(x) for x in scores)
  ):
    raise errors.ModelError(
      f"{path}: tokenizer.ggml.scores is not {len(tokens)} finite numbers"
    )
  vocab = {token: i for i, token in enumerate(tokens)}
  ranked = []
  for token, score, kind in zip(tokens, scores, kinds, strict=True):
    if kind == _NORMAL:
      splits = ((token[:i], token[i:]) for i in range(1, len(token)))
      ranked += [
        (-score, vocab[left], vocab[right], left, right)
        for left, right in splits
        if left in vocab and right in vocab
      ]
  ranked.sort(key=lambda entry: entry[:3])
  prefix = metadata.get("tokenizer.ggml.add_space_prefix", True)
  spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
  normal = [spaces]
  back = [
    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
    {"type": "ByteFallback"},
    {"type": "Fuse"},
  ]
  if prefix:
    normal = [{"type": "Prepend", "prepend": "▁"}, spaces]
    back.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
  unknown = [
    t for t, kind in zip(tokens, kinds, strict=True) if kind == _UNKNOWN
  ]
  content = {
    "normalizer": {"type": "Sequence", "normalizers": normal},
    "pre_tokenizer": None,
    "post_processor": None,
    "decoder": {"type": "Sequence", "decoders": back},
    "model": {
      **_bpe(vocab, [[left, right] for *_, left, right in ranked]),
      "unk_token": unknown[0] if unknown else None,
      "fuse_unk": True,
      "byte_fallback": True,
    },
  }
  return content, True


def _bpe(
  vocab: dict[str, int], merges: list[list[str]], ignore_merges: bool = False
) -> dict[str, Any]:
  return {
    "type": "BPE",
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
    "fuse_unk": False,
    "byte_fallback": False,
    "ignore_merges": ignore_merges,
    "vocab": vocab,
    "merges": merges,
  }


def _strings(
  metadata: dict[str, Any], key: str, path: str, empty: bool = False
) -> list[str]:
  """A metadata array of strings."""
  value = metadata.get(key, [] if empty else None)
  if not isinstance(value, list) or not (value or empty):
    raise errors.ModelError(f"{path}: {key} is missing or empty")
  if value and not isinstance(value[0], str):
    raise errors.ModelError(f"{path}: {key} is not an array of strings")
  return value


def _id(
  metadata: dict[str, Any], name: str, size: int, path: str
) -> int | None:
  """A special token's id, checked against the vocabulary."""
  key = f"tokenizer.ggml.{name}_token_id"
  value = metadata.get(key)
  if value is None:
    return None
  if isinstance(value, bool) or not isinstance(value, int):
    raise errors.ModelError(f"{path}: {key}={value!r} is not an integer")
  if not 0 <= value < size:
    raise errors.ModelError(f"{path}: {key}={value} is not below {size}")
  return value
