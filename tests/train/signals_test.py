# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The first signal waits, the second does not."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from prefjax.train import signals


def _run(source: str) -> subprocess.Popen:
  return subprocess.Popen(
    [sys.executable, "-c", textwrap.dedent(source)],
    stdout=subprocess.PIPE,
    text=True,
    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
  )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_sets_a_flag(number):
  before = signal.getsignal(number)
  with signals.StopSignal() as stop:
    assert stop.received == 0 and stop.exit_status == 0
    os.kill(os.getpid(), number)
    assert stop.received == number and stop.exit_status == 128 + number
  assert signal.getsignal(number) is before
  assert signal.set_wakeup_fd(-1) == -1


def test_no_thread_is_left():
  before = threading.active_count()
  for _ in range(5):
    with signals.StopSignal():
      pass
  deadline = time.monotonic() + 10
  while threading.active_count() > before and time.monotonic() < deadline:
    time.sleep(0.01)
  assert threading.active_count() == before


def test_the_second_ends_the_process():
  process = _run(
    """
    import time
    from prefjax.train import signals
    with signals.StopSignal() as stop:
      print("ready", flush=True)
      while not stop.received:
        time.sleep(0.01)
      print("first", flush=True)
      while True:
        time.sleep(0.01)
    """
  )
  assert process.stdout.readline() == "ready\n"
  process.send_signal(signal.SIGTERM)
  assert process.stdout.readline() == "first\n"
  process.send_signal(signal.SIGINT)
  assert process.wait(30) == 130


def test_the_second_ends_a_process_that_runs_no_python():
  """As in a compilation: the interpreter comes to no handler."""
  process = _run(
    """
    import numpy as np
    from prefjax.train import signals
    a = np.random.default_rng(0).normal(size=(4000, 4000))
    with signals.StopSignal():
      print("ready", flush=True)
      np.linalg.eigvals(a)  # minutes
    """
  )
  assert process.stdout.readline() == "ready\n"
  time.sleep(0.5)
  begin = time.monotonic()
  process.send_signal(signal.SIGTERM)
  time.sleep(0.2)
  process.send_signal(signal.SIGTERM)
  assert process.wait(60) == 143
  assert time.monotonic() - begin < 20


def test_the_fd_of_an_event_loop_stays():
  async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, lambda: None)
    with signals.StopSignal() as stop:
      os.kill(os.getpid(), signal.SIGTERM)
      assert stop.received == signal.SIGTERM
    mine = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(mine)
    return mine

  assert asyncio.run(main()) != -1


def test_other_threads_have_no_signals():
  found = []

  def body():
    with signals.StopSignal() as stop:
      found.append(stop.received)

  thread = threading.Thread(target=body)
  thread.start()
  thread.join()
  assert found == [0]
