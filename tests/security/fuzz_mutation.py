# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Inputs that were right once: mutated bytes and mutated JSON, by a seed."""

import json
import random
from collections.abc import Sequence
from typing import Any

_NUMBERS = (
  0, 1, -1, 2**31 - 1, -(2**31), 2**32, 2**63 - 1, -(2**63), 2**64, 2**70,
  0.5, -0.0, 1e308, -1e-308,
)  # fmt: skip
_TEXTS = (
  "", " ", "\n", "\x00", "a" * 300, "\ud800", "\u202e", "é", "../../etc/passwd",
  "/etc/passwd", "__class__", "{{ 7*7 }}", "${HOME}", "%s%n", "NaN",
  "-Infinity", "1e999", "9" * 400, "null", "'; drop table t; --",
)  # fmt: skip
# Put into bytes now and then: what parsers tend to trip over.
_TOKENS = (
  b"\x00", b"\xff", b"\xff\xfe", b"\xed\xa0\x80", b"{", b"}", b"[", b"]", b'"',
  b"\\", b"\\u", b"\n", b"\r", b",", b":", b"-", b"1e999", b"NaN", b"null",
  b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00" * 8, b"\xff" * 8,
  b"[" * 200, b"{{", b"}}", b"{%", b"%}", b"..", b"/", b"=", b"(", b")", b"^",
  b"**", b"__class__", b"0x", b"9" * 60,
)  # fmt: skip
MAX_BYTES = 1 << 16


def mutated(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
  """One to eight changes to one of the inputs."""
  data = bytearray(rng.choice(corpus))
  for _ in range(rng.choice((1, 1, 2, 3, 5, 8))):
    _change(rng, data, corpus)
  return bytes(data[:MAX_BYTES])


def _change(
  rng: random.Random, data: bytearray, corpus: Sequence[bytes]
) -> None:
  """Changes the bytes in place."""
  kind = rng.randrange(9)
  size = len(data)
  at = rng.randrange(size) if size else 0
  if not size:
    data += rng.choice(_TOKENS)
  elif kind == 0:
    data[at] ^= 1 << rng.randrange(8)
  elif kind == 1:
    data[at] = rng.randrange(256)
  elif kind == 2:
    del data[at : at + rng.choice((1, 2, 4, 16, 64))]
  elif kind == 3:
    data[at:at] = data[at : at + rng.choice((1, 4, 16, 64))]
  elif kind in (4, 5):
    data[at:at] = rng.choice(_TOKENS)
  elif kind == 6:
    token = rng.choice(_TOKENS)
    data[at : at + len(token)] = token
  elif kind == 7:
    del data[at:]
  else:  # the rest of another input
    other = rng.choice(corpus)
    data[at:] = other[rng.randrange(len(other) + 1) :]


def odd_value(rng: random.Random, depth: int = 0) -> Any:
  """A JSON value that has no business where it stands."""
  kind = rng.randrange(7)
  if kind == 0:
    return rng.choice((None, True, False))
  if kind == 1:
    return rng.choice(_NUMBERS)
  if kind in (2, 3):
    return rng.choice(_TEXTS)
  if kind == 4 or depth > 2:
    return rng.choice(([], {}, [[]], {"": ""}))
  if kind == 5:
    return [odd_value(rng, depth + 1) for _ in range(rng.randrange(3))]
  return {
    rng.choice(_TEXTS): odd_value(rng, depth + 1)
    for _ in range(rng.randrange(3))
  }


def mutated_value(rng: random.Random, value: Any) -> Any:
  """A JSON value with one to three places changed, copied on the way."""
  for _ in range(rng.choice((1, 1, 2, 3))):
    value = _replaced(rng, value)
  return value


def _replaced(rng: random.Random, value: Any) -> Any:
  """The value with one place changed."""
  if isinstance(value, dict) and value and rng.random() < 0.85:
    key = rng.choice(list(value))
    draw = rng.randrange(10)
    if draw == 0:
      return {k: v for k, v in value.items() if k != key}
    if draw == 1:
      return {**value, rng.choice(_TEXTS): odd_value(rng)}
    if draw == 2:
      return {**value, key: value[rng.choice(list(value))]}
    return {**value, key: _replaced(rng, value[key])}
  if isinstance(value, list) and value and rng.random() < 0.85:
    at = rng.randrange(len(value))
    draw = rng.randrange(8)
    if draw == 0:
      return value[:at] + value[at + 1 :]
    if draw == 1:
      return value[: at + 1] + value[at:]
    return [*value[:at], _replaced(rng, value[at]), *value[at + 1 :]]
  return odd_value(rng)


def mutated_json(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
  """Half the time other values, else other bytes, of JSON texts."""
  if rng.random() < 0.5:
    return mutated(rng, corpus)
  value = mutated_value(rng, json.loads(rng.choice(corpus)))
  return json.dumps(value).encode()[:MAX_BYTES]
