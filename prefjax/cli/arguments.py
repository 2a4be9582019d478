# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Command-line flags of one command, with errors a person can act on.

A command declares its flags on an `Arguments` of its own (a private
`absl.flags.FlagValues`, so importing two commands never clashes and the
global flags stay untouched), then parses the words after its name:

  def main(argv: list[str]) -> int:
    flags = arguments.Arguments("score", SUMMARY)
    flags.path("model", help="model directory", exists=True, required=True)
    flags.integer("batch", 8, "responses at a time", low=1)
    flags.choice("dtype", "float32", "of the sums", ("float32", "bfloat16"))
    flags.boolean("quiet", False, "print nothing")
    flags.repeated("prompt", "a prompt; give it again for more")
    flags.numbers("temperatures", (1.0,), "comma-separated", low=0)
    flags.positional("FILE", "what to score", many=True)
    args = flags.parse(argv)
    args.model, args.batch, args.FILE ...

Every declaring method takes (name, default, help) and `required=True` for a
flag without a default; an absent optional flag without a default is None (or
() where several values are possible). `--name=value`, `--name value`,
`--switch`, `--noswitch` and `--` (the rest are no flags) are understood, in
any order; the last of two equal flags wins. `--help` prints the list and
leaves with status 0. Anything else that is wrong raises
`errors.ConfigError`: one line that names the flag and what it takes, before
anything was done.

`subcommand` chooses between the words of a nested command (`data build`).
"""

import difflib
import textwrap
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from absl import flags as absl_flags

from prefjax.cli import texts
from prefjax.core import errors

# absl expands these itself; a command line is the only source of flags here.
_NOT_OURS = ("flagfile", "undefok")


class _Refused(ValueError):
  """A value that a flag does not take; absl wraps it on the way out."""

  def __init__(self, name: str, text: str, reason: str):
    super().__init__(f"--{name}={texts.one_line(text, 80)}: {reason}")


class _Parser(absl_flags.ArgumentParser):
  """An absl parser from a function that raises ValueError("expected ...")."""

  syntactic_help = ""

  def __init__(self, name: str, convert: Callable[[str], Any]):
    super().__init__()
    self._name = name
    self._convert = convert

  def parse(self, argument: Any) -> Any:
    try:
      return self._convert(argument)
    except ValueError as e:
      raise _Refused(self._name, argument, str(e)) from None


class _Flag(absl_flags.Flag):
  """A flag whose default is a value, which no parser has to read."""

  def _set_default(self, value):
    self.default = self.value = value
    self.default_as_str = None


class Arguments:
  """The flags and positional arguments of one command."""

  def __init__(self, command: str, summary: str, *, details: str = ""):
    """Starts an empty list.

    Args:
      command: words after `prefjax`, e.g. "score" or "data build".
      summary: one line, shown by `--help`.
      details: more text for `--help`, wrapped by paragraph.
    """
    self.command = command
    self._summary = summary
    self._details = details
    self._values = absl_flags.FlagValues()
    self._values.set_gnu_getopt(True)
    self._help: list[tuple[str, str, str]] = []
    self._elsewhere: list[tuple[str, str, str]] = []
    self._required: list[str] = []
    self._repeated: set[str] = set()
    self._positional: tuple[str, str, bool, bool] | None = None

  def string(
    self,
    name: str,
    default: str | None = None,
    help: str = "",
    *,
    required: bool = False,
    empty: bool = False,
  ) -> None:
    """Declares text; an empty value is refused unless `empty`."""

    def convert(text: str) -> str:
      if not text and not empty:
        raise ValueError("expected some text")
      return text

    self._add(name, default, help, "TEXT", convert, required)

  def integer(
    self,
    name: str,
    default: int | None = None,
    help: str = "",
    *,
    low: int | None = None,
    high: int | None = None,
    required: bool = False,
  ) -> None:
    """Declares a whole number in [low, high]."""
    convert = texts.integer(low, high)
    self._add(name, default, help, "N", convert, required)

  def number(
    self,
    name: str,
    default: float | None = None,
    help: str = "",
    *,
    low: float | None = None,
    high: float | None = None,
    low_open: bool = False,
    required: bool = False,
  ) -> None:
    """Declares a finite number in [low, high], or (low, high] if low_open."""
    convert = texts.number(low, high, low_open)
    self._add(name, default, help, "X", convert, required)

  def boolean(self, name: str, default: bool = False, help: str = "") -> None:
    """Declares a switch: --name, --noname or --name=true|false."""

    def convert(text: str) -> bool:
      known = {"true": True, "1": True, "false": False, "0": False}
      if text.lower() not in known:
        raise ValueError("expected true or false")
      return known[text.lower()]

    self._add(name, default, help, "", convert, False)

  def choice(
    self,
    name: str,
    default: str | None,
    help: str,
    choices: Sequence[str],
    *,
    required: bool = False,
  ) -> None:
    """Declares one of a few words."""

    def convert(text: str) -> str:
      if text not in choices:
        raise ValueError(
          f"expected {texts.either(choices)}{errors.nearest(text, choices)}"
        )
      return text

    kind = "|".join(choices)
    if len(kind) > texts.WIDTH // 2:
      kind, help = "NAME", f"{help}: {', '.join(choices)}"
    self._add(name, default, help, kind, convert, required)

  def path(
    self,
    name: str,
    default: str | None = None,
    help: str = "",
    *,
    required: bool = False,
    exists: bool = False,
    kind: str = "any",
    wheels: bool = False,
    urls: bool = False,
  ) -> None:
    """Declares a path; the value stays the text that was typed.

    Args:
      name: of the flag.
      default: when absent.
      help: one line.
      required: whether it must be given.
      exists: whether something must be there already.
      kind: "any", "file" or "folder"; what it must be if it is there.
      wheels: whether "pip:NAME" (a model in an installed wheel) will do.
      urls: whether SCHEME://... will do, unseen; see `core.storage`.
    """
    convert = texts.path(exists, kind, wheels, urls)
    self._add(name, default, help, "PATH", convert, required)

  def repeated(
    self, name: str, help: str = "", *, required: bool = False
  ) -> None:
    """Declares text that may be given several times; a tuple of str."""

    def convert(text: str) -> str:
      if not text:
        raise ValueError("expected some text")
      return text

    self._add(name, (), help, "TEXT", convert, required, repeated=True)

  def integers(
    self,
    name: str,
    default: Sequence[int] = (),
    help: str = "",
    *,
    low: int | None = None,
    high: int | None = None,
    required: bool = False,
  ) -> None:
    """Declares comma-separated whole numbers; a tuple of int."""
    convert = texts.split(texts.integer(low, high))
    self._add(name, tuple(default), help, "N,...", convert, required)

  def numbers(
    self,
    name: str,
    default: Sequence[float] = (),
    help: str = "",
    *,
    low: float | None = None,
    high: float | None = None,
    low_open: bool = False,
    required: bool = False,
  ) -> None:
    """Declares comma-separated numbers; a tuple of float."""
    convert = texts.split(texts.number(low, high, low_open))
    self._add(name, tuple(default), help, "X,...", convert, required)

  def words(
    self,
    name: str,
    default: Sequence[str] = (),
    help: str = "",
    *,
    choices: Sequence[str] | None = None,
    required: bool = False,
  ) -> None:
    """Declares comma-separated words; a tuple of str."""

    def convert(word: str) -> str:
      if not word:
        raise ValueError("expected words between commas")
      if choices is not None and word not in choices:
        raise ValueError(
          f"expected {texts.either(choices)}{errors.nearest(word, choices)}"
        )
      return word

    self._add(
      name,
      tuple(default),
      help,
      "WORD,...",
      texts.split(convert),
      required,
    )

  def positional(
    self,
    name: str,
    help: str = "",
    *,
    required: bool = True,
    many: bool = False,
  ) -> None:
    """Declares what stands outside flags: one value, or a tuple if `many`."""
    self._positional = (name, help, required, many)

  def elsewhere(self, name: str, kind: str, help: str) -> None:
    """Adds a line to the help for a flag that the command reads itself."""
    self._elsewhere.append((f"--{name}={kind}", name, help))

  def parse(self, argv: Sequence[str]) -> types.SimpleNamespace:
    """Values by name, with _ for the dashes of a name.

    Args:
      argv: the words after the command's own name.

    Returns:
      A namespace with an attribute a flag and one for the positional.

    Raises:
      ConfigError: a flag is unknown, mistyped, out of range, without its
        value or missing, or there are too many or too few positionals.
      SystemExit: status 0, after printing the help that was asked for.
    """
    argv = list(argv)
    for word in argv:
      if word == "--":
        break
      if word in ("--help", "-h", "-help"):
        print(self.help_text())
        raise SystemExit(0)
      name = word.lstrip("-").split("=")[0]
      if word.startswith("-") and (name in _NOT_OURS or word[:3] == "--="):
        self._unknown(name)
    argv = self._underscores(argv)
    try:
      rest = self._values([self.command, *argv])[1:]
    except absl_flags.UnrecognizedFlagError as e:
      self._unknown(e.flagname)
    except absl_flags.IllegalFlagValueError as e:
      raise errors.ConfigError(str(e.__context__ or e)) from None
    except absl_flags.Error:
      # The one error left: the last word is a flag that wants a value.
      name = argv[-1].lstrip("-")
      raise errors.ConfigError(
        f"--{name} needs a value{self._asked(name)}"
      ) from None
    for name in self._required:
      if not self._values[name].present:
        raise errors.ConfigError(f"--{name} is missing{self._asked(name)}")
    values = {
      name.replace("-", "_"): tuple(self._values[name].value)
      if name in self._repeated
      else self._values[name].value
      for name, _, _ in self._help
    }
    if self._positional is not None:
      name, _, required, many = self._positional
      if required and not rest:
        raise errors.ConfigError(f"{name} is missing{self._asked(name)}")
      if not many and len(rest) > 1:
        raise errors.ConfigError(
          f"one {name} is expected, got {len(rest)}:"
          f" {texts.one_line(' '.join(rest))}"
        )
      values[name] = tuple(rest) if many else (rest[0] if rest else None)
    elif rest:
      names = [n for n, _, _ in self._help]
      near = difflib.get_close_matches(rest[0].split("=")[0], names, n=1)
      hint = f" (a flag starts with --: --{near[0]}=...)" if near else ""
      raise errors.ConfigError(
        f"unexpected argument {texts.one_line(rest[0])!r}{hint}"
      )
    return types.SimpleNamespace(**values)

  def _underscores(self, argv: Sequence[str]) -> list[str]:
    """The words, with --dry-run as --dry_run where there is such a flag."""
    out: list[str] = []
    for word in argv:
      if word == "--":
        break
      name, equals, value = word.partition("=")
      known = name[2:].replace("-", "_")
      names = known, known.removeprefix("no")
      if name[:2] == "--" and any(n in self._values for n in names):
        word = f"--{known}{equals}{value}"
      out.append(word)
    return out + list(argv[len(out) :])

  def help_text(self) -> str:
    """What `--help` prints."""
    usage = f"usage: prefjax {self.command} [flags]"
    rows = [(usage, about) for usage, _, about in self._elsewhere]
    rows += [(self._usage(n, kind), about) for n, kind, about in self._help]
    if self._positional is not None:
      name, about, required, many = self._positional
      word = name + (" ..." if many else "")
      usage += f" {word}" if required else f" [{word}]"
      rows.insert(0, (word, about))
    blocks = [usage, textwrap.fill(self._summary, texts.WIDTH)]
    blocks += [
      textwrap.fill(" ".join(paragraph.split()), texts.WIDTH)
      for paragraph in self._details.split("\n\n")
      if paragraph.strip()
    ]
    rows.append(("--help", "show this and leave"))
    return "\n\n".join([*blocks, texts.table(rows)])

  def _add(
    self, name, default, help, kind, convert, required, repeated=False
  ) -> None:
    parser = _Parser(name, convert)
    if default is not None and default != () and not required:
      shown = (
        ",".join(map(str, default))
        if isinstance(default, tuple)
        else str(default).lower()
        if isinstance(default, bool)
        else str(default)
      )
      help = f"{help} (default {shown})".lstrip()
    elif required:
      help = f"{help} (required)".lstrip()
    if repeated:
      flag = absl_flags.MultiFlag(
        parser=parser,
        serializer=absl_flags.ArgumentSerializer(),
        name=name,
        default=None,
        help_string=help,
      )
      flag.value = ()
      self._repeated.add(name)
    else:
      flag = _Flag(
        parser=parser,
        serializer=absl_flags.ArgumentSerializer(),
        name=name,
        default=default,
        help_string=help,
        boolean=kind == "",
      )
    absl_flags.DEFINE_flag(flag, self._values)
    self._help.append((name, kind, help))
    if required:
      self._required.append(name)

  def _usage(self, name: str, kind: str) -> str:
    return f"--{name}={kind}" if kind else f"--[no]{name}"

  def _asked(self, name: str) -> str:
    """' (what it is)' for a message about a missing value."""
    known = {n: about for n, _, about in self._help}
    if self._positional is not None:
      known[self._positional[0]] = self._positional[1]
    about = known.get(name, "").replace(" (required)", "").strip()
    return f": {about}" if about else ""

  def _unknown(self, name: str) -> NoReturn:
    known = [n for _, n, _ in self._elsewhere if "." not in n]
    known += [n for n, _, _ in self._help]
    raise errors.ConfigError(unknown_flag(name, known))


def unknown_flag(name: str, known: Sequence[str]) -> str:
  """One line about a flag that does not exist, with the nearest known."""
  near = difflib.get_close_matches(name, known, n=1)
  if near:
    hint = f" (did you mean --{near[0]}?)"
  else:
    hint = f"; known: {', '.join('--' + n for n in known)}" if known else ""
  return f"unknown flag --{texts.one_line(name)}{hint}"


def subcommand(
  command: str,
  summary: str,
  commands: Mapping[str, tuple[str, Callable[[list[str]], int]]],
  argv: Sequence[str],
) -> int:
  """Runs the nested command that the first word names.

  Args:
    command: words after `prefjax` so far, e.g. "data".
    summary: one line about all of them.
    commands: word -> (one line about it, its main).
    argv: words after `command`.

  Returns:
    Its exit status.

  Raises:
    ConfigError: no word, or one that names nothing.
  """
  rows = [(name, about) for name, (about, _) in commands.items()]
  if argv and argv[0] in ("--help", "-h", "-help"):
    usage = f"usage: prefjax {command} COMMAND [flags]"
    more = f"prefjax {command} COMMAND --help lists the flags of a command."
    print("\n\n".join([usage, summary, texts.table(rows), more]))
    return 0
  if not argv:
    raise errors.ConfigError(f"say which: {texts.either(list(commands))}")
  if argv[0] not in commands:
    raise errors.ConfigError(
      f"unknown command {texts.one_line(argv[0])!r}, expected"
      f" {texts.either(list(commands))}{errors.nearest(argv[0], commands)}"
    )
  return commands[argv[0]][1](list(argv[1:]))
