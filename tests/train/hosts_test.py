# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What processes tell each other: words, totals, who is slow, whose clock."""

import signal
import types as python_types

import jax
import numpy as np
import pytest

from prefjax.train import hosts, mesh, metrics, signals


def _stop(received=0):
  return python_types.SimpleNamespace(received=received)


def _batch(ids, weights):
  return {
    "example_id": np.asarray(ids, np.int32),
    "example_weight": np.asarray(weights, np.float32),
  }


def test_words_bring_facts_back_bit_by_bit():
  own = hosts.Facts(70_000, 12.25, 1e-9, 2**32 - 1, 0.5)
  assert hosts._unpack(hosts._pack(15, 3, own)) == (15, 3, own)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_parts_of_a_batch_say_together_what_the_whole_says(parts):
  rng = np.random.default_rng(0)
  ids, weights = rng.permutation(1000)[:8], rng.uniform(0.1, 2, 8)
  whole = hosts._row([hosts.facts(_batch(ids, weights), 80, 0.0)])
  cut = [
    hosts.facts(_batch(i, w), 80 // parts, 0.0)
    for i, w in zip(np.split(ids, parts), np.split(weights, parts), strict=True)
  ]
  found = hosts._row(cut)
  assert found["batch/ids"] == whole["batch/ids"]
  assert found["tokens"] == 80
  expected = metrics.effective_batch(np.asarray(weights, np.float32))
  assert found["batch/effective"] == pytest.approx(expected, rel=1e-6)


def test_other_examples_have_another_sum():
  sums = {
    hosts.facts(_batch([i, i + 1], [1, 1]), 0, 0.0).ids for i in range(500)
  }
  assert len(sums) == 500


def test_a_lone_process_decides_at_once():
  stop = _stop()
  own = hosts.Hosts(stop)
  assert not own.stopping and not own.save_due and not own.ask_now()
  stop.received = 2
  assert own.stopping == own.ask_now() == 2
  heard = own.hear(own.tell(hosts.Facts(7, 1.0, 1.0, 3, 0.0)))
  assert heard.row == {"tokens": 7, "batch/effective": 1.0, "batch/ids": 3}


def test_the_clock_saves_and_stops():
  now = [100.0]
  own = hosts.Hosts(
    _stop(), save_seconds=60, stop_seconds=150, clock=lambda: now[0]
  )
  now[0] += 59
  assert not own.save_due and not own.stopping
  now[0] += 1
  assert own.save_due
  own.saved()
  assert not own.save_due
  now[0] += 90
  assert own.save_due and own.stopping == signals.DEADLINE == signal.SIGTERM


class _Many(hosts.Hosts):
  """As one of several processes, without the wires."""

  def __init__(self, stop, **options):
    super().__init__(stop, **options)
    self._many = True


def _heard(own, monkeypatch, *said):
  """What `own` makes of what processes say: (signal, orders, waited)."""
  table = np.stack(
    [
      hosts._pack(number, orders, hosts.Facts(1, 1.0, 1.0, 1, waited))
      for number, orders, waited in said
    ]
  )
  monkeypatch.setattr(hosts, "_of_processes", lambda ticket: table)
  return own.hear(None)


def test_all_stop_at_the_signal_of_one(monkeypatch):
  stop = signals.StopSignal()
  own = _Many(stop)
  stop.received = 2
  assert not own.stopping  # not before all know
  _heard(own, monkeypatch, (0, 0, 0.0), (15, 0, 0.0), (0, 0, 0.0))
  assert own.stopping == 15
  _heard(own, monkeypatch, (2, 0, 0.0), (15, 0, 0.0), (0, 0, 0.0))
  assert own.stopping == 15


def test_a_process_that_got_no_signal_ends_like_the_others(monkeypatch):
  stop = signals.StopSignal()
  own = _Many(stop)
  assert stop.exit_status == 0
  _heard(own, monkeypatch, (0, 0, 0.0), (15, 0, 0.0))
  # Its own signal may still come and is not the second.
  assert (stop.received, stop.exit_status) == (0, 143)


def test_the_clock_of_process_0_counts(monkeypatch):
  now = [0.0]
  stop = signals.StopSignal()
  own = _Many(stop, save_seconds=1, stop_seconds=2, clock=lambda: now[0])
  now[0] = 100.0
  _heard(own, monkeypatch, (0, 0, 0.0), (0, 3, 0.0))
  assert not own.save_due and not own.stopping
  _heard(own, monkeypatch, (0, 1, 0.0), (0, 0, 0.0))
  assert own.save_due and not own.stopping
  own.saved()
  assert not own.save_due
  _heard(own, monkeypatch, (0, 2, 0.0), (0, 0, 0.0))
  assert own.stopping == 15 and stop.exit_status == 143


@pytest.mark.parametrize("number", [2, 4])
def test_the_slow_process_is_named_once_a_window(monkeypatch, number):
  own = _Many(_stop())
  said = [(0, 0, 0.01)] * number
  said[1] = (0, 0, 0.2)
  found = [_heard(own, monkeypatch, *said).slow for _ in range(40)]
  named = [slow for slow in found if slow is not None]
  assert [slow.process for slow in named] == [1, 1]
  assert named[0].seconds == pytest.approx(4.0, rel=1e-3)
  assert named[0].others == pytest.approx(0.2, rel=1e-3)
  row = _heard(own, monkeypatch, *said).row
  assert row["hosts/slowest"] == 1
  assert row["hosts/input_s_max"] == pytest.approx(0.2)
  assert row["hosts/input_s_median"] < 0.11


def test_short_waits_are_no_matter(monkeypatch):
  own = _Many(_stop())
  said = ((0, 0, 0.0), (0, 0, 0.04))
  assert not any(_heard(own, monkeypatch, *said).slow for _ in range(40))


def test_words_of_one_process_on_eight_devices():
  words = hosts._pack(0, 0, hosts.Facts(5, 1.0, 1.0, 9, 0.25))
  found = hosts._of_processes(hosts._gather(words))
  assert found.shape == (1, 9) and np.array_equal(found[0], words)


def test_own_rows_are_all_rows_of_one_process():
  found = mesh.own_rows(mesh.make_mesh(data=4, tensor=2), 8)
  assert found.tolist() == list(range(8))


class _Spread:
  """Devices of four processes; two and two make the same half of the rows."""

  def devices_indices_map(self, shape):
    half = shape[0] // 2
    return {
      type("Device", (), {"process_index": process}): (
        slice(process // 2 * half, (process // 2 + 1) * half),
      )
      for process in range(4)
    }


@pytest.mark.parametrize("process", range(4))
def test_rows_that_several_processes_make_count_once(monkeypatch, process):
  own = mesh.make_mesh(data=2, tensor=4)
  assert mesh.counts_rows(own)
  monkeypatch.setattr(mesh, "batch_sharding", lambda mesh: _Spread())
  monkeypatch.setattr(jax, "process_index", lambda: process)
  many = _Many(signals.StopSignal())
  many.place(own)
  monkeypatch.setattr(hosts, "_gather", lambda words: words)
  _, _, told = hosts._unpack(many.tell(hosts.Facts(5, 2.0, 4.0, 9, 0.25)))
  counted = hosts.Facts(5, 2.0, 4.0, 9, 0.25)
  nothing = hosts.Facts(0, 0.0, 0.0, 0, 0.25)
  assert told == (counted if process in (0, 2) else nothing)


def test_spread_and_gather_bring_rows_back():
  own = mesh.make_mesh(data=2, fsdp=2, tensor=2)
  batch = {"x": np.arange(24.0).reshape(8, 3), "y": np.arange(8)}
  placed = mesh.spread(own, batch)
  assert placed["x"].sharding == mesh.batch_sharding(own)
  found = mesh.gather(jax.jit(lambda b: b)(placed))
  for name, value in batch.items():
    assert np.array_equal(found[name], value)
