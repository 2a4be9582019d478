# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Writes README's table of methods from the registry and the experiments.

  python scripts/methods_table.py [--check]

A claim's status comes from experiments/<name>/results.json (keys verdict,
effect, seeds); without one it reads "not tried yet".
"""

import json
import pathlib
import sys

from prefjax import methods
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
  "prompt": "prompts and rewards",
}


def _claim(name: str) -> tuple[str, str, str]:
  """(verdict, effect, seeds) of a method's experiment."""
  path = ROOT / "experiments" / name / "results.json"
  if not path.is_file():
    return "not tried yet", "", ""
  results = json.loads(path.read_text(encoding="utf-8"))
  return (
    str(results["verdict"]),
    str(results.get("effect", "")),
    str(len(results.get("seeds", ()))),
  )


def table() -> str:
  """The table in Markdown, one row a registry name."""
  aliases: dict[str, list[str]] = {}
  for alias, name in rows.ALIASES.items():
    aliases.setdefault(name, []).append(alias)
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
      _RECORDS[methods.get(name).record_kind],
      ", ".join(f"`{alias}`" for alias in sorted(aliases.get(name, ()))),
      *_claim(name),
    ]
    lines.append("| " + " | ".join(cells) + " |")
  return "\n".join(lines)


def updated(text: str) -> str:
  """README with the table made anew between its two markers."""
  head, rest = text.split(BEGIN)
  _, tail = rest.split(END)
  return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


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
