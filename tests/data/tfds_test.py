# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Files as ArrayRecord data sets of TFDS and back, without TensorFlow."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from prefjax.core import errors
from prefjax.data import media, readers, records, splits, table_rows

USER = {"role": "user", "content": "hi"}
ANSWER = {"role": "assistant", "content": "né", "tool_calls": [{"x": 1}]}
RAW = [
  {"kind": "pair", "prompt": "p", "responses": ["a\n", "b"], "weight": 0.5,
   "flip_rate": 0.1, "metadata": {"x": {"y": [1, None]}}},
  {"kind": "pair", "prompt": [USER], "responses": [[ANSWER], "no"]},
  {"kind": "pair", "prompt": "",
   "responses": [[USER, ANSWER], [USER, {"role": "assistant",
                                         "content": "b"}]]},
  {"kind": "ranked", "prompt": "p", "responses": ["a", "b", "c"],
   "scores": [1, 2.5, None], "pairs": [[1, 0]]},
  {"kind": "unpaired", "prompt": "[]", "responses": ["[1]"], "labels": [True]},
  {"kind": "steps", "prompt": "p", "steps": ["a", "b"],
   "step_labels": [True, None]},
  {"kind": "rated", "prompt": "p", "responses": ["a"],
   "attributes": [{"x": 1.5}]},
  {"kind": "sft", "prompt": "p", "responses": ["\U0001f600"]},
  {"kind": "text", "prompt": "", "responses": ["once"]},
  {"kind": "prompt", "prompt": "p", "images": ["a.png"]},
]  # fmt: skip
RECORDS = [
  records.validate({"id": f"r{i}", **raw}, "test") for i, raw in enumerate(RAW)
]


def build(*args, **options):
  from prefjax.data import tfds_builder

  return tfds_builder.build(*args, **options)


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.id)
def test_rows_give_the_record_back(record):
  row = json.loads(json.dumps(table_rows.to_row(record)))
  assert set(row) == set(table_rows.COLUMNS)
  converted = table_rows.LAYOUT.convert(row)
  assert records.validate(converted.raw, "test") == record


def test_data_sets_give_the_records_back(tmp_path):
  folder = build({"train": RECORDS, "test": RECORDS[:2]}, tmp_path, "mine")
  assert folder == tmp_path / "mine" / "1.0.0"
  train = readers.read(folder, split="train")
  # Image files stand relative to the data set.
  rooted = [media.rooted(record, str(folder)) for record in RECORDS]
  assert rooted[-1].images == (str(folder / "a.png"),)
  assert list(train) == rooted
  assert (train.report.format, train.report.layout) == ("tfds", "prefjax_table")
  test = readers.read(tmp_path / "mine", split="test")  # the newest version
  assert list(test) == RECORDS[:2]
  assert train.digest() == records.digest(rooted)
  with pytest.raises(errors.DataError, match="give a split.*train, test"):
    readers.read(folder)
  names = {p.name for p in folder.iterdir()}
  assert "mine-train.array_record-00000-of-00001" in names
  assert {p.name for p in tmp_path.iterdir()} == {"mine"}
  with pytest.raises(errors.DataError, match="exists already"):
    build({"train": RECORDS}, tmp_path, "mine")


def test_other_tools_read_the_columns(tmp_path):
  import tensorflow_datasets as tfds

  folder = build({"train": RECORDS}, tmp_path, "mine")
  source = tfds.builder_from_directory(folder).as_data_source(split="train")
  assert len(source) == len(RECORDS)
  row = source[0]
  assert (row["prompt"], list(row["responses"])) == (b"p", [b"a\n", b"b"])
  assert json.loads(source[1]["responses"][0])[0]["content"] == "né"


def test_data_sets_that_others_prepared(tmp_path):
  """Lists of mappings, numbers and bytes as TFDS stores them."""
  import tensorflow_datasets as tfds

  talk = tfds.features.Sequence(
    {"role": tfds.features.Text(), "content": tfds.features.Text()}
  )
  features = tfds.features.FeaturesDict(
    {"prompt": talk, "chosen": talk, "rejected": talk, "margin": np.float32}
  )
  row = {
    "prompt": [USER, {"role": "user", "content": "ü?"}],
    "chosen": [{"role": "assistant", "content": "yes"}],
    "rejected": [{"role": "assistant", "content": "no"}],
    "margin": 0.5,
  }

  class Other(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version("2.1.0")

    def _info(self):
      return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
      return {"train": self._generate_examples()}

    def _generate_examples(self):
      for i in range(3):
        last = {"role": "assistant", "content": f"no {i}"}
        yield i, {**row, "rejected": [last]}

  builder = Other(data_dir=tmp_path, file_format="array_record")
  builder.download_and_prepare(download_dir=tmp_path / "none")
  data = readers.read(tmp_path / "other")
  assert data.report.layout == "trl_preference" and len(data) == 3
  assert all(r.prompt == tuple(row["prompt"]) for r in data)
  assert {r.responses[0][0]["content"] for r in data} == {"yes"}
  assert {r.responses[1][0]["content"] for r in data} == {
    "no 0", "no 1", "no 2"
  }  # fmt: skip
  assert data[0].metadata == {"margin": 0.5}


def damage(tmp_path, **changes):
  path = tmp_path / "x.jsonl"
  row = {**table_rows.to_row(RECORDS[1]), **changes}
  good = table_rows.to_row(RECORDS[0])
  path.write_text("".join(json.dumps(r) + "\n" for r in (good, good, row)))
  return readers.read(path, on_bad="skip", max_bad_fraction=1).report


@pytest.mark.parametrize(
  "changes,field",
  [
    ({"rest": "{"}, "rest"),
    ({"rest": "[]"}, "rest"),
    ({"rest": 3}, "rest"),
    ({"rest": '{"id": "x"}'}, "rest"),
    ({"rest": '{"x": 1}'}, "x"),
    ({"prompt": "hi"}, "prompt"),
    ({"prompt": "[" * 9000}, "prompt"),
    ({"responses": ["hi"]}, "responses[0]"),
    ({"responses": "hi"}, "responses"),
    ({"kind": "pairs"}, "kind"),
  ],
)
def test_damaged_rows_are_bad_rows(tmp_path, changes, field):
  report = damage(tmp_path, **changes)
  assert (report.kept, report.bad) == (1, 1)
  assert report.bad_rows[0].field == field


@pytest.mark.parametrize(
  "splits_,name,message",
  [
    ({"train": RECORDS}, "Mine", "name: 'Mine'"),
    ({"train": RECORDS}, "../x", "name"),
    ({"a/b": RECORDS}, "mine", "split: 'a/b'"),
    ({"train": []}, "mine", "no record"),
    ({}, "mine", "none to write"),
  ],
)
def test_names_are_checked(tmp_path, splits_, name, message):
  with pytest.raises(errors.ConfigError, match=message):
    build(splits_, tmp_path, name)
  assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_one_line(tmp_path):
  (tmp_path / "file").write_text("x")
  with pytest.raises(errors.DataError, match="cannot be written") as error:
    build({"train": RECORDS}, tmp_path / "file", "mine")
  assert "\n" not in str(error.value)
  images = records.validate(
    {"id": "i", "kind": "prompt", "prompt": "p", "images": [np.zeros(3)]},
    "test",
  )
  with pytest.raises(errors.DataError, match="record 'i': images"):
    build({"train": [images]}, tmp_path, "mine")
  assert not (tmp_path / "mine" / "1.0.0").exists()


SCRIPT = """
import json, sys
from prefjax.data import readers, records, tfds_builder
record = records.validate(
  {"id": "a", "kind": "sft", "prompt": "p", "responses": ["b"]}, "here")
folder = tfds_builder.build({"train": [record]}, sys.argv[1], "mine")
assert list(readers.read(folder)) == [record]
assert not [m for m in sys.modules if m.split(".")[0] == "tensorflow"]
"""


def test_tensorflow_is_never_imported(tmp_path):
  """Not even where it is installed: this one would stop the program."""
  fake = tmp_path / "path" / "tensorflow"
  fake.mkdir(parents=True)
  (fake / "__init__.py").write_text("raise SystemExit('imported')\n")
  root = pathlib.Path(__file__).parents[2]
  done = subprocess.run(
    [sys.executable, "-c", SCRIPT, str(tmp_path / "out")],
    env={"PYTHONPATH": f"{fake.parent}:{root}", "JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout == ""


def test_held_out_prompts_are_never_trained_on():
  made = [
    records.validate(
      {"id": f"r{i}", "kind": "sft", "prompt": f"p{i % 200}",
       "responses": [f"a{i}"]},
      "test",
    )
    for i in range(600)
  ]  # fmt: skip
  train, held = splits.held_out(made, 0.2)
  assert len(train) + len(held) == 600 and 60 < len(held) < 180
  assert not {r.prompt for r in train} & {r.prompt for r in held}
  assert [r for r in made if r in held] == held
  # A record stays on its side when others come and go.
  again = splits.held_out(made[100:], 0.2)[1]
  assert set(r.id for r in again) == {r.id for r in held if r in made[100:]}
  assert splits.held_out(made, 0.2, seed=1)[1] != held
  more = splits.held_out(made, 0.4)[1]
  assert {r.id for r in held} < {r.id for r in more}
  assert splits.held_out(made, 0) == (made, [])
  for fraction in (-0.1, 1.0):
    with pytest.raises(errors.ConfigError, match="data.eval_fraction"):
      splits.held_out(made, fraction)
  with pytest.raises(errors.ConfigError, match="data.eval_fraction.*leaves"):
    splits.held_out(made[:1], 0.5)
