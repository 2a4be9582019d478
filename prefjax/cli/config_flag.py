# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`--config=FILE.py[:ARG]` and `--config.KEY=VALUE` on a command line.

  config, rest = config_flag.load(argv)
  args = flags.parse(rest)

The syntax is that of `ml_collections.config_flags`; the errors are one line
and name the nearest key, and a value is a literal, never code. What the file
returns comes back locked, except its open sections (`overrides.is_open`).
"""

from collections.abc import Sequence

import ml_collections

from prefjax.cli import arguments, config_file, overrides
from prefjax.core import errors

_FLAG = "--config"


def declare(flags: arguments.Arguments) -> None:
  """Puts the two forms into a command's help."""
  flags.elsewhere(
    "config", "FILE.py[:ARG]", "the config, and what its get_config gets"
  )
  flags.elsewhere(
    "config.KEY", "VALUE", "sets one key, e.g. --config.train.steps=100"
  )


def load(argv: Sequence[str]) -> tuple[ml_collections.ConfigDict, list[str]]:
  """Runs the config file and sets the keys that the command line names.

  Overrides count in their order, wherever they stand.

  Args:
    argv: words after the command.

  Returns:
    (the config, locked but for its open sections; the other words).

  Raises:
    ConfigError: the flag is missing or there twice, the file cannot be used,
      or a key or value is wrong.
  """
  argv = [_two_dashes(word) for word in argv]
  config = from_spec(_spec(argv))
  rest, words = [], iter(argv)
  for word in words:
    if word == "--":
      rest += [word, *words]
    elif word == _FLAG:
      next(words, None)
    elif word.startswith(f"{_FLAG}."):
      key, given, text = word[len(_FLAG) + 1 :].partition("=")
      if not given:
        # As with any switch, the name alone means true and takes no word.
        text = "true" if overrides.is_switch(config, key) else next(words, None)
        if text is None:
          overrides.get(config, key)
          raise errors.ConfigError(f"--config.{key} needs a value")
      overrides.set_text(config, key, text)
    elif not word.startswith(f"{_FLAG}="):
      rest.append(word)
  return config, rest


def from_spec(spec: str) -> ml_collections.ConfigDict:
  """The config of 'FILE.py[:ARG]', locked but for its open sections."""
  config = config_file.load(spec)
  overrides.lock(config)
  return config


def _two_dashes(word: str) -> str:
  """absl takes -config for --config; so does this."""
  single = word.startswith(("-config=", "-config.")) or word == "-config"
  return f"-{word}" if single else word


def _spec(argv: list[str]) -> str:
  """The one value of --config."""
  found = []
  for i, word in enumerate(argv):
    if word == "--":
      break
    if word == _FLAG:
      found.append(argv[i + 1] if i + 1 < len(argv) else "")
    elif word.startswith(f"{_FLAG}="):
      found.append(word[len(_FLAG) + 1 :])
  if not found:
    raise errors.ConfigError(
      "--config is missing: name a config file, e.g. --config=configs/dpo.py"
    )
  if len(found) > 1:
    raise errors.ConfigError(
      f"--config is given {len(found)} times; one run has one config"
    )
  return found[0]
