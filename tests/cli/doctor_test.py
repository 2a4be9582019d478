# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax doctor`: finds what is there and what is broken."""

import json
import os

import jax
import jax.numpy as jnp

from prefjax import checkpoint, kernels, losses, version
from prefjax.cli import doctor, main


def test_a_sound_machine(capsys, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert main.main(["doctor", "--json"]) == 0
  report = json.loads(capsys.readouterr().out)
  assert report["ok"] and report["versions"]["prefjax"] == version.__version__
  assert report["versions"]["jax"] == jax.__version__
  assert report["devices"]["backend"] == jax.default_backend()
  assert len(report["devices"]["list"]) == jax.device_count()
  assert report["machine"]["memory_gib"] > 0.1
  assert set(report["checks"]) == {"matmul", "loss", "kernel", "checkpoint"}
  assert all("found" in c for c in report["checks"].values())
  assert os.listdir(tmp_path) == []


def test_text(capsys):
  assert main.main(["doctor", "--noselftest"]) == 0
  out = capsys.readouterr().out
  assert f"prefjax              {version.__version__}" in out
  assert "backend        cpu" in out and out.endswith("All is well.\n")
  assert "Self-test" not in out


def test_each_break_is_found(capsys, monkeypatch):
  true_dpo, true_logps = losses.dpo, kernels.token_logps
  true_matmul, true_digest = jnp.matmul, checkpoint.state_sha256
  count = iter(range(100))

  def wrong_logps(*args, impl, **kwargs):
    found = true_logps(*args, impl=impl, **kwargs)
    return found._replace(logps=found.logps * (1.1 if impl == "chunked" else 1))

  for name, module, attribute, broken in (
    ("loss", losses, "dpo", lambda *a, **k: 2 * true_dpo(*a, **k)),
    ("kernel", kernels, "token_logps", wrong_logps),
    ("matmul", jnp, "matmul", lambda a, b: true_matmul(a, b) + 1),
    (
      "checkpoint",
      checkpoint,
      "state_sha256",
      lambda tree: f"{true_digest(tree)}{next(count)}",
    ),
  ):
    with monkeypatch.context() as patch:
      patch.setattr(module, attribute, broken)
      patch.setattr(doctor, "_CHECKS", {name: doctor._CHECKS[name]})
      assert main.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "FAILED: ValueError: " in out, name
    assert out.endswith("Something is wrong.\n")


def test_a_backend_that_does_not_start(capsys, monkeypatch):
  def no_backend():
    raise RuntimeError("Unable to initialize\nbackend 'tpu'")

  monkeypatch.setattr(jax, "default_backend", no_backend)
  assert main.main(["doctor"]) == 1
  out = capsys.readouterr().out
  assert "Unable to initialize\\nbackend 'tpu'" in " ".join(out.split())


def test_a_missing_package_is_found(capsys, monkeypatch):
  monkeypatch.setattr(doctor, "_NEEDED", (*doctor._NEEDED, "no-such-package"))
  assert main.main(["doctor", "--noselftest"]) == 1
  assert "no-such-package      MISSING" in capsys.readouterr().out
