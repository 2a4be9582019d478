# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax inspect` and `prefjax data build`: what they print and refuse."""

import io
import json

import pytest
import rich.console

from prefjax.cli import data as data_command
from prefjax.cli import inspect as inspect_command
from prefjax.cli import inspect_page
from prefjax.core import errors
from prefjax.data import inspection, readers, tokenizers


@pytest.fixture
def path(tmp_path):
  rows = [
    {"id": f"r{i}", "prompt": f"ask {i}?", "chosen": f"yes\n{i}",
     "rejected": "no \x1b[31m" + "x" * i}
    for i in range(30)
  ]  # fmt: skip
  lines = [json.dumps(row) for row in rows] + ["not json"]
  file = tmp_path / "my pairs.jsonl"
  file.write_text("\n".join(lines) + "\n")
  return str(file)


def test_an_inspection_is_readable_without_colour(path, capsys):
  status = inspect_command.main(
    [f"--data={path}", "--max_response=20", "--rows=2"]
  )
  out = capsys.readouterr().out
  assert status == 0
  assert "layout trl_preference" in out and "30 records of 31 rows" in out
  assert "line 31" in out and "30 pair; view pair" in out
  assert "responses cut" in out and "padding" in out and "median" in out
  assert "Example 0 (id 'r0')" in out and "Example 29 (id 'r29')" in out
  assert "main response 0: 6 tokens, 6 count" in out
  assert "yes\u240a\n" in out
  # Nothing in the data reaches the terminal as a control sequence.
  assert "\x1b" not in out


def test_colours_and_braces_mark_what_counts(tmp_path):
  talk = [
    {"role": "assistant", "content": "AA"},
    {"role": "user", "content": "UU"},
    {"role": "assistant", "content": "BB"},
  ]
  file = tmp_path / "x.jsonl"
  row = {"messages": [{"role": "user", "content": "hi"}, *talk]}
  row = {"prompt": row["messages"][:1], "completion": talk}
  file.write_text(json.dumps(row))
  seen = inspection.inspect(readers.read(file), tokenizers.load("bytes"))
  buffer = io.StringIO()
  console = rich.console.Console(
    file=buffer, force_terminal=True, color_system="standard", width=80
  )
  inspect_page.show(seen, console=console)
  out = buffer.getvalue()
  assert "\x1b[32mAA" in out  # green counts
  assert "\x1b[2m{" in out  # dim does not
  texts = inspect_page.spans(seen.shown[0].parts[1])
  free = [text for text, kind in texts if kind == "free"]
  assert any("UU" in t and t[0] == "{" and t[-1] == "}" for t in free)


def test_long_texts_are_elided(tmp_path):
  file = tmp_path / "x.jsonl"
  row = {"prompt": "a" * 3000 + "END", "completion": "START" + "b" * 3000}
  file.write_text(json.dumps(row))
  seen = inspection.inspect(
    readers.read(file),
    tokenizers.load("bytes"),
    lengths=inspect_command.encoding.Lengths(prompt=9000, response=9000),
  )
  prompt, response = (
    inspect_page.spans(part)[0][0] for part in seen.shown[0].parts
  )
  assert len(prompt) < 800 and prompt.endswith("END")
  assert len(response) < 800 and response.startswith("START")
  assert "more characters" in prompt and "more characters" in response


@pytest.mark.parametrize(
  "flags,error,message",
  [
    ([], errors.ConfigError, "--data"),
    (["--data=/none/such"], errors.ConfigError, "--data"),
    (["--view=pears"], errors.ConfigError, "did you mean 'pair'"),
    (["--rows=-1"], errors.ConfigError, "--rows"),
    (["--max_prompt=0"], errors.ConfigError, "--max_prompt"),
    (["--tokeniser=bytes"], errors.ConfigError, "did you mean --tokenizer"),
    (["--tokenizer=none.gguf"], errors.ModelError, "none.gguf"),
    (["--template=chatmk"], errors.ConfigError, "did you mean 'chatml'"),
    (["--view=sft", "--attributes=x"], errors.ConfigError, "attributes"),
    (["--view=steps"], errors.DataError, "no example is left"),
    (["--layout=alpaka"], errors.ConfigError, "did you mean 'alpaca"),
    (["--columns=llmbr"], errors.ConfigError, "did you mean 'llmbar'"),
    (["--columns=llmbar", "--layout=rated"], errors.ConfigError, "--layout"),
    (["--layout=alpaca"], errors.DataError, "no usable record|instruction"),
    (["--on_bad=stop"], errors.DataError, "line 31"),
    (["--split=train"], errors.DataError, "split"),
  ],
)
def test_bad_command_lines_are_one_line(path, flags, error, message):
  if flags and not flags[0].startswith("--data"):
    flags = [f"--data={path}", *flags]
  with pytest.raises(error, match=message) as raised:
    inspect_command.main(flags)
  assert "\n" not in str(raised.value)


def test_a_file_becomes_a_data_set(path, tmp_path, capsys):
  out = tmp_path / "sets"
  status = data_command.main(
    ["build", f"--data={path}", f"--out={out}", "--on_bad=skip",
     "--eval_fraction=0.2"]
  )  # fmt: skip
  assert status == 0
  folder = out / "my_pairs" / "1.0.0"
  printed = capsys.readouterr().out
  assert "line 31" in printed and str(folder) in printed
  train = readers.read(folder, split="train")
  test = readers.read(folder, split="test")
  assert len(train) + len(test) == 30 and len(test) > 0
  original = {r.id: r for r in readers.read(path, on_bad="skip")}
  assert all(original[r.id] == r for r in [*train, *test])
  assert not {r.prompt for r in train} & {r.prompt for r in test}


def test_names_come_from_the_flag_or_the_file(path, tmp_path):
  flags = ["build", f"--data={path}", f"--out={tmp_path}", "--on_bad=skip"]
  assert data_command.main([*flags, "--name=mine", "--limit=4"]) == 0
  assert len(readers.read(tmp_path / "mine")) == 4
  with pytest.raises(errors.DataError, match="exists already"):
    data_command.main([*flags, "--name=mine"])
  digits = tmp_path / "2024.jsonl"
  digits.write_text('{"text": "a"}\n')
  assert data_command.main(["build", f"--data={digits}", flags[2]]) == 0
  assert (tmp_path / "data_2024").is_dir()


@pytest.mark.parametrize(
  "flags,error,message",
  [
    ([], errors.ConfigError, "build"),
    (["make"], errors.ConfigError, "unknown command 'make'"),
    (["build"], errors.ConfigError, "--data"),
    (["build", "--eval_fraction=1"], errors.ConfigError, "--eval_fraction"),
    (["build", "--name=Mine"], errors.ConfigError, "name: 'Mine'"),
    (["build", "--max_bad_fraction=x"], errors.ConfigError, "number"),
    (["build"], errors.DataError, "line 31"),
    (["build", "--on_bad=skip", "--max_bad_fraction=0.01"], errors.DataError,
     "max_bad_fraction"),
  ],
)  # fmt: skip
def test_bad_builds_write_nothing(path, tmp_path, flags, error, message):
  out = tmp_path / "sets"
  if flags[:1] == ["build"] and message != "--data":
    flags = ["build", f"--data={path}", f"--out={out}", *flags[1:]]
    if error is errors.ConfigError:
      flags.append("--on_bad=skip")
  with pytest.raises(error, match=message) as raised:
    data_command.main(flags)
  assert "\n" not in str(raised.value)
  assert not out.exists()
