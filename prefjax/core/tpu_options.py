# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sets of options for the TPU compiler, by generation.

An option goes to the compiler with the program, so nothing has to be in the
environment before JAX starts. What each does is the compiler's own business
and changes with its releases; none of these has been timed on a TPU here, and
so none is on by default. `scripts/compile_tpu.py` shows what one does to
memory and collectives.
"""

import types
from collections.abc import Mapping

# Collectives run beside the products that do not wait for them.
_OVERLAP = {
  "xla_enable_async_all_gather": "true",
  "xla_tpu_enable_async_collective_fusion": "true",
  "xla_tpu_enable_async_collective_fusion_fuse_all_gather": "true",
  "xla_tpu_enable_async_collective_fusion_multiple_steps": "true",
  "xla_tpu_overlap_compute_collective_tc": "true",
}
# Sums of gradients over the axis data, in pieces, as early as they are known.
_DATA_PARALLEL = {
  "xla_tpu_enable_data_parallel_all_reduce_opt": "true",
  "xla_tpu_data_parallel_opt_different_sized_ops": "true",
}


def _vmem(mib: int) -> dict[str, str]:
  """How much of the chip's own fast memory a kernel may take."""
  return {"xla_tpu_scoped_vmem_limit_kib": str(mib * 1024)}


# By the beginning of JAX's name for a device; the longest that fits counts.
_GENERATIONS: Mapping[str, Mapping[str, str]] = types.MappingProxyType(
  {
    "TPU v4": {},
    "TPU v5 lite": _vmem(64),
    "TPU v5": _vmem(64),
    "TPU v6 lite": _vmem(96),
    "TPU7x": _vmem(48),
  }
)
_SETS: Mapping[str, Mapping[str, str]] = types.MappingProxyType(
  {
    "default": {},
    "overlap": _OVERLAP,
    "multi_slice": {**_OVERLAP, **_DATA_PARALLEL},
  }
)

PRESETS = tuple(_SETS)


def preset(name: str, kind: str) -> dict[str, str]:
  """Options of a preset for a device kind, such as "TPU v5 lite".

  Args:
    name: "default" leaves everything to the compiler; "overlap" hides
      collectives behind products; "multi_slice" does, and sums gradients
      between slices early.
    kind: JAX's name for one device; what is no TPU gets nothing.

  Raises:
    KeyError: no preset has that name.
  """
  options = _SETS[name]
  known = [start for start in _GENERATIONS if kind.startswith(start)]
  if not options or not known:
    return {}
  return {**options, **_GENERATIONS[max(known, key=len)]}
