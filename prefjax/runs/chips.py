# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What accelerators can do, by JAX's name for one device of theirs.

Published peaks of Google's TPU documentation; links are all that leave a
chip, summed. A TPU7x chip is two devices. Nothing here is measured.
"""

import dataclasses
from typing import Any

GIB = 1 << 30


@dataclasses.dataclass(frozen=True)
class Chip:
  """One device.

  Attributes:
    memory: bytes of main memory.
    flops: bfloat16 products a second.
    bandwidth: bytes a second of main memory.
    links: bytes a second to other devices.
  """

  memory: float
  flops: float
  bandwidth: float
  links: float


CHIPS = {
  "TPU v4": Chip(32 * GIB, 275e12, 1228e9, 300e9),
  "TPU v5 lite": Chip(16 * GIB, 197e12, 819e9, 200e9),
  "TPU v5": Chip(95 * GIB, 459e12, 2765e9, 600e9),
  "TPU v6 lite": Chip(32 * GIB, 918e12, 1640e9, 448e9),
  "TPU7x": Chip(96 * GIB, 1153e12, 3690e9, 600e9),
}


def chip(device: Any) -> Chip | None:
  """The row of a device, None where the table has none."""
  known = [kind for kind in CHIPS if device.device_kind.startswith(kind)]
  return CHIPS[max(known, key=len)] if known else None


@dataclasses.dataclass(frozen=True)
class Roofline:
  """Least seconds of a step by what bounds it, nothing overlapping."""

  products: float
  memory: float
  links: float

  @property
  def overlapped(self) -> float:
    """Seconds if everything else hides behind the slowest."""
    return max(self.products, self.memory, self.links)

  @property
  def serial(self) -> float:
    """Seconds if nothing hides."""
    return self.products + self.memory + self.links


def roofline(spec: Chip, flops: float, moved: float, sent: float) -> Roofline:
  """From what one device does in a step: FLOPs, bytes moved, bytes sent."""
  return Roofline(flops / spec.flops, moved / spec.bandwidth, sent / spec.links)
