# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs one command and leaves word of how it ended, whoever still listens.

  python -m prefjax.sweeps.once STATUS.json COMMAND ...

The sweep that started it may be gone by then. SIGTERM goes to the whole
process group, so it is the command's to heed; this waits for its end.
"""

import json
import os
import signal
import subprocess
import sys
import time

# Indices of Kubernetes: several pods run the same words.
_OTHERS = ("JOB_COMPLETION_INDEX", "PREFJAX_JOB_INDEX")


def main(argv: list[str]) -> int:
  """Runs argv[1:]; writes {"status", "seconds"} to argv[0] when it ended."""
  path, command = argv[0], argv[1:]
  if any(os.environ.get(name, "0") != "0" for name in _OTHERS):
    return subprocess.call(command)  # the first pod tells
  for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: None)
  started = time.monotonic()
  status = subprocess.call(command)
  if status < 0:
    status = 128 - status
  scratch = f"{path}.partial"
  seconds = round(time.monotonic() - started, 2)
  with open(scratch, "w", encoding="utf-8") as file:
    json.dump({"status": status, "seconds": seconds}, file)
  os.replace(scratch, path)
  return status


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
