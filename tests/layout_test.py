# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The architecture, held to by the syntax tree: who may import whom."""

import ast
import configparser
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Package (or module) of prefjax -> the others of prefjax that it may import.
# An arrow is added here on purpose, in the commit that needs it.
_BELOW_CLI = (
  "core losses kernels models data rewards generation search rl selection"
  " feedback analysis methods train checkpoint config"
)
ARROWS = {
  "version": "",
  "core": "",
  "losses": "core",
  "kernels": "core",
  "models": "core kernels",
  "data": "core",
  "rewards": "core losses kernels models",
  "generation": "core kernels models",
  "search": "core kernels models generation rewards",
  "rl": "core losses kernels",
  "selection": "core losses kernels models analysis",
  "feedback": "core losses data",
  "analysis": "core losses",
  "checkpoint": "core",
  "methods": "core losses kernels models rl selection",
  "train": "core methods checkpoint",
  "config": "core",
  "launching": "core",
  "runs": f"{_BELOW_CLI} launching",
  "experiments": f"{_BELOW_CLI} runs",
  "sweeps": f"{_BELOW_CLI} launching runs",
  "cli": f"{_BELOW_CLI} launching runs experiments sweeps",
  "__main__": "cli",
  "__init__": "",
}

# Module of another project -> the only places that may import it.
_PARITY = ("scripts/parity", "scripts/bench")
_CONFIGURABLE = (
  "prefjax/cli",
  "prefjax/config.py",
  "configs",
  "experiments",
  "scripts",
)
ONLY_IN = {
  "flax": ("prefjax/models",),
  "orbax": ("prefjax/checkpoint",),
  "grain": ("prefjax/data",),
  "array_record": ("prefjax/data",),
  "tensorflow_datasets": ("prefjax/data",),
  "absl": _CONFIGURABLE,
  "ml_collections": _CONFIGURABLE,
  "tensorflow": (),
  "torch": _PARITY,
  "transformers": _PARITY,
  "trl": _PARITY,
  "datasets": _PARITY,
  "peft": _PARITY,
  "accelerate": _PARITY,
  "huggingface_hub": (),
  # Ours, but on top of the library.
  "configs": ("configs", "experiments", "scripts"),
  "experiments": ("experiments", "scripts"),
  "scripts": ("scripts",),
  "tests": (),
}

# Slow to import or needed by few: only inside functions.
LAZY = ("PIL", "matplotlib", "rich", "tensorboardX")

# Import name -> distribution, where the two differ.
_DISTRIBUTIONS = {
  "PIL": "pillow",
  "absl": "absl-py",
  "importlib_resources": "importlib_resources",
  "orbax": "orbax-checkpoint",
  "tensorflow_datasets": "tensorflow-datasets",
}

_CODE = ("prefjax", "configs", "experiments", "scripts")
_HEADER = (
  "# Copyright 2026 The PrefJAX Authors.",
  "# SPDX-License-Identifier: Apache-2.0",
)
MOST_LINES = {"code": 600, "tests": 700}


def _files(*folders: str, suffix: str = ".py") -> list[pathlib.Path]:
  return sorted(
    path
    for folder in folders
    for path in (ROOT / folder).rglob(f"*{suffix}")
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
  )


def _name(path: pathlib.Path) -> str:
  return path.relative_to(ROOT).as_posix()


def imports(
  source: str, package: tuple[str, ...] = ()
) -> list[tuple[int, str, bool]]:
  """(line, dotted module, whether at the top level) of every import.

  Args:
    source: of a module.
    package: names of the packages that it lies in, for relative imports.
  """
  found = []

  def visit(node, top):
    if isinstance(node, ast.Import):
      found.extend((node.lineno, alias.name, top) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      base = node.module or ""
      if node.level:
        kept = package[: len(package) - node.level + 1]
        base = ".".join([*kept, *([base] if base else [])])
      found.extend(
        (node.lineno, f"{base}.{alias.name}", top) for alias in node.names
      )
    inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    for child in ast.iter_child_nodes(node):
      visit(child, top and not inside)

  visit(ast.parse(source), True)
  return found


def _imports_of(path: pathlib.Path) -> list[tuple[int, str, bool]]:
  return imports(path.read_text(), path.relative_to(ROOT).parent.parts)


def _room(path: pathlib.Path) -> str:
  """'losses' of prefjax/losses/pairwise.py, 'config' of prefjax/config.py."""
  parts = path.relative_to(ROOT / "prefjax").parts
  return parts[0].removesuffix(".py")


def test_the_reader_of_imports():
  source = (
    "import a.b, c as d\nfrom e import f\nfrom . import g\n"
    "from ..h import i\nif True:\n  import j\n"
    "class K:\n  import l\n  def m():\n    import n\n"
  )
  assert imports(source, ("p", "q")) == [
    (1, "a.b", True),
    (1, "c", True),
    (2, "e.f", True),
    (3, "p.q.g", True),
    (4, "p.h.i", True),
    (6, "j", True),
    (8, "l", True),
    (10, "n", False),
  ]


def test_arrows_point_down():
  wrong = []
  for path in _files("prefjax"):
    room = _room(path)
    assert room in ARROWS, f"{_name(path)}: a new package; draw its arrows"
    allowed = {room, "version", *ARROWS[room].split()}
    for line, module, _ in _imports_of(path):
      parts = module.split(".")
      if parts[0] == "prefjax" and len(parts) > 1 and parts[1] not in allowed:
        wrong.append(f"{_name(path)}:{line}: {room} may not import {module}")
  assert not wrong, "\n".join(wrong)


def test_arrows_form_no_circle():
  done: set[str] = set()

  def follow(room, above):
    assert room not in above, f"circle: {' -> '.join([*above, room])}"
    if room not in done:
      for other in ARROWS[room].split():
        follow(other, [*above, room])
      done.add(room)

  for room in ARROWS:
    follow(room, [])


def test_projects_are_imported_only_where_they_belong():
  wrong = []
  for path in _files(*_CODE):
    name = _name(path)
    for line, module, _ in _imports_of(path):
      places = ONLY_IN.get(module.split(".")[0])
      if places is not None and not any(
        name == place or name.startswith(f"{place}/") for place in places
      ):
        wrong.append(f"{name}:{line}: {module} belongs in {places or 'none'}")
  assert not wrong, "\n".join(wrong)


def test_slow_imports_wait_until_needed():
  wrong = [
    f"{_name(path)}:{line}: import {module} inside the function that needs it"
    for path in _files("prefjax")
    for line, module, top in _imports_of(path)
    if top and module.split(".")[0] in LAZY
  ]
  assert not wrong, "\n".join(wrong)


def test_every_import_is_declared():
  setup = configparser.ConfigParser()
  setup.read(ROOT / "setup.cfg")
  listed = [setup["options"]["install_requires"]]
  listed += setup["options.extras_require"].values()
  declared = {
    re.match(r"[A-Za-z0-9_.-]+", line.strip())[0].lower().replace("_", "-")
    for line in "\n".join(listed).splitlines()
    if line.strip() and not line.strip().startswith("#")
  }
  ours = {"prefjax", "configs", "experiments", "scripts"}
  wrong = []
  for path in _files("prefjax", "configs", "experiments"):
    for line, module, _ in _imports_of(path):
      top = module.split(".")[0]
      if top in sys.stdlib_module_names or top in ours:
        continue
      distribution = _DISTRIBUTIONS.get(top, top).lower().replace("_", "-")
      if distribution not in declared:
        wrong.append(f"{_name(path)}:{line}: {top} is not in setup.cfg")
  assert not wrong, "\n".join(wrong)


def _is_module(dotted: str) -> bool:
  path = ROOT.joinpath(*dotted.split("."))
  return path.is_dir() or path.with_suffix(".py").is_file()


def _exported(tree: ast.Module) -> set[str]:
  """The names in `__all__` of a module that curates what others define."""
  for node in tree.body:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
      if node.targets[0].id == "__all__":
        return set(ast.literal_eval(node.value))
  return set()


def test_modules_are_imported_rather_than_names():
  """Types may be imported by name, as everywhere in this style."""
  wrong = []
  for path in _files("prefjax", "configs", "experiments"):
    tree = ast.parse(path.read_text())
    exported = _exported(tree)
    for node in ast.walk(tree):
      if path.name == "__init__.py" or not isinstance(node, ast.ImportFrom):
        continue
      base = node.module or ""
      if base.split(".")[0] not in ("prefjax", "configs", "experiments"):
        continue
      wrong += [
        f"{_name(path)}:{node.lineno}: from {base} import {alias.name}"
        for alias in node.names
        if not _is_module(f"{base}.{alias.name}")
        and not re.match(r"_?[A-Z][A-Za-z0-9]*[a-z]", alias.name)
        and alias.name not in exported
      ]
  assert not wrong, "\n".join(wrong)


def test_every_folder_of_the_library_is_a_package():
  folders = {path.parent for path in _files("prefjax")}
  missing = [_name(f) for f in folders if not (f / "__init__.py").is_file()]
  assert not missing, missing


def test_files_stay_small():
  wrong = [
    f"{_name(path)}: {lines} lines, split it by family"
    for kind, folders in (("code", _CODE), ("tests", ("tests",)))
    for path in _files(*folders)
    if (lines := path.read_text().count("\n")) > MOST_LINES[kind]
  ]
  assert not wrong, "\n".join(wrong)


def test_licence_headers():
  missing = []
  for path in [*_files(*_CODE, "tests"), *_files("scripts", suffix=".sh")]:
    head = path.read_text().splitlines()[:3]
    if head and head[0].startswith("#!"):
      head = head[1:]
    if tuple(head[:2]) != _HEADER:
      missing.append(_name(path))
  assert not missing, missing


def _clean_process(source: str, cwd: pathlib.Path) -> str:
  return subprocess.run(
    [sys.executable, "-c", source],
    check=True,
    capture_output=True,
    text=True,
    cwd=cwd,
    timeout=120,
  ).stdout.strip()


def test_importing_prefjax_does_nothing(tmp_path):
  """No backend, no flag, no file: not even JAX is loaded."""
  source = f"""
import os, sys
opened = []
sys.addaudithook(lambda event, args: opened.append(args[0])
                 if event == "open" and args[1] and set(args[1]) & set("wax+")
                 else None)
environment = dict(os.environ)
sys.path.insert(0, {str(ROOT)!r})
sys.dont_write_bytecode = True
sys.argv = ["x", "--no_such_flag=1"]
import prefjax
assert prefjax.__version__
heavy = [m for m in ("jax", "flax", "numpy", "absl") if m in sys.modules]
print(heavy, opened, dict(os.environ) == environment)
"""
  assert _clean_process(source, tmp_path) == "[] [] True"
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["losses", "kernels", "data", "methods"])
def test_importing_a_package_starts_no_backend(tmp_path, package):
  source = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
sys.dont_write_bytecode = True
import prefjax.{package}
from absl import flags
from jax._src import xla_bridge
print(bool(xla_bridge._backends), flags.FLAGS.is_parsed())
"""
  assert _clean_process(source, tmp_path) == "False False"
  assert list(tmp_path.iterdir()) == []


def test_what_tests_share_has_one_name():
  """Test folders lie on one path, so a shared module's name must be unique."""
  tests = _files("tests")
  stems: dict[str, list[str]] = {}
  for path in tests:
    stems.setdefault(path.stem, []).append(_name(path))
  wrong = [
    f"{_name(path)}:{line}: {module} may be any of {stems[module]}"
    for path in tests
    for line, module, _ in _imports_of(path)
    if len(stems.get(module, ())) > 1
  ]
  assert not wrong, "\n".join(wrong)
