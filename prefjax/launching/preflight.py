# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Is this worker fit for the run? Looked at before anything is started.

  python -m prefjax.launching.preflight --devices=4 --lock=FILE --workdir=DIR

prints a line of JSON, and on standard error a line a fault that names the
worker; ends with 1 where there is a fault. Beginning a run on a pod of which
one worker is unfit costs minutes and says little.
"""

import argparse
import functools
import hashlib
import importlib.metadata
import json
import os
import pathlib
import re
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

_SKEW_SECONDS = 5.0
_SHOWN = 5
_SHA = re.compile(r"[0-9a-f]{64}")


def worker() -> str:
  """This worker's name: its host, and its number where the machine knows."""
  number = os.environ.get("TPU_WORKER_ID") or os.environ.get("SLURM_PROCID")
  host = socket.gethostname()
  return f"{host} (worker {number})" if number else host


@functools.cache
def packages() -> list[str]:
  """name==version of all installed distributions, sorted."""
  found = set()
  for distribution in importlib.metadata.distributions():
    about = distribution.metadata  # read anew at each access
    name, version = about["Name"], about["Version"]
    if name:
      found.add(f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}")
  return sorted(found)


def lock_hash(lines: Sequence[str]) -> str:
  """SHA-256 of a list of packages."""
  text = "".join(f"{line}\n" for line in sorted(lines))
  return hashlib.sha256(text.encode()).hexdigest()


def check_packages(lock: str) -> str | None:
  """What differs from a lock: a file of name==version lines, or its hash."""
  own = packages()
  if _SHA.fullmatch(lock):
    if lock_hash(own) == lock:
      return None
    return f"its packages have the hash {lock_hash(own)[:12]}, not {lock[:12]}"
  try:
    text = pathlib.Path(lock).read_text(encoding="utf-8")
  except OSError as error:
    return f"the lock {lock} cannot be read ({error.strerror})"
  wanted = {line.strip() for line in text.splitlines() if line.strip()}
  wrong = sorted(wanted - set(own)) + [f"no {x}" for x in set(own) - wanted]
  if not wrong:
    return None
  return (
    f"its packages differ from {lock}: wants {', '.join(wrong[:_SHOWN])}"
    + (f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else "")
  )


def check_workdir(workdir: str, skew: float = _SKEW_SECONDS) -> str | None:
  """Whether the folder can be written, and agrees about what time it is."""
  from etils import epath

  folder = epath.Path(workdir)
  probe = folder / f".preflight-{socket.gethostname()}-{os.getpid()}"
  try:
    folder.mkdir(parents=True, exist_ok=True)
    before = time.time()
    probe.write_text("prefjax")
    after = time.time()
    if probe.read_text() != "prefjax":
      return f"{workdir} gives back other bytes than were written"
    stamp = probe.stat().mtime
    probe.unlink()
  except Exception as error:  # each store has errors of its own
    reason = (str(error).splitlines() or [""])[0][:200]
    return f"{workdir} cannot be written ({type(error).__name__}: {reason})"
  if stamp is None:
    return None
  off = before - stamp if stamp < before else max(0.0, stamp - after)
  if off > skew:
    return f"its clock is {off:.0f} s off that of the file server of {workdir}"
  return None


def check_devices(wanted: int) -> str | None:
  """Whether so many devices are here; starts the backend."""
  import jax

  try:
    found = len(jax.local_devices())
  except RuntimeError as error:
    reason = (str(error).splitlines() or [""])[0][:200]
    return f"JAX finds no devices ({reason})"
  return None if found == wanted else f"it has {found} devices, not {wanted}"


def examine(
  *, devices: int | None, lock: str | None, workdir: str | None
) -> dict[str, Any]:
  """All checks that were asked for.

  Returns:
    {"worker", "faults": [text], "lock": hash}.
  """
  faults = []
  if lock is not None:
    faults.append(check_packages(lock))
  if workdir is not None:
    faults.append(check_workdir(workdir))
  if devices is not None:
    faults.append(check_devices(devices))
  return {
    "worker": worker(),
    "faults": [fault for fault in faults if fault],
    "lock": lock_hash(packages()),
  }


def judge(reports: Sequence[Mapping[str, Any]], expected: int) -> list[str]:
  """Lines about bad workers, from the reports of all of them.

  Args:
    reports: of `examine`.
    expected: how many workers there should be.
  """
  lines = [
    f"{report['worker']}: {fault}"
    for report in reports
    for fault in report["faults"]
  ]
  hashes: dict[str, list[str]] = {}
  for report in reports:
    hashes.setdefault(report["lock"], []).append(report["worker"])
  most = max((len(names) for names in hashes.values()), default=0)
  if len(hashes) > 1:
    for value, names in hashes.items():
      if len(names) < most or most == 1:
        lines += [
          f"{name}: has other packages ({value[:12]}) than the others"
          for name in names
        ]
  if len(reports) < expected:
    names = ", ".join(sorted(report["worker"] for report in reports)) or "none"
    lines.append(
      f"{expected - len(reports)} of {expected} workers did not answer; those"
      f" that did: {names}"
    )
  return lines


def main(argv: Sequence[str]) -> int:
  """Prints the report of this worker; 0 if it is fit."""
  parser = argparse.ArgumentParser(prog="preflight", description=__doc__)
  parser.add_argument("--devices", type=int)
  parser.add_argument("--lock")
  parser.add_argument("--workdir")
  given = parser.parse_args(argv)
  report = examine(
    devices=given.devices, lock=given.lock, workdir=given.workdir
  )
  print(json.dumps(report), flush=True)
  for fault in report["faults"]:
    print(f"preflight: {report['worker']}: {fault}", file=sys.stderr)
  return 1 if report["faults"] else 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
