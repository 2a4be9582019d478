# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs of seconds: one layer, one bucket, one device."""

import importlib
import json
import pathlib
from typing import Any

import jax

from prefjax import checkpoint, runs
from prefjax import config as config_lib
from prefjax.train import loop

# The smallest decoder: what is compiled is what a test waits for.
SMALL = dict(
  hidden_size=16,
  intermediate_size=32,
  num_layers=1,
  num_heads=2,
  num_kv_heads=1,
  head_dim=8,
  query_scale=8**-0.5,
)

# For `data`, where a test looks at evaluations; training is the same.
HELD_OUT = {"language": {"n": 40, "eval_n": 12}}


def config(name: str = "dpo", **changes: Any) -> config_lib.Config:
  """configs/NAME.py:tiny, smaller still.

  Args:
    name: of the file.
    **changes: section -> keys to set, e.g. train={"steps": 3}.
  """
  c = importlib.import_module(f"configs.{name}").get_config("tiny")
  c.model.overrides = SMALL
  c.data.batch_size = 8
  c.data.buckets = ((48, 40),)
  # Nothing held out: two programs less.
  c.data.language = {"n": 40, "eval_n": 0}
  # One program for runs of any length.
  c.opt.schedule = "constant"
  c.train.steps = 8
  c.eval.every = 0
  c.checkpoint.every = 4
  c.log.progress = False
  c.log.report = False
  c.log.export = False
  raw = config_lib.plain(c)
  for section, keys in changes.items():
    if isinstance(keys, dict) and section != "stages":
      raw[section].update(keys)
    else:
      raw[section] = keys
  return config_lib.parse(raw)


def train(c: config_lib.Config, workdir: Any, devices: int = 1):
  """`runs.train` on the first devices."""
  return runs.train(c, workdir, devices=jax.devices()[:devices])


def rows(workdir: Any) -> list[dict[str, Any]]:
  """All rows of metrics.jsonl."""
  text = (pathlib.Path(workdir) / "metrics.jsonl").read_text()
  return [json.loads(line) for line in text.splitlines()]


def updates(workdir: Any) -> list[dict[str, Any]]:
  """The rows of updates, without what depends on the clock."""
  return [
    {k: v for k, v in row.items() if not k.startswith("time/")}
    for row in rows(workdir)
    if "loss" in row
  ]


def steps(workdir: Any) -> list[int]:
  return [row["step"] for row in updates(workdir)]


def digests(workdir: Any, step: int | None = None) -> dict[str, Any]:
  """Verified digests of all leaves of a checkpoint, by default the newest."""
  folder = pathlib.Path(workdir) / "checkpoints"
  number = checkpoint.latest_step(folder) if step is None else step
  return checkpoint.verify(folder, number).leaves


class Killed(BaseException):
  """Not an error: nothing may catch it, as nothing catches SIGKILL."""


def kill_after(monkeypatch, step: int) -> None:
  """Lets the process 'die' in the middle of the update after `step`."""
  real = loop.tokens

  class Counted:
    left = None

  def tokens(batch):
    Counted.left = step if Counted.left is None else Counted.left - 1
    if Counted.left == 0:
      raise Killed
    return real(batch)

  monkeypatch.setattr(loop, "tokens", tokens)
