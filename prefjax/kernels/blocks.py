# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Block sizes of the TPU kernels, by generation, kernel and hidden size.

A block of hidden states [rows, D] and one of the head [D, vocab] lie in
vector memory whole, so the hidden size decides how long the two can be. One
of the two stays while the other streams by: the hidden states in the
forward and dx kernels, the head in the dw kernel. Each streamed byte is used
once for each entry of the block that stays (twice in the backward kernels),
so only that block must be long for the matrix units to be what limits; the
streamed one is kept short, and with it the unrolled program.
"""

import dataclasses

_MIB = 1 << 20
LANES = 128


@dataclasses.dataclass(frozen=True)
class Generation:
  """What the table knows of a TPU generation.

  Attributes:
    vmem: bytes of vector memory a core that a kernel may take.
    forward, dx, dw: (rows, vocabulary ids) a block of each kernel, where
      they fit.
  """

  vmem: int
  forward: tuple[int, int] = (512, 256)
  dx: tuple[int, int] = (512, 256)
  dw: tuple[int, int] = (256, 512)


# A core's vector memory (16, 128, 64, 128 and 64 MiB) less some for the
# program around the kernel. A v6e needs 560 FLOP for each byte from HBM,
# the others 170 to 320. Names are those of `jax.Device.device_kind`.
GENERATIONS = {
  "TPU v4": Generation(31 * _MIB // 2),
  "TPU v5 lite": Generation(100 * _MIB),
  "TPU v5": Generation(56 * _MIB),
  "TPU v6 lite": Generation(100 * _MIB, forward=(1024, 256)),
  "TPU7x": Generation(56 * _MIB),
}

# Kinds that the table does not know take the least.
FALLBACK = GENERATIONS["TPU v4"]

# float32 products take six passes each, so short blocks keep the matrix
# units busy, and longer ones take the compiler minutes.
_FLOAT32 = 256


@dataclasses.dataclass(frozen=True)
class Blocks:
  """Rows and vocabulary ids a block."""

  rows: int
  vocab: int


def generation(kind: str | None) -> Generation:
  """The table's row for a device kind; the longest known prefix wins."""
  known = [k for k in GENERATIONS if (kind or "").startswith(k)]
  return GENERATIONS[max(known, key=len)] if known else FALLBACK


def _aligned(size: int) -> int:
  return -(-size // LANES) * LANES


def bytes_needed(
  step: str,
  rows: int,
  vocab: int,
  hidden: int,
  x_bytes: int,
  w_bytes: int,
  out_bytes: int | None = None,
) -> int:
  """Vector memory of one kernel; the compiler's own figure is not above it.

  Args:
    step: "forward", "dx" or "dw".
    rows: rows a block.
    vocab: ids a block.
    hidden: D.
    x_bytes, w_bytes: bytes an element of hidden states and head.
    out_bytes: bytes an element of a gradient, None for that of its input.
  """
  x, w = rows * _aligned(hidden), _aligned(hidden) * vocab
  stays, streams = (w, x) if step == "dw" else (x, w)
  stays_bytes, streams_bytes = (
    (w_bytes, x_bytes) if step == "dw" else (x_bytes, w_bytes)
  )
  total = stays * stays_bytes + 2 * streams * streams_bytes
  if 4 in (x_bytes, w_bytes):
    # The compiler keeps the bfloat16 parts of float32 operands beside them.
    total += 7 * (x + w)
  if step != "forward":
    # Accumulator, output, and a masked copy of what streams.
    total += stays * (4 + (out_bytes or stays_bytes))
    total += streams * streams_bytes
  total += 6 * 4 * rows * vocab
  # A column [rows, 1] takes a lane in 128.
  return total + 12 * 4 * rows * LANES


def pick(
  step: str,
  hidden: int,
  x_bytes: int,
  w_bytes: int,
  rows: int,
  vocab: int,
  kind: str | None = None,
  block_rows: int | None = None,
  block_vocab: int | None = None,
  out_bytes: int | None = None,
) -> Blocks:
  """Blocks that fit the vector memory of a device kind.

  Args:
    step: "forward", "dx" or "dw".
    hidden: D.
    x_bytes, w_bytes: bytes an element of hidden states and head.
    rows: N.
    vocab: V.
    kind: device kind, None for the least.
    block_rows, block_vocab: asked for by the caller, kept as they are.
    out_bytes: bytes an element of a gradient, None for that of its input.

  Raises:
    ValueError: not even the smallest blocks fit.
  """
  table = generation(kind)
  sizes = dict(zip(("rows", "vocab"), getattr(table, step), strict=True))
  if 4 in (x_bytes, w_bytes):
    sizes = {axis: min(size, _FLOAT32) for axis, size in sizes.items()}
  asked = {"rows": block_rows, "vocab": block_vocab}
  for axis, total in (("rows", rows), ("vocab", vocab)):
    sizes[axis] = min(asked[axis] or sizes[axis], _aligned(total))
  # What streams by is shortened first.
  order = ("rows", "vocab") if step == "dw" else ("vocab", "rows")
  while True:
    need = bytes_needed(
      step, *sizes.values(), hidden, x_bytes, w_bytes, out_bytes
    )
    if need <= table.vmem:
      return Blocks(**sizes)
    for axis in order:
      if asked[axis] is None and sizes[axis] > LANES:
        sizes[axis] = _aligned(sizes[axis] // 2)
        break
    else:
      raise ValueError(
        f"impl='pallas_tpu': blocks of {sizes['rows']} rows and"
        f" {sizes['vocab']} ids of hidden size {hidden} need"
        f" {need / _MIB:.0f} MiB of vector memory, {kind or 'a TPU v4'} has"
        f" {table.vmem / _MIB:.0f}; use impl='chunked'"
      )
