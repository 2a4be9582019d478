# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Stragglers are named, dead loaders are errors, nothing hangs."""

import socket
import threading
import time

import pytest

from prefjax.core import errors
from prefjax.train import inputs


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
  monkeypatch.setattr(inputs, "_TICK", 0.02)


def _watched(items, notes=None, **options):
  options = {"limit": 5.0, "warn": 0.1, **options}
  note = ([] if notes is None else notes).append
  return inputs.Watched(items, note, **options)


def test_order_and_content_stay():
  assert list(_watched(range(50))) == list(range(50))
  ended = _watched([])
  assert list(ended) == [] and list(ended) == []


def test_a_straggler_is_named_once_and_waited_for():
  def slow():
    yield 0
    time.sleep(0.5)
    yield 1

  notes = []
  assert list(_watched(slow(), notes)) == [0, 1]
  [note] = notes
  assert socket.gethostname() in note and "process 0" in note
  assert "waiting for input" in note


def test_a_loader_that_hangs_is_an_error():
  free = threading.Event()

  def hung():
    yield 0
    free.wait(30)
    yield 1

  watched = _watched(hung(), limit=0.3)
  assert next(watched) == 0
  begin = time.monotonic()
  with pytest.raises(errors.TrainingError, match="data.patience"):
    next(watched)
  assert time.monotonic() - begin < 3
  with pytest.raises(StopIteration):
    next(watched)
  begin = time.monotonic()
  watched.close()
  assert time.monotonic() - begin < 3
  free.set()


def test_an_error_of_the_loader_is_raised_here():
  def broken():
    yield 0
    raise errors.DataError("pairs.jsonl, line 3: gone")

  watched = _watched(broken())
  assert next(watched) == 0
  with pytest.raises(errors.DataError, match="line 3"):
    next(watched)


def test_a_thread_that_dies_is_an_error(monkeypatch):
  monkeypatch.setattr(inputs.Watched, "_pull", lambda self, items: None)
  with pytest.raises(errors.TrainingError, match="has died"):
    next(_watched(range(3)))


def test_close_ends_a_thread_that_nobody_reads_from():
  watched = _watched(iter(int, 1))
  assert next(watched) == 0
  watched.close()
  watched._thread.join(5)
  assert not watched._thread.is_alive()
