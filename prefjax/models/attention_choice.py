# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which attention runs: asked for by name, or picked by platform and size."""

import dataclasses

import jax.numpy as jnp

from prefjax.core import checks
from prefjax.kernels import select
from prefjax.models import recompute
from prefjax.models import spread as spread_lib

IMPLEMENTATIONS = ("auto", "xla", "blocked", "splash")

# From here on the scores of a layer are made again in the backward pass.
_MANY_SCORES = 1 << 27  # 512 MiB in float32
# Shorter rows do not fill the kernel's blocks.
_KERNEL_SLOTS = 256


@dataclasses.dataclass(frozen=True)
class Choice:
  """How attention runs.

  Attributes:
    impl: "xla" keeps all scores for the backward pass, "blocked" computes
      them again block by block, "splash" is JAX's kernel for TPUs, which
      never stores one; "auto" picks.
    spread: how rows and heads lie on a mesh, None on one device.
  """

  impl: str = "auto"
  spread: spread_lib.Spread | None = None

  def __post_init__(self):
    checks.one_of("attention", IMPLEMENTATIONS, impl=self.impl)

  @property
  def _platform(self) -> str:
    mesh = None if self.spread is None else self.spread.mesh
    return select.target_device(mesh).platform

  @property
  def interpret(self) -> bool:
    """Whether the TPU kernel has no TPU to run on."""
    return self._platform != "tpu"

  def pick(self, dtype, *, scores: int, slots: int, static: bool) -> str:
    """The name of what runs.

    Args:
      dtype: of queries and keys.
      scores: of a layer, over all devices.
      slots: length of a row.
      static: whether the mask is a constant of the shapes.

    Raises:
      ValueError: "splash" for a mask that is none.
    """
    if self.impl == "splash" and not static:
      raise ValueError(
        "attention: impl='splash' takes no prompt_limit; use 'auto'"
      )
    if self.impl != "auto":
      return self.impl
    # In float32 the kernel would round the scores' operands to bfloat16.
    is_low = jnp.dtype(dtype) == jnp.bfloat16
    fits = static and is_low and slots >= _KERNEL_SLOTS
    if self._platform == "tpu" and fits and not self._is_split:
      name, why = "splash", "platform tpu"
    else:
      ways = 1
      if self.spread is not None:
        ways = self.spread.count((*self.spread.rows, *self.spread.tensor))
      limit = _MANY_SCORES
      if self._platform == "cpu":
        limit = recompute.FEW
      many = scores / ways > limit
      name = "blocked" if many else "xla"
      why = "many scores" if many else f"platform {self._platform}"
    select.log_once(
      select.INFO, f"attention: impl='auto' picked {name!r} ({why})"
    )
    return name

  @property
  def _is_split(self) -> bool:
    """Whether XLA splits the program without our knowing how."""
    if self.spread is not None:
      return False
    return select.may_be_partitioned(select.target_device())
