# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs the fuzz targets for long: so many executions, every crash kept.

  python tests/security/fuzz_run.py --executions=1000000 --json=FILE

Each target runs in a process of its own, with a limit on memory: a crash of a
native library or an allocation that a file asked for is a finding too. An
input that takes long is one as well.
"""

import argparse
import collections
import dataclasses
import faulthandler
import json
import multiprocessing
import os
import pathlib
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from typing import Any

if __name__ == "__main__":
  sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
  import conftest  # noqa: F401 - paths and flags

import fuzz_targets

from prefjax.experiments import marks

SLOW_SECONDS = 5.0
_MEMORY = 6 << 30  # bytes of address space beyond what is mapped at the start


@dataclasses.dataclass
class Found:
  """What came of a target.

  Attributes:
    target: its name.
    executions: inputs tried.
    accepted: inputs that were parsed without an error.
    seconds: that it took.
    crashes: where it crashed -> (what was raised, an input as hex).
    slow: inputs that took over SLOW_SECONDS, as hex.
  """

  target: str
  executions: int = 0
  accepted: int = 0
  seconds: float = 0.0
  crashes: dict[str, list[str]] = dataclasses.field(default_factory=dict)
  slow: list[str] = dataclasses.field(default_factory=list)


def place_of(error: BaseException) -> str:
  """Type and the innermost line of ours, to tell crashes apart."""
  ours = [
    f"{pathlib.Path(frame.filename).name}:{frame.lineno}"
    for frame in traceback.extract_tb(error.__traceback__)
    if "prefjax" in frame.filename and "tests" not in frame.filename
  ]
  return f"{type(error).__name__} at {ours[-1] if ours else '?'}"


def execute(target: fuzz_targets.Target, data: bytes, found: Found) -> None:
  """Tries one input."""
  begin = time.perf_counter()
  try:
    target.run(data)
    found.accepted += 1
  except target.raises:
    pass
  except Exception as error:
    found.crashes.setdefault(
      place_of(error), [repr(error)[:300], data.hex()[:20_000]]
    )
  if time.perf_counter() - begin > SLOW_SECONDS:
    found.slow.append(data.hex()[:20_000])
  found.executions += 1


def run(name: str, executions: int, seed: int, folder: pathlib.Path) -> Found:
  """So many mutated inputs for one target, the right ones first."""
  found = Found(name)
  begin = time.perf_counter()
  target = fuzz_targets.make(name, folder)
  rng = random.Random(f"{name}/{seed}")
  for data in target.corpus[:executions]:
    execute(target, data, found)
  last = folder / "last-input"
  native = name in fuzz_targets.IN_FILES
  while found.executions < executions:
    data = target.draw(rng)
    if native:
      last.write_bytes(data)  # what a process that died had in hand
    execute(target, data, found)
  found.seconds = time.perf_counter() - begin
  return found


def _child(name, executions, seed, folder, pipe) -> None:
  faulthandler.enable()
  pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
  most = pages * os.sysconf("SC_PAGE_SIZE") + _MEMORY
  resource.setrlimit(resource.RLIMIT_AS, (most, most))
  pipe.send(run(name, executions, seed, pathlib.Path(folder)))


def isolated(name: str, executions: int, seed: int) -> Found:
  """`run` in a process of its own."""
  context = multiprocessing.get_context("spawn")
  reading, writing = context.Pipe(duplex=False)
  with tempfile.TemporaryDirectory() as folder:
    child = context.Process(
      target=_child, args=(name, executions, seed, folder, writing)
    )
    child.start()
    writing.close()
    try:
      found = reading.recv()
    except EOFError:
      found = Found(name)
      last = pathlib.Path(folder) / "last-input"
      data = last.read_bytes().hex() if last.exists() else ""
      child.join()
      found.crashes[f"died with status {child.exitcode}"] = ["", data[:20_000]]
    child.join()
    shutil.rmtree(folder, ignore_errors=True)
  return found


def shares(names, executions: int) -> dict[str, int]:
  """How many executions each target gets; slow ones fewer."""
  with tempfile.TemporaryDirectory() as folder:
    weights = {}
    for name in names:
      place = pathlib.Path(folder) / name
      place.mkdir()
      weights[name] = fuzz_targets.make(name, place).share
  total = sum(weights.values())
  return {
    name: max(50, int(executions * weight / total) + 1)
    for name, weight in weights.items()
  }


def table(rows: list[dict[str, Any]]) -> str:
  """Markdown, one line a target."""
  lines = [
    "| target | executions | parsed | a second | crashes | slow |",
    "|---|---|---|---|---|---|",
  ]
  total: collections.Counter[str] = collections.Counter()
  for row in rows:
    rate = row["executions"] / max(row["seconds"], 1e-9)
    lines.append(
      f"| {row['target']} | {row['executions']:,} | {row['accepted']:,} |"
      f" {rate:,.0f} | {len(row['crashes'])} | {len(row['slow'])} |"
    )
    total["executions"] += row["executions"]
    total["crashes"] += len(row["crashes"])
    total["slow"] += len(row["slow"])
  lines.append(
    f"| all | {total['executions']:,} |  |  | {total['crashes']} |"
    f" {total['slow']} |"
  )
  return "\n".join(lines)


_BEGIN = "<!-- fuzz: made by scripts/fuzz.sh -->"
_END = "<!-- end of fuzz -->"


def write_page(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
  """Puts the table between its marks in a page."""
  text = path.read_text()
  path.write_text(marks.replace(text, _BEGIN, _END, table(rows)))


def main() -> int:
  """Runs the targets that were asked for; 0 if nothing was found."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--executions", type=int, default=1_000_000)
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--target", action="append", help="default: all")
  parser.add_argument("--json", help="results go there, added to what is there")
  parser.add_argument("--page", help="write the table into this page")
  given = parser.parse_args()
  names = given.target or list(fuzz_targets.NAMES)
  counts = shares(names, given.executions)
  rows = []
  for name in names:
    found = isolated(name, counts[name], given.seed)
    rows.append(dataclasses.asdict(found))
    print(
      f"{name}: {found.executions:,} in {found.seconds:.0f} s,"
      f" {len(found.crashes)} crashes, {len(found.slow)} slow",
      flush=True,
    )
    for where, (what, data) in found.crashes.items():
      print(f"  {where}: {what}\n    input {data[:400]}", flush=True)
    for data in found.slow[:3]:
      print(f"  slow: {data[:400]}", flush=True)
    if given.json:
      path = pathlib.Path(given.json)
      before = json.loads(path.read_text()) if path.exists() else []
      path.write_text(json.dumps([*before, rows[-1]], indent=1))
  print(table(rows))
  if given.page:
    write_page(pathlib.Path(given.page), rows)
  return int(any(row["crashes"] or row["slow"] for row in rows))


if __name__ == "__main__":
  sys.exit(main())
