# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax score`: every response of every kind of record, and going on."""

import fcntl
import json

import policy_support as support
import pytest

from prefjax import runs
from prefjax.cli import main
from prefjax.core import errors
from prefjax.data import encoding, records
from prefjax.runs import scores

_LENGTHS = encoding.Lengths(prompt=64, response=64, too_long="drop")
_ROWS = [
  {"kind": "pair", "responses": ["4", "five"], "pairs": [[1, 0]]},
  {"kind": "ranked", "responses": ["a", "bb", "c"], "scores": [1, 3, None]},
  {"kind": "unpaired", "responses": ["yes", "no"], "labels": [True, False]},
  {"kind": "sft", "responses": ["a demonstration"]},
  {
    "kind": "rated",
    "responses": ["x", "y"],
    "attributes": [{"help": 1.0}, {"help": 2.0}],
  },
  {
    "kind": "steps",
    "responses": ["2+2\nis 4"],
    "steps": ["2+2\n", "is 4"],
    "step_labels": [True, None],
  },
  {"kind": "prompt"},
]


def _records(rows=_ROWS):
  return [
    records.validate({"prompt": "2+2=? ", "id": row["kind"], **row}, "test")
    for row in rows
  ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("models")
  support.save_model(path / "a", 0)
  support.save_model(path / "b", 1)
  return path


@pytest.fixture(scope="module")
def policy(folder):
  return runs.open_policy(folder / "a")


def _lines(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def _score(policy, found, path, **more):
  settings = {"lengths": _LENGTHS, "batch_size": 3, **more}
  return scores.score(policy, found, path, **settings)


@pytest.fixture(scope="module")
def scored(policy, tmp_path_factory):
  path = tmp_path_factory.mktemp("out") / "deep" / "scores.jsonl"
  outcome = _score(policy, _records(), path)
  assert outcome == scores.Outcome(scored=7, unusable=0, present=0)
  return path


def test_every_response_of_every_kind(folder, scored):
  lines = {line["id"]: line for line in _lines(scored)}
  assert set(lines) == {row["kind"] for row in _ROWS}
  for row in _ROWS:
    line = lines[row["kind"]]
    expected = [
      support.log_prob(folder / "a", "2+2=? ", text)
      for text in row.get("responses", ())
    ]
    assert line["lengths"] == [length for _, length in expected]
    assert line["logps"] == pytest.approx([v for v, _ in expected], rel=1e-5)


def test_texts_without_a_prompt_and_conversations(folder, policy, tmp_path):
  rows = [
    {"id": "t", "kind": "text", "prompt": "", "responses": ["some words"]},
    {
      "id": "c",
      "kind": "sft",
      "prompt": [{"role": "user", "content": "hi"}],
      "responses": [[{"role": "assistant", "content": "hello"}]],
    },
  ]
  found = [records.validate(row, "test") for row in rows]
  template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
  template += "{% if add_generation_prompt %}<assistant>{% endif %}"
  path = tmp_path / "chat.jinja"
  path.write_text(template)
  chatty = runs.open_policy(folder / "a", template=str(path))
  outcome = _score(chatty, found, tmp_path / "out")
  lines = {line["id"]: line for line in _lines(tmp_path / "out")}
  assert outcome.unusable == 0 and set(lines) == {"t", "c"}
  # Without its prompt's tokens, but with the end of the response.
  assert len("some words") <= lines["t"]["lengths"][0] <= len("some words") + 1
  assert lines["c"]["lengths"][0] in (len("hello"), len("hello") + 1)


def test_again_skips_what_is_there(policy, scored):
  before = scored.read_bytes()
  outcome = _score(policy, _records(), scored)
  assert outcome == scores.Outcome(scored=0, unusable=0, present=7)
  assert scored.read_bytes() == before


@pytest.mark.parametrize("cut", [1, 40, 400])
def test_a_file_that_was_cut_off_is_completed(policy, scored, tmp_path, cut):
  path = tmp_path / "scores.jsonl"
  path.write_bytes(scored.read_bytes()[:-cut])
  outcome = _score(policy, _records(), path)
  assert outcome.scored + outcome.present == 7 and outcome.scored >= 1
  own, other = (
    {line["id"]: line for line in _lines(p)} for p in (path, scored)
  )
  assert set(own) == set(other) and len(_lines(path)) == 7
  for name, line in own.items():
    assert line["key"] == other[name]["key"]
    # A batch of other records may round differently.
    assert line["logps"] == pytest.approx(other[name]["logps"], rel=1e-6)


def test_new_records_are_added(policy, tmp_path):
  path = tmp_path / "scores.jsonl"
  _score(policy, _records(_ROWS[:3]), path)
  outcome = _score(policy, _records(), path)
  assert (outcome.scored, outcome.present) == (4, 3)


def _changed(name, **fields):
  return [{**r, **fields} if r["kind"] == name else r for r in _ROWS]


def test_a_file_never_mixes(folder, policy, scored, tmp_path):
  path = tmp_path / "scores.jsonl"
  path.write_bytes(scored.read_bytes())
  found = _records()
  for other, rows, more in (
    (runs.open_policy(folder / "b"), found, {}),
    (policy, _records(_changed("sft", responses=["another"])), {}),
    (policy, found, {"eos": False}),
    (policy, found, {"lengths": encoding.Lengths(prompt=64, response=63)}),
  ):
    with pytest.raises(errors.DataError, match="choose another file"):
      _score(other, rows, path, **more)
  assert path.read_bytes() == scored.read_bytes()


def test_files_of_others_are_left_alone(policy, tmp_path):
  path = tmp_path / "notes.txt"
  path.write_text("dear diary\n")
  with pytest.raises(errors.DataError, match="notes.txt, line 1: was not"):
    _score(policy, _records(), path)
  assert path.read_text() == "dear diary\n"


def test_one_writer_at_a_time(policy, tmp_path):
  path = tmp_path / "scores.jsonl"
  with path.open("w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    with pytest.raises(errors.DataError, match="another process"):
      _score(policy, _records(), path)


def test_too_long_is_said_in_its_line(policy, tmp_path):
  rows = _changed("sft", responses=["long " * 20])
  outcome = _score(policy, _records(rows), tmp_path / "drop")
  assert (outcome.scored, outcome.unusable) == (7, 1)
  line = next(x for x in _lines(tmp_path / "drop") if x["id"] == "sft")
  assert "long_response" in line["error"] and "logps" not in line
  cut = encoding.Lengths(prompt=64, response=64, too_long="cut")
  outcome = _score(policy, _records(rows), tmp_path / "cut", lengths=cut)
  line = next(x for x in _lines(tmp_path / "cut") if x["id"] == "sft")
  assert outcome.unusable == 0 and line["lengths"] == [64]
  # Nothing but unusable records is no error of the command either.
  outcome = _score(policy, _records(rows)[3:4], tmp_path / "none")
  assert (outcome.scored, outcome.unusable) == (1, 1)


def test_command(folder, tmp_path, capsys, scored):
  data = tmp_path / "records.jsonl"
  rows = [{"prompt": "2+2=? ", "id": r["kind"], **r} for r in _ROWS[:2]]
  support.write(data, rows)
  out = tmp_path / "scores.jsonl"
  words = [f"--model={folder / 'a'}", f"--data={data}", f"--out={out}"]
  words += ["--max_prompt=64", "--max_response=64", "--batch=3"]
  assert main.main(["score", *words]) == 0
  assert "2 records scored, 0 were there already" in capsys.readouterr().out
  assert main.main(["score", *words]) == 0
  assert "0 records scored, 2 were there already" in capsys.readouterr().out
  expected = {line["id"]: line for line in _lines(scored)}
  for line in _lines(out):
    assert line["logps"] == pytest.approx(
      expected[line["id"]]["logps"], rel=1e-6
    )
