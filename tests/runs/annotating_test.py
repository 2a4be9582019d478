# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What is made of scores: pairs, ranks, mended labels, and the commands."""

import json

import policy_support as support
import pytest
from scorer_support import lines, make_folder

from prefjax.cli import main
from prefjax.core import errors
from prefjax.data import readers
from prefjax.runs import annotating, benching, score_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return make_folder(tmp_path_factory.mktemp("scorers"))


# --- pairs, ranks, mended labels ----------------------------------------------


def _scored(rows, scores, tmp_path, extra=None):
  support.write(tmp_path / "d.jsonl", rows)
  lines = [
    {
      "id": row["id"],
      "key": "k",
      "scores": s,
      **(extra or {}).get(row["id"], {}),
    }
    for row, s in zip(rows, scores, strict=True)
  ]
  support.write(tmp_path / "s.jsonl", lines)
  found = readers.read(tmp_path / "d.jsonl").records
  return score_files.join(found, tmp_path / "s.jsonl")


_GROUP = {"id": "g", "prompt": "p", "responses": ["a", "bb", "ccc"],
          "scores": [0, 0, 0]}  # fmt: skip


@pytest.mark.parametrize("scheme", annotating.SCHEMES)
def test_pairs_of_scored_groups(scheme, tmp_path):
  flat = {**_GROUP, "id": "flat"}
  scored = _scored([_GROUP, flat], [[1, 3, 2], [1, 1, 1]], tmp_path)
  made = annotating.pairs(scored, scheme=scheme, margin_scale=0.5)
  texts_of = {"a": 1, "bb": 3, "ccc": 2}
  for row in made.rows:
    gap = texts_of[row["chosen"]] - texts_of[row["rejected"]]
    assert row["strength"] == gap > 0 and row["margin"] == 0.5 * gap
    assert row["score_chosen"] - row["score_rejected"] == gap
  assert len(made.rows) == (3 if scheme == "all" else 1)
  assert made.ties == (3 if scheme == "all" else 1)
  if scheme == "best_worst":
    assert made.rows[0]["chosen"] == "bb" and made.rows[0]["rejected"] == "a"
  ties = annotating.pairs(scored, scheme=scheme, min_gap=1.0, keep_ties=True)
  assert any(row["tie"] and row["margin"] == 0 for row in ties.rows)
  assert annotating.pairs(scored, scheme=scheme, seed=3) == annotating.pairs(
    scored, scheme=scheme, seed=3
  )


def test_written_pairs_are_read_again(tmp_path):
  scored = _scored([_GROUP], [[1, 3, 2]], tmp_path)
  annotating.write(annotating.pairs(scored).rows, tmp_path / "p.jsonl", str)
  (record,) = readers.read(tmp_path / "p.jsonl").records
  assert record.kind == "pair" and record.responses[record.pairs[0][0]] == "bb"
  assert record.metadata["margin"] == 2.0
  annotating.write(annotating.ranked(scored).rows, tmp_path / "r.jsonl", str)
  (record,) = readers.read(tmp_path / "r.jsonl").records
  assert record.scores == (1.0, 3.0, 2.0)
  with pytest.raises(errors.DataError, match="exists"):
    annotating.write([{}], tmp_path / "r.jsonl")
  with pytest.raises(errors.DataError, match="no record is left"):
    annotating.write([], tmp_path / "x.jsonl")


def test_votes_mend_labels(tmp_path):
  rows = [
    {"id": f"p{i}", "prompt": "q", "chosen": f"c{i}", "rejected": f"r{i}"}
    for i in range(5)
  ]
  gaps = [2.0, -3.0, 1.0, 0.5, 4.0]
  votes = {
    f"p{i}": {"members": [[g, g + 1], [0.0, 1.0]]} for i, g in enumerate(gaps)
  }
  scored = _scored(rows, [[g, 0.0] for g in gaps], tmp_path, votes)
  made = annotating.mend(scored, method="flip_margin", flip_fraction=0.2)
  assert made.flipped == 1
  flipped = made.rows[1]
  assert flipped["flipped"] and flipped["chosen"] == "r1"
  assert flipped["margin"] == 3.0 and flipped["strength"] == -3.0
  assert made.rows[0]["margin"] == 2.0 and made.rows[0]["chosen"] == "c0"
  assert [r["strength_group"] for r in made.rows] == [2, 0, 2, 1, 2]
  soft = annotating.mend(scored, method="soft", smoothing=0.3)
  assert [r["smoothing"] for r in soft.rows] == pytest.approx([0, 0.3, 0, 0, 0])
  assert soft.rows[1]["chosen"] == "c1"
  with pytest.raises(errors.ConfigError, match="--mend"):
    annotating.mend(scored, method="burn")


def test_files_that_do_not_fit(tmp_path):
  rows = [{"id": "p", "prompt": "q", "chosen": "c", "rejected": "r"}]
  with pytest.raises(errors.DataError, match="3 scores for 2 responses"):
    _scored(rows, [[1, 2, 3]], tmp_path)
  with pytest.raises(errors.DataError, match="none of the 1 records"):
    _scored(rows, [[None, 2]], tmp_path)
  (tmp_path / "s.jsonl").write_text('{"id": "p"}\n')
  found = readers.read(tmp_path / "d.jsonl").records
  with pytest.raises(errors.DataError, match="line 1: was not written"):
    score_files.join(found, tmp_path / "s.jsonl")


# --- the commands -------------------------------------------------------------


def _run(*words):
  return main.main([str(word) for word in words])


def test_score_annotate_and_bench(folder, tmp_path, capsys):
  groups = [
    {"id": f"g{i}", "prompt": f"p{i}", "scores": [3.0, 1.0, 2.0, 0.0],
     "responses": ["aaaa", "b" * (1 + i % 3), "cc", "ddd"], "subset": s}
    for i, s in enumerate(["easy", "easy", "hard", "hard"])
  ]  # fmt: skip
  data = support.write(tmp_path / "groups.jsonl", groups)
  scores, gold = tmp_path / "s.jsonl", tmp_path / "gold.jsonl"
  command = ("score", "--scorer=length", f"--data={data}")
  assert _run(*command, '--options={"per": 1}', f"--out={scores}") == 0
  assert "4 records scored" in capsys.readouterr().out
  assert _run(*command, '--options={"per": 1}', f"--out={scores}") == 0
  assert "4 were there already" in capsys.readouterr().out
  (tmp_path / "g.py").write_text(
    "def g(prompt, response, record):\n"
    "  return record.scores[record.responses.index(response)]\n"
  )
  assert _run("score", f"--scorer={tmp_path}/g.py:g", f"--data={data}",
              f"--out={gold}") == 0  # fmt: skip
  out = tmp_path / "bench"
  status = _run("bench", f"--data={data}", f"--scores={scores}",
                f"--gold={gold}", f"--out={out}")  # fmt: skip
  shown = capsys.readouterr().out
  assert status == 0 and "easy" in shown and "n = 4" in shown
  found = json.loads((out / "bench.json").read_text())
  assert found["all"]["mean"] == 1.0 and found["chance"] == 0.25
  assert found["over_optimisation"]["curve"][-1]["gold"] == 3.0
  written = {path.name for path in out.iterdir()}
  assert written >= {"bench.json", "categories.png", "over_optimisation.png"}
  pairs = tmp_path / "pairs.jsonl"
  status = _run("data", "annotate", f"--data={data}", f"--scores={scores}",
                f"--out={pairs}", "--pairs=all", "--min_gap=1")  # fmt: skip
  assert status == 0 and "ties" in capsys.readouterr().out
  assert all(row["strength"] > 1 for row in lines(pairs).values())


def test_commands_that_are_refused(folder, tmp_path, capsys):
  data = f"--data={folder / 'data.jsonl'}"
  out = f"--out={tmp_path / 'o.jsonl'}"
  for words, message in (
    (
      ("score", data, out, "--options={}x", "--scorer=length"),
      "no JSON object",
    ),
    (("score", data, out, '--options={"a": 1}'), "the scorer logps has none"),
    (("score", data, out, "--scorer=model"), "--model: the scorer 'model'"),
    (("score", data, out, "--scorer=lenght"), "did you mean 'length'"),
    (("bench", data, f"--scores={folder / 'data.jsonl'}"), "was not written"),
  ):
    assert _run(*words) == 2
    assert message in capsys.readouterr().err


def test_records_without_a_preference_are_counted(folder, tmp_path):
  scored = _scored(
    [_GROUP, {**_GROUP, "id": "h", "scores": [0, 1, 0]}],
    [[1, 2, 3], [1, 2, 3]], tmp_path,
  )  # fmt: skip
  found = benching.evaluate(scored)
  assert found["left_out"]["no preference"] == 1
  assert found["all"]["mean"] == 0 and found["all"]["count"] == 1
