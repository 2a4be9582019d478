# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The numbers of a report: before against after, with intervals, as tables.

A table is a list of rows {column: value}; values are strings or numbers.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefjax.analysis import bootstrap, calibration, length_bias, run_files

Rows = Sequence[Mapping[str, Any]]
Tables = Mapping[str, Rows]
_KEY = 0  # intervals of a report are the same each time it is written


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Everything a report says about before and after.

  Attributes:
    rows: table rows with metric, before, after, change and interval.
    headline: short facts as (label, value, remark).
    gold_before: mean, low, high of the gold reward, or None.
    gold_after: the same after.
    wins: result of `bootstrap.win_rate`, or None.
    reward_margins: [N] implicit reward margins, or None without a beta.
  """

  rows: list[dict[str, Any]]
  headline: list[tuple[str, str, str]]
  gold_before: dict[str, float] | None
  gold_after: dict[str, float] | None
  wins: dict[str, float] | None
  reward_margins: np.ndarray | None


def _row(metric, before, after, change="", interval="") -> dict[str, Any]:
  return {
    "metric": metric,
    "before": before,
    "after": after,
    "change": change,
    "95 % interval": interval,
  }


def _bounds(value: Mapping[str, float], sign: str = "+") -> str:
  return f"[{value['low']:{sign}.3f}, {value['high']:{sign}.3f}]"


def _right(margins: np.ndarray) -> np.ndarray:
  return np.where(margins == 0, 0.5, (margins > 0).astype(np.float64))


def find_beta(evaluation: Mapping[str, Any], config: Mapping[str, Any]):
  """The beta of a run: of eval.json, else the first '...beta' of the config."""
  beta = run_files.number(evaluation.get("beta"))
  if beta is not None:
    return beta
  for name, value in run_files.flatten(config).items():
    if name.split(".")[-1] == "beta":
      return run_files.number(value)
  return None


def _accuracy_rows(before, after, rows, headline) -> None:
  """Ranking accuracy on held-out pairs; both [N], finite."""
  first, second = _right(before), _right(after)
  change = bootstrap.paired_difference(_KEY, first, second)
  rows.append(
    _row(
      "ranking accuracy (held-out pairs)",
      first.mean(),
      second.mean(),
      change["mean"],
      _bounds(change),
    )
  )
  gain = bootstrap.mean_interval(_KEY, _right(after - before))
  rows.append(
    _row(
      "reward accuracy (margin grew)", "", gain["mean"], "", _bounds(gain, "")
    )
  )
  rows.append(
    _row(
      "log-prob margin, mean (nats)",
      before.mean(),
      after.mean(),
      (after - before).mean(),
    )
  )
  headline.append(
    (
      "Ranking accuracy",
      f"{100 * second.mean():.1f} %",
      f"was {100 * first.mean():.1f} %, {len(first)} held-out pairs",
    )
  )


def _gold_rows(before, after, rows, headline):
  """Gold reward and win rate; both [M], finite."""
  first = bootstrap.mean_interval(_KEY, before)
  second = bootstrap.mean_interval(_KEY, after)
  change = bootstrap.paired_difference(_KEY, before, after)
  wins = bootstrap.win_rate(_KEY, before, after, tie_band=1e-9)
  rows.append(
    _row(
      "gold reward of samples",
      first["mean"],
      second["mean"],
      change["mean"],
      _bounds(change),
    )
  )
  rows.append(
    _row(
      "perfect samples (gold 1)",
      np.mean(before >= 1 - 1e-9),
      np.mean(after >= 1 - 1e-9),
      np.mean(after >= 1 - 1e-9) - np.mean(before >= 1 - 1e-9),
    )
  )
  rows.append(
    _row(
      "win rate, after against before (ties half)",
      "",
      wins["win_rate"],
      "",
      _bounds(wins, ""),
    )
  )
  headline.append(
    (
      "Gold reward",
      f"{second['mean']:.3f}",
      f"was {first['mean']:.3f}, {len(before)} prompts",
    )
  )
  headline.append(
    (
      "Win rate",
      f"{100 * wins['win_rate']:.1f} %",
      f"95 % interval {100 * wins['low']:.1f} to {100 * wins['high']:.1f}",
    )
  )
  return first, second, wins


def compare(
  evaluation: Mapping[str, Any], *, beta: float | None = None
) -> Comparison:
  """Compares before and after from the content of eval.json.

  Args:
    evaluation: see `run_files`; any part may be missing.
    beta: reward scale, for calibration; None leaves calibration out.

  Returns:
    Rows, headline facts and intervals of whatever is there.
  """
  rows: list[dict[str, Any]] = []
  headline: list[tuple[str, str, str]] = []
  pairs = run_files.section(evaluation, "pairs")
  before = run_files.numbers(pairs.get("margin_before"))
  after = run_files.numbers(pairs.get("margin_after"))
  lengths = run_files.numbers(pairs.get("length_difference"))
  reward_margins = None
  if before.size and before.size == after.size:
    kept = np.isfinite(before) & np.isfinite(after)
    if kept.any():
      _accuracy_rows(before[kept], after[kept], rows, headline)
      if beta is not None:
        reward_margins = beta * (after[kept] - before[kept])
        error = calibration.expected_calibration_error(
          *calibration.confidence(reward_margins), adaptive=True
        )
        rows.append(_row("calibration error of rewards", "", error))
  if after.size and after.size == lengths.size:
    kept = np.isfinite(after) & np.isfinite(lengths)
    values = [
      length_bias.margin_length_correlation(margins[kept], lengths[kept])
      if margins.size == lengths.size and np.isfinite(margins[kept]).all()
      else None
      for margins in (before, after)
    ]
    first, second = (v["spearman"] if v else "" for v in values)
    change = second - first if values[0] and values[1] else ""
    rows.append(
      _row("margin-length correlation (Spearman)", first, second, change)
    )

  gold = run_files.section(evaluation, "gold")
  before = run_files.numbers(gold.get("before"))
  after = run_files.numbers(gold.get("after"))
  gold_before = gold_after = wins = None
  if before.size and before.size == after.size:
    kept = np.isfinite(before) & np.isfinite(after)
    if kept.any():
      gold_before, gold_after, wins = _gold_rows(
        before[kept], after[kept], rows, headline
      )

  named = (
    run_files.section(evaluation, "before"),
    run_files.section(evaluation, "after"),
  )
  measured = {row["metric"] for row in rows}
  for name in dict.fromkeys((*named[0], *named[1])):
    first, second = (run_files.number(part.get(name)) for part in named)
    if first is None and second is None:
      continue
    if name == "ranking_accuracy" and any("ranking" in m for m in measured):
      continue  # computed above, with an interval
    rows.append(
      _row(
        name,
        "" if first is None else first,
        "" if second is None else second,
        "" if first is None or second is None else second - first,
      )
    )
    if name == "logps/chosen" and None not in (first, second):
      headline.append(
        ("Chosen log-prob drift", f"{second - first:+.2f} nats", "a response")
      )
  return Comparison(
    rows, headline, gold_before, gold_after, wins, reward_margins
  )


def training(metrics: Rows) -> list[dict[str, Any]]:
  """Facts about the run itself: steps, last values, speed, alarms."""
  steps = [run_files.number(row.get("step")) for row in metrics]
  steps = [step for step in steps if step is not None]
  if not steps:
    return []
  rows = [{"quantity": "optimizer steps", "value": int(max(steps))}]
  tail = max(1, len(metrics) // 20)

  def values(name: str) -> list[float]:
    found = (run_files.number(row.get(name)) for row in metrics)
    return [value for value in found if value is not None]

  for name, text in (
    ("loss", "loss, mean of the last 5 %"),
    ("eval/loss", "held-out loss, last"),
    ("rewards/accuracies", "reward accuracy, mean of the last 5 %"),
    ("rewards/margins", "reward margin, mean of the last 5 %"),
    ("grad_norm", "gradient norm, mean of the last 5 %"),
  ):
    found = values(name)
    if found:
      last = found[-1:] if name.startswith("eval/") else found[-tail:]
      rows.append({"quantity": text, "value": float(np.mean(last))})
  speed = values("time/tokens_per_s")
  if speed:
    rows.append(
      {"quantity": "tokens a second, median", "value": float(np.median(speed))}
    )
  bad = sum(
    isinstance(row.get("loss"), float) and not math.isfinite(row["loss"])
    for row in metrics
  )
  if bad:
    rows.append({"quantity": "steps with a non-finite loss", "value": bad})
  return rows


def cell(value: Any) -> str:
  """A table value as text: numbers to four significant digits."""
  if value is None:
    return ""
  if isinstance(value, (bool, np.bool_)):
    return "yes" if value else "no"
  if isinstance(value, (int, np.integer)):
    return f"{value:,}" if abs(value) < 10**15 else f"{value}"
  if isinstance(value, (float, np.floating)):
    value = float(value)
    if not math.isfinite(value):
      return "not finite"
    if value == 0 or 1e-3 <= abs(value) < 1e4:
      text = f"{value:.4g}" if abs(value) >= 1 else f"{value:.3f}"
      return "0" if value == 0 else text
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.3g}"
  return str(value)


def columns(rows: Rows) -> list[str]:
  """All column names in order of appearance."""
  return list(dict.fromkeys(str(name) for row in rows for name in row))


def printable(text: str) -> str:
  """`text` with control characters shown, so that none reaches a terminal."""
  out = []
  for char in text:
    code = ord(char)
    if code < 32:
      out.append(chr(0x2400 + code))
    elif code == 127:
      out.append("\u2421")
    elif 0x80 <= code < 0xA0 or 0xD800 <= code < 0xE000:
      out.append("\ufffd")
    elif 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069:
      out.append("\ufffd")  # bidirectional overrides
    else:
      out.append(char)
  return "".join(out)


def text(tables: Tables, *, title: str = "") -> str:
  """Tables as plain text with aligned columns.

  Args:
    tables: title -> rows.
    title: first line.

  Returns:
    Lines ending in a line feed.
  """
  lines = [printable(title), "=" * len(printable(title)), ""] if title else []
  for name, rows in tables.items():
    if not rows:
      continue
    names = columns(rows)
    body = [[printable(cell(row.get(n, ""))) for n in names] for row in rows]
    heads = [printable(n) for n in names]
    widths = [
      max(len(line[i]) for line in [heads, *body]) for i in range(len(names))
    ]
    numeric = [
      all(not isinstance(row.get(n), str) or not row[n] for row in rows)
      for n in names
    ]

    def aligned(line, widths=widths, numeric=numeric) -> str:
      return "  ".join(
        part.rjust(width) if right else part.ljust(width)
        for part, width, right in zip(line, widths, numeric, strict=True)
      ).rstrip()

    lines += [printable(str(name)), aligned(heads)]
    lines.append("  ".join("-" * width for width in widths))
    lines += [aligned(line) for line in body]
    lines.append("")
  return "\n".join(lines) + ("\n" if lines else "")


def print_tables(tables: Tables, *, console: Any = None) -> None:
  """Prints tables with Rich, values as plain text (no markup).

  Args:
    tables: title -> rows.
    console: a rich Console, default one on stdout.
  """
  import rich.console
  import rich.table
  import rich.text

  console = rich.console.Console() if console is None else console
  for name, rows in tables.items():
    if not rows:
      continue
    table = rich.table.Table(
      title=rich.text.Text(printable(str(name))), title_justify="left"
    )
    for head in columns(rows):
      right = all(
        not isinstance(row.get(head), str) or not row[head] for row in rows
      )
      table.add_column(
        rich.text.Text(printable(head)), justify="right" if right else "left"
      )
    for row in rows:
      table.add_row(
        *(
          rich.text.Text(printable(cell(row.get(head, ""))))
          for head in columns(rows)
        )
      )
    console.print(table)
