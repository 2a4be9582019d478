# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every file format gives the same records, and says what it read."""

import csv
import gzip
import json
import os

import pyarrow
import pytest
from pyarrow import parquet

from prefjax.core import errors
from prefjax.data import files, readers, records

ROWS = [
  {
    "id": f"r{i}",
    "prompt": f"ünï {i}",
    "chosen": f"good\n{i}",
    "rejected": f"bad, {i}",
    "note": i,
  }
  for i in range(1200)
]


def jsonl(rows):
  return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_csv(path, rows, delimiter=","):
  with open(path, "w", encoding="utf-8", newline="") as file:
    writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)


def write_arrow(path, rows, stream=False):
  table = pyarrow.Table.from_pylist(rows)
  make = pyarrow.ipc.new_stream if stream else pyarrow.ipc.new_file
  with pyarrow.OSFile(str(path), "wb") as sink, make(sink, table.schema) as out:
    out.write_table(table, max_chunksize=500)


def write_array_record(path, rows):
  from array_record.python import array_record_module

  writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
  for row in rows:
    writer.write(json.dumps(row).encode())
  writer.close()


WRITERS = {
  "a.jsonl": lambda p, r: p.write_text(jsonl(r), "utf-8"),
  "b.jsonl.gz": lambda p, r: p.write_bytes(gzip.compress(jsonl(r).encode())),
  "c.ndjson": lambda p, r: p.write_text("\ufeff" + jsonl(r), "utf-8"),
  "d.json": lambda p, r: p.write_text(json.dumps(r)),
  "e.json.gz": lambda p, r: p.write_bytes(
    gzip.compress(json.dumps(r).encode())
  ),
  "f.json": lambda p, r: p.write_text(json.dumps({"data": r, "version": 1})),
  "g.json": lambda p, r: p.write_text(jsonl(r), "utf-8"),
  "h.csv": write_csv,
  "i.tsv": lambda p, r: write_csv(p, r, "\t"),
  "j.parquet": lambda p, r: parquet.write_table(
    pyarrow.Table.from_pylist(r), p, row_group_size=300
  ),
  "k.arrow": write_arrow,
  "l.arrow": lambda p, r: write_arrow(p, r, stream=True),
  "m.array_record": write_array_record,
}


def contents(data):
  return [(r.id, r.prompt, r.responses) for r in data]


EXPECTED = [(r["id"], r["prompt"], (r["chosen"], r["rejected"])) for r in ROWS]


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_reads_the_same(tmp_path, name):
  path = tmp_path / name
  WRITERS[name](path, ROWS)
  data = readers.read(path)
  assert contents(data) == EXPECTED
  report = data.report
  assert (report.seen, report.kept, report.complete) == (1200, 1200, True)
  assert report.format == files.format_of(path) or name == "g.json"
  assert str(path) in report.summary()


@pytest.mark.parametrize("name", [n for n in WRITERS if n[0] in "bdehijklm"])
def test_damaged_files_are_data_errors(tmp_path, name):
  path = tmp_path / name
  WRITERS[name](path, ROWS)
  data = path.read_bytes()
  for cut in (0, 1, len(data) // 3, len(data) - 7):
    path.write_bytes(data[:cut])
    try:
      read = readers.read(path, on_bad="skip", max_bad_fraction=1)
      # A text file cut between rows cannot be told from a short one.
      assert contents(read) == EXPECTED[: len(read)]
    except errors.DataError as error:
      assert str(path) in str(error) and "\n" not in str(error)


def test_folders_of_shards_and_splits(tmp_path):
  for split, rows in (("train", ROWS[:700]), ("test", ROWS[700:])):
    for shard in range(2):
      name = f"{split}-{shard:05d}-of-00002.parquet"
      part = rows[: len(rows) // 2] if shard == 0 else rows[len(rows) // 2 :]
      parquet.write_table(pyarrow.Table.from_pylist(part), tmp_path / name)
  assert contents(readers.read(tmp_path, split="train")) == EXPECTED[:700]
  assert contents(readers.read(tmp_path, split="test")) == EXPECTED[700:]
  with pytest.raises(errors.DataError, match="holds 2 data sets"):
    readers.read(tmp_path)
  with pytest.raises(errors.DataError, match="no data file of split 'valid'"):
    readers.read(tmp_path, split="valid")


def test_folders_saved_by_other_libraries(tmp_path):
  for split, rows in (("train", ROWS[:700]), ("test", ROWS[700:])):
    folder = tmp_path / split
    folder.mkdir()
    write_arrow(folder / "data-00000-of-00001.arrow", rows, stream=True)
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
  (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
  assert contents(readers.read(tmp_path, split="test")) == EXPECTED[700:]
  assert contents(readers.read(tmp_path / "train")) == EXPECTED[:700]
  with pytest.raises(errors.DataError, match="give a split.*train, test"):
    readers.read(tmp_path)
  with pytest.raises(errors.DataError, match="did you mean 'train'"):
    readers.read(tmp_path, split="trian")


@pytest.mark.parametrize("split", ["../train", "a/b", "", "train[:5]", ".."])
def test_split_names_cannot_leave_the_folder(tmp_path, split):
  with pytest.raises(errors.DataError, match="split"):
    readers.read(tmp_path, split=split)


def test_files_that_are_not_there_or_not_data(tmp_path):
  with pytest.raises(errors.DataError, match="no such file"):
    readers.read(tmp_path / "none.jsonl")
  other = tmp_path / "x.pkl"
  other.write_bytes(b"\x80\x04.")
  with pytest.raises(errors.DataError, match="unknown kind of file"):
    readers.read(other)
  empty = tmp_path / "x.jsonl"
  empty.write_bytes(b"\n\n")
  with pytest.raises(errors.DataError, match="no rows"):
    readers.read(empty)
  (tmp_path / "folder").mkdir()
  with pytest.raises(errors.DataError, match="no data file"):
    readers.read(tmp_path / "folder")
  wide = tmp_path / "wide.jsonl"
  wide.write_bytes('{"prompt": "x"}'.encode("utf-16"))
  with pytest.raises(errors.DataError, match="not UTF-8"):
    readers.read(wide)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_unreadable_files(tmp_path):
  path = tmp_path / "x.jsonl"
  path.write_text(jsonl(ROWS[:2]))
  path.chmod(0)
  with pytest.raises(errors.DataError, match="cannot be opened"):
    readers.read(path)


def test_csv_rows_with_other_lengths_or_bytes(tmp_path):
  path = tmp_path / "x.csv"
  lines = [b"prompt,chosen,rejected"]
  lines += [f"p{i},c,r".encode() for i in range(4)]
  lines += [b"p,c", b"p,c,r,x", b"p,\xff\xfe,r", b'p,"a ""quoted"" cell",r']
  path.write_bytes(b"\n".join(lines))
  data = readers.read(path, on_bad="skip", max_bad_fraction=1)
  assert [r.prompt for r in data] == ["p0", "p1", "p2", "p3", "p"]
  assert data[4].responses[0] == 'a "quoted" cell'
  fields = [bad.field for bad in data.report.bad_rows]
  assert fields == ["row", "row", "chosen"]
  assert data.report.bad_rows[0].place.endswith("row 4")


def test_csv_cells_may_hold_messages(tmp_path):
  path = tmp_path / "x.csv"
  talk = [{"role": "user", "content": "hi"}]
  row = {"prompt": json.dumps(talk), "completion": "yes", "label": "True"}
  write_csv(path, [row])
  record = readers.read(path)[0]
  assert record.prompt == (talk[0],)
  assert record.labels == (True,)


def test_table_cells_that_are_not_text(tmp_path):
  array = pyarrow.array([b"fine", b"\xff\xfe"]).view(pyarrow.string())
  table = pyarrow.table({"prompt": ["a", "b"], "completion": array})
  path = tmp_path / "x.parquet"
  parquet.write_table(table, path)
  data = readers.read(path, on_bad="skip", max_bad_fraction=1)
  assert [r.prompt for r in data] == ["a"]
  bad = data.report.bad_rows[0]
  assert (bad.field, bad.place) == ("completion", f"{path}, row 1")


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_column_names_that_are_not_text(tmp_path, kind):
  table = pyarrow.table({"prompt": ["a"], "completion": ["b"]})
  path = tmp_path / f"x.{kind}"
  if kind == "parquet":
    parquet.write_table(table, path, store_schema=False)
  else:
    with pyarrow.OSFile(str(path), "wb") as sink:
      with pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
  path.write_bytes(path.read_bytes().replace(b"completion", b"compl\xe9tion"))
  with pytest.raises(errors.DataError, match=f"x.{kind}: is not a readable"):
    readers.read(path)


def test_limit_and_arguments(tmp_path):
  path = tmp_path / "x.jsonl"
  path.write_text(jsonl(ROWS), "utf-8")
  data = readers.read(path, limit=5)
  assert contents(data) == EXPECTED[:5]
  assert not data.report.complete
  for options in (
    {"on_bad": "ignore"},
    {"max_bad_fraction": 2},
    {"limit": 0},
    {"columns": "llmbar", "layout": "ranked"},
    {"split": "train"},
    {"limits": records.Limits(bytes=10)},
  ):
    with pytest.raises(errors.DataError):
      readers.read(path, **options)


def test_rows_without_ids_get_their_number(tmp_path):
  path = tmp_path / "x.jsonl"
  path.write_text('{"text": "a"}\n\n{"text": "b"}\n')
  assert [r.id for r in readers.read(path)] == ["row1", "row3"]


def test_digest_changes_with_content(tmp_path):
  path = tmp_path / "x.jsonl"
  path.write_text(jsonl(ROWS[:3]), "utf-8")
  first = readers.read(path).digest()
  assert readers.read(path).digest() == first
  path.write_text(jsonl(ROWS[:2]), "utf-8")
  assert readers.read(path).digest() != first
