# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Signs of life: who is named, who is told, and when a process ends."""

import pytest

from prefjax.runs import peers


class _Store:
  """The coordinator's memory."""

  def __init__(self):
    self.values, self.broken = {}, False

  def key_value_set(self, key, value, allow_overwrite=False):
    if self.broken:
      raise RuntimeError("UNAVAILABLE: connection refused\nmore")
    if key in self.values and not allow_overwrite:
      raise RuntimeError("ALREADY_EXISTS")
    self.values[key] = value

  def key_value_try_get(self, key):
    if key not in self.values:
      raise RuntimeError(f"NOT_FOUND: {key}")
    return self.values[key]

  def key_value_dir_get(self, key):
    return [(k, v) for k, v in self.values.items() if k.startswith(key)]

  def wait_at_barrier(self, barrier_id, timeout_in_ms):
    pass


class _Ended(BaseException):
  pass


class _World:
  """Three processes, whose threads are beaten by hand."""

  def __init__(self, monkeypatch, count=3, timeout=30.0):
    self.now, self.said = 0.0, []
    self.store = _Store()
    monkeypatch.setattr(peers.time, "sleep", self._pass)
    self.watches = [
      peers.Watch(
        self.store,
        i,
        count,
        timeout,
        say=self.said.append,
        end=self._end,
        clock=lambda: self.now,
      )
      for i in range(count)
    ]

  def _pass(self, seconds):
    self.now += seconds

  def _end(self, status):
    raise _Ended(status)

  def beat(self, *processes, seconds=2.0):
    self.now += seconds
    for i in processes:
      self.watches[i].beat()


def test_all_is_quiet_while_all_live(monkeypatch):
  world = _World(monkeypatch)
  for step in range(100):
    for watch in world.watches:
      watch.note(step, "computing")
    world.beat(1, 2, 0)
  assert not world.said


def test_a_process_without_a_sign_of_life_is_named_to_all(monkeypatch):
  world = _World(monkeypatch)
  for watch in world.watches:
    watch.note(7, "computing")
  world.beat(1, 2, 0)
  with pytest.raises(_Ended):
    for _ in range(20):
      world.beat(1, 0)
  # In the time allowed, and not before.
  assert 30 <= world.now <= 30 + 2 + 2 + 6
  assert len(world.said) == 1
  assert "no sign of life from process 2 for" in world.said[0]
  assert "it was computing at update 7" in world.said[0]
  assert "start the same command again" in world.said[0]
  with pytest.raises(_Ended):
    world.beat(1)
  assert world.said[1].startswith("process 1: no sign of life from process 2")


def test_a_process_that_never_began_is_named(monkeypatch):
  world = _World(monkeypatch)
  with pytest.raises(_Ended):
    for _ in range(20):
      world.beat(1, 0)
  assert "from process 2" in world.said[0] and "starting" in world.said[0]


def test_an_error_of_one_process_is_told_to_all(monkeypatch):
  world = _World(monkeypatch)
  world.beat(0, 1, 2)
  with pytest.raises(_Ended) as ended:
    world.watches[1].failed("data.jsonl:3: no field 'chosen'", 2)
  assert ended.value.args == (2,)
  for other in (0, 2):
    with pytest.raises(_Ended) as ended:
      world.beat(other)
    assert ended.value.args == (1,)
    assert f"process {other}: process 1 failed: data.jsonl:3" in world.said[-1]


def test_the_loss_of_process_0_is_noticed_by_the_others(monkeypatch):
  world = _World(monkeypatch)
  world.beat(0, 1, 2)
  world.store.broken = True
  with pytest.raises(RuntimeError) as found:
    world.beat(1)
  with pytest.raises(_Ended):
    world.watches[1]._gone(found.value)
  assert "process 1: process 0 cannot be reached any more" in world.said[-1]
  assert (
    "connection refused" in world.said[-1] and "more)" not in world.said[-1]
  )


def test_after_a_failed_collective_the_dead_are_named_sooner(monkeypatch):
  world = _World(monkeypatch)
  world.beat(1, 2, 0)
  world.watches[0]._urgent = True
  with pytest.raises(_Ended):
    for _ in range(20):
      world.beat(1, 0)
  assert world.now < 20 and "from process 2" in world.said[0]


def test_explain_ends_where_nobody_is_missing(monkeypatch):
  world = _World(monkeypatch)
  world.watches[0].explain()
  assert 10 <= world.now <= 40 and not world.said


def test_a_process_that_is_behind_is_named_once(monkeypatch):
  world = _World(monkeypatch)
  for watch in world.watches:
    watch.note(13, "computing")
  world.watches[1].note(12, "waiting for input")
  for _ in range(10):
    world.beat(1, 2, 0)
  assert len(world.said) == 1
  assert world.said[0].startswith(
    "process 1 is waiting for input at update 12; the others wait for it at"
    " update 13 since"
  )
