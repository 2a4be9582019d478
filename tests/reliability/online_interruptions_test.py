# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Ten real kills of a run that learns from its own samples.

python tests/reliability/online_interruptions_test.py --out=kills.png
"""

import argparse
import functools
import hashlib
import json
import pathlib
import sys
import tempfile

import numpy as np
import pytest
import reliability_support as support

_STEPS = 60
# Rounds of four updates, saved every three: most saves are amid a round.
_WORDS = (
  "rl.prompts=16",
  "rl.samples=2",
  "rl.epochs=2",
  "rl.max_new_tokens=8",
  "rl.rewards={'length': 1.0}",
  "checkpoint.every=3",
  "checkpoint.keep=2",
  "eval.every=0",
  "log.progress=false",
)


def _start(workdir, steps, overlap):
  return support.start(
    workdir,
    steps,
    (*_WORDS, f"rl.overlap={str(overlap).lower()}"),
    config="configs/grpo.py:tiny",
  )


def _rollouts(workdir: pathlib.Path) -> list[dict]:
  text = (workdir / "rollouts.jsonl").read_text()
  return [json.loads(line) for line in text.splitlines()]


def _facts(workdir: pathlib.Path) -> dict:
  """Everything that must not depend on what happened on the way."""
  rounds = [
    {k: v for k, v in row.items() if not k.startswith("time/")}
    for row in support.rows(workdir)
    if "round" in row
  ]
  rows = json.dumps(_rollouts(workdir)).encode()
  return {
    "updates": support.updates(workdir),
    "rounds": rounds,
    "rollouts": hashlib.sha256(rows).hexdigest(),
    "state": support.digest(workdir),
  }


def _kill(folder: pathlib.Path, kills: int, seed: int, overlap: bool):
  """(trials, uninterrupted run, killed run)."""
  begin = functools.partial(_start, overlap=overlap)
  whole, killed = folder / "whole", folder / "killed"
  support.finish(begin(whole, _STEPS))
  found = support.trials(killed, _STEPS, kills, 0, seed, begin=begin)
  return found, whole, killed


@pytest.mark.slow
@pytest.mark.parametrize("overlap,seed", [(False, 5), (True, 6)])
def test_ten_kills_leave_no_trace(overlap, seed, tmp_path):
  found, whole, killed = _kill(tmp_path, 10, seed, overlap)
  assert len(found) >= 8  # a kill may come after the end
  for trial in found:
    support.check(trial)
  facts, expected = _facts(killed), _facts(whole)
  assert [row["step"] for row in facts["updates"]] == list(range(1, _STEPS + 1))
  assert len(facts["rounds"]) == _STEPS // 4
  assert facts == expected


def _draw(trials, whole, killed, path: pathlib.Path) -> None:
  from prefjax.analysis import plot_style

  figure, axes = plot_style.figure(2, (plot_style.WIDE, plot_style.SIZE[1]))
  sides = (
    (whole, "never killed", plot_style.GREY, 5.0),
    (killed, f"killed {len(trials)} times", plot_style.BLUE, 1.6),
  )
  panels = (
    ("reward", "mean reward of a round"),
    ("loss", "loss of an update"),
  )
  for axis, (name, title) in zip(axes, panels, strict=True):
    for workdir, label, color, width in sides:
      rows = support.rows(workdir)
      wanted = "round" if name == "reward" else "loss"
      rows = [row for row in rows if wanted in row and name in row]
      axis.plot(
        [row["step"] for row in rows],
        [row[name] for row in rows],
        color=color,
        lw=width,
        label=label,
      )
    for i, trial in enumerate(trials):
      axis.axvline(
        trial.logged,
        color=plot_style.ORANGE,
        lw=1,
        label="" if i else "SIGKILL",
      )
    plot_style.label(axis, "update", "", title)
    plot_style.legend(axis)
  plot_style.save(figure, path)


def main(argv: list[str]) -> int:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--kills", type=int, default=10)
  parser.add_argument("--seed", type=int, default=5)
  parser.add_argument("--overlap", action="store_true")
  parser.add_argument("--out", required=True, help="PNG file to write")
  args = parser.parse_args(argv)
  with tempfile.TemporaryDirectory() as place:
    found, whole, killed = _kill(
      pathlib.Path(place), args.kills, args.seed, args.overlap
    )
    facts, expected = _facts(killed), _facts(whole)
    for trial in found:
      print(trial)
    equal = {key: facts[key] == expected[key] for key in facts}
    print(equal, facts["state"])
    _draw(found, whole, killed, pathlib.Path(args.out))
  return 0 if np.all(list(equal.values())) else 1


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
