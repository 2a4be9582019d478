# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML file about a run.

Images are inlined, all text is escaped, nothing is loaded from anywhere and
no script is needed (a content security policy in the page forbids both).
`from_workdir` builds everything from the files of a run; see `run_files` for
their formats.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from prefjax import version
from prefjax.analysis import plots, rollouts, run_files, summary
from prefjax.analysis import report_page as html_page
from prefjax.core import errors

Path = str | os.PathLike[str]


def write_report(
  workdir: Path,
  *,
  title: str,
  config: Mapping[str, Any] | None = None,
  metrics_rows: summary.Rows = (),
  tables: summary.Tables | None = None,
  figures: Mapping[str, Path] | None = None,
  samples: summary.Rows = (),
  headline: Sequence[tuple[str, str, str]] = (),
  subtitle: str = "",
  problems: Sequence[str] = (),
  max_samples: int = 24,
  filename: str = "report.html",
) -> pathlib.Path:
  """Writes the report.

  Args:
    workdir: folder of the report; made if it is missing.
    title: heading of the page.
    config: nested configuration.
    metrics_rows: rows of metrics.jsonl, for the facts about the run.
    tables: title -> rows {column: value}.
    figures: name -> PNG file; known names get a caption.
    samples: rows {prompt, before, after, gold_before, gold_after}.
    headline: facts at the top as (label, value, remark).
    subtitle: line under the title.
    problems: remarks about what is missing.
    max_samples: how many samples are shown.
    filename: name of the file in `workdir`.

  Returns:
    The path of the HTML file.

  Raises:
    DataError: the file cannot be written.
  """
  problems = list(problems)
  parts = [
    f"<header><h1>{html_page.escape(title)}</h1>"
    + (f'<p class="sub">{html_page.escape(subtitle)}</p>' if subtitle else "")
    + "</header>"
  ]
  if headline:
    parts.append(html_page.facts(headline))
  for name, rows in (tables or {}).items():
    if rows:
      parts.append(html_page.section(str(name), html_page.table(rows)))
  drawn = html_page.figures(figures or {}, problems)
  if drawn:
    parts.append(html_page.section("Plots", drawn))
  if samples:
    parts.append(
      html_page.section(
        "Samples before and after", html_page.samples(samples, max_samples)
      )
    )
  run = summary.training(metrics_rows)
  if run:
    parts.append(
      html_page.section(
        "Training run", html_page.table(run, ["quantity", "value"])
      )
    )
  if config:
    parts.append(html_page.configuration(run_files.flatten(config)))
  if len(parts) == 1:
    problems.append("nothing was recorded: no metrics, evaluation or samples")
  if problems:
    items = "".join(
      f"<li>{html_page.escape(problem)}</li>" for problem in problems
    )
    parts.append(html_page.section("Remarks", f"<ul>{items}</ul>", "note"))
  parts.append(
    f"<footer>PrefJAX {html_page.escape(version.__version__)}</footer>"
  )
  page = html_page.page(title, "".join(parts))
  path = pathlib.Path(workdir) / filename
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
  except OSError as error:
    raise errors.DataError(
      f"{path}: the report cannot be written ({error.strerror})"
    ) from error
  return path


def draw_figures(
  folder: Path,
  run: run_files.Run,
  comparison: summary.Comparison,
) -> dict[str, pathlib.Path]:
  """Draws every plot the run has data for.

  Args:
    folder: where the PNG files go.
    run: content of a work directory.
    comparison: its before and after.

  Returns:
    Name -> path in the order of the report.
  """
  folder = pathlib.Path(folder)
  pairs = run_files.section(run.evaluation, "pairs")
  before, after, lengths = (
    run_files.numbers(pairs.get(name))
    for name in ("margin_before", "margin_after", "length_difference")
  )
  drawn = {
    "gold": plots.gold_bars(
      folder / "gold.png",
      comparison.gold_before,
      comparison.gold_after,
      comparison.wins,
    ),
    "margins": plots.margin_histogram(folder / "margins.png", before, after),
    "reliability": plots.reliability_plot(
      folder / "reliability.png", comparison.reward_margins
    ),
    "length_bias": plots.length_bias_plot(
      folder / "length_bias.png", lengths, after, before
    ),
    "rewards": plots.rewards_curve(folder / "rewards.png", run.metrics),
    "logps": plots.logps_curve(folder / "logps.png", run.metrics),
    "loss": plots.loss_curve(folder / "loss.png", run.metrics),
    "rollouts": rollouts.round_curves(folder / "rollouts.png", run.metrics),
    "optimizer": plots.optimizer_curve(folder / "optimizer.png", run.metrics),
  }
  return {name: path for name, path in drawn.items() if path is not None}


def from_workdir(
  workdir: Path, *, title: str | None = None, max_samples: int = 24
) -> pathlib.Path:
  """Builds plots and report from the files of a run.

  Args:
    workdir: directory with any of metrics.jsonl, config.json, eval.json and
      samples.jsonl; figures go to its folder 'figures'.
    title: heading; default names the method and the directory.
    max_samples: how many samples are shown.

  Returns:
    The path of report.html. The tables are also in report.txt.

  Raises:
    DataError: no such directory, or a file cannot be written.
  """
  folder = pathlib.Path(workdir)
  run = run_files.read(folder)
  comparison = summary.compare(
    run.evaluation, beta=summary.find_beta(run.evaluation, run.config)
  )
  try:
    figures = draw_figures(folder / "figures", run, comparison)
  except OSError as error:
    raise errors.DataError(
      f"{folder / 'figures'}: plots cannot be written ({error.strerror})"
    ) from error
  flat = run_files.flatten(run.config)
  method = next(
    (str(flat[key]) for key in ("method.name", "method") if key in flat), ""
  )
  if title is None:
    title = f"{method.upper()} run" if method else "Training report"
  tables = {
    "Before and after (signed 95 % intervals are of the change)": (
      comparison.rows
    )
  }
  subtitle = f"Work directory: {folder.resolve().name}"
  text = summary.text(
    {**tables, "Training run": summary.training(run.metrics)}, title=title
  )
  path = write_report(
    folder,
    title=title,
    config=run.config,
    metrics_rows=run.metrics,
    tables=tables,
    figures=figures,
    samples=run.samples,
    headline=comparison.headline,
    subtitle=subtitle,
    problems=run.problems,
    max_samples=max_samples,
  )
  try:
    (folder / "report.txt").write_text(text, encoding="utf-8")
  except OSError as error:
    raise errors.DataError(
      f"{folder / 'report.txt'}: cannot be written ({error.strerror})"
    ) from error
  return path
