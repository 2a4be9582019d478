# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax COMMAND ...`: finds the command, runs it, words its errors.

A command is a module with `SUMMARY: str`, one line, a literal, and
`main(argv: list[str]) -> int`, which gets the words after the command and
returns the exit status. Exit statuses: 0 done; 2 what the user gave is wrong
(the command line, the config, data or model files); 1 a checkpoint or the
machine let the command down; 128 + N stopped by signal N.
"""

import ast
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence

from prefjax import version
from prefjax.cli import texts
from prefjax.core import errors

# The closed table of commands; a command gets its row when it exists. The
# modules are imported only when asked for: most of them bring JAX along.
COMMANDS: dict[str, str] = {
  "train": "prefjax.cli.train",
  "eval": "prefjax.cli.eval",
  "generate": "prefjax.cli.generate",
  "score": "prefjax.cli.score",
  "bench": "prefjax.cli.bench",
  "compare": "prefjax.cli.compare",
  "experiment": "prefjax.cli.experiment",
  "sweep": "prefjax.cli.sweep",
  "convert": "prefjax.cli.convert",
  "inspect": "prefjax.cli.inspect",
  "data": "prefjax.cli.data",
  "doctor": "prefjax.cli.doctor",
}


def summary(command: str) -> str:
  """The command's SUMMARY, read from its source without importing it."""
  spec = importlib.util.find_spec(COMMANDS[command])
  tree = ast.parse(spec.loader.get_source(spec.name))
  for node in tree.body:
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
      target = (
        node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
      )
      if isinstance(target, ast.Name) and target.id == "SUMMARY":
        return ast.literal_eval(node.value)
  raise AttributeError(f"{spec.name} has no SUMMARY")


def help_text() -> str:
  """What `prefjax --help` prints."""
  return "\n\n".join(
    [
      "usage: prefjax COMMAND [flags]",
      "Preference learning in JAX.",
      texts.table([(name, summary(name)) for name in COMMANDS]),
      "prefjax COMMAND --help lists the flags of a command.",
    ]
  )


def main(argv: Sequence[str] | None = None) -> int:
  """Runs a command line.

  Args:
    argv: words after the program's name; None reads the process's own.

  Returns:
    The exit status.
  """
  argv = list(sys.argv[1:] if argv is None else argv)
  try:
    return _guarded(argv)
  except BrokenPipeError:
    # The reader (head, less) has gone. Python would complain once more when
    # it flushes the stream at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141
  except KeyboardInterrupt:
    print("prefjax: interrupted", file=sys.stderr)
    return 130


def _guarded(argv: list[str]) -> int:
  if not argv or argv[0] in ("--help", "-h", "-help", "help"):
    print(help_text(), file=sys.stdout if argv else sys.stderr)
    return 0 if argv else 2
  if argv[0] in ("--version", "version"):
    print(f"prefjax {version.__version__}")
    return 0
  command, rest = argv[0], argv[1:]
  if command not in COMMANDS:
    what = "flag before the command" if command[0:1] == "-" else "command"
    near = errors.nearest(command, COMMANDS)
    return _refuse(
      "prefjax",
      f"unknown {what} {command!r}{near}; prefjax --help lists the commands",
      2,
    )
  try:
    status = importlib.import_module(COMMANDS[command]).main(rest)
    sys.stdout.flush()
    return status
  except SystemExit as e:  # --help leaves this way
    return e.code if isinstance(e.code, int) else 0 if e.code is None else 1
  except errors.PrefjaxError as e:
    if os.environ.get("PREFJAX_TRACEBACK"):
      raise
    status = 1 if isinstance(e, errors.CheckpointError) else 2
    return _refuse(f"prefjax {command}", str(e), status)
  except BrokenPipeError:
    raise
  except OSError as e:
    if os.environ.get("PREFJAX_TRACEBACK") or e.filename is None:
      raise
    return _refuse(f"prefjax {command}", f"{e.filename}: {e.strerror}", 1)


def _refuse(who: str, message: str, status: int) -> int:
  """Prints one line and gives the status back."""
  print(texts.one_line(f"{who}: {message}", 2000), file=sys.stderr)
  return status


if __name__ == "__main__":
  sys.exit(main())
