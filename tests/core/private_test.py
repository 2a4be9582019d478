# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What holds text of records is for its owner alone."""

import os
import stat

import pytest

from prefjax.cli import generate
from prefjax.core import private
from prefjax.data import encoding, records, store, tokenizers, views
from prefjax.runs import annotating, score_lines


@pytest.fixture(autouse=True)
def open_mask():
  """The mask of a careless machine: new files for everybody."""
  before = os.umask(0)
  yield
  os.umask(before)


def _mode(path) -> int:
  return stat.S_IMODE(path.stat().st_mode)


def test_folders_on_the_way_are_private_and_others_stay(tmp_path):
  there = tmp_path / "there"
  there.mkdir(mode=0o755)
  private.make_folder(there / "a" / "b")
  private.make_folder(there / "a" / "b")
  assert _mode(there) == 0o755
  assert _mode(there / "a") == _mode(there / "a" / "b") == 0o700
  (there / "file").write_text("")
  with pytest.raises(FileExistsError):
    private.make_folder(there / "file")


def test_what_score_writes(tmp_path):
  out = tmp_path / "scores" / "s.jsonl"
  score_lines.File(out).close()
  assert (_mode(out.parent), _mode(out)) == (0o700, 0o600)


def test_what_annotate_writes(tmp_path):
  out = tmp_path / "pairs" / "p.jsonl"
  annotating.write([{"prompt": "p"}], out, note=lambda text: None)
  assert (_mode(out.parent), _mode(out)) == (0o700, 0o600)


def test_what_generate_writes(tmp_path):
  out = tmp_path / "answers" / "a.jsonl"
  generate._write(out, [{"prompt": "p", "responses": []}])
  assert (_mode(out.parent), _mode(out)) == (0o700, 0o600)


def test_what_tokens_are_kept_in(tmp_path):
  encoder = encoding.Encoder(
    tokenizers.ByteTokenizer(),
    views.view("pair"),
    encoding.Lengths(prompt=16, response=16),
  )
  row = {"id": "r", "kind": "pair", "prompt": "p", "responses": ["a", "b"]}
  parent = tmp_path / "cache"
  store.build_or_open(encoder, [records.validate(row, "test")], parent)
  folders = [parent, *(p for p in parent.rglob("*") if p.is_dir())]
  assert len(folders) > 1
  assert {_mode(path) for path in folders} == {0o700}
