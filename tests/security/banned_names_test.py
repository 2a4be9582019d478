# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""No code from data, ever: the syntax tree holds none of the ways to do it.

SECURITY.md says what is trusted. This scan reads every file of the library,
the configs, experiments and scripts.
"""

import ast
import pathlib

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]

# Builtins that turn text into code.
_CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
# Modules that turn bytes into code or objects, or reach over the network.
_MODULES = {
  "pickle": "loads code",
  "_pickle": "loads code",
  "cPickle": "loads code",
  "dill": "loads code",
  "cloudpickle": "loads code",
  "marshal": "loads code",
  "shelve": "loads pickles",
  "joblib": "loads pickles",
  "jsonpickle": "loads code",
  "code": "runs text",
  "codeop": "runs text",
  "urllib.request": "opens a connection",
  "http.client": "opens a connection",
  "requests": "opens a connection",
  "httpx": "opens a connection",
  "aiohttp": "opens a connection",
  "ftplib": "opens a connection",
  "telnetlib": "opens a connection",
}
# Attributes of a module, as they are called.
_ATTRIBUTES = {
  "os.system": "runs a shell",
  "os.popen": "runs a shell",
  "subprocess.getoutput": "runs a shell",
  "subprocess.getstatusoutput": "runs a shell",
  "asyncio.create_subprocess_shell": "runs a shell",
  "yaml.load": "makes objects; yaml.safe_load does not",
  "yaml.load_all": "makes objects",
  "yaml.unsafe_load": "makes objects",
  "yaml.full_load": "makes objects",
  "torch.load": "loads pickles",
  "pandas.read_pickle": "loads pickles",
  "tempfile.mktemp": "names a file that another may make first",
  "sympy.sympify": "runs text",
}
# Classes that may stand in an annotation but not be called.
_CLASSES = {
  "jinja2.Environment": "runs templates outside the sandbox",
  "jinja2.Template": "runs templates outside the sandbox",
}
# Keywords that switch a protection off.
_KEYWORDS = {"trust_remote_code", "allow_pickle", "shell"}
# Attribute names that unpack archives without looking at the member names.
_METHODS = {"extractall", "unpack_archive"}


def _dotted(node: ast.AST) -> str:
  if isinstance(node, ast.Attribute):
    base = _dotted(node.value)
    return f"{base}.{node.attr}" if base else ""
  return node.id if isinstance(node, ast.Name) else ""


def _names(tree: ast.AST) -> dict[str, str]:
  """Local name -> dotted origin, from the imports."""
  found = {}
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      for alias in node.names:
        local = alias.asname or alias.name.split(".")[0]
        found[local] = alias.name if alias.asname else local
    elif isinstance(node, ast.ImportFrom):
      for alias in node.names:
        found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
  return found


def _bad_module(name: str) -> str | None:
  for module, why in _MODULES.items():
    if name == module or name.startswith(f"{module}."):
      return why
  return None


def scan(source: str) -> list[tuple[int, str]]:
  """(line, what is wrong) of everything banned in a source."""
  tree = ast.parse(source)
  names = _names(tree)
  found = []
  for node in ast.walk(tree):
    line = getattr(node, "lineno", 0)
    if isinstance(node, (ast.Import, ast.ImportFrom)):
      base = getattr(node, "module", None)
      for alias in node.names:
        name = f"{base}.{alias.name}" if base else alias.name
        why = _bad_module(name) or {**_ATTRIBUTES, **_CLASSES}.get(name)
        if why:
          found.append((line, f"{name} {why}"))
    if isinstance(node, (ast.Attribute, ast.Name)):
      first, _, rest = _dotted(node).partition(".")
      name = ".".join(filter(None, [names.get(first, first), rest]))
      if name in _ATTRIBUTES and isinstance(node, ast.Attribute):
        found.append((line, f"{name} {_ATTRIBUTES[name]}"))
      # Not only calls: `run = eval` is no better.
      read = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
      if read and node.id in _CALLS and node.id not in names:
        found.append((line, f"{node.id} runs text"))
      if isinstance(node, ast.Attribute) and node.attr in _METHODS:
        found.append((line, f"{node.attr} trusts the names in an archive"))
    if isinstance(node, ast.Call):
      found += _call(node, names, line)
    if isinstance(node, ast.Dict):
      found += [
        (line, f"{key.value} as a keyword")
        for key in node.keys
        if isinstance(key, ast.Constant) and key.value in _KEYWORDS
      ]
  return found


def _call(node: ast.Call, names, line) -> list[tuple[int, str]]:
  first, _, rest = _dotted(node.func).partition(".")
  name = ".".join(filter(None, [names.get(first, first), rest]))
  found = []
  for keyword in node.keywords:
    off = isinstance(keyword.value, ast.Constant) and not keyword.value.value
    if keyword.arg in _KEYWORDS and not off:
      found.append((line, f"{keyword.arg}= is on"))
  if name in _CLASSES:
    found.append((line, f"{name} {_CLASSES[name]}"))
  if name in ("numpy.load", "numpy.lib.npyio.load"):
    if not any(k.arg == "allow_pickle" for k in node.keywords):
      found.append((line, "numpy.load without allow_pickle=False"))
  if name in ("builtins.eval", "builtins.exec", "builtins.compile"):
    found.append((line, f"{name} runs text"))
  return found


@pytest.mark.parametrize(
  "source",
  [
    "eval('1')",
    "run = exec",
    "compile(x, 'f', 'exec')",
    "__import__('os')",
    "import builtins\nbuiltins.eval('1')",
    "import pickle",
    "import pickle as p",
    "from pickle import loads",
    "import cloudpickle",
    "import os\nos.system('ls')",
    "import os as o\no.popen('ls')",
    "from os import system",
    "import subprocess\nsubprocess.run('ls', shell=True)",
    "import subprocess\nsubprocess.run('ls', shell=flag)",
    "import yaml\nyaml.load(f)",
    "import numpy as np\nnp.load(f)",
    "import numpy\nnumpy.load(f, allow_pickle=True)",
    "import numpy as np\nnp.load(f, allow_pickle=flag)",
    "import torch\ntorch.load(f)",
    "m(path, trust_remote_code=True)",
    "m(**{'trust_remote_code': 1})",
    "import jinja2\njinja2.Environment()",
    "from jinja2 import Template",
    "import urllib.request",
    "from urllib import request",
    "import tarfile\ntarfile.open(f).extractall()",
    "import tempfile\ntempfile.mktemp()",
  ],
)
def test_the_scan_finds_it(source):
  assert scan(source)


@pytest.mark.parametrize(
  "source",
  [
    "import re\nre.compile('a')",
    "import ast\nast.literal_eval(x)",
    "import numpy as np\nnp.load(f, allow_pickle=False)",
    "import subprocess\nsubprocess.run(['ls'])",
    "import subprocess\nsubprocess.run(['ls'], shell=False)",
    "import yaml\nyaml.safe_load(f)",
    "from jinja2 import sandbox\nsandbox.ImmutableSandboxedEnvironment()",
    "model.eval()",
    "class Seconds:\n  eval: float = 0.0",
    "import jinja2\ndef f() -> jinja2.Template: ...",
    "REFUSED = ('trust_remote_code',)",
    "jax.jit(f).lower(x).compile()",
    "import urllib.parse",
    "import tempfile\ntempfile.TemporaryDirectory()",
  ],
)
def test_the_scan_lets_it_be(source):
  assert scan(source) == []


# What exists to do one of these things, and how it is kept in: see SECURITY.md.
_ALLOWED = {
  # Runs code from models, in a process that has nothing and fails closed.
  "prefjax/rewards/sandbox_child.py": {"exec", "compile", "__import__"},
  # Talk to the server that the user names, and to no other.
  "prefjax/feedback/chat_server.py": {"http.client"},
  "prefjax/generation/completion_server.py": {"urllib.request", "http.client"},
}


def _files() -> list[pathlib.Path]:
  return [
    path
    for folder in ("prefjax", "configs", "experiments", "scripts")
    for path in sorted((_ROOT / folder).rglob("*.py"))
  ]


def test_nothing_banned():
  files = _files()
  assert len(files) > 100
  wrong, used = [], {name: set() for name in _ALLOWED}
  for path in files:
    name = path.relative_to(_ROOT).as_posix()
    for line, what in scan(path.read_text()):
      word = what.split()[0]
      if word in _ALLOWED.get(name, ()):
        used[name].add(word)
      else:
        wrong.append(f"{name}:{line}: {what}")
  assert not wrong, "\n".join(wrong)
  assert used == _ALLOWED  # no exception that nothing needs


# Who may import a module by a name that is not written in an import: the
# closed tables of commands and of kernels (some need a newer JAX), and the
# config file and the file of reward functions that the user names.
_BY_NAME = {
  "prefjax/cli/config_file.py",
  "prefjax/cli/main.py",
  "prefjax/kernels/select.py",
  "prefjax/runs/online/scores.py",
}


def test_modules_are_not_imported_by_name():
  wrong = []
  for path in _files():
    name = path.relative_to(_ROOT).as_posix()
    if not name.startswith("prefjax/") or name in _BY_NAME:
      continue
    wrong += [
      f"{name}:{node.lineno}"
      for node in ast.walk(ast.parse(path.read_text()))
      if isinstance(node, ast.Attribute)
      and node.attr in ("import_module", "spec_from_file_location")
    ]
  assert not wrong, wrong
