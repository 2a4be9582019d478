# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every config file parses, is documented, and names what exists."""

import importlib
import pathlib
import re
import shlex

import pytest

from prefjax import config as config_lib
from prefjax.cli import config_flag
from prefjax.core import errors
from prefjax.methods import registry
from prefjax.runs import stages

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_SHARED = {"__init__", "base", "common", "online"}
_FILES = sorted(
  path.stem
  for path in (_ROOT / "configs").glob("*.py")
  if path.stem not in _SHARED
)


def _module(name):
  return importlib.import_module(f"configs.{name}")


@pytest.mark.parametrize("name", registry.names())
def test_every_method_has_a_config(name):
  assert name in _FILES, f"write configs/{name}.py; see configs/dpo.py"
  c = config_lib.parse(_module(name).get_config())
  assert c.method.name == name
  # Its hyper-parameters are those of the method, and written out.
  assert set(c.method.kwargs) <= set(registry.row(name).defaults)
  assert stages.make_method(c.method).inputs


@pytest.mark.parametrize("name", _FILES)
def test_both_variants_parse(name):
  whole, tiny = (
    config_lib.parse(_module(name).get_config(arg)) for arg in (None, "tiny")
  )
  assert whole != tiny
  for c in (whole, tiny):
    assert config_lib.parse(config_lib.to_json(c)) == c
    for stage in config_lib.stage_names(c):
      stages.make_method(config_lib.stage(c, stage).method)
  # The tiny variant needs no file and no download.
  for stage in config_lib.stage_names(tiny):
    assert config_lib.stage(tiny, stage).data.train.startswith("language:")
  assert tiny.model.source.startswith("preset:")
  with pytest.raises(errors.ConfigError, match="unknown option 'tinny'"):
    _module(name).get_config("tinny")


@pytest.mark.parametrize("name", _FILES)
def test_the_docstring_has_a_command_that_parses(name, monkeypatch):
  monkeypatch.chdir(_ROOT)
  text = _module(name).__doc__
  first = text.split("\n")[0]
  assert len(first) <= 80 and first.endswith((".", ")."))
  joined = re.sub(r"\\\n\s*", "", text)
  commands = re.findall(r"^  prefjax train (.*)$", joined, re.MULTILINE)
  assert commands, "the docstring shows no `prefjax train` command"
  for command in commands:
    words = shlex.split(command)
    raw, rest = config_flag.load(words)
    config_lib.parse(raw)
    assert any(word.startswith("--workdir=") for word in rest)
    assert any(
      re.fullmatch(rf"--config=configs/{name}\.py(:.*)?", w) for w in words
    )


def test_base_is_the_defaults():
  assert config_lib.parse(_module("base").get_config()) == config_lib.Config()
