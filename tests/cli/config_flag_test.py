# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""--config and --config.KEY: what they accept, and what they say."""

import sys
import textwrap

import ml_collections
import pytest

from prefjax.cli import config_flag, overrides
from prefjax.core import errors

_FILE = """
  import ml_collections
  def get_config(arg=""):
    c = ml_collections.ConfigDict()
    c.seed = 0
    c.opt = dict(lr=1e-3, betas=(0.9, 0.99), name="adamw", clip=None)
    c.train = dict(steps=100, resume=True)
    c.model = dict(size=ml_collections.config_dict.placeholder(int))
    c.method = dict(name="dpo", kwargs=dict(beta=1))
    c.parts = [ml_collections.ConfigDict(dict(steps=3)),
               ml_collections.ConfigDict(dict(steps=4))]
    c.stages = {"1_sft": dict(train=dict(steps=3))}
    c.data = dict(language={})
    c.layers = ["q"]
    c.tag = arg
    return c
"""


@pytest.fixture
def path(tmp_path):
  file = tmp_path / "toy.py"
  file.write_text(textwrap.dedent(_FILE))
  return str(file)


def _load(path, *words):
  return config_flag.load([f"--config={path}", *words])


@pytest.mark.parametrize(
  ("word", "key", "value"),
  [
    ("--config.opt.lr=3", "opt.lr", 3.0),
    ("--config.opt.lr=1e-4", "opt.lr", 1e-4),
    ("--config.opt.betas=(0.5,0.6)", "opt.betas", (0.5, 0.6)),
    ("--config.opt.betas=0.5,0.6", "opt.betas", (0.5, 0.6)),
    ("--config.opt.betas=[0.5]", "opt.betas", (0.5,)),
    ("--config.opt.betas[1]=0.5", "opt.betas", (0.9, 0.5)),
    ("--config.opt.name=3", "opt.name", "3"),
    ("--config.opt.name=__import__('os')", "opt.name", "__import__('os')"),
    ("--config.opt.name=", "opt.name", ""),
    ("--config.opt.clip=1.5", "opt.clip", 1.5),
    ("--config.opt.clip=some", "opt.clip", "some"),
    ("--config.opt.lr=None", "opt.lr", None),
    ("--config.train.steps=1_000", "train.steps", 1000),
    ("--config.train.resume=false", "train.resume", False),
    ("--config.train.resume", "train.resume", True),
    ("-config.train.steps=7", "train.steps", 7),
    ("--config.model.size=4", "model.size", 4),
    ("--config.method.kwargs.beta=0.2", "method.kwargs.beta", 0.2),
    ("--config.method.kwargs.new=true", "method.kwargs.new", True),
    ("--config.method.kwargs.mode=sum", "method.kwargs.mode", "sum"),
    ("--config.method.kwargs={'a': (1, 2)}", "method.kwargs.a", (1, 2)),
    ("--config.parts[1].steps=9", "parts[1].steps", 9),
    ("--config.stages.1_sft.train.steps=9", "stages.1_sft.train.steps", 9),
    ("--config.stages.1_sft.opt.lr=0.1", "stages.1_sft.opt.lr", 0.1),
    ("--config.data.language.n=96", "data.language.n", 96),
    ("--config.data.language={'n': 5}", "data.language.n", 5),
    ("--config.method.kwargs.a.b=1", "method.kwargs.a.b", 1),
    ("--config.layers=q,k_proj", "layers", ["q", "k_proj"]),
    ("--config.layers=[]", "layers", []),
  ],
)
def test_overrides_are_typed(path, word, key, value):
  config, rest = _load(path, word)
  assert overrides.get(config, key) == value
  assert type(overrides.get(config, key)) is type(value)
  assert rest == []


def test_the_other_words_are_left_in_order(path):
  config, rest = config_flag.load(
    ["a", "--config.seed", "5", "--workdir=w", "--config", f"{path}:tiny"]
    + ["--config.train.resume", "b", "--", "--config.seed=6"]
  )
  assert rest == ["a", "--workdir=w", "b", "--", "--config.seed=6"]
  assert (config.seed, config.tag, config.train.resume) == (5, "tiny", True)


def test_the_last_override_counts(path):
  config, _ = _load(path, "--config.seed=1", "--config.seed=2")
  assert config.seed == 2


def test_closed_but_for_open_sections(path):
  config, _ = _load(path)
  assert config.is_locked and config.opt.is_locked
  assert config.parts[0].is_locked and config.stages.is_locked
  assert not config.stages["1_sft"].train.is_locked
  config.method.kwargs.gamma = 1.0
  with pytest.raises(AttributeError):
    config.opt.gamma = 1.0


_WRONG = {
  "--config.opt.lrr=1": "config.opt.lrr .did you mean config.opt.lr ",
  "--config.lr=1": r"unknown key config.lr .*config.opt.lr",
  "--config.zzzz=1": r"unknown key config.zzzz; sections: .*opt",
  "--config.opt.lr.x=1": "unknown key config.opt.lr.x",
  "--config.=1": "unknown key config.",
  "--config..=1": "unknown key",
  "--config.__class__=1": "unknown key",
  "--config.opt.__dict__=1": "unknown key",
  "--config.opt.lr=fast": "--config.opt.lr=fast: expected a number",
  "--config.opt.lr=nan": "expected a number",
  "--config.opt.lr=": "expected a number",
  "--config.opt.lr=1e-3+2": "expected a number",
  "--config.train.steps=1.5": "expected a whole number",
  "--config.train.steps=1e3": "expected a whole number",
  "--config.train.steps=true": "expected a whole number",
  "--config.train.steps=" + "9" * 5000: r"9\.\.\.: expected a whole number",
  "--config.train.resume=maybe": "expected true or false",
  "--config.opt.betas=(0.9,": "expected a list",
  "--config.opt.betas={1: 2}": "cannot be a key",
  "--config.opt.betas={'a': 2}": "expected a list",
  "--config.opt.betas=" + "(" * 5000: "expected a list",
  "--config.opt.betas=" + "1," * 60000: "at most 100000 characters",
  "--config.opt.betas[2]=1": r"\[2\] is past the end, the list has 2",
  "--config.opt.lr[0]=1": "follows a value that is no list",
  "--config.opt=adam": r"config.opt is a section; set one of its keys: .*lr",
  "--config.opt={'lr': 1}": "config.opt is a section",
  "--config.model.size=big": "--config.model.size",
  "--config.method.kwargs=3": "is a section; set one of its keys: beta",
  "--config.method.kwargs.a=b'x'": "a bytes cannot be written",
  "--config.method.kwargs.a={1, 2}": "a set cannot be written",
  "--config.method.kwargs.beta.b=1": "unknown key",
  "--config.stages.2_dpo.train.steps=1": "unknown key.*stages.1_sft.train",
  "--config.stages={}": "config.stages is a section",
  "--config.layers={}": "expected a list",
  "--config.seed": "needs a value",
  "--config.nope": "unknown key config.nope",
}


@pytest.mark.parametrize("word", _WRONG, ids=lambda word: word[:40])
def test_wrong_overrides(path, word):
  with pytest.raises(errors.ConfigError, match=_WRONG[word]) as info:
    _load(path, word)
  assert "\n" not in str(info.value)
  assert len(str(info.value)) < 400


@pytest.mark.parametrize(
  ("source", "said"),
  [
    ("x = 1", "has no function get_config"),
    ("def get_config(:", r"toy.py:1: .*syntax"),
    ("import nothing_of_this_name", r"toy.py:1: ModuleNotFoundError"),
    ("def get_config():\n  return 1 / 0", r"toy.py:2: ZeroDivisionError"),
    ("def get_config():\n  raise SystemExit(3)", r"toy.py:2: SystemExit"),
    ("def get_config():\n  raise ValueError('a\\nb')", r"ValueError: a\\nb"),
    ("def get_config():\n  return {'a': 1}", "returned dict, not an ml_coll"),
    ("get_config = 3", "has no function get_config"),
    ("\0", "toy.py"),
  ],
)
def test_files_that_fail(tmp_path, source, said):
  file = tmp_path / "toy.py"
  file.write_text(source)
  with pytest.raises(errors.ConfigError, match=said) as info:
    _load(file)
  assert "\n" not in str(info.value)


def test_missing_flag_and_files(tmp_path, path):
  for words, said in {
    (): "--config is missing",
    ("--config",): "expected the path",
    ("--config=",): "expected the path",
    (f"--config={tmp_path}/tor.py",): r"no such file \(did you mean .*toy.py",
    (f"--config={tmp_path}",): "is a folder",
    (f"--config={tmp_path}/no/where.py:tiny",): "no such file",
    (f"--config={path}", f"--config={path}"): "is given 2 times",
    ("--config=a\0b.py",): "expected the path",
    ("--config=" + "x" * 5000 + ".py",): "File name too long",
  }.items():
    with pytest.raises(errors.ConfigError, match=said) as info:
      config_flag.load(words)
    assert "\n" not in str(info.value)
    assert len(str(info.value)) < 400


def test_not_a_python_file(tmp_path):
  file = tmp_path / "toy.yaml"
  file.write_text("a: 1")
  with pytest.raises(errors.ConfigError, match="a Python file ending in .py"):
    _load(file)


def test_argument_of_a_file_that_takes_none(tmp_path):
  file = tmp_path / "toy.py"
  file.write_text(
    "import ml_collections\n"
    "def get_config():\n  return ml_collections.ConfigDict({'a': 1})\n"
  )
  assert _load(file)[0].a == 1
  with pytest.raises(errors.ConfigError, match="takes no argument.*':tiny'"):
    _load(f"{file}:tiny")


def test_a_file_may_import_its_own_package(tmp_path):
  folder = tmp_path / "settings_of_a_test"
  folder.mkdir()
  (folder / "__init__.py").write_text("")
  (folder / "base.py").write_text("SEED = 7")
  (folder / "run.py").write_text(
    "import ml_collections\n"
    "from settings_of_a_test import base\n"
    "def get_config(arg):\n"
    "  return ml_collections.ConfigDict({'seed': base.SEED, 'arg': arg})\n"
  )
  before = list(sys.path)
  config, _ = _load(folder / "run.py")
  assert (config.seed, config.arg) == (7, "")
  assert sys.path == before


def test_the_projects_configs_can_be_imported_from_anywhere(tmp_path):
  file = tmp_path / "mine.py"
  file.write_text(
    "import ml_collections\n"
    "from configs import common\n"
    "def get_config(arg=''):\n"
    "  a = common.parse_arg(arg, tiny=False, seed=0)\n"
    "  return ml_collections.ConfigDict({'seed': a.seed, 'tiny': a.tiny})\n"
  )
  config, _ = _load(f"{file}:tiny,seed=3")
  assert (config.seed, config.tiny) == (3, True)
  with pytest.raises(errors.ConfigError, match="mine.py: unknown.*'seed'"):
    _load(f"{file}:sed=3")


def test_values_from_sweeps_are_typed_too(path):
  config, _ = _load(path)
  overrides.set_value(config, "opt.lr", 1)
  overrides.set_value(config, "opt.betas", [0.1, 0.2])
  overrides.set_value(config, "method.kwargs.beta", 0.5)
  overrides.set_value(config, "method.kwargs.pair", {"a": 1})
  assert config.opt.lr == 1.0 and config.opt.betas == (0.1, 0.2)
  assert config.method.kwargs.beta == 0.5
  assert isinstance(config.method.kwargs.pair, ml_collections.ConfigDict)
  for key, value in {
    "opt.lr": "fast",
    "opt.name": 3,
    "train.steps": 1.5,
    "train.resume": 1,
    "opt.betas": "ab",
    "opt": {"lr": 1.0},
    "seed": {1},
  }.items():
    with pytest.raises(errors.ConfigError, match=f"config.{key}"):
      overrides.set_value(config, key, value)
