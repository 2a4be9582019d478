# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which implementation runs: asked for by name, or picked by platform."""

import concurrent.futures
import functools
import importlib
import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from prefjax.core import errors
from prefjax.kernels import (
  chunked,
  reference,
  sharded,
  vjp,
  vocab_chunked,
)
from prefjax.kernels import problem as problem_lib

INFO, WARNING = logging.INFO, logging.WARNING
_LOGGER = logging.getLogger("prefjax.kernels")
_SEEN: set[str] = set()

IMPLEMENTATIONS = (
  "auto",
  "reference",
  "chunked",
  "pallas_tpu",
  "pallas_gpu",
)

# name -> the platform it is for. Each is a module beside this one, imported
# where it is used: that takes half a second, and a JAX may lack one of them.
_PALLAS = {"pallas_tpu": "tpu", "pallas_gpu": "gpu"}

# What "auto" takes by platform; everything else takes "chunked". So do GPUs,
# where nobody has measured yet that their kernel is the faster one.
_BY_PLATFORM = {"tpu": "pallas_tpu"}

# Up to this many logits (4 MiB in float32) a scan costs more than it saves.
_TINY = 1 << 20


def log_once(level: int, message: str) -> None:
  """Logs a message the first time it comes up in this process."""
  if message not in _SEEN:
    _SEEN.add(message)
    _LOGGER.log(level, message)


def target_device(mesh: Any = None) -> Any:
  """A device of the kind that the program is for.

  Args:
    mesh: the mesh it runs on, None for the default device. The devices of a
      mesh need not be attached: they may come from a topology description.
  """
  if mesh is not None:
    return mesh.devices.flat[0]
  device = jax.config.jax_default_device
  if device is None or isinstance(device, str):
    return jax.local_devices(backend=device)[0]
  return device


def pick(
  function: str,
  impl: str,
  rows: int,
  vocab: int,
  choices: tuple[str, ...] = IMPLEMENTATIONS,
  platform: str | None = None,
) -> str:
  """The name of the implementation to run.

  Args:
    function: caller, for messages.
    impl: a name or "auto".
    rows: N.
    vocab: V.
    choices: the names this function knows.
    platform: what it runs on, None for the default device's.

  Raises:
    ValueError: unknown name; lists the known ones.
  """
  if impl not in choices:
    raise ValueError(
      f"{function}: impl={impl!r} is not one of"
      f" {', '.join(choices)}{errors.nearest(impl, choices)}"
    )
  if impl != "auto":
    return impl
  if rows * vocab <= _TINY:
    name, why = "reference", "few logits"
  else:
    platform = platform or target_device().platform
    name, why = _BY_PLATFORM.get(platform, "chunked"), f"platform {platform}"
    name = name if name in choices else "chunked"
  log_once(INFO, f"{function}: impl='auto' picked {name!r} ({why})")
  return name


def _blocks(function, is_reference, block_rows, block_vocab) -> dict[str, Any]:
  """The block sizes as keywords.

  Raises:
    ValueError: not positive, or given to the reference.
  """
  blocks = {"block_rows": block_rows, "block_vocab": block_vocab}
  for key, value in blocks.items():
    if value is None:
      continue
    if not isinstance(value, int) or value < 1:
      raise ValueError(f"{function}: {key}={value!r} is not a positive int")
    if is_reference:
      raise ValueError(
        f"{function}: {key} does nothing with impl='reference'; leave it out"
      )
  return blocks


@functools.lru_cache(maxsize=256)
def _compiler_says(plan, device, shapes) -> str | None:
  """What the compiler has against a kernel's three passes, or None."""
  sharding = jax.sharding.SingleDeviceSharding(device)
  arrays = [
    None if s is None else jax.ShapeDtypeStruct(*s, sharding=sharding)
    for s in shapes
  ]

  def passes(x, weight, bias, targets):
    needs = vjp.Needs(True, True, bias is not None)
    top, log_sum, target, entropy = plan.stats(x, weight, bias, targets)
    e = entropy if plan.problem.entropy else None
    return plan.gradients(
      needs,
      x,
      weight,
      bias,
      targets,
      (top, log_sum, entropy),
      (target, target, e),
    )

  def compile_it():
    jax.jit(passes).lower(*arrays).compile()

  try:
    # A thread of its own, because the caller may be tracing, with a mesh set.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
      pool.submit(compile_it).result()
  except Exception as error:  # whatever it is, another implementation serves
    return f"{type(error).__name__}: {str(error).splitlines()[0]}"
  return None


def may_be_partitioned(device) -> bool:
  """Whether the program may be split over devices behind our back.

  Not where there is one device, nor inside a shard_map.
  """
  if device.platform != jax.default_backend() or jax.device_count() == 1:
    return False
  mesh = jax.sharding.get_abstract_mesh()
  return mesh.empty or set(mesh.manual_axes) != set(mesh.axis_names)


def _pallas(
  name, problem, x, weight, bias, options, device, is_auto, is_sharded
):
  """The plan of the kernels "pallas_tpu" or "pallas_gpu".

  Raises:
    ValueError: they cannot serve; with `is_auto`, also what the compiler
      has against them.
  """
  try:
    module = importlib.import_module(f"prefjax.kernels.{name}")
  except ImportError as error:
    raise ValueError(
      f"impl={name!r}: this JAX does not have it ({error}); use impl='chunked'"
    ) from error
  if is_auto and not is_sharded and may_be_partitioned(device):
    raise ValueError(
      f"{jax.device_count()} devices, and no compiler splits a kernel over"
      " them; say with sharding= how hidden states and head lie"
    )
  is_there = device.platform == _PALLAS[name]
  if name == "pallas_tpu":
    options = {**options, "kind": device.device_kind if is_there else None}
  plan = module.make_plan(problem, x, weight, interpret=not is_there, **options)
  if is_auto:
    shapes = (x, weight, bias, jax.ShapeDtypeStruct(x.shape[:1], jnp.int32))
    said = _compiler_says(
      plan,
      device,
      tuple(None if s is None else (s.shape, s.dtype) for s in shapes),
    )
    if said:
      raise ValueError(said)
  elif not is_there:
    log_once(
      WARNING,
      f"token_logps: impl={name!r} is interpreted, slowly, on platform"
      f" {device.platform}",
    )
  return plan


def token_plan(
  function: str,
  impl: str,
  problem: problem_lib.Problem,
  x,
  weight,
  bias,
  *,
  block_rows: int | None = None,
  block_vocab: int | None = None,
  sharding: sharded.Sharding | None = None,
  wide: bool = False,
) -> vjp.Plan | None:
  """How to compute token log-probs; None for the reference.

  Args:
    function: caller, for messages.
    impl: a name or "auto", which never fails for lack of an implementation.
    problem: static options.
    x, weight, bias: arrays; bias may be None.
    block_rows, block_vocab: sizes of tiles, None for the tables.
    sharding: where x and weight lie on a mesh, or None.
    wide: gradients are not to be rounded to the dtypes of x and weight.

  Raises:
    ValueError: unknown name, or block sizes or inputs that it cannot use.
  """
  shapes = (x, weight)
  if sharding is not None:
    if impl == "reference":
      raise ValueError(
        f"{function}: sharding does nothing with impl='reference'; leave it out"
      )
    sharding, dropped = sharded.fitting(sharding, problem, weight)
    for words in dropped:
      log_once(INFO, f"{function}: {words}")
    shapes = sharded.local_shapes(sharding, problem, x, weight)
  rows, vocab = shapes[0].shape[0], problem.vocab_of(shapes[1])
  if bias is not None:
    bias = jax.ShapeDtypeStruct((vocab,), bias.dtype)
  device = target_device(sharding and sharding.mesh)
  name = pick(function, impl, rows, vocab, platform=device.platform)
  blocks = _blocks(function, impl == "reference", block_rows, block_vocab)
  if name == "reference" and sharding is None:
    return None
  plan = None
  if name in _PALLAS:
    is_auto, is_sharded = impl == "auto", sharding is not None
    options = {**blocks, "wide": wide or is_sharded}
    try:
      plan = _pallas(
        name, problem, *shapes, bias, options, device, is_auto, is_sharded
      )
    except ValueError as error:
      if not is_auto:
        raise
      log_once(
        WARNING,
        f"{function}: impl='auto' fell back from {name!r} to 'chunked':"
        f" {error}",
      )
  plan = plan or chunked.make_plan(problem, rows, vocab, **blocks)
  if sharding is None:
    return plan
  return sharded.Plan(plan, sharding, sharded.pieces(sharding, problem, weight))


def vocab_totals(
  function: str,
  impl: str,
  rows: int,
  vocab: int,
  block_rows: int | None,
  block_vocab: int | None,
) -> Callable[..., Any]:
  """The implementation of `vocab_sum`, bound to its block sizes.

  Raises:
    ValueError: unknown name, or block sizes that it cannot use.
  """
  name = pick(function, impl, rows, vocab, ("auto", "reference", "chunked"))
  blocks = _blocks(function, impl == "reference", block_rows, block_vocab)
  if name == "reference":
    return reference.vocab_totals
  return functools.partial(vocab_chunked.vocab_totals, **blocks)
