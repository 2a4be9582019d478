# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a person sees: a line now and then, a bar on a terminal."""

import io
import sys

import pytest

from prefjax.train import progress

ROW = {
  "step": 3,
  "loss": 0.6931,
  "rewards/accuracies": 0.625,
  "rewards/margins": -0.25,
  "time/tokens_per_s": 12345.6,
}


def test_a_line_holds_the_numbers_that_matter():
  stream = io.StringIO()
  lines = progress.Lines("dpo", 3, stream)
  lines.update({**ROW, "step": 1})  # too soon after the start for a line
  assert stream.getvalue() == ""
  lines.update(ROW)  # the last step always has one
  lines.note("a remark")
  lines.close()
  text, note = stream.getvalue().splitlines()
  assert text.startswith("dpo 3/3  loss 0.6931  acc 0.62  margin -0.250")
  assert "12,346 tok/s" in text and "GiB" in text
  assert note == "a remark"


def test_a_line_after_ten_seconds(monkeypatch):
  now = [100.0]
  monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
  stream = io.StringIO()
  lines = progress.Lines("sft", 99, stream)
  for step in range(1, 8):
    now[0] += 4
    lines.update({"step": step})
  shown = [line.split()[1] for line in stream.getvalue().splitlines()]
  assert shown == ["3/99", "6/99"]


def test_the_bar_shows_steps_and_notes(monkeypatch):
  stream = io.StringIO()
  monkeypatch.setattr(sys, "stderr", stream)
  monkeypatch.setenv("COLUMNS", "80")
  bar = progress.Bar("dpo", 1, 5)
  bar.update(ROW)
  bar.note("[a remark] in brackets")
  bar.close()
  text = stream.getvalue()
  # Eighty columns, of which the summary has what is left.
  assert "dpo" in text and "3/5" in text and "loss 0.6931" in text
  assert "left" in text and max(map(len, text.splitlines())) <= 80
  assert "[a remark] in brackets" in text


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_right_one_is_made(monkeypatch, is_terminal):
  stream = io.StringIO()
  stream.isatty = lambda: is_terminal
  monkeypatch.setattr(sys, "stderr", stream)
  shown = progress.make(True, "dpo", 0, 5)
  assert isinstance(shown, progress.Bar if is_terminal else progress.Lines)
  shown.close()
  silent = progress.make(False, "dpo", 0, 5)
  assert isinstance(silent, progress.Silent)
  before = stream.getvalue()
  silent.update(ROW)
  silent.note("x")
  silent.close()
  assert stream.getvalue() == before


def test_memory_is_that_of_the_process():
  assert 0.01 < progress.resident_gib() < 1000
