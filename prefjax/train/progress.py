# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a person watching sees: a live bar, or a line now and then."""

import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol

_LINE_SECONDS = 10.0
_SHOWN = (
  ("loss", "loss {:.4f}"),
  ("rewards/accuracies", "acc {:.2f}"),
  ("rewards/margins", "margin {:+.3f}"),
)


class Progress(Protocol):
  """Told about every step."""

  def update(self, row: Mapping[str, Any]) -> None: ...

  def note(self, text: str) -> None: ...

  def close(self) -> None: ...


def resident_gib() -> float:
  """Resident memory of this process, GiB."""
  import psutil

  return psutil.Process().memory_info().rss / 2**30


def _summary(row: Mapping[str, Any]) -> str:
  parts = [
    text.format(row[name])
    for name, text in _SHOWN
    if isinstance(row.get(name), float)
  ]
  speed = row.get("time/tokens_per_s")
  if speed:
    parts.append(f"{speed:,.0f} tok/s")
  parts.append(f"{resident_gib():.1f} GiB")
  return "  ".join(parts)


class Silent:
  """Shows nothing."""

  def update(self, row: Mapping[str, Any]) -> None:
    del row

  def note(self, text: str) -> None:
    del text

  def close(self) -> None:
    pass


class Lines:
  """A line every ten seconds, for logs.

  Args:
    label: of the stage.
    total: last step.
    stream: where to; default standard error.
  """

  def __init__(self, label: str, total: int, stream: Any = None):
    self._label, self._total = label, total
    self._stream = stream or sys.stderr
    self._last = time.monotonic()

  def update(self, row: Mapping[str, Any]) -> None:
    now = time.monotonic()
    if now - self._last >= _LINE_SECONDS or row["step"] == self._total:
      self._last = now
      print(
        f"{self._label} {row['step']}/{self._total}  {_summary(row)}",
        file=self._stream,
        flush=True,
      )

  def note(self, text: str) -> None:
    print(text, file=self._stream, flush=True)

  def close(self) -> None:
    pass


class Bar:
  """A live progress bar with speed, ETA and memory.

  Args:
    label: of the stage.
    start: steps done already.
    total: last step.
  """

  def __init__(self, label: str, start: int, total: int):
    from rich import console, progress, table

    # Takes what a narrow terminal leaves; the other columns stay whole.
    rest = table.Column(no_wrap=True, overflow="ellipsis", ratio=1)
    self._bar = progress.Progress(
      progress.TextColumn("{task.description}"),
      progress.BarColumn(bar_width=12),
      progress.MofNCompleteColumn(),
      progress.TimeElapsedColumn(),
      progress.TextColumn("left"),
      progress.TimeRemainingColumn(),
      progress.TextColumn("{task.fields[summary]}", table_column=rest),
      console=console.Console(stderr=True),
      refresh_per_second=4,
      expand=True,
    )
    self._task = self._bar.add_task(
      label, total=total, completed=start, summary=""
    )
    self._bar.start()

  def update(self, row: Mapping[str, Any]) -> None:
    self._bar.update(self._task, completed=row["step"], summary=_summary(row))

  def note(self, text: str) -> None:
    self._bar.console.print(text, highlight=False, markup=False)

  def close(self) -> None:
    self._bar.stop()


def make(show: bool, label: str, start: int, total: int) -> Progress:
  """A bar on a terminal, lines elsewhere, nothing where not wanted."""
  if not show:
    return Silent()
  if sys.stderr.isatty():
    return Bar(label, start, total)
  return Lines(label, total)
