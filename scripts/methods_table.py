# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Writes README's table of methods from the registry and the experiments.

  python scripts/methods_table.py [--check]

A claim's status comes from the results.json of the experiment that names the
method. The effect is the method's own where it is an arm of the experiment;
where it is none, the experiment's own belongs to the method named first.
Without an experiment the row says how the method did against DPO in the zoo,
where 20 % of the labels are wrong (difference of reward gained).
"""

import pathlib
import sys
from typing import Any

from prefjax import methods
from prefjax.experiments import judging, marks
from prefjax.experiments import table as experiment_table
from prefjax.methods import rows

ROOT = pathlib.Path(__file__).resolve().parents[1]
BEGIN = "<!-- methods: made by scripts/methods_table.py -->"
END = "<!-- end of methods -->"
_RECORDS = {
  "pair": "pairs",
  "ranked": "scored groups",
  "unpaired": "single labels",
  "kto": "single labels",
  "sft": "answers",
  "joint": "joint pairs",
  "blind": "pairs and blind answers",
  "rationale": "pairs with reasons",
  "mapl": "pairs",
  "traced": "pairs and traces",
  "prompt": "prompts and rewards",
}


def _records(name: str) -> str:
  kind = methods.get(name).record_kind
  return _RECORDS.get(kind, kind)


_ZOO, _ZOO_METRIC = "zoo", "gain_noise_20"


def _results() -> list[dict[str, Any]]:
  """What the experiments found, see `prefjax.experiments`."""
  return experiment_table.read(ROOT / "experiments")


def _effect(name: str, found: dict[str, Any]) -> str:
  """What this method, and no other of the experiment, gained."""
  arms = [row["arms"] for row in found["seeds"]]
  metric = found["metric"]
  if all(metric in arm.get(name, {}) for arm in arms):
    gap = judging.difference(arms, name, found["baseline"], metric)
    return judging.effect(metric, gap)
  return found["effect"] if name == found["methods"][0] else ""


def _claim(name: str, results: list[dict[str, Any]]) -> tuple[str, str, str]:
  """(verdict, effect, seeds): of its own experiment, else of the zoo."""
  for found in results:
    if name in found["methods"]:
      slug = found["slug"]
      link = f"[{found['verdict']}](experiments/{slug})"
      return link, _effect(name, found), str(len(found["seeds"]))
  for found in results:
    if found["slug"] == _ZOO and name in found["arms"]:
      seeds = [row["arms"] for row in found["seeds"]]
      gap = judging.difference(seeds, name, "dpo", _ZOO_METRIC)
      effect = "baseline" if name == "dpo" else judging.effect("vs dpo", gap)
      return f"[compared](experiments/{_ZOO})", effect, str(len(seeds))
  return "not tried yet", "", ""


def table() -> str:
  """The table in Markdown, one row a registry name."""
  aliases: dict[str, list[str]] = {}
  for alias, name in rows.ALIASES.items():
    aliases.setdefault(name, []).append(alias)
  results = _results()
  lines = [
    "| `method.name` | paper | learns from | also called | claim | effect"
    " | seeds |",
    "|---|---|---|---|---|---|---|",
  ]
  for name in rows.BUILT_IN:
    row = rows.ROWS[name]
    cells = [
      f"[`{name}`](configs/{name}.py)",
      row.paper,
      _records(name),
      ", ".join(f"`{alias}`" for alias in sorted(aliases.get(name, ()))),
      *_claim(name, results),
    ]
    lines.append("| " + " | ".join(cells) + " |")
  return "\n".join(lines)


def updated(text: str) -> str:
  """README with the table made anew between its two markers."""
  return marks.replace(text, BEGIN, END, table())


def main() -> int:
  path = ROOT / "README.md"
  before = path.read_text(encoding="utf-8")
  after = updated(before)
  if "--check" in sys.argv[1:]:
    return int(before != after)
  path.write_text(after, encoding="utf-8")
  return 0


if __name__ == "__main__":
  sys.exit(main())
