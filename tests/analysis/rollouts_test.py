# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The page about rollouts: what it shows, and what it does not let through."""

import json

import pytest

from prefjax.analysis import report, rollouts
from prefjax.core import errors


def _row(step, number, prompt, response, reward, **more):
  return {
    "step": step,
    "round": number,
    "id": prompt,
    "prompt": prompt,
    "response": response,
    "reward": reward,
    "advantage": reward - 0.5,
    "kl": 0.25,
    "length": len(response),
    "finish": "eos",
    **more,
  }


@pytest.fixture
def workdir(tmp_path):
  metrics = [
    {"step": 1, "round": 0, "reward": 0.25, "entropy": 2.0},
    {"step": 1, "loss": 0.1},
    {"step": 5, "round": 1, "reward": 0.75, "entropy": 1.5},
    {"step": 8, "eval/reward": 0.5},
  ]
  (tmp_path / "metrics.jsonl").write_text(
    "".join(json.dumps(row) + "\n" for row in metrics)
  )
  rows = [
    _row(1, 0, "old prompt", "old answer", 0.0),
    _row(5, 1, "<b>ask</b>", "bad <script>alert(1)</script>", 0.25),
    _row(
      5, 1, "<b>ask</b>", "good", 0.75,
      tokens=[["go", -0.1, 0.3], ["<od>", -9.0, 0.3], "broken"],
    ),
    _row(5, 1, "other\nline", "", 0.5),
  ]  # fmt: skip
  text = "".join(json.dumps(row) + "\n" for row in rows)
  (tmp_path / "rollouts.jsonl").write_text(text + '{"step": 9, "cut\n')
  return tmp_path


def test_the_page(workdir):
  path = rollouts.write_page(workdir)
  page = path.read_text()
  assert "old answer" not in page  # the last round only
  # Best first, with rewards and advantages.
  assert page.index(">good<") < page.index("bad &lt;script")
  assert "<script" not in page and "<b>ask" not in page
  assert "&lt;b&gt;ask&lt;/b&gt;" in page
  assert "other\nline" in page
  assert "Round 1: 2 of 2 prompts" in page
  assert '<td class="num better">0.25</td>' in page
  # The unlikely token has the full colour, the likely one hardly any.
  assert "rgba(230,159,0,1.00)" in page and "rgba(230,159,0,0.02)" in page
  assert "&lt;od&gt;" in page
  assert "0.750" in page and "began at 0.250" in page
  assert "default-src 'none'" in page.replace("&#x27;", "'")
  assert (workdir / "figures" / "rollouts.png").stat().st_size > 1000


def test_no_table_no_page(tmp_path):
  assert rollouts.write_page(tmp_path) is None
  assert not list(tmp_path.iterdir())


def test_an_empty_table(tmp_path):
  (tmp_path / "rollouts.jsonl").write_text("")
  assert "0 of 0 prompts" in rollouts.write_page(tmp_path).read_text()


def test_a_folder_that_cannot_be_written(workdir, monkeypatch):
  def fail(*arguments, **options):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr("pathlib.Path.write_text", fail)
  with pytest.raises(errors.DataError, match="No space left"):
    rollouts.write_page(workdir)


def test_the_report_shows_the_rounds(workdir):
  page = report.from_workdir(workdir).read_text()
  assert "Rounds of rollouts" in page
