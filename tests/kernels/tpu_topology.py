# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""TPUs that are not there: the compiler alone is enough to compile for one."""

import importlib.util
import os

import pytest
from jax.experimental import topologies

TOPOLOGIES = {
  "v4": "v4:2x2x1",
  "v5e": "v5e:2x2",
  "v5p": "v5p:2x2x1",
  "v6e": "v6e:2x2",
  "tpu7x": "tpu7x:2x2x1",
}


def devices(name: str):
  """Devices of a generation's smallest slice; skips without the compiler."""
  if importlib.util.find_spec("libtpu") is None:
    pytest.skip(
      "libtpu, the TPU compiler, is not installed (pip install 'jax[tpu]')"
    )
  # Or the compiler asks the network what machine this is.
  os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
  os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
  # Compiling holds no chip, so test processes need not wait for each other.
  os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
  return topologies.get_topology_desc(
    platform="tpu", topology_name=TOPOLOGIES[name]
  ).devices
