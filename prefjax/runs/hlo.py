# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a compiled program does: products, memory traffic, collectives.

XLA's own cost analysis counts the body of a loop once, however often it
runs, and knows nothing of kernels. This reads the text of the optimised
program instead: every loop counts as often as its condition says, and
kernels what the caller says they take. Numbers are those of one device.
"""

import collections
import dataclasses
import functools
import math
import re
from collections.abc import Callable
from typing import Any

_ITEM_BYTES = {
  "pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "s32": 4, "u32": 4,
  "s64": 8, "u64": 8, "f16": 2, "bf16": 2, "f32": 4, "f64": 8, "c64": 8,
  "s4": 0.5, "u4": 0.5, "f8e4m3fn": 1, "f8e5m2": 1,
}  # fmt: skip
_ARRAY = re.compile(r"\b([a-z]\w*)\[([\d,]*)\](?:\{([^}]*)\})?")
_INSTRUCTION = re.compile(r"^\s*(ROOT )?%([\w.\-]+) = (.*)$")
_OPCODE = re.compile(r" ([a-z][\w\-]*)\(")
_HEAD = re.compile(r"^(ENTRY )?%([\w.\-]+) \(.*\{$")
_NAME = re.compile(r"%([\w.\-]+)")

COLLECTIVES = (
  "all-gather",
  "all-reduce",
  "reduce-scatter",
  "all-to-all",
  "collective-permute",
)
# Moving between memories, or naming parts of values: no traffic of its own.
_FREE = frozenset(
  "parameter constant tuple get-tuple-element bitcast while call conditional"
  " after-all partition-id replica-id iota copy-start copy-done async-start"
  " async-update async-done opt-barrier".split()
)


@dataclasses.dataclass(frozen=True)
class Array:
  """One array of a shape; arrays in a core's own memory cost no traffic."""

  dtype: str
  dims: tuple[int, ...]
  is_local: bool

  @property
  def bytes(self) -> float:
    return math.prod(self.dims) * _ITEM_BYTES.get(self.dtype, 0)


@dataclasses.dataclass(frozen=True)
class Instruction:
  name: str
  arrays: tuple[Array, ...]
  opcode: str
  operands: tuple[str, ...]
  text: str  # everything after the operands
  literal: str  # what stands between the parentheses
  is_root: bool

  @property
  def bytes(self) -> float:
    """Of the result, as far as it lies in main memory."""
    return sum(a.bytes for a in self.arrays if not a.is_local)

  def attribute(self, name: str) -> str | None:
    """The computation that an attribute names."""
    found = re.search(rf"\b{name}=%([\w.\-]+)", self.text)
    return found and found[1]


Computation = dict[str, Instruction]


def _arrays(text: str) -> tuple[Array, ...]:
  return tuple(
    Array(
      dtype,
      tuple(int(d) for d in dims.split(",") if d),
      "S(1)" in (layout or ""),
    )
    for dtype, dims, layout in _ARRAY.findall(text)
  )


def _close(text: str, start: int) -> int:
  """Index of the parenthesis that closes the one before `start`."""
  depth = 1
  for at in range(start, len(text)):
    depth += {"(": 1, ")": -1}.get(text[at], 0)
    if not depth:
      return at
  raise ValueError(f"no closing parenthesis in {text[:80]!r}")


def _instruction(line: str) -> Instruction | None:
  match = _INSTRUCTION.match(line)
  if not match:
    return None
  rest = match[3]
  # A tuple's type is in parentheses, with spaces.
  start = _close(rest, 1) + 1 if rest.startswith("(") else 0
  opcode = _OPCODE.search(rest, start)
  if not opcode:
    return None
  end = _close(rest, opcode.end())
  inside = rest[opcode.end() : end]
  return Instruction(
    match[2],
    _arrays(rest[: opcode.start()]),
    opcode[1],
    tuple(_NAME.findall(inside)),
    rest[end + 1 :],
    inside,
    bool(match[1]),
  )


def parse(text: str) -> tuple[dict[str, Computation], str]:
  """(computations by name, name of the entry) of an HLO module's text.

  Raises:
    ValueError: it has no entry.
  """
  found: dict[str, Computation] = {}
  entry, current = None, None
  for line in text.splitlines():
    if current is None or line.endswith("{"):
      head = _HEAD.match(line)
      if head:
        current = found.setdefault(head[2], {})
        entry = head[2] if head[1] else entry
        continue
    if line.rstrip() == "}":
      current = None  # attributes may have lines of their own, such as "}}"
    elif current is not None:
      instruction = _instruction(line)
      if instruction:
        current[instruction.name] = instruction
  if entry is None:
    raise ValueError("the text is no HLO module: it has no ENTRY")
  return found, entry


@dataclasses.dataclass
class Traffic:
  """Of one kind of collective on one device.

  Attributes:
    count: how often it runs.
    bytes: of the larger of what goes in and what comes out.
    sent: bytes that a device sends with a ring algorithm.
  """

  count: float = 0
  bytes: float = 0
  sent: float = 0


@dataclasses.dataclass
class Cost:
  """What one device does in one run of the program.

  Attributes:
    flops: of matrix products, kernels' included.
    bytes: read from and written to main memory.
    collectives: by kind.
    unknown_loops: loops whose length the text does not tell, counted once.
  """

  flops: float = 0
  bytes: float = 0
  collectives: dict[str, Traffic] = dataclasses.field(
    default_factory=lambda: collections.defaultdict(Traffic)
  )
  unknown_loops: int = 0

  def to_json(self) -> dict[str, Any]:
    return {
      "flops": self.flops,
      "bytes": self.bytes,
      "collectives": {
        kind: dataclasses.asdict(traffic)
        for kind, traffic in sorted(self.collectives.items())
      },
      "unknown_loops": self.unknown_loops,
    }


def _constant(instruction: Instruction | None) -> int | None:
  if instruction is None or instruction.opcode != "constant":
    return None
  number = re.fullmatch(r"-?\d+", instruction.literal)
  return int(number[0]) if number else None


def _steps(text: str) -> int | None:
  """A trip count that the compiler wrote down."""
  found = re.search(r'known_trip_count"?:\{"n":"(\d+)"', text)
  return int(found[1]) if found else None


class _Walker:
  """Adds up the costs of computations."""

  def __init__(self, computations: dict[str, Computation], kernel_flops):
    self._all = computations
    self._kernel_flops = kernel_flops
    self.cost = Cost()

  def walk(self, name: str, times: float, seen: set[str], fused: bool = False):
    """Adds a computation that runs `times` times.

    Args:
      name: of the computation.
      times: how often.
      seen: channels of collectives that count already: one that the
        compiler spread over several fusions is one.
      fused: whether it is the inside of a fusion, without own traffic.
    """
    own = self._all[name]
    for instruction in own.values():
      self._add(own, instruction, times, seen, fused)

  def _add(self, own, instruction, times, seen, fused):
    opcode = instruction.opcode
    if opcode == "while":
      steps = self._loop(own, instruction)
      body = instruction.attribute("body")
      self.walk(body, times * steps, set())
      return
    base = opcode.removesuffix("-start")
    if base in COLLECTIVES:
      self._collective(own, instruction, base, times, seen)
    if opcode in ("dot", "convolution"):
      count = _dot_flops if opcode == "dot" else _convolution_flops
      self.cost.flops += times * count(own, instruction)
    elif opcode == "custom-call":
      shapes = [own[o].arrays for o in instruction.operands if o in own]
      self.cost.flops += times * self._kernel_flops(instruction, shapes)
    elif opcode == "conditional":
      for branch in re.findall(r"%([\w.\-]+)", _branches(instruction.text)):
        self.walk(branch, times, seen)  # the dearest is not known: all
    called = instruction.attribute("calls") or (
      instruction.attribute("to_apply") if opcode == "call" else None
    )
    if called and called in self._all:
      self.walk(called, times, seen, fused=fused or opcode == "fusion")
    if not fused and opcode not in _FREE:
      self.cost.bytes += times * self._traffic(own, instruction, called)

  def _loop(self, own, instruction) -> int:
    steps = _steps(instruction.text)
    if steps is None:
      steps = self._condition_steps(own, instruction)
    if steps is None:
      self.cost.unknown_loops += 1
      return 1
    return steps

  def _condition_steps(self, own, instruction) -> int | None:
    """From a condition `counter < constant` and a body `counter + step`."""
    condition = self._all.get(instruction.attribute("condition"), {})
    compare = [i for i in condition.values() if i.opcode == "compare"]
    if len(compare) != 1 or "direction=LT" not in compare[0].text:
      return None
    left, right = (condition.get(o) for o in compare[0].operands)
    bound = _constant(right)
    if bound is None or left is None or left.opcode != "get-tuple-element":
      return None
    index = int(re.search(r"index=(\d+)", left.text)[1])
    start = self._initial(own, instruction, index)
    return max(-(-(bound - start) // self._stride(instruction, index)), 0)

  def _initial(self, own, instruction, index: int) -> int:
    inputs = own.get(instruction.operands[0])
    if inputs is None or inputs.opcode != "tuple":
      return 0
    value = own.get(inputs.operands[index])
    while value is not None and value.opcode in ("copy", "bitcast"):
      value = own.get(value.operands[0])
    return _constant(value) or 0

  def _stride(self, instruction, index: int) -> int:
    body = self._all.get(instruction.attribute("body"), {})
    roots = [i for i in body.values() if i.is_root and i.opcode == "tuple"]
    if not roots:
      return 1
    update = body.get(roots[0].operands[index])
    if update is None or update.opcode != "add":
      return 1
    parts = [_constant(body.get(o)) for o in update.operands]
    return next((p for p in parts if p), 1)

  def _collective(self, own, instruction, kind, times, seen):
    channel = re.search(r"channel_id=(\d+)", instruction.text)
    if channel and kind != "collective-permute":
      if channel[1] in seen:
        return
      seen.add(channel[1])
    arrays = instruction.arrays
    if kind == "collective-permute" and len(arrays) > 1:
      arrays = arrays[1:2]  # a started one lists its input and two counters
    out = sum(a.bytes for a in arrays)
    given = sum(
      a.bytes for o in instruction.operands if o in own for a in own[o].arrays
    )
    if kind == "all-gather" and instruction.opcode.endswith("-start"):
      out -= given
    n = max(_group_size(instruction.text), 1)
    whole = max(out, given) if kind == "reduce-scatter" else out
    share = {"all-reduce": 2 * (n - 1) / n, "collective-permute": 1.0}
    traffic = self.cost.collectives[kind]
    traffic.count += times
    traffic.bytes += times * whole
    traffic.sent += times * whole * share.get(kind, (n - 1) / n)

  def _traffic(self, own, instruction, called) -> float:
    """Main memory read and written by one instruction."""
    opcode = instruction.opcode
    operands = [own[o] for o in instruction.operands if o in own]
    if opcode in ("dynamic-slice", "gather"):
      return 2 * instruction.bytes
    if opcode == "dynamic-update-slice":
      return 2 * operands[1].bytes if len(operands) > 1 else 0.0
    if opcode == "fusion" and called in self._all:
      return self._fusion_traffic(instruction, operands, self._all[called])
    return instruction.bytes + sum(o.bytes for o in operands)

  def _fusion_traffic(self, instruction, operands, inside) -> float:
    """A fusion that only slices an operand does not read all of it."""
    total = 0.0
    for operand, parameter in zip(operands, _parameters(inside), strict=False):
      users = [i for i in inside.values() if parameter.name in i.operands]
      if users and all(_is_slice(u, parameter.name) for u in users):
        is_here = any(not a.is_local for a in operand.arrays)
        total += is_here * sum(a.bytes for u in users for a in u.arrays)
      elif _is_updated(users, parameter.name):
        continue
      else:
        total += operand.bytes
    root = next((i for i in inside.values() if i.is_root), None)
    while root is not None and root.opcode in ("bitcast", "copy", "convert"):
      root = inside.get(root.operands[0])
    if root is not None and root.opcode == "dynamic-update-slice":
      update = inside.get(root.operands[1])
      return total + (sum(a.bytes for a in update.arrays) if update else 0)
    return total + instruction.bytes


def _is_slice(user: Instruction, name: str) -> bool:
  """Whether an instruction reads a part of an array and nothing else."""
  is_slice = user.opcode in ("dynamic-slice", "gather")
  return is_slice and user.operands[0] == name


def _is_updated(users, name: str) -> bool:
  """Whether an array is only written to, in place."""
  return bool(users) and all(
    u.opcode == "dynamic-update-slice" and u.operands[0] == name for u in users
  )


def _parameters(inside: Computation) -> list[Instruction]:
  found = [i for i in inside.values() if i.opcode == "parameter"]
  return sorted(found, key=lambda i: int(i.literal))


def _branches(text: str) -> str:
  found = re.search(r"branch_computations=\{([^}]*)\}", text)
  if found:
    return found[1]
  return " ".join(re.findall(r"(?:true|false)_computation=(%[\w.\-]+)", text))


def _group_size(text: str) -> int:
  """How many devices take part, in any of the ways that it is written."""
  mesh = re.search(r"replica_groups=mesh\[([^\]]*)\] ?\{([^}]*)\}", text)
  if mesh:
    sizes = dict(re.findall(r"'([^']+)'=(\d+)", mesh[1]))
    return math.prod(int(sizes[a]) for a in re.findall(r"'([^']+)'", mesh[2]))
  iota = re.search(r"replica_groups=\[(\d+),(\d+)\]", text)
  if iota:
    return int(iota[2])
  groups = re.search(r"replica_groups=\{\{([\d,]*)\}", text)
  return len(groups[1].split(",")) if groups else 1


def _numbers(text: str, name: str) -> list[int]:
  found = re.search(rf"\b{name}=\{{([\d,]*)\}}", text)
  return [int(d) for d in found[1].split(",") if d] if found else []


def _dot_flops(own: Computation, instruction: Instruction) -> float:
  left = own[instruction.operands[0]].arrays[0]
  inner = math.prod(
    left.dims[d] for d in _numbers(instruction.text, "lhs_contracting_dims")
  )
  return 2.0 * math.prod(instruction.arrays[0].dims) * inner


def _convolution_flops(own: Computation, instruction: Instruction) -> float:
  """TPUs write matrix products so, batches of them as a spatial axis."""
  labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", instruction.text)
  left, right = (own[o].arrays[0].dims for o in instruction.operands[:2])
  out = instruction.arrays[0].dims
  flops = 2.0
  window = re.search(r"window=\{([^}]*)\}", instruction.text)
  options = dict(p.split("=") for p in window[1].split()) if window else {}
  for label, size in zip(labels[3], out, strict=True):
    if not label.isdigit():
      flops *= size
  for label, size in zip(labels[2], right, strict=True):
    if label == "i":
      flops *= size
    elif label.isdigit():
      axis = int(label)
      flops *= _valid_positions(
        left[labels[1].index(label)],
        size,
        out[labels[3].index(label)],
        {k: v.split("x")[axis] for k, v in options.items()},
      )
  groups = re.search(r"batch_group_count=(\d+)", instruction.text)
  return flops / (int(groups[1]) if groups else 1)


def _valid_positions(size: int, kernel: int, out: int, options) -> int:
  """Pairs (output, kernel) that meet an element of the input, one axis."""
  stride = int(options.get("stride", 1))
  low = int(options.get("pad", "0_0").split("_")[0])
  left = int(options.get("lhs_dilate", 1))
  right = int(options.get("rhs_dilate", 1))
  return _count_positions(size, kernel, out, stride, low, left, right)


@functools.lru_cache(maxsize=4096)
def _count_positions(size, kernel, out, stride, low, left, right) -> int:
  count = 0
  for o in range(out):
    for k in range(kernel):
      at = o * stride - low + k * right
      count += at % left == 0 and 0 <= at // left < size
  return count


KernelFlops = Callable[[Instruction, list[tuple[Array, ...]]], float]


def _no_kernels(instruction, shapes) -> float:
  del instruction, shapes
  return 0.0


def analyse(text: str, kernel_flops: KernelFlops = _no_kernels) -> Cost:
  """What one device does when it runs a compiled program.

  Args:
    text: of `compiled.as_text()`.
    kernel_flops: (a custom call, arrays of each operand) -> its products'
      floating-point operations.

  Raises:
    ValueError: the text is no HLO module.
  """
  computations, entry = parse(text)
  walker = _Walker(computations, kernel_flops)
  walker.walk(entry, 1, set())
  return walker.cost
