# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Files behind URLs: copies of inputs, and errors that say what to do."""

import os
import stat
import uuid

import fsspec
import pytest

from prefjax.core import errors, storage


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
  folder = tmp_path / "scratch"
  monkeypatch.setenv(storage.SCRATCH, str(folder))
  monkeypatch.setattr(storage, "_WAITS", (0.0,))
  return folder


@pytest.fixture(params=["memory", "file"])
def bucket(request, tmp_path):
  """(URL of an empty folder, writes a file there)."""
  if request.param == "file":
    url = f"file://{tmp_path}/bucket"
  else:
    url = f"memory://bucket-{uuid.uuid4().hex}"
  fs = fsspec.filesystem(request.param)

  def write(name: str, text: str) -> None:
    path = fs._strip_protocol(f"{url}/{name}")
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    fs.pipe_file(path, text.encode())

  return url, write


def _count(monkeypatch) -> list[str]:
  """Names that are brought here, from now on."""
  seen, real = [], storage.Place.get

  def get(self, name, target):
    seen.append(name)
    real(self, name, target)

  monkeypatch.setattr(storage.Place, "get", get)
  return seen


def test_which_paths_are_urls():
  assert storage.is_remote("gs://b/x") and storage.is_remote("memory://x")
  for path in ("runs/x", "/a://b", "pip:llm", "preset:tiny", "language:sft"):
    assert not storage.is_remote(path)
    assert storage.local(path, "k") == path


def test_a_file_is_brought_once_and_again_when_it_changed(
  bucket, scratch, monkeypatch
):
  url, write = bucket
  write("d.jsonl", "one")
  seen = _count(monkeypatch)
  first = storage.fetch(f"{url}/d.jsonl", "data.train")
  assert first.read_text() == "one" and first.name == "d.jsonl"
  assert storage.fetch(f"{url}/d.jsonl", "data.train") == first
  assert len(seen) == 1
  write("d.jsonl", "two")  # as long as before
  second = storage.fetch(f"{url}/d.jsonl", "data.train")
  assert second.read_text() == "two" and len(seen) == 2
  assert first.read_text() == "one"  # whoever reads it goes on
  # A copy that was damaged here is no copy.
  second.write_text("")
  assert storage.fetch(f"{url}/d.jsonl", "k").read_text() == "two"
  folders = [p for p in (scratch, *scratch.rglob("*")) if p.is_dir()]
  assert {stat.S_IMODE(p.stat().st_mode) for p in folders} == {0o700}
  assert not [p for p in scratch.rglob(".*")]


def test_a_folder_is_brought_with_its_folders(bucket):
  url, write = bucket
  write("m/config.json", "{}")
  write("m/sub/w.bin", "w")
  write("mm/other", "")  # begins with the same letters
  found = storage.fetch(f"{url}/m/", "model.source")
  names = sorted(
    p.relative_to(found).as_posix() for p in found.rglob("*") if p.is_file()
  )
  assert names == ["config.json", "sub/w.bin"] and found.name == "m"
  write("m/sub/w.bin", "changed")
  again = storage.fetch(f"{url}/m", "model.source")
  assert (again / "sub" / "w.bin").read_text() == "changed"


def test_what_changes_while_it_is_read_is_read_again(bucket, monkeypatch):
  url, write = bucket
  write("d.jsonl", "one")
  real, left = storage.Place.get, [1]

  def get(self, name, target):
    real(self, name, target)
    if left[0] > 0:
      left[0] -= 1
      write("d.jsonl", f"other {left[0]}")

  monkeypatch.setattr(storage.Place, "get", get)
  assert storage.fetch(f"{url}/d.jsonl", "k").read_text() == "other 0"
  left[0] = 9
  write("d.jsonl", "x")
  with pytest.raises(errors.DataError, match="changes while it is being read"):
    storage.fetch(f"{url}/d.jsonl", "k")


def test_nothing_there(bucket):
  with pytest.raises(errors.DataError, match="data.eval: .*nothing is there"):
    storage.fetch(f"{bucket[0]}/none.jsonl", "data.eval")


@pytest.mark.parametrize(
  ("url", "said"),
  [
    ("gss://b/x", "'gss' is unknown (did you mean 'gs'"),
    ("reference://x", "'reference' is unknown"),
    ("s3://id:hunter2@b/x", "may hold no password"),
    ("az://c/x?sig=hunter2", "may hold no password"),
    ("file:///a/../b", "may hold no '..'"),
    ("gs://", "names no bucket"),
  ],
)
def test_urls_that_are_refused(url, said):
  with pytest.raises(errors.ConfigError) as caught:
    storage.fetch(url, "data.train")
  text = str(caught.value)
  assert text.startswith("data.train: ") and said in text
  assert "hunter2" not in text and "\n" not in text


def test_a_missing_package_is_named(monkeypatch):
  def missing(scheme):
    raise ImportError("Please install gcsfs")

  monkeypatch.setattr(fsspec, "filesystem", missing)
  with pytest.raises(errors.ConfigError) as caught:
    storage.fetch("gs://b/x", "model.source")
  assert str(caught.value) == (
    "model.source: gs:// needs the package gcsfs; run pip install gcsfs"
  )


def test_failures_are_tried_again_and_tell_no_secret(bucket, caplog):
  place, calls = storage.Place(bucket[0], "k"), []

  def work():
    calls.append(1)
    raise OSError("401 token=hunter2 Authorization: Bearer hunter2 at b")

  with pytest.raises(errors.StorageError) as caught:
    place.tried("writing x", work)
  assert len(calls) == 2 and "again in 0 s" in caplog.text
  for text in (str(caught.value), caplog.text):
    assert "writing x failed (OSError: 401" in text and "hunter2" not in text

  def denied():
    calls.append(1)
    raise PermissionError("no")

  with pytest.raises(errors.StorageError, match="PermissionError"):
    place.tried("writing x", denied)
  assert len(calls) == 3


def test_names_that_lead_out_are_refused(bucket, tmp_path):
  place = storage.Place(bucket[0], "k")
  source = tmp_path / "s"
  source.write_text("")
  for name in ("../x", "a/../../x", "/x", "a//b", "a\\b"):
    with pytest.raises(errors.StorageError, match="no relative path"):
      place.put(source, name)


def test_a_file_is_replaced_as_a_whole(tmp_path, monkeypatch):
  place = storage.Place(f"file://{tmp_path}/b", "k")
  source = tmp_path / "s"
  source.write_text("new")
  place.put(source, "a/x")
  assert place.read("a/x") == b"new" and place.read("a/y") is None
  system = type(place._fs)
  real = system.put_file

  def half(self, local, remote, **kwargs):
    real(self, local, remote)
    os.truncate(remote, 1)
    raise OSError("cut")

  monkeypatch.setattr(system, "put_file", half)
  with pytest.raises(errors.StorageError):
    place.put(source, "a/x")
  assert place.read("a/x") == b"new"
  left = [n for n in place.files() if n != "a/x"]
  assert left and all(storage.is_part(n) for n in left)
