# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Cached tokens: equal to those in memory, keyed by content, never damaged."""

import json
import logging
import multiprocessing
import os
import shutil
import threading

import numpy as np
import pytest

from prefjax.core import errors
from prefjax.data import (
  encoding,
  examples,
  records,
  store,
  store_files,
  tokenizers,
  views,
)


def make_records(number=20):
  return [
    records.validate(
      {
        "id": f"r{i}",
        "kind": "pair",
        "prompt": f"what is {i}?",
        "responses": ["x" * (1 + i % 7), f"no {i}"],
      },
      "test",
    )
    for i in range(number)
  ]


RECORDS = make_records()


def make_encoder(**options):
  limits = encoding.Lengths(prompt=16, response=16, **options)
  return encoding.Encoder(
    tokenizers.ByteTokenizer(), views.view("pair"), limits
  )


def build(parent, items=RECORDS, **options):
  return store.build_or_open(make_encoder(), items, parent, **options)


def payloads(opened):
  got = opened.get(range(len(opened.index)))
  return [examples.to_bytes(example) for example in got]


def folder_of(parent):
  (folder,) = parent.glob("tokens-*")
  return folder


def test_a_cached_store_equals_the_one_in_memory(tmp_path):
  memory = store.MemoryStore(make_encoder(), RECORDS)
  cached = build(tmp_path)
  again = build(tmp_path)
  assert payloads(memory) == payloads(cached) == payloads(again)
  for one in (cached, again):
    assert one.fingerprint == memory.fingerprint
    assert one.report == memory.report
    assert one.mismatched is None
    for name in ("example_id", "weight", "prompt_hash", "sizes"):
      assert np.array_equal(
        getattr(one.index, name), getattr(memory.index, name)
      )
    assert (one.index.groups, one.index.has) == (("main",), {"main": ()})
  assert os.listdir(tmp_path) == [folder_of(tmp_path).name]


def test_rows_come_in_the_order_asked_for(tmp_path):
  opened = build(tmp_path, shard_bytes=300)
  assert len(list(folder_of(tmp_path).glob("data-*"))) > 3
  for rows in ([3], [7, 0, 19, 7], range(20), []):
    assert [e.example_id for e in opened.get(rows)] == list(rows)
  for row in (-1, 20):
    with pytest.raises(IndexError, match="outside 0..19"):
      opened.get([row])


def test_an_open_store_encodes_nothing(tmp_path):
  build(tmp_path)
  encoder = make_encoder()
  encoder.encode = None  # would raise when called
  assert len(store.build_or_open(encoder, RECORDS, tmp_path).index) == 20


def test_the_folder_is_keyed_by_content(tmp_path):
  build(tmp_path)
  build(tmp_path, RECORDS[:-1])
  build(tmp_path, RECORDS[::-1])
  store.build_or_open(make_encoder(keep="head"), RECORDS, tmp_path)
  assert len(list(tmp_path.glob("tokens-*"))) == 4
  build(tmp_path, make_records())
  assert len(list(tmp_path.glob("tokens-*"))) == 4


def test_dropped_records_are_remembered(tmp_path):
  def make():
    encoder = make_encoder(too_long="drop")
    return store.build_or_open(encoder, items, tmp_path)

  long = records.validate(
    {"id": "long", "kind": "pair", "prompt": "p" * 99, "responses": ["a", "b"]},
    "test",
  )
  items = [*RECORDS[:3], long, *RECORDS[3:]]
  first, second = make(), make()
  assert first.report == second.report
  assert first.report.reasons == {"long_prompt": 1}
  ((number, name, _),) = second.report.dropped_records
  assert (number, name) == (3, "long")
  assert 3 not in second.index.example_id


def test_nothing_left_is_an_error(tmp_path):
  sft = [
    records.validate(
      {"id": "s", "kind": "sft", "prompt": "p", "responses": ["a"]}, "test"
    )
  ]
  for make in (
    lambda: store.MemoryStore(make_encoder(), sft),
    lambda: build(tmp_path / "x", sft),
  ):
    with pytest.raises(errors.DataError, match="no example is left.*needs 2"):
      make()
  assert list((tmp_path / "x").iterdir()) == []


def files_of(folder):
  return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize(
  "name",
  ["data-00000.array_record", "dropped.jsonl", "index.npz", "manifest.json"],
)
@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "empty"])
def test_a_damaged_store_is_found_and_made_again(
  tmp_path, caplog, name, damage
):
  good = payloads(build(tmp_path, RECORDS + make_records(0)))
  folder = folder_of(tmp_path)
  assert name in files_of(folder)
  path = folder / name
  data = bytearray(path.read_bytes())
  if damage == "flip" and data:
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
  elif damage == "cut" and data:
    path.write_bytes(data[: len(data) // 2])
  elif damage == "remove" or not data:
    path.unlink()
  else:
    path.write_bytes(b"")
  with pytest.raises(errors.DataError, match=str(folder)) as error:
    store.FileStore(folder)
  assert "\n" not in str(error.value)
  with caplog.at_level(logging.WARNING):
    opened = build(tmp_path)
  assert any("made again" in message for message in caplog.messages)
  assert payloads(opened) == good
  assert payloads(store.FileStore(folder)) == good


def test_flips_anywhere_in_the_tokens_are_found(tmp_path):
  build(tmp_path)
  folder = folder_of(tmp_path)
  path = folder / "data-00000.array_record"
  whole = path.read_bytes()
  rng = np.random.default_rng(0)
  for place in rng.integers(0, len(whole), 40):
    data = bytearray(whole)
    data[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    with pytest.raises(errors.DataError, match="SHA-256"):
      store.FileStore(folder)
  path.write_bytes(whole)
  store.FileStore(folder)


def test_damage_after_opening_is_one_line(tmp_path):
  opened = build(tmp_path)
  path = folder_of(tmp_path) / "data-00000.array_record"
  path.write_bytes(path.read_bytes()[:100])
  with pytest.raises(errors.DataError, match="array_record.*remove") as error:
    opened.get([19])
  assert "\n" not in str(error.value)


def edit(folder, change):
  path = folder / "manifest.json"
  manifest = json.loads(path.read_bytes())
  change(manifest)
  manifest["sha256"] = store_files.own_digest(manifest)
  path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
  "change",
  [
    lambda m: m.update(format=99),
    lambda m: m.update(files={"../../etc/passwd": {"bytes": 1}}),
    lambda m: m.update(counts=[19]),
    lambda m: m.update(counts=["x"]),
    lambda m: m.update(files=3),
    lambda m: m.pop("report"),
    lambda m: m["index"].pop("groups"),
    lambda m: m["report"].update(more=1),
    lambda m: m["files"]["index.npz"].pop("bytes"),
    lambda m: m["files"].pop("index.npz"),
  ],
)
def test_manifests_that_say_something_else_are_refused(tmp_path, change):
  build(tmp_path)
  folder = folder_of(tmp_path)
  edit(folder, change)
  with pytest.raises(errors.DataError, match=str(folder)):
    store.FileStore(folder)


@pytest.mark.parametrize(
  "change",
  [
    lambda m: m.update(mismatched="x"),
    lambda m: m.update(num_examples=3),
    lambda m: m["index"].update(extras=[["x", "i4", []]]),
    lambda m: m["report"].update(kept=3),
    lambda m: m.pop("sha256"),
  ],
)
def test_the_manifest_vouches_for_itself(tmp_path, change):
  build(tmp_path)
  path = folder_of(tmp_path) / "manifest.json"
  manifest = json.loads(path.read_bytes())
  change(manifest)
  path.write_text(json.dumps(manifest))
  with pytest.raises(errors.DataError, match="manifest.json"):
    store.FileStore(path.parent)


def test_another_key_is_refused(tmp_path):
  build(tmp_path)
  with pytest.raises(errors.DataError, match="other records"):
    store.FileStore(folder_of(tmp_path), expected_key="0" * 64)


def test_unfinished_work_is_not_used_and_removed_later(tmp_path):
  old, young = tmp_path / ".partial-1-a", tmp_path / ".partial-2-b"
  for folder in (old, young):
    folder.mkdir(parents=True)
    (folder / "data-00000.array_record").write_bytes(b"half")
  os.utime(old, (0, 0))
  build(tmp_path)
  assert not old.exists() and young.exists()


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
  def full(path, data):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(store_files, "write", full)
  with pytest.raises(errors.DataError, match="data.cache_dir"):
    build(tmp_path)
  assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
  tmp_path.chmod(0o500)
  with pytest.raises(errors.DataError, match="data.cache_dir"):
    build(tmp_path / "x")


def test_a_file_in_place_of_the_folder(tmp_path):
  (tmp_path / "x").write_text("a file")
  with pytest.raises(errors.DataError, match="data.cache_dir"):
    build(tmp_path / "x")


def _build_in_process(parent, start, out):
  start.wait()
  out.put(build(parent).fingerprint)


def test_processes_may_build_at_the_same_time(tmp_path):
  context = multiprocessing.get_context("spawn")
  start, out = context.Event(), context.Queue()
  workers = [
    context.Process(target=_build_in_process, args=(tmp_path, start, out))
    for _ in range(3)
  ]
  for worker in workers:
    worker.start()
  start.set()
  found = {out.get(timeout=120) for _ in workers}
  for worker in workers:
    worker.join()
    assert worker.exitcode == 0
  assert found == {store.MemoryStore(make_encoder(), RECORDS).fingerprint}
  assert os.listdir(tmp_path) == [folder_of(tmp_path).name]


def test_threads_may_read_at_the_same_time(tmp_path):
  opened = build(tmp_path, shard_bytes=300)
  expected = payloads(opened)
  wrong = []

  def read(seed):
    rng = np.random.default_rng(seed)
    for _ in range(30):
      rows = rng.integers(0, 20, 5)
      got = [examples.to_bytes(e) for e in opened.get(rows)]
      if got != [expected[r] for r in rows]:
        wrong.append(rows)

  threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert not wrong


def test_a_store_made_by_another_process_in_between_is_taken(
  tmp_path, monkeypatch
):
  made = store_files.fill

  def slow(folder, *rest):
    made(folder, *rest)
    if not list(tmp_path.glob("tokens-*")):  # the other one is faster
      final = tmp_path / f"tokens-{rest[3][:40]}"
      shutil.copytree(folder, final)

  monkeypatch.setattr(store_files, "fill", slow)
  opened = build(tmp_path)
  assert len(opened.index) == 20
  assert os.listdir(tmp_path) == [folder_of(tmp_path).name]
