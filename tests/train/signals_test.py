# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""One signal asks to stop, a second one leaves at once."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from prefjax.train import signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_sets_the_flag(number):
  before = signal.getsignal(number)
  with signals.StopSignal() as stop:
    assert stop.received == 0 and stop.exit_status == 0
    os.kill(os.getpid(), number)
    assert stop.received == number
    assert stop.exit_status == 128 + number
  assert signal.getsignal(number) is before


def test_a_second_signal_ends_the_process():
  code = """
    import os, signal
    from prefjax.train import signals
    with signals.StopSignal() as stop:
      os.kill(os.getpid(), signal.SIGTERM)
      print(stop.received, flush=True)
      os.kill(os.getpid(), signal.SIGINT)
      print("still here", flush=True)
  """
  result = subprocess.run(
    [sys.executable, "-c", textwrap.dedent(code)],
    capture_output=True,
    text=True,
    timeout=120,
  )
  assert result.stdout.split() == [str(int(signal.SIGTERM))], result.stderr
  assert result.returncode == 128 + signal.SIGINT


def test_other_threads_have_no_handlers():
  found = []

  def run():
    with signals.StopSignal() as stop:
      found.append(stop.received)

  before = signal.getsignal(signal.SIGTERM)
  thread = threading.Thread(target=run)
  thread.start()
  thread.join()
  assert found == [0] and signal.getsignal(signal.SIGTERM) is before
