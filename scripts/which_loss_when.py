# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Writes the measured part of docs/which-loss-when.md from the zoo.

python scripts/which_loss_when.py [--check]
"""

import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from prefjax.experiments import judging, marks, store

ROOT = pathlib.Path(__file__).resolve().parents[1]
BEGIN = "<!-- measured: made by scripts/which_loss_when.py -->"
END = "<!-- end of measured -->"
_CONDITIONS = {
  "clean": "right labels",
  "noise_20": "20 % wrong",
  "noise_40": "40 % wrong",
  "length": "length-biased",
}
_BASELINE = "dpo"
_FIRST, _LAST = 6, 3


def _cell(
  seeds: Sequence[judging.Arms], name: str, metric: str, digits: int
) -> str:
  """'0.871 (+0.012)': mean, and difference to DPO where it is clear."""
  mean = judging.mean(seeds, name, metric)
  text = f"{mean:.{digits}f}"
  if name == _BASELINE:
    return text
  gap = judging.difference(seeds, name, _BASELINE, metric)
  if gap["low"] > 0 or gap["high"] < 0:
    text += f" ({gap['mean']:+.{digits}f})"
  return text


def table(results: Mapping[str, Any]) -> str:
  """Every loss under every annotator, highest mean gain first."""
  seeds = [row["arms"] for row in results["seeds"]]

  def overall(name):
    return sum(
      judging.mean(seeds, name, f"gain_{condition}")
      for condition in _CONDITIONS
    )

  head = [
    "loss",
    *(f"gain, {title}" for title in _CONDITIONS.values()),
    "tokens more, right",
    "tokens more, length-biased",
    "KL, right",
    "chosen log-ratio, right",
  ]
  lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
  for name in sorted(seeds[0], key=lambda name: -overall(name)):
    cells = [f"`{name}`"]
    cells += [_cell(seeds, name, f"gain_{c}", 2) for c in _CONDITIONS]
    cells += [_cell(seeds, name, f"length_{c}", 1) for c in ("clean", "length")]
    cells += [
      _cell(seeds, name, metric, 2)
      for metric in ("kl_clean", "chosen_drift_clean")
    ]
    lines.append("| " + " | ".join(cells) + " |")
  return "\n".join(lines)


def section(results: Mapping[str, Any]) -> str:
  """The measured part of the page."""
  settings, number = results["settings"], len(results["seeds"])
  seeds = [row["arms"] for row in results["seeds"]]
  best = []
  for condition, title in _CONDITIONS.items():
    metric = f"gain_{condition}"
    names = sorted(
      seeds[0], key=lambda name, m=metric: -judging.mean(seeds, name, m)
    )
    first, last = (
      ", ".join(
        f"`{name}` {judging.mean(seeds, name, metric):.2f}" for name in some
      )
      for some in (names[:_FIRST], names[-_LAST:])
    )
    best.append(f"- **{title}**: {first}; last {last}.")
  figures = [
    f"![{title}](../experiments/zoo/gain_{condition}.png)"
    for condition, title in _CONDITIONS.items()
  ]
  about = (
    f"{settings['steps']} full-batch updates, {settings['pairs']} pairs,"
    f" {number} seeds. Means over seeds; in brackets the difference to DPO"
    " where its 95 % interval (paired bootstrap) leaves out zero. With so few"
    " seeds that interval is narrow: trust what is large."
  )
  return "\n".join(["", *best, "", about, "", table(results), "", *figures, ""])


def updated(text: str) -> str:
  """The page with the measured part made anew."""
  results = store.read_json(ROOT / "experiments" / "zoo" / store.FILE)
  if results is None or "checks" not in results:
    raise SystemExit("run prefjax experiment run zoo first")
  return marks.replace(text, BEGIN, END, section(results))


def main() -> int:
  path = ROOT / "docs" / "which-loss-when.md"
  before = path.read_text(encoding="utf-8")
  after = updated(before)
  if "--check" in sys.argv[1:]:
    return int(before != after)
  path.write_text(after, encoding="utf-8")
  return 0


if __name__ == "__main__":
  sys.exit(main())
