# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Two libraries on one machine, batch by batch in turns.

Each runs in a process of its own (`protocol`). A slower moment of the
machine slows both; a figure is a median over rounds. Between rounds the
machine's own matrix product is measured, so that work can be set against it.
Imports neither JAX nor torch.
"""

import pathlib
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import protocol

HERE = pathlib.Path(__file__).parent
GIB = 2**30


def peak_worker(dtype: str) -> protocol.Worker:
  """A process that measures matrix products in 'fp32' or 'bf16'."""
  return protocol.Worker(
    "peak", [sys.executable, str(HERE / "peak_worker.py"), f"--dtype={dtype}"]
  )


def take_turns(
  workers: Sequence[protocol.Worker],
  peak: protocol.Worker,
  *,
  rounds: int,
  batches: int,
) -> dict[str, Any]:
  """Name -> what a worker said, with seconds [round][batch] and peaks.

  Round 0 warms up. The workers are closed, also on an error.

  Args:
    workers: of the libraries.
    peak: of the machine's own product.
    rounds: that count.
    batches: steps of a round.
  """
  result: dict[str, Any] = {"peak_flops": []}
  try:
    peak.receive()
    for worker in workers:
      result[worker.name] = {**worker.receive(), "seconds": []}
    for turn in range(rounds + 1):
      times: dict[str, list[float]] = {w.name: [] for w in workers}
      for _ in range(batches):
        for worker in workers:
          answer = worker.ask(step=True, reset_peak=turn == 1)
          times[worker.name].append(answer["seconds"])
          result[worker.name]["peak_rss"] = answer["peak_rss"]
      result["peak_flops"].append(peak.ask(step=True)["flops_per_second"])
      for worker in workers:
        kept = result[worker.name]
        if turn:
          kept["seconds"].append(times[worker.name])
        else:
          kept["first_seconds"] = times[worker.name]
  finally:
    for worker in (*workers, peak):
      worker.close()
  return result


def rates(result: dict[str, Any], ours: str, names: Sequence[str]) -> None:
  """Adds pairs and tokens a second, utilisation and memory to a result.

  Useful tokens and operations are those that the pairs need, whatever a
  library computes for them: no pads, a prompt once. They are counted by
  `ours`, whose start message brings `work`, a list of one entry a batch:
  {"pairs", "tokens", "flops"}.

  Args:
    result: of `take_turns`; changed.
    ours: name of the worker that counts.
    names: of all workers.
  """
  work = result[ours]["work"]
  best = max(result["peak_flops"])
  for name in names:
    kept = result[name]
    by_batch = zip(*kept["seconds"], strict=True)
    seconds = sum(map(statistics.median, by_batch))
    for what in ("pairs", "tokens", "flops"):
      kept[f"{what}_per_second"] = sum(w[what] for w in work) / seconds
    kept["utilisation"] = kept["flops_per_second"] / best
    kept["excess_bytes"] = kept["peak_rss"] - result["state_bytes"]
    # Where the library does not compile apart, its first round does.
    steady = [statistics.median(b) for b in zip(*kept["seconds"], strict=True)]
    late = sum(kept["first_seconds"]) - sum(steady)
    kept.setdefault("compile_seconds", max(late, 0.0))


def row(title: str, result: dict[str, Any], names: Sequence[str]) -> str:
  """One line of the table: the other library, then ours."""
  other, ours = (result[name] for name in names)
  ratio = ours["pairs_per_second"] / other["pairs_per_second"]
  cells = [title]
  for what, form in (
    ("pairs_per_second", "{:.3f}"),
    ("tokens_per_second", "{:.0f}"),
    ("utilisation", "{:.0%}"),
  ):
    cells += [form.format(kept[what]) for kept in (other, ours)]
  cells.insert(3, f"{ratio:.2f}")
  for what in ("peak_rss", "excess_bytes"):
    cells += [f"{kept[what] / GIB:.2f}" for kept in (other, ours)]
  excess = [kept["excess_bytes"] for kept in (other, ours)]
  cells.append(f"{excess[1] / excess[0]:.2f}" if min(excess) > 0 else "-")
  temporary = ours.get("temporary_bytes")
  cells.append("-" if temporary is None else f"{temporary / GIB:.2f}")
  cells += [f"{kept['compile_seconds']:.0f}" for kept in (other, ours)]
  return "| " + " | ".join(cells) + " |"


def head(other: str) -> list[str]:
  """The first lines of the table."""
  names = [
    "setting",
    f"{other} pairs/s",
    "PrefJAX pairs/s",
    "ratio",
    f"{other} tokens/s",
    "PrefJAX tokens/s",
    f"{other} share of matmul",
    "PrefJAX share of matmul",
    f"{other} peak GiB",
    "PrefJAX peak GiB",
    f"{other} above the state GiB",
    "PrefJAX above the state GiB",
    "share",
    "PrefJAX temporaries GiB",
    f"{other} compile s",
    "PrefJAX compile s",
  ]
  return [
    "| " + " | ".join(names) + " |",
    "| --- | " + " | ".join(["---:"] * (len(names) - 1)) + " |",
  ]
