# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A page about what a policy said while it learned from its own samples.

Curves of the rounds, then groups of the last round: every response with its
reward, advantage and divergence, and for a few of them each token, coloured
by how unlikely it was. Like the report it is one HTML file without scripts,
every text escaped.
"""

import collections
import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prefjax.analysis import curve_plots, plot_style, run_files
from prefjax.analysis import report_page as html
from prefjax.core import errors

TABLE = "rollouts.jsonl"
PAGE = "rollouts.html"
_GROUPS = 8  # prompts shown of a round
_MAX_LINE = 1 << 20
_NATS = 6.0  # a token this unlikely has the full colour

# (metric, title, unit) of each panel.
_PANELS = (
  ("reward", "Mean reward", "reward"),
  ("objective/kl", "Divergence from the reference", "nats a response"),
  ("entropy", "Entropy", "nats a token"),
  ("completions/mean_length", "Length", "tokens"),
  ("frac_reward_zero_std", "Groups that teach nothing", "share"),
  ("sampling/sampling_logp_difference/mean", "Sampler - trainer", "nats"),
)


def round_curves(
  path: plot_style.Path, rows: curve_plots.Rows
) -> pathlib.Path | None:
  """Rewards, divergence, entropy and length of the rounds of a run.

  Args:
    path: PNG file to write.
    rows: metrics rows; those of rounds have a number "round".

  Returns:
    The path, or None without rounds.
  """
  own = [row for row in rows if "round" in row]
  if not own:
    return None
  figure, axes = plot_style.figure(3, (plot_style.WIDE, 6.4), rows=2)
  for axis, (key, title, unit) in zip(axes, _PANELS, strict=True):
    steps, values = curve_plots.series(own, key)
    if len(steps):
      marker = "o" if len(steps) < 30 else None
      axis.plot(
        steps, values, color=plot_style.BLUE, linewidth=1.6, marker=marker,
        markersize=3, label="rounds",
      )  # fmt: skip
    steps, values = curve_plots.series(rows, f"eval/{key}")
    if len(steps):
      axis.plot(
        steps, values, color=plot_style.ORANGE, marker="D", markersize=4.5,
        linestyle=(0, (2, 2)), label="held out",
      )  # fmt: skip
      plot_style.legend(axis)
    plot_style.label(axis, "optimizer step", unit, title)
  return plot_style.save(figure, path)


def _last_round(path: pathlib.Path) -> tuple[int, list[dict[str, Any]]]:
  """(number, rows) of the newest round in a table of rollouts."""
  found: collections.deque[dict[str, Any]] = collections.deque()
  newest: tuple[int, int] | None = None
  with path.open(encoding="utf-8", errors="replace") as lines:
    for line in lines:
      if len(line) > _MAX_LINE:
        continue
      try:
        row = json.loads(line)
        place = int(row["step"]), int(row["round"])
      except (ValueError, KeyError, TypeError, RecursionError):
        continue
      if newest is None or place > newest:
        newest = place
        found.clear()
      if place == newest:
        found.append(row)
  return (newest[1] if newest else -1), list(found)


def _cell(row: Mapping[str, Any], name: str) -> str:
  value = run_files.number(row.get(name))
  return "" if value is None else f"{value:.3g}"


def _tokens(tokens: Any) -> str:
  """Token texts on a background that tells their log-probs."""
  if not isinstance(tokens, list):
    return ""
  parts = []
  for entry in tokens[:512]:
    if not isinstance(entry, list) or len(entry) != 3:
      continue
    text, logp, gain = entry
    surprise = -(run_files.number(logp) or 0.0)
    depth = min(max(surprise / _NATS, 0.0), 1.0)
    title = f"log-prob {_short(logp)}, advantage {_short(gain)}"
    shown = str(text) or "\u2205"
    parts.append(
      f'<span title="{html.escape(title)}" style="background:'
      f'rgba(230,159,0,{depth:.2f});outline:1px solid #e4e7eb">'
      f"{html.escape(shown)}</span>"
    )
  return f'<div class="text">{"".join(parts)}</div>' if parts else ""


def _short(value: Any) -> str:
  number = run_files.number(value)
  return "?" if number is None else f"{number:.3g}"


def _group(prompt: str, rows: Sequence[Mapping[str, Any]]) -> str:
  """One prompt and its responses, best first."""
  ordered = sorted(
    rows, key=lambda r: -(run_files.number(r.get("reward")) or 0.0)
  )
  lines = []
  for row in ordered:
    gain = run_files.number(row.get("advantage")) or 0.0
    kind = "better" if gain > 0 else "worse" if gain < 0 else ""
    body = html.sample_text(row.get("response"))
    lines.append(
      f"<tr><td>{body}{_tokens(row.get('tokens'))}</td>"
      f'<td class="num">{_cell(row, "reward")}</td>'
      f'<td class="num {kind}">{_cell(row, "advantage")}</td>'
      f'<td class="num">{_cell(row, "kl")}</td>'
      f'<td class="num">{_cell(row, "length")}</td>'
      f"<td>{html.escape(row.get('finish', ''))}</td></tr>"
    )
  head = "".join(
    f"<th{kind}>{name}</th>"
    for name, kind in (
      ("Response", ""),
      ("Reward", ' class="num"'),
      ("Advantage", ' class="num"'),
      ("KL (nats)", ' class="num"'),
      ("Tokens", ' class="num"'),
      ("Ended by", ""),
    )
  )
  return (
    f"<h3>Prompt</h3><p>{html.sample_text(prompt)}</p>"
    f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>'
    f"{''.join(lines)}</tbody></table></div>"
  )


def _facts(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
  """First and last values of what matters most."""
  rows = list(rows)
  own = [row for row in rows if "round" in row]
  out = []
  for name, key, some in (
    ("Reward of rollouts", "reward", own),
    ("Held-out reward", "eval/reward", rows),
    ("Divergence (nats)", "objective/kl", own),
    ("Entropy (nats a token)", "entropy", own),
  ):
    _, values = curve_plots.series(some, key)
    if len(values):
      out.append((name, f"{values[-1]:.3f}", f"began at {values[0]:.3f}"))
  return out


def write_page(workdir: str | os.PathLike[str]) -> pathlib.Path | None:
  """Writes rollouts.html from the files of a run.

  Args:
    workdir: with rollouts.jsonl and metrics.jsonl.

  Returns:
    The path, or None where the run has no table of rollouts.

  Raises:
    DataError: the page cannot be written.
  """
  folder = pathlib.Path(workdir)
  if not (folder / TABLE).is_file():
    return None
  run = run_files.read(folder)
  problems = list(run.problems)
  number, rows = _last_round(folder / TABLE)
  groups: dict[str, list[Mapping[str, Any]]] = {}
  for row in rows:
    key = f"{row.get('id')}\n{row.get('prompt', '')}"
    groups.setdefault(key, []).append(row)
  title = "Rollouts"
  parts = [
    f"<header><h1>{title}</h1><p class=sub>Work directory:"
    f" {html.escape(folder.resolve().name)}</p></header>",
    html.facts(_facts(run.metrics)),
  ]
  try:
    figure = round_curves(folder / "figures" / "rollouts.png", run.metrics)
    if figure is not None:
      drawn = html.figures({"rollouts": figure}, problems)
      parts.append(html.section("Rounds", drawn))
    shown = list(groups.items())[:_GROUPS]
    body = "".join(_group(key.partition("\n")[2], own) for key, own in shown)
    parts.append(
      html.section(
        f"Round {number}: {len(shown)} of {len(groups)} prompts, not picked",
        '<p class="sub">Tokens with an orange ground were unlikely; hold the'
        f" pointer over one for its numbers.</p>{body}",
      )
    )
    if problems:
      items = "".join(f"<li>{html.escape(p)}</li>" for p in problems)
      parts.append(html.section("Remarks", f"<ul>{items}</ul>", "note"))
    path = folder / PAGE
    path.write_text(html.page(title, "".join(parts)), encoding="utf-8")
  except OSError as error:
    raise errors.DataError(
      f"{folder / PAGE}: cannot be written ({error.strerror})"
    ) from error
  return path
