# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The front door: which command runs, and how its errors look."""

import importlib
import os
import re
import subprocess
import sys
import types

import pytest

from prefjax import version
from prefjax.cli import main
from prefjax.core import errors


def _run(capsys, *argv):
  status = main.main(list(argv))
  out, err = capsys.readouterr()
  return status, out, err


@pytest.mark.parametrize("command", sorted(main.COMMANDS))
def test_each_command_keeps_the_contract(command, capsys):
  module = importlib.import_module(main.COMMANDS[command])
  assert callable(module.main)
  assert main.summary(command) == module.SUMMARY
  assert re.fullmatch(r"[A-Z][^\n]{9,75}\.", module.SUMMARY)
  status, out, err = _run(capsys, command, "--help")
  assert (status, err) == (0, "")
  assert out.startswith(f"usage: prefjax {command}") and "--help" in out
  assert all(len(line) <= 80 for line in out.splitlines())


def test_help_lists_the_commands(capsys):
  status, out, err = _run(capsys, "--help")
  assert (status, err) == (0, "")
  for command in main.COMMANDS:
    assert f"\n  {command} " in out
    assert main.summary(command)[:40] in out


def test_no_command(capsys):
  status, out, err = _run(capsys)
  assert (status, out) == (2, "") and "usage: prefjax COMMAND" in err


def test_version(capsys):
  assert _run(capsys, "--version") == (
    0,
    f"prefjax {version.__version__}\n",
    "",
  )


@pytest.mark.parametrize(
  ("word", "said"),
  [
    ("doctr", "unknown command 'doctr' (did you mean 'doctor'?)"),
    ("--workdir=x", "unknown flag before the command '--workdir=x'"),
    ("", "unknown command ''"),
    ("os", "unknown command 'os'"),
    ("a\nb", "unknown command 'a\\nb'"),
    ("\udcff", "unknown command '\\udcff'"),
  ],
)
def test_unknown_commands(capsys, word, said):
  status, out, err = _run(capsys, word)
  assert (status, out) == (2, "")
  assert err.startswith(f"prefjax: {said}") and err.count("\n") == 1


def _command(monkeypatch, action):
  module = types.ModuleType("command_of_a_test")
  module.main = action
  monkeypatch.setitem(sys.modules, "command_of_a_test", module)
  monkeypatch.setitem(main.COMMANDS, "toy", "command_of_a_test")


def _raise(error):
  def action(argv):
    raise error

  return action


@pytest.mark.parametrize(
  ("error", "status", "line"),
  [
    (errors.ConfigError("--n=0: too few"), 2, "prefjax toy: --n=0: too few"),
    (errors.DataError("a.jsonl:3: no"), 2, "prefjax toy: a.jsonl:3: no"),
    (errors.ModelError("two\nlines"), 2, "prefjax toy: two\\nlines"),
    (errors.CheckpointCorruptError("bad"), 1, "prefjax toy: bad"),
    (KeyboardInterrupt(), 130, "prefjax: interrupted"),
    (OSError(28, "No space left", "d/f"), 1, "prefjax toy: d/f: No space left"),
  ],
)
def test_errors_are_one_line(monkeypatch, capsys, error, status, line):
  monkeypatch.delenv("PREFJAX_TRACEBACK", raising=False)
  _command(monkeypatch, _raise(error))
  assert _run(capsys, "toy") == (status, "", f"{line}\n")


def test_bugs_keep_their_traceback(monkeypatch):
  for error in (KeyError("x"), OSError("no file named")):
    _command(monkeypatch, _raise(error))
    with pytest.raises(type(error)):
      main.main(["toy"])


def test_traceback_on_request(monkeypatch):
  monkeypatch.setenv("PREFJAX_TRACEBACK", "1")
  _command(monkeypatch, _raise(errors.DataError("x")))
  with pytest.raises(errors.DataError):
    main.main(["toy"])


def test_the_commands_own_status(monkeypatch, capsys):
  _command(monkeypatch, lambda argv: len(argv))
  assert _run(capsys, "toy", "a", "--b", "c")[0] == 3


def _process(*argv, **kwargs):
  environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
  return subprocess.run(
    [sys.executable, "-m", "prefjax", *argv],
    capture_output=True,
    text=True,
    env=environment,
    timeout=120,
    **kwargs,
  )


def test_module_and_help_without_jax(tmp_path):
  done = _process("--help", cwd=tmp_path)
  assert done.returncode == 0 and "doctor" in done.stdout
  script = (
    "import sys\nfrom prefjax.cli import main\nmain.main(['--help'])\n"
    "print([m for m in ('jax', 'flax', 'matplotlib') if m in sys.modules])\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", script], capture_output=True, text=True, check=True
  )
  assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_leaves(tmp_path):
  script = (
    "import sys\nfrom prefjax.cli import main\nimport types\n"
    "m = types.ModuleType('toy')\n"
    "m.main = lambda argv: [print('x' * 999) for _ in range(999)] and 0\n"
    "sys.modules['toy'] = m\nmain.COMMANDS['toy'] = 'toy'\n"
    "sys.exit(main.main(['toy']))\n"
  )
  process = subprocess.Popen(
    [sys.executable, "-c", script],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  )
  process.stdout.read(10)
  process.stdout.close()
  assert process.stderr.read() == b""
  assert process.wait(60) == 141
