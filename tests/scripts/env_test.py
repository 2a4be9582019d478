# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The set-up scripts: which Python, when to install, what CI calls."""

import os
import pathlib
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def _bash(script: str, **environment: str) -> subprocess.CompletedProcess:
  clean = {
    k: v
    for k, v in os.environ.items()
    if not k.startswith(("PREFJAX_", "JAX_", "XLA_"))
  }
  return subprocess.run(
    ["bash", "-c", f'source "{_ROOT}/scripts/env.sh"\n{script}'],
    capture_output=True,
    text=True,
    env={**clean, **environment},
    timeout=60,
  )


@pytest.mark.parametrize(
  "path",
  [_ROOT / ".ci" / "run", *sorted((_ROOT / "scripts").rglob("*.sh"))],
  ids=lambda path: path.name,
)
def test_scripts_parse(path):
  done = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
  assert (done.returncode, done.stderr) == (0, "")


def test_what_people_start_can_be_started():
  for name in ("scripts/test.sh", "scripts/quickstart.sh", ".ci/run"):
    assert os.access(_ROOT / name, os.X_OK), name
    assert (_ROOT / name).read_text().startswith("#!/usr/bin/env bash\n")
  assert "bash scripts/test.sh" in (_ROOT / ".ci" / "run").read_text()


def test_the_given_python_is_taken():
  done = _bash("prefjax_python", PREFJAX_PYTHON=sys.executable)
  assert (done.returncode, done.stdout) == (0, f"{sys.executable}\n")


@pytest.mark.parametrize("name", ["/no/such/python", "/bin/false"])
def test_a_python_that_does_not_run(name):
  done = _bash("prefjax_python", PREFJAX_PYTHON=name)
  assert (done.returncode, done.stdout) == (1, "")
  assert "no Python 3.11 to 3.13" in done.stderr and name in done.stderr


def test_installs_only_what_changed(tmp_path):
  """A stand-in for the environment's Python writes down what it is asked."""
  root, venv = tmp_path / "root", tmp_path / "venv"
  (venv / "bin").mkdir(parents=True)
  root.mkdir()
  (root / "setup.cfg").write_text("[metadata]\n")
  (root / "pyproject.toml").write_text("")
  python = venv / "bin" / "python"
  python.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
  python.chmod(0o755)

  def install(extras: str) -> list[str]:
    calls = tmp_path / "calls"
    calls.write_text("")
    done = _bash(
      f'PREFJAX_ROOT="{root}"\nprefjax_install "{extras}"',
      PREFJAX_VENV=str(venv),
    )
    assert (done.returncode, done.stderr) == (0, "")
    return calls.read_text().splitlines()

  (first,) = install("")
  assert first.startswith("-m pip install --quiet")
  assert first.endswith(f"--editable {root}")
  assert install("") == []
  (second,) = install("dev")
  assert second.endswith(f"--editable {root}[dev]")
  assert install("dev") == [] and install("") == []
  (root / "setup.cfg").write_text("[metadata]\nname = x\n")
  assert len(install("")) == 1


def test_a_failed_installation_is_tried_again(tmp_path):
  venv = tmp_path / "venv"
  (venv / "bin").mkdir(parents=True)
  python = venv / "bin" / "python"
  python.write_text("#!/bin/sh\nexit 3\n")
  python.chmod(0o755)
  for _ in range(2):
    done = _bash("prefjax_install dev", PREFJAX_VENV=str(venv))
    assert done.returncode == 1 and "Installing" in done.stdout
  assert not (venv / ".prefjax-installed").exists()


def test_settings_leave_what_is_set():
  script = "prefjax_cpu_settings\necho $JAX_PLATFORMS $XLA_FLAGS"
  assert _bash(script).stdout.split() == [
    "cpu",
    "--xla_cpu_multi_thread_eigen=false",
  ]
  done = _bash(script, JAX_PLATFORMS="tpu", XLA_FLAGS="--a")
  assert done.stdout.split() == ["tpu", "--a"]
