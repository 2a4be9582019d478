# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The state of a run, from its work directory alone; changes nothing there."""

import datetime
import os
import pathlib
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from prefjax import checkpoint
from prefjax.analysis import run_files
from prefjax.checkpoint import layout
from prefjax.core import errors, storage
from prefjax.runs import mirror
from prefjax.train import events as events_lib

_MOST = 5  # alarms and fallbacks that are shown


def diagnose(
  workdir: str | os.PathLike, *, deep: bool = False
) -> dict[str, Any]:
  """What a run is, how far it got, why it stopped, what a resume will do.

  Args:
    workdir: of the run, or its URL.
    deep: read all arrays of all checkpoints and check their digests;
      otherwise markers, manifests, sizes and hashes of small files.

  Returns:
    Plain data by name; "ok" is False where a resume would be refused, or the
    last process ended with an error.

  Raises:
    DataError: there is no such directory.
    CheckpointError, StorageError: it cannot be listed or read.
  """
  if storage.is_remote(workdir):
    url = os.fspath(workdir)
    with mirror.snapshot(url, deep=deep) as copy:
      report = diagnose(copy, deep=deep)
    report["workdir"], report["disk"]["free"] = url, None
    return report
  folder = pathlib.Path(workdir)
  files = run_files.read(folder)
  events = events_lib.read(events_lib.path_of(folder))
  steps = checkpoint.describe(folder / "checkpoints", deep=deep)
  last = _last_start(events)
  good = next((s for s in reversed(steps) if s.status == "ok"), None)
  logged = _logged(files.metrics)
  running = _running(folder / "checkpoints", last)
  planned = _planned(last)
  report: dict[str, Any] = {
    "workdir": str(folder),
    "running": running,
    "planned": planned,
    "last_good_step": good.step if good else 0,
    "logged": logged,
    "stopped": _stopped(last, running),
    "starts": sum(e["event"] == "start" for e in events),
    "checkpoints": [
      {"step": s.step, "status": s.status, "reason": s.reason} for s in steps
    ],
    "identity": _identity(good),
    "disk": _disk(folder),
    "fallbacks": _picked(events, "fallback", ("step", "reason")),
    "alarms": _picked(events, "alarm", ("message",)),
    "skipped_updates": sum(e["event"] == "skipped" for e in events),
    "problems": list(files.problems),
  }
  report["resume"], refused = _resume(report, steps, good)
  failed = (report["stopped"] or {}).get("reason") == "error"
  report["ok"] = not refused and not failed
  return report


def rows(report: Mapping[str, Any]) -> list[tuple[str, str]]:
  """The report as (name, text) for people."""
  planned = report["planned"]
  of = f" of {planned}" if planned else ""
  found = [
    ("updates logged", f"{report['logged']}{of}"),
    ("last good step", str(report["last_good_step"] or "none")),
    ("state", _state_text(report)),
    ("a resume", report["resume"]),
  ]
  for step in report["checkpoints"]:
    reason = f": {step['reason']}" if step["reason"] else ""
    found.append((f"checkpoint {step['step']}", f"{step['status']}{reason}"))
  found += [
    (name.replace("_", " "), str(value))
    for name, value in report["identity"].items()
    if value
  ]
  disk = report["disk"]
  parts = ", ".join(
    f"{name} {_size(size)}" for name, size in disk["parts"].items()
  )
  found.append(("disk", f"{_size(disk['used'])} ({parts})"))
  if disk["free"] is not None:
    found.append(("disk free", _size(disk["free"])))
  if report["starts"]:
    found.append(("processes so far", str(report["starts"])))
  if report["skipped_updates"]:
    found.append(("updates not applied", str(report["skipped_updates"])))
  for entry in report["fallbacks"]:
    found.append((f"passed over {entry['step']}", entry["reason"]))
  found += [("alarm", entry["message"]) for entry in report["alarms"]]
  found += [("problem", text) for text in report["problems"]]
  return found


# --- the last process ------------------------------------------------------


def _last_start(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
  """Events of the latest process, [] where none is on record."""
  for index in range(len(events) - 1, -1, -1):
    if events[index]["event"] == "start":
      return [dict(e) for e in events[index:]]
  return []


def _planned(last: Sequence[Mapping[str, Any]]) -> int | None:
  value = last[0].get("steps") if last else None
  return value if isinstance(value, int) else None


def _running(
  directory: pathlib.Path, last: Sequence[Mapping[str, Any]]
) -> bool:
  """Whether a process is at work: it holds the lock, or is alive here."""
  if layout.locked(directory):
    return True
  if not last or any(e["event"] == "stop" for e in last):
    return False
  start = last[0]
  pid = start.get("pid")
  if start.get("host") != socket.gethostname() or not isinstance(pid, int):
    return False
  import psutil

  try:
    began = psutil.Process(pid).create_time()
  except (psutil.Error, ValueError, OverflowError):
    return False
  return began <= _seconds(start.get("at"))  # else the number was given anew


def _seconds(at: Any) -> float:
  try:
    return datetime.datetime.fromisoformat(str(at)).timestamp()
  except ValueError:
    return 0.0


def _stopped(
  last: Sequence[Mapping[str, Any]], running: bool
) -> dict[str, Any] | None:
  """Why the latest process ended; None while it runs or where none is known."""
  if running or not last:
    return None
  for event in reversed(last):
    if event["event"] == "stop":
      kept = ("reason", "step", "status", "error", "message", "where", "at")
      found = {name: event[name] for name in kept if name in event}
      return {"reason": "unknown", **found}
  return {"reason": "killed", "at": last[-1].get("at")}


def _logged(metrics: Sequence[Mapping[str, Any]]) -> int:
  """The last update in metrics.jsonl."""
  found = [
    row["step"]
    for row in metrics
    if "loss" in row and isinstance(row.get("step"), int)
  ]
  return max(found, default=0)


def _state_text(report: Mapping[str, Any]) -> str:
  stopped = report["stopped"]
  if report["running"]:
    return "running now"
  if stopped is None:
    return "never started here, or by a version that kept no log of events"
  at = stopped.get("at", "an unknown time")
  if stopped["reason"] == "done":
    return f"complete since {at}"
  if stopped["reason"] == "signal":
    name = _signal_name(stopped.get("status"))
    step = stopped.get("step", "?")
    return f"stopped by {name} at {at}, saved after update {step}"
  if stopped["reason"] == "error":
    said = stopped.get("message") or f"at {stopped.get('where', '?')}"
    return f"failed at {at}: {stopped.get('error')}: {said}"
  if stopped["reason"] != "killed":
    return f"stopped at {at} for a reason that the log does not tell"
  if storage.is_remote(report["workdir"]):
    return (
      "killed, or still running on another machine: the log ends without a"
      f" stop, last sign of life {at}"
    )
  return (
    "killed: the log ends without a stop (SIGKILL, out of memory, or the"
    f" machine went down), last sign of life {at}"
  )


def _signal_name(status: Any) -> str:
  try:
    return signal.Signals(int(status) - 128).name
  except (TypeError, ValueError):
    return "a signal"


# --- what comes next -------------------------------------------------------


def _resume(
  report: Mapping[str, Any],
  steps: Sequence[checkpoint.StepInfo],
  good: checkpoint.StepInfo | None,
) -> tuple[str, bool]:
  """(what the same command would do, whether it would be refused)."""
  if report["running"]:
    return "is refused while the run is going", False
  committed = [s for s in steps if s.status != "torn"]
  if good is None:
    if committed:
      return (
        "is refused: no step can be restored; bring the files back from a"
        " backup, or use another work directory",
        True,
      )
    return "begins at update 1: nothing is saved", False
  planned, logged = report["planned"], report["logged"]
  if planned is not None and good.step >= planned:
    return "trains nothing more; it makes the final files again", False
  text = f"goes on with update {good.step + 1}"
  if planned:
    text += f" of {planned}"
  worse = [s.step for s in committed if s.step > good.step]
  if worse:
    numbers = ", ".join(map(str, worse))
    text += f"; passes over the damaged checkpoint {numbers}"
  again = logged - good.step
  if again > 0:
    text += f"; does {again} update{'s' * (again > 1)} again, equal to before"
  return text, False


def _identity(good: checkpoint.StepInfo | None) -> dict[str, Any]:
  """What a resume is compared with, of the newest good step."""
  if good is None or good.manifest is None:
    return {}
  manifest = good.manifest
  overridden = manifest.metadata.get("overridden") or []
  return {
    "saved": manifest.created,
    "stage": (manifest.stage or {}).get("name"),
    "config_hash": manifest.config_hash,
    "data_fingerprint": manifest.data_fingerprint,
    "tokenizer_hash": manifest.tokenizer_hash,
    "overridden": ", ".join(
      str(c.get("key", c)) if isinstance(c, Mapping) else str(c)
      for c in overridden
    ),
  }


def _picked(
  events: Sequence[Mapping[str, Any]], name: str, fields: Sequence[str]
) -> list[dict[str, str]]:
  """The last few events of a name."""
  found = [e for e in events if e["event"] == name]
  return [{f: str(e.get(f, "")) for f in fields} for e in found[-_MOST:]]


def _disk(folder: pathlib.Path) -> dict[str, Any]:
  """Bytes of the directory by its entries, and what is free."""
  parts: dict[str, int] = {}
  for parent, _, names in os.walk(folder):
    inside = pathlib.Path(parent).relative_to(folder).parts
    for name in names:
      try:
        size = os.lstat(os.path.join(parent, name)).st_size
      except OSError:
        continue  # it went in the meantime
      key = inside[0] if inside else "files"
      parts[key] = parts.get(key, 0) + size
  try:
    free = shutil.disk_usage(folder).free
  except OSError as error:
    raise errors.DataError(
      f"{folder}: cannot be read ({error.strerror})"
    ) from None
  ordered = dict(sorted(parts.items(), key=lambda item: -item[1]))
  return {"used": sum(parts.values()), "free": free, "parts": ordered}


def _size(number: float) -> str:
  for unit in ("B", "KiB", "MiB", "GiB"):
    if number < 1024 or unit == "GiB":
      break
    number /= 1024
  return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
