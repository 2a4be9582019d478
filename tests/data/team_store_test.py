# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Several processes make one store; threads stand for them here."""

import os
import threading

import pytest
import store_test

from prefjax.core import errors
from prefjax.data import store, team_store


class _Shared:
  def __init__(self, count):
    self.count = count
    self.barrier = threading.Barrier(count, timeout=30)
    self.answers = [None] * count
    self.tokens = 0


class _Member:
  """One of several threads; see `team_store.Team`."""

  def __init__(self, shared, index):
    self._shared, self.index, self.count = shared, index, shared.count

  def failed(self, good):
    self._shared.answers[self.index] = good
    self._shared.barrier.wait()
    found = [i for i, good in enumerate(self._shared.answers) if not good]
    self._shared.barrier.wait()
    return found

  def first(self, work):
    result, error = None, None
    if self.index == 0:
      try:
        result = work()
      except Exception as caught:
        error = caught
    lost = self.failed(error is None)
    if error is not None:
      raise error
    if lost:
      raise errors.TrainingError("process 0 failed")
    return result

  def token(self):
    self._shared.barrier.wait()
    if self.index == 0:
      self._shared.tokens += 1
    self._shared.barrier.wait()
    return f"t{self._shared.tokens}"


def _together(parents, items=store_test.RECORDS, encoders=None, **options):
  """(stores, errors) of as many threads as there are folders."""
  shared = _Shared(len(parents))
  stores, wrong = [None] * len(parents), [None] * len(parents)
  encoders = encoders or [store_test.make_encoder() for _ in parents]

  def one(i):
    try:
      stores[i] = team_store.build_or_open(
        encoders[i], items, parents[i], _Member(shared, i), **options
      )
    except errors.PrefjaxError as error:
      wrong[i] = error

  threads = [
    threading.Thread(target=one, args=(i,)) for i in range(len(parents))
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join(60)
  assert not any(thread.is_alive() for thread in threads)
  return stores, wrong


def _files(parent):
  folder = store_test.folder_of(parent)
  return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_store_is_that_of_one_process(tmp_path, count):
  """Byte for byte, report and dropped records included."""
  items = store_test.make_records()
  for i in (0, 9, 10, 19):  # too long, in the first, middle and last parts
    items[i] = store_test.records.validate(
      {
        "id": f"long{i}",
        "kind": "pair",
        "prompt": "hm",
        "responses": ["y" * 99, "n"],
      },
      "test",
    )
  strict = dict(too_long="drop")
  alone = store.build_or_open(
    store_test.make_encoder(**strict), items, tmp_path / "alone"
  )
  assert 10 <= len(alone.index) < 20
  encoders = [store_test.make_encoder(**strict) for _ in range(count)]
  made = []
  for encoder in encoders:
    encoder.encode = _counted(encoder.encode, made)
  stores, wrong = _together([tmp_path / "team"] * count, items, encoders)
  assert not any(wrong)
  assert _files(tmp_path / "team") == _files(tmp_path / "alone")
  assert all(one.report == alone.report for one in stores)
  assert len(made) == len(items)  # each record was tokenised once
  assert os.listdir(tmp_path / "team") == [
    store_test.folder_of(tmp_path / "team").name
  ]


def _counted(encode, made):
  def run(index, record):
    made.append(index)
    return encode(index, record)

  return run


def test_more_processes_than_records(tmp_path):
  items = store_test.RECORDS[:2]
  stores, wrong = _together([tmp_path] * 4, items)
  assert not any(wrong)
  assert [len(one.index) for one in stores] == [2] * 4


def test_what_is_there_is_opened(tmp_path):
  store_test.build(tmp_path)
  encoders = [store_test.make_encoder() for _ in range(2)]
  for encoder in encoders:
    encoder.encode = None  # would raise when called
  stores, wrong = _together([tmp_path] * 2, encoders=encoders)
  assert not any(wrong) and all(len(one.index) == 20 for one in stores)


def test_a_damaged_store_is_made_again(tmp_path):
  store_test.build(tmp_path)
  before = _files(tmp_path)
  (store_test.folder_of(tmp_path) / store.MANIFEST).write_bytes(b"{")
  stores, wrong = _together([tmp_path] * 3)
  assert not any(wrong) and all(stores)
  assert _files(tmp_path) == before


def test_folders_of_their_own_get_a_store_each(tmp_path):
  stores, wrong = _together([tmp_path / "a", tmp_path / "b"])
  assert not any(wrong) and all(stores)
  assert _files(tmp_path / "a") == _files(tmp_path / "b")
  for name in ("a", "b"):
    assert len(os.listdir(tmp_path / name)) == 1


@pytest.mark.parametrize("broken", [0, 1])
def test_an_error_at_one_ends_all(tmp_path, broken):
  encoders = [store_test.make_encoder() for _ in range(2)]

  def fail(index, record):
    raise OSError(28, "No space left on device")

  encoders[broken].encode = fail
  stores, wrong = _together([tmp_path] * 2, encoders=encoders)
  assert stores == [None, None]
  assert "No space left" in str(wrong[broken])
  assert f"process {broken} could not tokenise" in str(wrong[1 - broken])
  assert os.listdir(tmp_path) == []


def test_no_example_at_all_is_said_once(tmp_path):
  encoders = [store_test.make_encoder(too_long="drop") for _ in range(2)]
  items = [
    store_test.records.validate(
      {
        "id": "r",
        "kind": "pair",
        "prompt": "hm",
        "responses": ["y" * 99, "n"],
      },
      "test",
    )
  ] * 4
  stores, wrong = _together([tmp_path] * 2, items, encoders)
  assert stores == [None, None]
  assert "no example is left" in str(wrong[0])
  assert "process 0 failed" in str(wrong[1])
  assert os.listdir(tmp_path) == []
