# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A sweep's table as Markdown, JSON and a plot."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from prefjax.analysis import plot_style
from prefjax.core import errors

Rows = Sequence[Mapping[str, Any]]
# Shown by default, as far as runs have them, in this order.
COLUMNS = (
  "gold reward after",
  "reward accuracy",
  "reward margin (nats)",
  "length bias (Spearman)",
  "reward accuracy, chosen longer",
  "reward accuracy, chosen shorter",
  "drift of chosen (nats)",
  "ranking accuracy after",
  "held-out loss, last",
)


def metric_names(rows: Rows) -> list[str]:
  """All metrics that some setting has."""
  return sorted({name for row in rows for name in row["metrics"]})


def main_metric(rows: Rows, wanted: str | None) -> str | None:
  """The metric to rank by: the one asked for, else the first column there is.

  Raises:
    ConfigError: no run has the metric that was asked for.
  """
  known = metric_names(rows)
  if wanted is not None and known and wanted not in known:
    raise errors.ConfigError(
      f"--metric={wanted}: no run has it{errors.nearest(wanted, known)}; there"
      f" are {', '.join(known)}"
    )
  if wanted is not None:
    return wanted if known else None
  return next((name for name in (*COLUMNS, *known) if name in known), None)


def varied(rows: Rows) -> list[str]:
  """Keys of overrides in which settings differ, or all there are."""
  keys = dict.fromkeys(key for row in rows for key in row["overrides"])
  changing = [
    key
    for key in keys
    if len({json.dumps(row["overrides"].get(key)) for row in rows}) > 1
  ]
  return changing or list(keys)


def label(row: Mapping[str, Any], keys: Sequence[str]) -> str:
  """A setting in a few words."""
  parts = [
    f"{key.rpartition('.')[2]}={row['overrides'][key]}"
    for key in keys
    if key in row["overrides"]
  ]
  return ", ".join(parts) or "base"


def shown(value: Mapping[str, float] | None) -> str:
  """'0.713 [0.690, 0.734]'; the mean alone where there is one run."""
  if value is None:
    return ""
  if value["count"] == 1:
    return f"{value['mean']:.4g}"
  return f"{value['mean']:.4g} [{value['low']:.4g}, {value['high']:.4g}]"


def markdown(rows: Rows, metric: str | None) -> str:
  """The table: settings as given, the best of the main metric in bold."""
  keys = varied(rows)
  known = metric_names(rows)
  columns = [name for name in COLUMNS if name in known]
  if metric is not None and metric not in columns:
    columns.insert(0, metric)
  lines = [
    "| " + " | ".join([*(f"`{key}`" for key in keys), "runs", *columns]) + " |",
    "|" + "---|" * (len(keys) + 1 + len(columns)),
  ]
  for row in rows:
    cells = [str(row["overrides"].get(key, "")) for key in keys]
    cells.append(f"{row['done']} of {len(row['runs'])}")
    cells += [shown(row["metrics"].get(name)) for name in columns]
    lines.append(
      "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    )
  about = "Means over seeds with 95 % bootstrap intervals."
  if metric is not None:
    about += f" Plot: {metric}."
  return "\n".join([*lines, "", about, ""])


def draw(rows: Rows, metric: str, path: pathlib.Path) -> pathlib.Path | None:
  """The main metric of every setting, with its interval."""
  keys = varied(rows)
  found = [row for row in rows if metric in row["metrics"]]
  if not found:
    return None
  height = max(plot_style.SIZE[1], 0.28 * len(found) + 1.2)
  figure, (axis,) = plot_style.figure(size=(plot_style.SIZE[0] * 1.4, height))
  for place, row in enumerate(found):
    value = row["metrics"][metric]
    axis.plot(
      [value["low"], value["high"]], [place] * 2, color=plot_style.BLUE, lw=2
    )
    axis.plot(value["mean"], place, "o", color=plot_style.BLUE, ms=5)
  axis.set_yticks(range(len(found)), [label(row, keys) for row in found])
  axis.invert_yaxis()
  plot_style.label(axis, metric, "")
  return plot_style.save(figure, path)


def write(
  workdir: pathlib.Path,
  rows: Rows,
  numbers: Mapping[str, Mapping[str, float]],
  metric: str | None,
) -> pathlib.Path:
  """Writes table.md, table.json and plot.png; returns table.md."""
  text = markdown(rows, metric)
  whole = {"metric": metric, "settings": list(rows), "runs": dict(numbers)}
  for name, content in (
    ("table.json", json.dumps(whole, indent=1) + "\n"),
    ("table.md", text),
  ):
    scratch = workdir / f".{name}.partial"
    scratch.write_text(content, encoding="utf-8")
    os.replace(scratch, workdir / name)
  if metric is not None:
    draw(rows, metric, workdir / "plot.png")
  return workdir / "table.md"
