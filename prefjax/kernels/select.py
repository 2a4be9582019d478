# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which implementation runs: asked for by name, or picked by platform."""

import functools
import logging
from collections.abc import Callable

import jax

from prefjax.core import errors
from prefjax.kernels import chunked, reference

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


def pick(function: str, impl: str, rows: int, vocab: int) -> str:
  """The name of the implementation to run.

  Args:
    function: caller, for messages.
    impl: a name or "auto".
    rows: N.
    vocab: V.

  Raises:
    ValueError: unknown name; lists the known ones.
  """
  if impl not in IMPLEMENTATIONS:
    raise ValueError(
      f"{function}: impl={impl!r} is not one of"
      f" {', '.join(IMPLEMENTATIONS)}{errors.nearest(impl, IMPLEMENTATIONS)}"
    )
  if impl != "auto":
    return impl
  if rows * vocab <= _TINY:
    name, why = "reference", "few logits"
  else:
    name, why = "chunked", f"platform {jax.default_backend()}"
  log_once(logging.INFO, f"{function}: impl='auto' picked {name!r} ({why})")
  return name


def token_stats(
  function: str,
  impl: str,
  rows: int,
  vocab: int,
  block_rows: int | None,
  block_vocab: int | None,
) -> Callable:
  """The implementation, bound to its block sizes.

  Raises:
    ValueError: unknown name, or block sizes that it cannot use.
  """
  name = pick(function, impl, rows, vocab)
  blocks = {"block_rows": block_rows, "block_vocab": block_vocab}
  for key, value in blocks.items():
    if value is not None and (not isinstance(value, int) or value < 1):
      raise ValueError(f"{function}: {key}={value!r} is not a positive int")
  if name == "reference":
    if impl == "reference" and any(v is not None for v in blocks.values()):
      raise ValueError(
        f"{function}: block_rows and block_vocab do nothing with"
        " impl='reference'; leave them out"
      )
    return reference.token_stats
  return functools.partial(chunked.token_stats, **blocks)
