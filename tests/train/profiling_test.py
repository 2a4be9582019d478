# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Traces begin and end where they were asked to."""

import jax
import loop_test
import pytest

from prefjax.core import errors
from prefjax.train import events as events_lib
from prefjax.train import loop, profiling


class _Events:
  def __init__(self):
    self.rows = []

  def write(self, event, **fields):
    self.rows.append((event, fields))


@pytest.fixture
def told(monkeypatch):
  """What the profiler was told, instead of a trace."""
  calls = []
  monkeypatch.setattr(
    jax.profiler, "start_trace", lambda folder: calls.append(folder)
  )
  monkeypatch.setattr(jax.profiler, "stop_trace", lambda: calls.append("stop"))
  return calls


def _run(log, trace, start=0, stop=6):
  hooks = loop.Hooks(
    batch=log.batches(start),
    step=log.step,
    save=log.save,
    writer=log,
    stop=log.stop,
    profiler=trace,
  )
  return loop.run(start, loop.Plan(start=start, stop=stop), hooks)


def test_the_span_holds_whole_updates(told, tmp_path):
  log, events = loop_test._Log(), _Events()
  trace = profiling.Trace((2, 4), tmp_path / "profile", events)
  real = trace.turn

  def turn(done):
    log.events.append(f"turn {done}")
    real(done)

  trace.turn = turn
  _run(log, trace)
  # The updates before an edge have finished, those after it have not begun.
  first, second = log.events.index("turn 2"), log.events.index("turn 4")
  assert log.events[first - 1] == "row 2" and log.events[first + 1] == "batch 2"
  assert log.events[second - 1] == "row 4"
  assert log.events[second + 1] == "batch 4"
  assert told == [str(tmp_path / "profile"), "stop"]
  assert [fields["what"] for _, fields in events.rows] == ["begin", "end"]


def test_a_resume_inside_the_span_traces_the_rest(told, tmp_path):
  log = loop_test._Log()
  _run(log, profiling.Trace((2, 5), tmp_path), start=3)
  assert len(told) == 2


def test_a_resume_behind_the_span_traces_nothing(told, tmp_path):
  _run(loop_test._Log(), profiling.Trace((2, 5), tmp_path), start=5)
  assert told == []


def test_a_run_that_ends_inside_closes_the_trace(told, tmp_path):
  trace = profiling.Trace((2, 50), tmp_path)
  _run(loop_test._Log(), trace)
  assert told[1:] == []
  trace.close()
  trace.close()
  assert told[1:] == ["stop"]


def test_a_folder_that_cannot_be_made(tmp_path):
  (tmp_path / "profile").write_text("a file")
  trace = profiling.Trace((0, 1), tmp_path / "profile")
  with pytest.raises(errors.CheckpointError, match="no trace can be written"):
    trace.turn(0)


def test_a_real_trace_is_a_file(tmp_path):
  trace = profiling.Trace((0, 1), tmp_path, events_lib.Silent())
  trace.turn(0)
  jax.numpy.ones(3).block_until_ready()
  trace.turn(1)
  assert any(path.suffix == ".pb" for path in tmp_path.rglob("*"))
