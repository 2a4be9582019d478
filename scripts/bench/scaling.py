# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""How the cost of a DPO step grows with what it is made of.

Seconds of a train step, compiled once, against batch, length, responses to a
prompt, vocabulary, depth, width and number of host devices; everything else
stays. All settings of a series take turns, round by round, and a figure is
the median over rounds. Beside it stand the operations that are needed, so
that a column of seconds an operation that stays level says that cost is
linear. K responses to a prompt of P tokens cost P + K R with the shared
layout and K (P + R) with rows of their own; both are run.

  python scripts/bench/scaling.py --out=scaling.json
  python scripts/bench/scaling.py --series responses --rounds=5 --out=k.json
"""

import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import sys
import time
from typing import Any

# A host with eight devices; read when JAX starts. On so many devices one
# host's cores are what they share: the total stays, that it does is shown.
_DEVICES = "--xla_force_host_platform_device_count=8"
if "force_host_platform" not in os.environ.get("XLA_FLAGS", ""):
  flags = f"{os.environ.get('XLA_FLAGS', '')} {_DEVICES}"
  os.environ["XLA_FLAGS"] = flags.strip()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402

from prefjax import kernels, methods, models  # noqa: E402
from prefjax.core import types  # noqa: E402
from prefjax.models import flops  # noqa: E402
from prefjax.train import mesh as mesh_lib  # noqa: E402
from prefjax.train import placement  # noqa: E402
from prefjax.train import state as state_lib  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Setting:
  """One step: a batch, a decoder, and how they run."""

  groups: int = 4
  responses: int = 2
  prompt: int = 128
  response: int = 64
  vocab: int = 8192
  layers: int = 4
  hidden: int = 256
  layout: str = "shared"
  dtype: str = "float32"
  devices: int = 1

  @property
  def config(self) -> models.DecoderConfig:
    heads = self.hidden // 64
    return models.preset(
      "tiny",
      vocab_size=self.vocab,
      hidden_size=self.hidden,
      intermediate_size=3 * self.hidden,
      num_layers=self.layers,
      num_heads=heads,
      num_kv_heads=heads,
      head_dim=64,
      query_scale=0.125,
    )

  @property
  def shape(self) -> flops.Shape:
    return flops.Shape(
      self.groups,
      self.responses,
      self.prompt,
      self.response,
      self.layout == "shared",
    )


def series_of(base: Setting) -> dict[str, list[Setting]]:
  """Name -> settings that differ in one thing."""

  def vary(field: str, values) -> list[Setting]:
    return [dataclasses.replace(base, **{field: v}) for v in values]

  many = dataclasses.replace(base, groups=8)
  return {
    "batch": vary("groups", (2, 4, 8, 16)),
    "length": [
      dataclasses.replace(base, prompt=2 * n, response=n)
      for n in (32, 64, 128, 256)
    ],
    "responses": [
      dataclasses.replace(
        base, groups=2, prompt=256, response=32, responses=k, layout=layout
      )
      for k in (2, 4, 8)
      for layout in ("shared", "concat")
    ],
    "vocabulary": vary("vocab", (4096, 16_384, 65_536)),
    "layers": vary("layers", (2, 4, 8)),
    "width": vary("hidden", (128, 256, 512)),
    "devices": [dataclasses.replace(many, devices=n) for n in (1, 2, 4, 8)],
  }


def random_batch(setting: Setting) -> types.Batch:
  """Full slots of random tokens, the first response the best."""
  rng = np.random.default_rng(0)
  b, k, p, r = (
    setting.groups,
    setting.responses,
    setting.prompt,
    setting.response,
  )
  group = types.Group(
    prompt=rng.integers(0, setting.vocab, (b, p), np.int32),
    prompt_mask=np.ones((b, p), bool),
    response=rng.integers(0, setting.vocab, (b, k, r), np.int32),
    token_mask=np.ones((b, k, r), bool),
    token_weights=np.ones((b, k, r), np.float32),
    response_mask=np.ones((b, k), bool),
    pairs=np.asarray([[[0, i] for i in range(1, k)]] * b, np.int32),
    ref_token_logps=np.full((b, k, r), -3.0, np.float32),
  )
  return types.Batch(
    groups={"main": group},
    example_id=np.arange(b, dtype=np.int32),
    example_weight=np.ones(b, np.float32),
  )


class Step:
  """A compiled train step and its state."""

  def __init__(self, setting: Setting):
    self.setting = setting
    model = models.Model(setting.config)
    mesh = mesh_lib.make_mesh(devices=jax.devices()[: setting.devices])
    sharding = None
    if setting.devices > 1:
      sharding = kernels.Sharding(
        mesh, rows=mesh_lib.BATCH_AXES, vocab="tensor", hidden="fsdp"
      )
    objective = methods.LanguageModelObjective(
      methods.get("dpo", beta=0.1),
      model,
      lambda key: methods.Init({"policy": model.init(key)}, {}, {}),
      compute=methods.Compute(
        layout=setting.layout,
        dtype=jnp.dtype(setting.dtype),
        sharding=sharding,
      ),
      reference="precomputed",
    )
    tx = optax.scale_by_adam()
    place = placement.Placement(mesh)
    rules = objective.sharding_rules
    self._state = place.put(state_lib.create(objective, tx, 0), rules)
    self._batch = place.batch(random_batch(setting))
    begin = time.perf_counter()
    self._run = place.lower(
      objective,
      tx,
      1e-6,
      micro_batches=1,
      state=self._state,
      still={},
      batch=self._batch,
    ).compile()
    self.compile_seconds = time.perf_counter() - begin
    memory = self._run.memory_analysis()
    self.temporary_bytes = memory.temp_size_in_bytes

  def seconds(self) -> float:
    begin = time.perf_counter()
    self._state, metrics = self._run(self._state, {}, self._batch)
    jax.block_until_ready((self._state, metrics))
    return time.perf_counter() - begin


def measure(settings: list[Setting], rounds: int) -> list[dict[str, Any]]:
  """One row a setting, measured in turns; the first round warms up."""
  steps = [Step(setting) for setting in settings]
  times: list[list[float]] = [[] for _ in steps]
  for turn in range(rounds + 1):
    for step, kept in zip(steps, times, strict=True):
      spent = step.seconds()
      if turn:
        kept.append(spent)
  rows = []
  for step, kept in zip(steps, times, strict=True):
    shape = step.setting.shape
    rows.append(
      {
        **dataclasses.asdict(step.setting),
        "seconds": kept,
        "median_seconds": statistics.median(kept),
        "tokens": shape.tokens,
        "flops": flops.train(step.setting.config, shape),
        "compile_seconds": step.compile_seconds,
        "temporary_bytes": step.temporary_bytes,
      }
    )
  return rows


def table(name: str, rows: list[dict[str, Any]]) -> str:
  """A series as a Markdown table; columns that never change are left out."""
  fields = [f.name for f in dataclasses.fields(Setting)]
  shown = [f for f in fields if len({row[f] for row in rows}) > 1]
  titles = [*shown, "tokens", "seconds", "ms a token", "GFLOP", "GFLOP/s"]
  titles += ["temporaries MiB", "compile s"]
  lines = [
    f"{name}:",
    "",
    "| " + " | ".join(titles) + " |",
    "|" + " ---: |" * len(titles),
  ]
  for row in rows:
    seconds = row["median_seconds"]
    cells = [str(row[f]) for f in shown] + [
      f"{row['tokens']:.0f}",
      f"{seconds:.3f}",
      f"{1e3 * seconds / row['tokens']:.3f}",
      f"{row['flops'] / 1e9:.1f}",
      f"{row['flops'] / seconds / 1e9:.0f}",
      f"{row['temporary_bytes'] / 2**20:.0f}",
      f"{row['compile_seconds']:.1f}",
    ]
    lines.append("| " + " | ".join(cells) + " |")
  return "\n".join(lines)


def main(argv: list[str]) -> None:
  every = series_of(Setting())
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--out", required=True, help="JSON file to write")
  parser.add_argument("--series", nargs="+", choices=every, default=[*every])
  parser.add_argument("--rounds", type=int, default=5)
  for field in dataclasses.fields(Setting):
    parser.add_argument(
      f"--{field.name}", type=type(field.default), default=field.default
    )
  args = vars(parser.parse_args(argv))
  base = Setting(**{f.name: args[f.name] for f in dataclasses.fields(Setting)})
  results = {}
  for name in args["series"]:
    results[name] = measure(series_of(base)[name], args["rounds"])
    print(f"{table(name, results[name])}\n", flush=True)
    content = {"arguments": args, "series": results}
    pathlib.Path(args["out"]).write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
  main(sys.argv[1:])
