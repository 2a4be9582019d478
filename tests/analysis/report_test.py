# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The report: numbers, escaping, missing and damaged parts."""

import html.parser
import io
import json
import re

import numpy as np
import pytest
import rich.console

from prefjax.analysis import report, run_files, summary
from prefjax.core import errors

_HOSTILE = (
  "<script>alert(1)</script>",
  '"><img src=x onerror=alert(1)>',
  "</td></table></body>",
  "[red]markup[/red]",
  "\x1b[31mansi\x00\x07",
  "\u202ereversed\u2066",
  "&lt;b&gt;&amp;",
  "\ud800",
  "' onmouseover='x",
)
_ALLOWED = {
  "html", "head", "meta", "title", "style", "body", "main", "header", "h1",
  "h2", "p", "div", "span", "b", "section", "table", "thead", "tbody", "tr",
  "th", "td", "figure", "img", "figcaption", "details", "summary", "code",
  "ul", "li", "footer",
}  # fmt: skip


class _Page(html.parser.HTMLParser):
  """Collects tags, attributes and text, and checks the nesting."""

  def __init__(self, text):
    super().__init__()
    self.tags, self.attributes, self.text, self._open = [], [], [], []
    self.feed(text)
    assert not self._open

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.attributes += attrs
    if tag not in ("meta", "img"):
      self._open.append(tag)

  def handle_endtag(self, tag):
    assert self._open.pop() == tag

  def handle_data(self, data):
    self.text.append(data)


def _check_page(path):
  text = path.read_text(encoding="utf-8")
  page = _Page(text)
  assert set(page.tags) <= _ALLOWED
  for name, value in page.attributes:
    assert not name.startswith("on")
    if name in ("src", "href"):
      assert value.startswith("data:image/png;base64,")
  assert "default-src 'none'" in text
  assert not re.search(r"https?://|url\(|@import", text)
  return page


def _metrics(n=60):
  rng = np.random.default_rng(0)
  rows = []
  for step in range(1, n + 1):
    rows.append(
      {
        "step": step,
        "loss": 0.7 - 0.003 * step + 0.02 * rng.normal(),
        "logps/chosen": -3 - 0.01 * step,
        "logps/rejected": -8 - 0.05 * step,
        "rewards/chosen": -0.01 * step,
        "rewards/rejected": -0.03 * step,
        "rewards/margins": 0.02 * step,
        "rewards/accuracies": 0.5 + 0.005 * step,
        "grad_norm": 2.0,
        "learning_rate": 1e-4,
        "time/tokens_per_s": 1000.0 + step,
      }
    )
    if step % 20 == 0:
      rows.append({"step": step, "eval/loss": 0.65, "eval/logps/chosen": -4.0})
  return rows


def _evaluation(n=300):
  rng = np.random.default_rng(1)
  before = rng.normal(1, 3, n)
  after = before + rng.normal(1, 1, n)
  gold = rng.choice([0.2, 0.6, 1.0], n)
  return {
    "before": {"logps/chosen": -3.0, "length/mean": 6.0},
    "after": {"logps/chosen": -3.5, "length/mean": 5.0},
    "beta": 0.5,
    "pairs": {
      "margin_before": before.tolist(),
      "margin_after": after.tolist(),
      "length_difference": rng.integers(-9, 9, n).tolist(),
    },
    "gold": {
      "before": gold.tolist(),
      "after": np.minimum(1, gold + 0.1).tolist(),
    },
  }


def _lines(rows):
  return "".join(json.dumps(row) + "\n" for row in rows)


def _write_run(folder):
  (folder / "metrics.jsonl").write_text(_lines(_metrics()))
  (folder / "config.json").write_text(
    json.dumps({"method": {"name": "dpo", "beta": 0.5}, "seed": 3})
  )
  (folder / "eval.json").write_text(json.dumps(_evaluation()))
  sample = {"prompt": "copy: ab", "before": "x", "after": "ab"}
  (folder / "samples.jsonl").write_text(
    _lines([{**sample, "gold_before": 0.0, "gold_after": 1.0}] * 30)
  )


def test_complete_run(tmp_path):
  _write_run(tmp_path)
  path = report.from_workdir(tmp_path)
  assert path == tmp_path / "report.html"
  page = _check_page(path)
  assert page.tags.count("img") == 8
  text = " ".join(page.text)
  for part in (
    "DPO run",
    "Ranking accuracy",
    "Win rate",
    "Chosen log-prob drift",
    "-0.50 nats",
    "The first 24 of 30 samples, not picked.",
    "method.beta",
    "optimizer steps",
    "▲ better",
  ):
    assert part in text, part
  evaluation = _evaluation()
  after = np.array(evaluation["pairs"]["margin_after"])
  assert f"{100 * np.mean(after > 0):.1f} %" in text
  plain = (tmp_path / "report.txt").read_text()
  assert "ranking accuracy (held-out pairs)" in plain
  names = {p.name for p in (tmp_path / "figures").iterdir()}
  assert len(names) == 8 and "length_bias.png" in names


def test_report_is_reproducible(tmp_path):
  pages = []
  for _ in range(2):
    _write_run(tmp_path)
    pages.append(report.from_workdir(tmp_path, title="t").read_bytes())
  assert pages[0] == pages[1]


@pytest.mark.parametrize(
  "present", ["metrics.jsonl", "config.json", "eval.json", "samples.jsonl", ""]
)
def test_single_parts(tmp_path, present):
  full = tmp_path / "full"
  full.mkdir()
  _write_run(full)
  folder = tmp_path / "part"
  folder.mkdir()
  if present:
    (folder / present).write_bytes((full / present).read_bytes())
  page = _check_page(report.from_workdir(folder))
  text = " ".join(page.text)
  assert ("nothing was recorded" in text) == (present == "")
  assert ("Training run" in text) == (present == "metrics.jsonl")
  assert ("Before and after" in text) == (present == "eval.json")


def test_missing_directory(tmp_path):
  with pytest.raises(errors.DataError, match="no such work directory"):
    report.from_workdir(tmp_path / "nowhere")


def test_damaged_files_are_named_and_the_rest_is_shown(tmp_path):
  _write_run(tmp_path)
  with (tmp_path / "metrics.jsonl").open("a") as file:
    file.write('[1, 2]\n{"step": 61, "loss": 0.')  # cut off by a crash
  (tmp_path / "config.json").write_text("{")
  (tmp_path / "eval.json").write_text("[]")
  (tmp_path / "samples.jsonl").write_bytes(b'{"prompt": "\xff"}\n')
  page = _check_page(report.from_workdir(tmp_path))
  text = " ".join(page.text)
  assert "metrics.jsonl: 2 unreadable line(s), the first is line 64" in text
  assert "config.json is not valid JSON" in text
  assert "eval.json does not hold an object" in text
  assert page.tags.count("img") == 4  # the curves
  assert run_files.read(tmp_path).metrics[-1]["step"] == 60


def test_odd_values_do_not_break_the_report(tmp_path):
  rows = _metrics(20)
  rows[3]["loss"] = float("nan")
  rows[4]["loss"] = None
  rows[5]["loss"] = "high"
  rows[6]["step"] = None
  rows[7]["loss"] = 10**400
  rows.append({"step": float("inf"), "loss": 1.0})
  (tmp_path / "metrics.jsonl").write_text(_lines(rows))
  evaluation = _evaluation(50)
  evaluation["before"]["logps/chosen"] = float("nan")
  evaluation["after"]["note"] = "text"
  evaluation["pairs"]["margin_after"][3] = None
  evaluation["pairs"]["margin_before"][4] = float("inf")
  evaluation["pairs"]["length_difference"] = [1.0]  # wrong length: left out
  evaluation["gold"] = {"before": [1.0, 0.5], "after": [0.5]}
  (tmp_path / "eval.json").write_text(json.dumps(evaluation))
  (tmp_path / "samples.jsonl").write_text(
    _lines([{}, {"prompt": 3, "before": ["a"], "gold_before": "x"}])
  )
  page = _check_page(report.from_workdir(tmp_path))
  text = " ".join(page.text)
  assert "48 held-out pairs" in text
  assert "steps with a non-finite loss" in text
  assert "Gold reward" not in text


def test_hostile_text_is_escaped_everywhere(tmp_path):
  samples = [
    {"prompt": bad, "before": bad, "after": bad * 400, "gold_before": bad}
    for bad in _HOSTILE
  ]
  everything = " ".join(_HOSTILE)
  path = report.write_report(
    tmp_path,
    title=everything,
    subtitle=everything,
    config={bad: {bad: bad} for bad in _HOSTILE},
    metrics_rows=[{"step": 1, "loss": 1.0}],
    tables={everything: [{bad: bad for bad in _HOSTILE}]},
    figures={everything: tmp_path / "missing.png"},
    samples=samples,
    headline=[(everything, everything, everything)],
    problems=[everything],
  )
  page = _check_page(path)
  text = "".join(page.text)
  assert "<script>alert(1)</script>" in text  # as text, not as a tag
  assert "&lt;b&gt;&amp;" in text
  raw = path.read_text(encoding="utf-8")
  for char in ("\x00", "\x1b", "\x07", "\u202e", "\u2066"):
    assert char not in raw
  assert "␛[31mansi␀␇" in text
  assert "is not a readable PNG file" in text
  assert "characters)" in text  # long samples are cut, and say so


def test_other_files_are_not_inlined(tmp_path):
  secret = tmp_path / "secret.png"
  secret.write_text("<svg onload=alert(1)> secret")
  page = _check_page(
    report.write_report(tmp_path, title="t", figures={"x": secret})
  )
  assert "img" not in page.tags
  assert "secret" not in "".join(page.text)


def test_unwritable_folder(tmp_path):
  file = tmp_path / "file"
  file.write_text("")
  with pytest.raises(errors.DataError, match="cannot be written"):
    report.write_report(file, title="t")


# --- summary ----------------------------------------------------------------


def _by_metric(comparison):
  return {row["metric"]: row for row in comparison.rows}


def test_comparison_by_hand():
  comparison = summary.compare(
    {
      "pairs": {
        "margin_before": [-1.0, 1.0, -2.0, 0.0],
        "margin_after": [2.0, 2.0, -1.0, -1.0],
        "length_difference": [4, 3, 2, 1],
      },
      "gold": {"before": [1.0, 0.5], "after": [1.0, 1.0]},
      "before": {"ranking_accuracy": 0.1, "kl": 0},
      "after": {"ranking_accuracy": 0.2, "kl": 2.5},
    },
    beta=2.0,
  )
  rows = _by_metric(comparison)
  accuracy = rows["ranking accuracy (held-out pairs)"]
  assert accuracy["before"] == pytest.approx(1.5 / 4)
  assert accuracy["after"] == pytest.approx(2 / 4)
  assert rows["reward accuracy (margin grew)"]["after"] == pytest.approx(3 / 4)
  assert rows["gold reward of samples"]["change"] == pytest.approx(0.25)
  assert rows["perfect samples (gold 1)"]["after"] == 1.0
  assert comparison.wins["win_rate"] == pytest.approx(0.75)
  np.testing.assert_allclose(comparison.reward_margins, [6, 2, 2, -2])
  correlation = rows["margin-length correlation (Spearman)"]
  assert correlation["after"] == pytest.approx(0.8944271909999159)
  assert rows["kl"] == {
    "metric": "kl",
    "before": 0,
    "after": 2.5,
    "change": 2.5,
    "95 % interval": "",
  }
  assert "ranking_accuracy" not in rows  # measured with an interval instead


def test_aggregates_alone_are_shown():
  comparison = summary.compare({"after": {"ranking_accuracy": 0.75}})
  assert _by_metric(comparison)["ranking_accuracy"]["after"] == 0.75
  assert comparison.wins is None and comparison.reward_margins is None
  assert summary.compare({}).rows == []


def test_beta_is_found():
  assert summary.find_beta({"beta": 0.3}, {"beta": 1.0}) == 0.3
  assert summary.find_beta({}, {"loss": {"beta": 0.2}, "alphabeta": 9}) == 0.2
  assert summary.find_beta({}, {"b2": 0.9}) is None


def test_training_facts():
  facts = {
    row["quantity"]: row["value"] for row in summary.training(_metrics(100))
  }
  assert facts["optimizer steps"] == 100
  assert facts["tokens a second, median"] == pytest.approx(1050.5)
  assert facts["held-out loss, last"] == 0.65
  assert summary.training([{"loss": 1.0}]) == []


@pytest.mark.parametrize(
  ("value", "text"),
  [
    (None, ""),
    (True, "yes"),
    (12345, "12,345"),
    (0.0, "0"),
    (0.12345, "0.123"),
    (12.3456, "12.35"),
    (-0.5, "-0.500"),
    (3e-5, "3e-05"),
    (23456.7, "23,457"),
    (1e12, "1e+12"),
    (float("nan"), "not finite"),
    (np.float32(2.5), "2.5"),
    (np.int32(7), "7"),
    ("text", "text"),
  ],
)
def test_cells(value, text):
  assert summary.cell(value) == text


def test_plain_text_table():
  text = summary.text(
    {
      "Numbers": [
        {"name": "a", "value": 1.5},
        {"name": "long\x1bname", "value": 20000.0, "more": "x"},
      ],
      "Empty": [],
    },
    title="T",
  )
  assert text.splitlines() == [
    "T",
    "=",
    "",
    "Numbers",
    "name        value  more",
    "---------  ------  ----",
    "a             1.5",
    "long␛name  20,000  x",
    "",
  ]


def test_rich_table_shows_markup_as_text():
  stream = io.StringIO()
  console = rich.console.Console(file=stream, width=100, color_system=None)
  summary.print_tables(
    {"[b]T[/b]": [{"x": "[red]hot[/red]", "y": 0.5}], "none": []},
    console=console,
  )
  shown = stream.getvalue()
  assert "[b]T[/b]" in shown and "[red]hot[/red]" in shown
  assert "0.500" in shown and "none" not in shown
