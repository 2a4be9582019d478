# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What an experiment declares, checked once, and what its numbers rest on."""

import ast
import dataclasses
import hashlib
import pathlib
import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefjax.core import errors

MODULE = "experiment.py"
SCALES = ("quick", "full")
VERDICTS = ("shown", "not shown", "mixed")

# Arm -> metric -> number, of one seed.
Arms = dict[str, dict[str, float]]

_SLUG = re.compile(r"[a-z][a-z0-9_]*")
_WORDS = ("PAPER", "CLAIM", "ARM", "BASELINE", "METRIC", "EXPECTED")
_FUNCTIONS = ("measure", "accept")
_OPTIONAL = ("measure_many", "further", "draw")
# What words or judges finished numbers; changing it reruns nothing. Settings
# count for their own scale alone (`store.key`).
_NOT_MEASURED = {
  *("PAPER", "CLAIM", "EXPECTED", "METHODS", "NOTE", "SEEDS", "SETTINGS"),
  *("accept", "further", "draw"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
  """One paper's claim and the fair test of it.

  Attributes:
    slug: name of the folder.
    paper: short name and arXiv id.
    methods: registry names whose claim this is; may be empty.
    claim: what the paper says, one sentence.
    arm: name of the arm that is claimed to be better.
    baseline: name of the arm that it is compared with.
    metric: name of the number that decides.
    higher_is_better: which way the claim goes.
    expected: the accept rule in words.
    note: what a reader should know about the finding, or "".
    settings: scale -> JSON-ready settings.
    seeds: how many seeds a full run has.
    measure: (seed, settings) -> arm -> metric -> number; pure.
    accept: numbers of all seeds -> name of a check -> whether it holds; the
      first check is the claim itself.
    further: the same for what is tried beside the rule and has no part in the
      verdict, or None.
    measure_many: (seeds, settings) -> one result a seed, or None.
    draw: (numbers of all seeds, folder) -> None; plots besides the usual one.
    digest: SHA-256 of the code that measures.
  """

  slug: str
  paper: str
  methods: tuple[str, ...]
  claim: str
  arm: str
  baseline: str
  metric: str
  higher_is_better: bool
  expected: str
  note: str
  settings: Mapping[str, Mapping[str, Any]]
  seeds: int
  measure: Callable[[int, Mapping[str, Any]], Arms]
  accept: Callable[[Sequence[Arms]], Mapping[str, bool]]
  further: Callable[[Sequence[Arms]], Mapping[str, bool]] | None
  measure_many: Callable[..., Sequence[Arms]] | None
  draw: Callable[[Sequence[Arms], pathlib.Path], None] | None
  digest: str


def folder_name(slug: str) -> str:
  """'ld-dpo' as 'ld_dpo'.

  Raises:
    ConfigError: it is no name of a folder.
  """
  name = slug.strip("/").removeprefix("experiments/").replace("-", "_")
  if not _SLUG.fullmatch(name):
    raise errors.ConfigError(
      f"experiment {slug!r}: a name is made of small letters, digits and '-'"
    )
  return name


def known(root: pathlib.Path) -> list[str]:
  """Slugs of all experiments below a folder, sorted."""
  return sorted(path.parent.name for path in root.glob(f"*/{MODULE}"))


def from_module(slug: str, module: types.ModuleType) -> Experiment:
  """The experiment that a module declares.

  Args:
    slug: name of its folder.
    module: with PAPER, CLAIM, ARM, BASELINE, METRIC, HIGHER_IS_BETTER,
      EXPECTED, SETTINGS, `measure` and `accept`; METHODS, NOTE, SEEDS,
      `measure_many`, `further` and `draw` may be left out.

  Raises:
    ConfigError: something is missing or of another type.
  """

  def refuse(name: str, wanted: str):
    raise errors.ConfigError(f"experiment {slug}: {name} must be {wanted}")

  found: dict[str, Any] = {}
  for name in _WORDS:
    value = getattr(module, name, None)
    if not isinstance(value, str) or not value.strip():
      refuse(name, "some text")
    found[name.lower()] = " ".join(value.split())
  for name in _FUNCTIONS:
    if not callable(getattr(module, name, None)):
      refuse(name, "a function")
    found[name] = getattr(module, name)
  for name in _OPTIONAL:
    found[name] = getattr(module, name, None)
    if found[name] is not None and not callable(found[name]):
      refuse(name, "a function")
  higher = getattr(module, "HIGHER_IS_BETTER", None)
  if not isinstance(higher, bool):
    refuse("HIGHER_IS_BETTER", "True or False")
  settings = getattr(module, "SETTINGS", None)
  if not isinstance(settings, Mapping) or set(settings) != set(SCALES):
    refuse("SETTINGS", "{'quick': {...}, 'full': {...}}")
  seeds = getattr(module, "SEEDS", 5)
  if type(seeds) is not int or seeds < 1:
    refuse("SEEDS", "a whole number of 1 or more")
  return Experiment(
    slug=slug,
    methods=tuple(getattr(module, "METHODS", ())),
    note=" ".join(str(getattr(module, "NOTE", "")).split()),
    higher_is_better=higher,
    settings=settings,
    seeds=seeds,
    digest=code_digest(pathlib.Path(str(module.__file__)).parent),
    **found,
  )


def code_digest(folder: pathlib.Path) -> str:
  """SHA-256 of what the Python files of a folder measure.

  Comments, docstrings, formatting, and what only words or judges finished
  numbers (CLAIM, `accept`, `draw`, ...) leave it as it is.
  """
  hasher = hashlib.sha256()
  for path in sorted(folder.glob("*.py")):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if not _is_words(node)]
    for node in ast.walk(tree):
      _drop_docstring(node)
    hasher.update(path.name.encode() + b"\0" + ast.dump(tree).encode() + b"\0")
  return hasher.hexdigest()


def _is_words(node: ast.stmt) -> bool:
  if isinstance(node, ast.FunctionDef):
    return node.name in _NOT_MEASURED
  targets: list[ast.expr] = []
  if isinstance(node, ast.Assign):
    targets = node.targets
  elif isinstance(node, ast.AnnAssign):
    targets = [node.target]
  names = [t.id for t in targets if isinstance(t, ast.Name)]
  return bool(names) and set(names) <= _NOT_MEASURED


def _drop_docstring(node: ast.AST) -> None:
  body = getattr(node, "body", None)
  if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
    value = body[0].value
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
      node.body = body[1:]  # type: ignore[attr-defined]
