# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""experiments/README.md: every claim with its verdict, from results.json."""

import pathlib
from collections.abc import Mapping
from typing import Any

from prefjax.experiments import spec, store

_HEAD = """# Experiments

Each folder tests one paper's claim in miniature: both arms see the same data
and the same seeds, and the accept rule was fixed before the seeds below were
run. `prefjax experiment run SLUG` does it again;
[how to write one](../docs/experiments.md). This page is made from the
`results.json` of each folder by `prefjax experiment table`; don't edit it.

- **shown**: every check of the accept rule holds, and the 95 % interval of
  the difference (paired bootstrap over seeds) lies on the claimed side of
  zero.
- **not shown**: the claim's own check fails and the interval does not lie
  there. A null result after a fair test is a result.
- **mixed**: something between; the checks say what.

"""


def read(root: pathlib.Path) -> list[dict[str, Any]]:
  """Results of all experiments below a folder, by slug.

  Raises:
    DataError: a results.json cannot be read.
  """
  found = []
  for path in sorted(root.glob(f"*/{store.FILE}")):
    found.append(store.read_json(path) or {})
  return [result for result in found if result.get("verdict") in spec.VERDICTS]


def _cell(text: Any) -> str:
  return " ".join(str(text).split()).replace("|", "\\|")


def _row(result: Mapping[str, Any]) -> list[str]:
  slug = result["slug"]
  return [
    f"[{slug}]({slug}/experiment.py)",
    result["paper"],
    result["claim"],
    f"{result['arm']} - {result['baseline']}",
    f"**{result['verdict']}**",
    result["effect"],
    str(len(result["seeds"])),
    f"{result['seconds']:.0f}",
  ]


def _checks(checks: Mapping[str, bool]) -> list[str]:
  return [
    f"- {'yes' if holds else 'no'}: {name}" for name, holds in checks.items()
  ]


def _details(result: Mapping[str, Any]) -> list[str]:
  slug, metric = result["slug"], result["metric"]
  lines = [f"### {slug}", "", f"Rule: {result['expected']}", ""]
  lines += _checks(result["checks"])
  if result.get("further"):
    lines += ["", "Beside the rule, without a part in the verdict:", ""]
    lines += _checks(result["further"])
  means = [
    f"{arm} {found[metric]['mean']:.3g}"
    for arm, found in result["arms"].items()
    if metric in found
  ]
  if len(means) <= 12:
    lines += ["", f"Mean {metric.replace('_', ' ')}: {', '.join(means)}."]
  if result["note"]:
    lines += ["", result["note"]]
  lines += ["", f"![{metric}]({slug}/plot.png)", ""]
  return lines


def markdown(results: list[dict[str, Any]]) -> str:
  """The page."""
  head = ["slug", "paper", "claim", "difference", "verdict", "effect, 95 %"]
  head += ["seeds", "seconds"]
  lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
  lines += [
    "| " + " | ".join(_cell(cell) for cell in _row(result)) + " |"
    for result in results
  ]
  lines.append("")
  for result in results:
    lines += _details(result)
  return _HEAD + "\n".join(lines).rstrip() + "\n"


def write(root: pathlib.Path) -> pathlib.Path:
  """Writes README.md of a folder of experiments."""
  path = root / "README.md"
  text = markdown(read(root))
  scratch = path.with_suffix(".partial")
  scratch.write_text(text, encoding="utf-8")
  scratch.replace(path)
  return path
