# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compiles the train step of a config for a TPU slice that need not be there.

  python scripts/compile_tpu.py --config=configs/scale/llama_3_1_8b.py \
    --topology=v5e:4x4

Needs the TPU compiler (pip install 'jax[tpu]') and no TPU. The program is
the one that `prefjax train` runs. Printed are one chip's memory, products,
traffic and collectives as the compiler laid them out, and the least time
that these take by the chip's published peaks; nothing is measured.

`--rows=1` sets train.micro_batches so that a chip runs so many rows of the
batch at a time. `--slices=2` takes two such slices; all bytes between chips are
still priced at a slice's own links. `--out` keeps the figures as JSON.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import sys
import tempfile
from typing import Any

# The compiler would ask the network what machine this is, and hold a lock.
_ENVIRONMENT = {
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_WORKER_HOSTNAMES": "localhost",
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
  "JAX_PLATFORMS": "cpu",
}
for _key, _value in _ENVIRONMENT.items():
  os.environ.setdefault(_key, _value)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from jax.experimental import topologies  # noqa: E402

from prefjax import config as config_lib  # noqa: E402
from prefjax.cli import config_flag  # noqa: E402
from prefjax.core import errors  # noqa: E402
from prefjax.runs import chips, planning  # noqa: E402
from prefjax.train import mesh as mesh_lib  # noqa: E402

GIB = 1 << 30


def devices_of(topology: str, slices: int = 1) -> list[Any]:
  """The devices of slices such as 'v5e:4x4', that a data centre's net joins.

  Raises:
    ConfigError: the compiler is missing, or knows no such slice.
  """
  several = {"num_slices": slices} if slices > 1 else {}
  try:
    return list(
      topologies.get_topology_desc(
        platform="tpu", topology_name=topology, **several
      ).devices
    )
  except Exception as error:  # the compiler has no type of its own for it
    raise errors.ConfigError(
      f"--topology={topology}: {str(error).splitlines()[0]} (the TPU compiler"
      " is a part of pip install 'jax[tpu]')"
    ) from None


def with_rows(config: config_lib.Config, devices, rows: int):
  """The config with as many micro-batches as leave `rows` a chip."""
  mesh = mesh_lib.make_mesh(**config.mesh.axes, devices=devices)
  ways = mesh_lib.batch_ways(mesh)
  size = config.data.batch_size
  if size % (ways * rows):
    raise errors.ConfigError(
      f"--rows={rows}: {size} rows of data.batch_size do not divide over"
      f" {ways} parts of {rows}"
    )
  train = dataclasses.replace(config.train, micro_batches=size // (ways * rows))
  return dataclasses.replace(config, train=train)


def measure(
  config: config_lib.Config, topology: str, rows: int = 0, slices: int = 1
):
  """The figures of the config's first stage on slices, as JSON values."""
  devices = devices_of(topology, slices)
  if rows:
    config = with_rows(config, devices, rows)
  with tempfile.TemporaryDirectory() as folder:
    part = planning.parts(config, folder, devices)[0]
    given = planning.inputs(part)
    plan = planning.plan(part, given)
    compiled = planning.compile_step(part, given)
  spec = chips.chip(devices[0])
  result = {
    "topology": topology,
    "slices": slices,
    "plan": dataclasses.asdict(plan),
    "micro_batches": config.train.micro_batches,
    "hbm_bytes": spec and spec.memory,
    "compile_seconds": compiled.seconds,
    "error": compiled.error,
  }
  if compiled.error:
    result.update(fits=False, peak_bytes=compiled.needs_bytes)
    return result
  time = planning.roofline(devices[0], compiled)
  result.update(
    argument_bytes=compiled.argument_bytes,
    output_bytes=compiled.output_bytes,
    alias_bytes=compiled.alias_bytes,
    temporary_bytes=compiled.temporary_bytes,
    peak_bytes=compiled.peak_bytes,
    fits=spec is None or compiled.peak_bytes <= spec.memory,
    **compiled.cost.to_json(),
  )
  if time is not None:
    useful = plan.useful_flops / plan.devices / spec.flops
    result.update(
      seconds={
        **dataclasses.asdict(time),
        "overlapped": time.overlapped,
        "serial": time.serial,
      },
      utilisation={
        "overlapped": useful / time.overlapped,
        "serial": useful / time.serial,
      },
    )
  return result


def _gib(value: float | None) -> str:
  return "?" if value is None else f"{value / GIB:.2f} GiB"


def report(result: dict[str, Any]) -> str:
  """The figures for a person."""
  plan = result["plan"]
  b, k, p, r = plan["shape"]
  axes = ", ".join(f"{a}={n}" for a, n in plan["mesh"].items())
  slices = result["slices"]
  several = f", {slices} slices" if slices > 1 else ""
  lines = [
    f"{result['topology']}{several}: {plan['devices']} x {plan['kind']}"
    f" ({axes})",
    f"  parameters        {plan['weights']:,}, trained {plan['trained']:,}",
    f"  batch             {b} groups of {k} responses, {p} + {k} x {r} slots:"
    f" {plan['tokens']:,} tokens in {result['micro_batches']} parts",
    f"  compiled in       {result['compile_seconds']:.0f} s",
    f"  state a chip      {_gib(plan['state_bytes'])}",
  ]
  if result["error"]:
    lines.append(
      f"  does not fit: takes {_gib(result['peak_bytes'])} of"
      f" {_gib(result['hbm_bytes'])}; {result['error']}"
    )
    return "\n".join(lines)
  lines += [
    f"  memory a chip     {_gib(result['argument_bytes'])} arguments +"
    f" {_gib(result['temporary_bytes'])} temporaries ="
    f" {_gib(result['peak_bytes'])} of {_gib(result['hbm_bytes'])}:"
    f" {'fits' if result['fits'] else 'does not fit'}",
    f"  products a chip   {result['flops'] / 1e12:.1f} TFLOP,"
    f" {plan['useful_flops'] / plan['devices'] / 1e12:.1f} of them needed",
    f"  traffic a chip    {result['bytes'] / 1e9:.1f} GB of main memory",
  ]
  for kind, traffic in result["collectives"].items():
    lines.append(
      f"  {kind:<17} {traffic['count']:.0f} times,"
      f" {traffic['bytes'] / 1e9:.2f} GB, {traffic['sent'] / 1e9:.2f} GB sent"
    )
  if result["unknown_loops"]:
    lines.append(
      f"  {result['unknown_loops']} loops of unknown length count once"
    )
  seconds = result.get("seconds")
  if seconds:
    share = result["utilisation"]
    lines.append(
      f"  least time        {seconds['overlapped']:.3f} s if all overlaps,"
      f" {seconds['serial']:.3f} s if nothing does (products"
      f" {seconds['products']:.3f}, memory {seconds['memory']:.3f}, links"
      f" {seconds['links']:.3f}): {share['serial']:.0%} to"
      f" {share['overlapped']:.0%} of the products' peak"
    )
  return "\n".join(lines)


def main(argv: list[str]) -> int:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--topology", required=True, action="append")
  parser.add_argument("--rows", type=int, default=0)
  parser.add_argument("--slices", type=int, default=1)
  parser.add_argument("--out", help="JSON file to write")
  try:
    raw, rest = config_flag.load(argv)
    args = parser.parse_args(rest)
    config = config_lib.parse(raw)
    results = []
    for topology in args.topology:
      results.append(measure(config, topology, args.rows, args.slices))
      print(report(results[-1]), flush=True)
  except errors.PrefjaxError as error:
    print(f"compile_tpu: {error}", file=sys.stderr)
    return 2
  if args.out:
    text = json.dumps(results, indent=1)
    pathlib.Path(args.out).write_text(f"{text}\n", encoding="utf-8")
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
