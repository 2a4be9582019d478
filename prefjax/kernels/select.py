# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which implementation runs: asked for by name, or picked by platform."""

import functools
import logging
from collections.abc import Callable
from typing import Any

import jax

from prefjax.core import errors
from prefjax.kernels import chunked, reference, vocab_chunked

_LOGGER = logging.getLogger("prefjax.kernels")
_SEEN: set[str] = set()

IMPLEMENTATIONS = ("auto", "reference", "chunked")

# Up to this many logits (4 MiB in float32) a scan costs more than it saves.
_TINY = 1 << 20


def log_once(level: int, message: str) -> None:
  """Logs a message the first time it comes up in this process."""
  if message not in _SEEN:
    _SEEN.add(message)
    _LOGGER.log(level, message)


def pick(
  function: str,
  impl: str,
  rows: int,
  vocab: int,
  choices: tuple[str, ...] = IMPLEMENTATIONS,
) -> str:
  """The name of the implementation to run.

  Args:
    function: caller, for messages.
    impl: a name or "auto".
    rows: N.
    vocab: V.
    choices: the names this function knows.

  Raises:
    ValueError: unknown name; lists the known ones.
  """
  if impl not in choices:
    raise ValueError(
      f"{function}: impl={impl!r} is not one of"
      f" {', '.join(choices)}{errors.nearest(impl, choices)}"
    )
  if impl != "auto":
    return impl
  if rows * vocab <= _TINY:
    name, why = "reference", "few logits"
  else:
    name, why = "chunked", f"platform {jax.default_backend()}"
  log_once(logging.INFO, f"{function}: impl='auto' picked {name!r} ({why})")
  return name


def _blocks(function, is_reference, block_rows, block_vocab) -> dict[str, Any]:
  """The block sizes as keywords.

  Raises:
    ValueError: not positive, or given to the reference.
  """
  blocks = {"block_rows": block_rows, "block_vocab": block_vocab}
  for key, value in blocks.items():
    if value is None:
      continue
    if not isinstance(value, int) or value < 1:
      raise ValueError(f"{function}: {key}={value!r} is not a positive int")
    if is_reference:
      raise ValueError(
        f"{function}: {key} does nothing with impl='reference'; leave it out"
      )
  return blocks


def token_stats(
  function: str,
  impl: str,
  rows: int,
  vocab: int,
  block_rows: int | None,
  block_vocab: int | None,
) -> Callable[..., Any]:
  """The implementation of `token_logps`, bound to its block sizes.

  Raises:
    ValueError: unknown name, or block sizes that it cannot use.
  """
  name = pick(function, impl, rows, vocab)
  blocks = _blocks(function, impl == "reference", block_rows, block_vocab)
  if name == "reference":
    return reference.token_stats
  return functools.partial(chunked.token_stats, **blocks)


def vocab_totals(
  function: str,
  impl: str,
  rows: int,
  vocab: int,
  block_rows: int | None,
  block_vocab: int | None,
) -> Callable[..., Any]:
  """The implementation of `vocab_sum`, bound to its block sizes.

  Raises:
    ValueError: unknown name, or block sizes that it cannot use.
  """
  name = pick(function, impl, rows, vocab, ("auto", "reference", "chunked"))
  blocks = _blocks(function, impl == "reference", block_rows, block_vocab)
  if name == "reference":
    return reference.vocab_totals
  return functools.partial(vocab_chunked.vocab_totals, **blocks)
