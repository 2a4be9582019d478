# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Malformed rows: each is refused by file, row, field and reason.

Every bad row sits between good ones, and no good one may be lost. The good
rows before a break in a damaged file are kept too.
"""

import gzip
import json
import string

import hypothesis
import pytest
from hypothesis import strategies as st

from prefjax.core import errors
from prefjax.data import readers

USER = {"role": "user", "content": "hi"}
ANSWER = {"role": "assistant", "content": "yes"}
OTHER = {"role": "assistant", "content": "no"}

# layout -> (a good row, fields that must be there and right)
GOOD = {
  "trl_preference": (
    {"prompt": "p", "chosen": "c", "rejected": "r"},
    ("prompt", "chosen", "rejected"),
  ),
  "trl_preference chat": (
    {"prompt": [USER], "chosen": [ANSWER], "rejected": [OTHER]},
    ("prompt", "chosen", "rejected"),
  ),
  "trl_unpaired": (
    {"prompt": "p", "completion": "c", "label": True},
    ("prompt", "completion", "label"),
  ),
  "trl_stepwise": (
    {"prompt": "p", "completions": ["a", "b"], "labels": [True, False]},
    ("prompt", "completions", "labels"),
  ),
  "ranked": (
    {"prompt": "p", "responses": ["a", "b"], "scores": [1, 2]},
    ("prompt", "responses", "scores"),
  ),
  "sharegpt": ({"conversations": [USER, ANSWER]}, ("conversations",)),
  "nemo_ranked": (
    {
      "context": "p",
      "completions": [
        {"rank": 0, "completion": "a"},
        {"rank": 1, "completion": "b"},
      ],
    },
    ("context", "completions"),
  ),
}
# Each of these is wrong for every field above.
WRONG = {
  "null": "null",
  "number": "5",
  "empty text": '""',
  "blank text": '" \\n "',
  "empty list": "[]",
  "empty mapping": "{}",
  "list of numbers": "[1, 2]",
  "list of nulls": "[null, null]",
  "mapping": '{"a": 1}',
  "lone surrogate": '"\\ud800 x"',
  "surrogate in a list": '["\\udfff", "b"]',
  "surrogate in a message": '[{"role": "user", "content": "\\ud83d"}]',
  "message without role": '[{"content": "x"}]',
  "message without content": '[{"role": "user"}]',
  "message with a number": '[{"role": "user", "content": 3}]',
  "message with an odd role": '[{"role": "a b\\n", "content": "x"}]',
  "nested lists": "[[[[]]]]",
  "NaN": "NaN",
  "infinity": "-Infinity",
  "NaN in a list": "[NaN, 1]",
  "huge exponent": "1e999",
  "too deep": "[" * 5000 + "]" * 5000,
  "long text": '"' + "x" * 1_000_100 + '"',
  "many digits": "9" * 5000,
}
RIGHT = {  # these happen to be good values of their fields
  ("trl_stepwise", "labels", "list of nulls"),
  ("ranked", "scores", "list of numbers"),
}
CASES = [
  (layout, field, wrong)
  for layout, (_, required) in GOOD.items()
  for field in required
  for wrong in WRONG
  if (layout, field, wrong) not in RIGHT
]


def good_rows(layout, number, start=0):
  """Different good rows as JSON text, with ids."""
  row, _ = GOOD[layout]
  text = json.dumps(row)
  return [
    f'{{"id": "good{i}", "note": {i}, {text[1:]}'
    for i in range(start, start + number)
  ]


def with_wrong_field(layout, field, wrong):
  row, _ = GOOD[layout]
  parts = [f'"{k}": {json.dumps(v)}' for k, v in row.items() if k != field]
  parts.append(f'"{field}": {WRONG[wrong]}')
  return '{"id": "bad", ' + ", ".join(parts) + "}"


def write(path, lines):
  path.write_bytes(
    b"".join(
      (line if isinstance(line, bytes) else line.encode()) + b"\n"
      for line in lines
    )
  )
  return path


def check_rejected(path, good, line, field=None):
  """Skipping keeps all good rows; stopping names the row on one line."""
  data = readers.read(path, on_bad="skip", max_bad_fraction=1)
  assert [r.id for r in data] == good
  report = data.report
  assert report.bad == 1 and report.kept == len(good)
  assert report.seen == report.kept + report.bad
  bad = report.bad_rows[0]
  assert bad.place == f"{path}, line {line}"
  assert bad.field and bad.reason
  if field is not None:
    assert bad.field.startswith(field), bad
  with pytest.raises(errors.DataError) as error:
    readers.read(path)
  text = str(error.value)
  assert f"{path}, line {line}" in text and bad.reason in text
  assert "\n" not in text and "on_bad='skip'" in text
  assert len(text) < 1000
  text.encode("ascii")  # no raw bad bytes reach a terminal


def test_there_are_enough_cases():
  assert len(CASES) > 300


@pytest.mark.parametrize("layout", GOOD)
def test_wrong_fields_are_refused_and_good_rows_kept(tmp_path, layout):
  ids = [f"good{i}" for i in range(4)]
  for number, (name, field, wrong) in enumerate(CASES):
    if name != layout:
      continue
    rows = good_rows(layout, 4)
    rows.insert(2, with_wrong_field(layout, field, wrong))
    path = write(tmp_path / f"{number}.jsonl", rows)
    # A line that is not JSON at all has no field to name.
    strict = wrong in (
      "NaN",
      "infinity",
      "NaN in a list",
      "too deep",
      "many digits",
    )
    expected = "line" if strict else None
    if wrong == "long text" or (not strict and name == "trl_preference"):
      expected = {"long text": ("record", field)}.get(wrong, field)
    check_rejected(path, ids, 3, expected)


@pytest.mark.parametrize("layout", GOOD)
def test_missing_fields_are_refused(tmp_path, layout):
  row, required = GOOD[layout]
  for field in required:
    rest = {k: v for k, v in row.items() if k != field}
    rows = good_rows(layout, 5)
    rows.insert(0, json.dumps({"id": "bad", **rest}))
    path = write(tmp_path / f"{field}.jsonl", rows)
    check_rejected(path, [f"good{i}" for i in range(5)], 1)


@pytest.mark.parametrize(
  "line,field",
  [
    (b"", None),
    (b"not json", "line"),
    (b'{"prompt": "p", "chosen": "c", "rejected": "r"', "line"),
    (b'{"prompt": "p", "chosen": "c", "rejected": "r"}}', "line"),
    (b"{'prompt': 'p'}", "line"),
    (b'{"prompt": "\xff\xfe", "chosen": "c", "rejected": "r"}', "line"),
    (b'{"prompt": "p", "prompt": "q", "chosen": "c", "rejected": "r"}', "line"),
    (b'["p", "c", "r"]', "row"),
    (b'"text"', "row"),
    (b"3", "row"),
    (b"null", "row"),
    (b'{"id": 3.5, "prompt": "p", "chosen": "c", "rejected": "r"}', "id"),
    (b'{"id": "", "prompt": "p", "chosen": "c", "rejected": "r"}', "id"),
    (b'{"id": ["x"], "prompt": "p", "chosen": "c", "rejected": "r"}', "id"),
    (b'{"id": "good1", "prompt": "p", "chosen": "x", "rejected": "y"}', "id"),
    (b'{"prompt":"p","chosen":"c","rejected":"r","weight":-1}', "weight"),
    (b'{"prompt":"p","chosen":"c","rejected":"r","weight":"x"}', "weight"),
    (b'{"prompt":"p","chosen":"c","rejected":"r","flip_rate":2}', "flip_rate"),
    (b'{"prompt":"p","chosen":"c","rejected":"r","logging_prob":-1}',
     "logging_prob"),
    (b'{"prompt":"p","chosen":"c","rejected":"r","x":{"y":"\\udead"}}', "x"),
    (b'{"prompt":"p","chosen":"c","rejected":"r","x":' + b"[" * 40 + b"]" * 40
     + b"}", "x"),
    (b'{"prompt":"p","chosen":"c","rejected":"r","x":' + b"9" * 30 + b"}", "x"),
  ],
)  # fmt: skip
def test_odd_lines(tmp_path, line, field):
  rows = good_rows("trl_preference", 4)
  ids = [f"good{i}" for i in range(4)]
  path = write(tmp_path / "rows.jsonl", [*rows[:3], line, *rows[3:]])
  if field is None:  # an empty line is no row
    assert [r.id for r in readers.read(path)] == ids
    return
  check_rejected(path, ids, 4, field)


def test_a_line_without_end_is_not_held_in_memory(tmp_path, monkeypatch):
  from prefjax.data import streams

  monkeypatch.setattr(streams, "MAX_LINE", 2000)
  rows = good_rows("trl_preference", 4)
  path = write(tmp_path / "rows.jsonl", [*rows[:2], b"x" * 9000, *rows[2:]])
  check_rejected(path, [f"good{i}" for i in range(4)], 3, "line")


def test_equal_sides_and_duplicates_are_left_out_and_counted(tmp_path):
  rows = good_rows("trl_preference", 3)
  same = '{"id": "same", "prompt": "p", "chosen": "c", "rejected": "c"}'
  other = rows[1].replace("good1", "twin")
  path = write(tmp_path / "rows.jsonl", [*rows, same, rows[1], other])
  report = readers.read(path).report
  assert (report.seen, report.kept, report.bad) == (6, 4, 0)
  assert (report.equal_sides, report.duplicates, report.repeated) == (1, 1, 1)
  lines = list(report.lines())
  assert any("line 4 (id 'same')" in line for line in lines)
  assert any("line 5 (id 'good1')" in line for line in lines)
  assert report.repeated_rows == [(f"{path}, line 6", "twin", "good1")]


def test_too_many_bad_rows_stop_even_when_skipping(tmp_path):
  rows = good_rows("trl_preference", 8)
  path = write(tmp_path / "rows.jsonl", [*rows, "x", "y"])
  assert len(readers.read(path, on_bad="skip", max_bad_fraction=0.2)) == 8
  with pytest.raises(errors.DataError, match="2 of 10 rows are bad.*line 9"):
    readers.read(path, on_bad="skip")


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9, 0.99])
def test_a_gzip_cut_short_keeps_what_came_before(tmp_path, cut):
  rows = [
    json.dumps(
      {"id": f"good{i}", "prompt": f"{i * 7919 % 1000}", "chosen": f"c{i}",
       "rejected": f"r{i * 31}"}
    )
    for i in range(3000)
  ]  # fmt: skip
  data = gzip.compress("\n".join(rows).encode())
  path = tmp_path / "rows.jsonl.gz"
  path.write_bytes(data[: int(len(data) * cut)])
  with pytest.raises(errors.DataError, match="cut off or damaged") as error:
    readers.read(path)
  assert "\n" not in str(error.value)
  data = readers.read(path, on_bad="skip", max_bad_fraction=1)
  assert not data.report.complete
  assert len(data) > 3000 * cut * 0.5
  assert [r.id for r in data] == [f"good{i}" for i in range(len(data))]


@pytest.mark.parametrize("at", [0.0, 0.2, 0.5, 0.9])
def test_damaged_gzip_is_one_line(tmp_path, at):
  rows = good_rows("trl_preference", 2000)
  data = bytearray(gzip.compress("\n".join(rows).encode(), mtime=0))
  place = int(at * len(data))
  data[place : place + 8] = bytes(b ^ 0x5A for b in data[place : place + 8])
  path = tmp_path / "rows.jsonl.gz"
  path.write_bytes(data)
  with pytest.raises(errors.DataError) as error:
    readers.read(path)
  assert str(path) in str(error.value) and "\n" not in str(error.value)


JSON = st.recursive(
  st.none()
  | st.booleans()
  | st.integers(-(2**70), 2**70)
  | st.floats(allow_nan=False, allow_infinity=False)
  | st.text(max_size=8)
  | st.sampled_from(["user", "assistant", "hi", "\ud800", "\x00", " "]),
  lambda inner: (
    st.lists(inner, max_size=4)
    | st.dictionaries(
      st.sampled_from(
        ["role", "content", "from", "value", "rank", "completion", "response"]
      ),
      inner,
      max_size=3,
    )
  ),
  max_leaves=8,
)


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
@hypothesis.given(layout=st.sampled_from(sorted(GOOD)), data=st.data())
def test_any_value_anywhere_is_accounted_for(tmp_path_factory, layout, data):
  row, required = GOOD[layout]
  row = dict(row)
  for field in data.draw(
    st.lists(
      st.sampled_from([*required, "id", "weight", "extra"]),
      min_size=1,
      max_size=2,
      unique=True,
    )
  ):
    row[field] = data.draw(JSON)
  rows = good_rows(layout, 3)
  rows.insert(1, json.dumps(row))
  folder = tmp_path_factory.mktemp("any")
  path = write(folder / "rows.jsonl", rows)
  result = readers.read(path, on_bad="skip", max_bad_fraction=1)
  ids = [r.id for r in result if r.id.startswith("good")]
  assert ids[:1] + [i for i in ids if i in ("good1", "good2")] == [
    "good0", "good1", "good2"
  ]  # fmt: skip
  report = result.report
  assert report.seen == 4
  assert report.seen == (
    report.kept + report.bad + report.duplicates + report.equal_sides
  )


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(
  lines=st.lists(
    st.binary(max_size=60)
    | st.text(string.printable, max_size=60).map(str.encode),
    max_size=6,
  )
)
def test_any_bytes_raise_nothing_but_data_errors(tmp_path_factory, lines):
  folder = tmp_path_factory.mktemp("bytes")
  rows = good_rows("trl_preference", 8)
  path = write(folder / "rows.jsonl", [*rows[:4], *lines, *rows[4:]])
  result = readers.read(path, on_bad="skip", max_bad_fraction=1)
  assert [r.id for r in result] == [f"good{i}" for i in range(8)]
