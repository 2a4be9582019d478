# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Flags of the compiler, which it reads from the environment once.

Imports no JAX: whoever sets flags must do so before JAX starts.
"""

import importlib.metadata
import os
from collections.abc import Mapping


def compile_quickly() -> dict[str, str]:
  """Leaves out optimisations that cost more than a short run gains by them."""
  flags = {
    "--xla_backend_optimization_level": "0",
    "--xla_cpu_parallel_codegen_split_count": "1",
  }
  if importlib.metadata.version("jaxlib").startswith("0.10."):
    # Gone since then, and XLA ends a process that asks for what it lacks.
    flags["--xla_cpu_use_fusion_emitters"] = "false"
  return flags


def add(flags: Mapping[str, str]) -> None:
  """Adds flags to the environment's; what is set there stays."""
  given = os.environ.get("XLA_FLAGS", "")
  more = [f"{k}={v}" for k, v in flags.items() if k not in given]
  os.environ["XLA_FLAGS"] = " ".join([given, *more]).strip()
