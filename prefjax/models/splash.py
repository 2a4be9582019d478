# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Attention within rows by JAX's block-sparse kernel for TPUs.

The kernel is told at compile time which query may see which key, and skips
blocks in which nobody sees anybody: of a row with a prompt and K responses
it computes P^2 / 2 + K R (P + R / 2) scores and stores none. Pads are told
apart by segment ids, so they see one another and nothing else.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from prefjax.models import spread as spread_lib

LANES = 128
_BLOCKS = (512, 384, 256, 128)  # rows a block, the first that divides


def slots(length: int) -> int:
  """The kernel's row length for so many slots."""
  return -(-length // LANES) * LANES


@functools.lru_cache(maxsize=32)
def shared_mask(p: int, k: int, r: int, window: int | None) -> np.ndarray:
  """Who sees whom in [prompt | response 1 | .. | response K]: bool [T, T].

  T is P + K R, rounded up to what the kernel takes; the slots that this adds
  see themselves. The differences of positions that a window looks at are
  those of slots on a path.
  """
  t = p + k * r
  slot = np.arange(t)
  branch = np.where(slot < p, -1, (slot - p) // r)  # -1: the prompt
  place = np.where(slot < p, slot, p + (slot - p) % r)
  own = branch[:, None] == branch[None]
  seen = (own | (branch[None] == -1)) & (slot[None] <= slot[:, None])
  if window is not None:
    seen &= place[:, None] - place[None] < window
  return _padded(seen)


@functools.lru_cache(maxsize=32)
def causal_mask(length: int, window: int | None) -> np.ndarray:
  """The same for plain rows."""
  slot = np.arange(length)
  distance = slot[:, None] - slot[None]
  seen = distance >= 0
  if window is not None:
    seen &= distance < window
  return _padded(seen)


def _padded(seen: np.ndarray) -> np.ndarray:
  t = seen.shape[0]
  whole = np.eye(slots(t), dtype=bool)
  whole[:t, :t] = seen
  whole.setflags(write=False)
  return whole


def _kernel(mask: np.ndarray, heads: int, softcap, interpret: bool):
  """A function of q [H, T, h], k [G, T, h], v [G, T, h], valid [T]."""
  from jax.experimental.pallas.ops.tpu import splash_attention as splash

  block = next(b for b in _BLOCKS if mask.shape[0] % b == 0)
  one = splash.NumpyMask(mask)
  kernel = splash.make_splash_mha(
    mask=splash.MultiHeadMask([one] * heads),
    head_shards=1,
    q_seq_shards=1,
    block_sizes=splash.BlockSizes(*[block] * 8),
    attn_logits_soft_cap=softcap,
    interpret=interpret,
  )

  def run(q, k, v, valid):
    ids = valid.astype(jnp.int32)
    return kernel(q, k, v, segment_ids=splash.SegmentIds(ids, ids))

  return run


def attend(
  q: jax.Array,
  k: jax.Array,
  v: jax.Array,
  valid: jax.Array,
  mask: np.ndarray,
  *,
  scale: float,
  softcap: float | None = None,
  spread: spread_lib.Spread | None = None,
  interpret: bool = False,
) -> jax.Array:
  """softmax(scale q . k, capped) . v of rows under a static mask.

  Args:
    q: [N, T, H, h].
    k: [N, T, G, h]; G divides H.
    v: like k.
    valid: bool [N, T], real tokens; the others see only one another.
    mask: bool [S, S], S = slots(T).
    scale: multiplies the scores.
    softcap: cap * tanh(score / cap), or None.
    spread: how rows and heads lie on a mesh, None on one device.
    interpret: run without a TPU, slowly.

  Returns:
    [N, T, H, h]; at pads finite and meaningless.
  """
  n, t, heads, size = q.shape
  more, wide = mask.shape[0] - t, -size % LANES if size > LANES else 0
  # The kernel has no scale of its own.
  q = (q.astype(jnp.float32) * scale).astype(q.dtype)

  def pad(a):
    return jnp.pad(a, ((0, 0), (0, more), (0, 0), (0, wide)))

  def local(q, k, v, valid):
    run = _kernel(mask, q.shape[2], softcap, interpret)
    flip = functools.partial(jnp.swapaxes, axis1=1, axis2=2)
    return flip(jax.vmap(run)(flip(q), flip(k), flip(v), valid))

  args = (pad(q), pad(k), pad(v), jnp.pad(valid, ((0, 0), (0, more))))
  if spread is not None:
    ways = spread.count(spread.rows)
    rows = spread.rows if n % ways == 0 else ()
    cut = spread.heads(k.shape[2])
    if not cut and spread.heads(heads):
      # More devices than key heads: each device has a key for each query.
      cut, copies = spread.heads(heads), heads // k.shape[2]
      args = (args[0], *(jnp.repeat(a, copies, 2) for a in args[1:3]), args[3])
    whole = PartitionSpec(rows or None, None, cut or None, None)
    local = jax.shard_map(
      local,
      mesh=spread.mesh,
      in_specs=(whole, whole, whole, PartitionSpec(rows or None, None)),
      out_specs=whole,
      check_vma=False,
    )
  out = local(*args)
  return out[:, :t, :, :size]
