# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The language-model head: how a model hands its last matrix to a kernel.

The kernels never want logits, so a model returns final hidden states and a
`Head`. Tied embeddings are passed as stored, with `transposed=True`: no
copy of the embedding matrix is made on the way.
"""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from prefjax.core import pytrees


@functools.partial(pytrees.register, static=("softcap", "transposed", "dtype"))
@dataclasses.dataclass(frozen=True)
class Head:
  """A projection from hidden states to vocabulary logits.

  `logits = softcap * tanh((hidden @ W + bias) / softcap)`, without the tanh
  where `softcap` is None. A pytree: weight and bias are leaves, the others
  are static.

  Attributes:
    weight: [D, V], or [V, D] with `transposed=True` (tied embeddings).
    bias: [V] or None.
    softcap: final logit soft cap (Gemma 2: 30.0) or None.
    transposed: whether `weight` is stored [V, D].
    dtype: what the matrix is rounded to before it is multiplied, or None.
      Its gradient is not rounded, which casting it outside would do.
  """

  weight: Any
  bias: Any = None
  softcap: float | None = None
  transposed: bool = False
  dtype: Any = None

  @property
  def rounds_to(self) -> Any:
    """The dtype that the matrix is rounded to, None where it stays."""
    if self.dtype is None or self.dtype == self.weight.dtype:
      return None
    return np.dtype(self.dtype)

  @property
  def vocab_size(self) -> int:
    return self.weight.shape[0 if self.transposed else 1]

  @property
  def hidden_size(self) -> int:
    return self.weight.shape[1 if self.transposed else 0]

  def slice(self, start, size: int) -> "Head":
    """The head of vocabulary ids `start .. start + size - 1`.

    Args:
      start: first id; a Python int or a traced integer. As in
        `jax.lax.dynamic_slice`, a start past V - size is moved back to it.
      size: number of ids, static.
    """
    axis = 0 if self.transposed else 1
    weight = jax.lax.dynamic_slice_in_dim(self.weight, start, size, axis)
    bias = self.bias
    if bias is not None:
      bias = jax.lax.dynamic_slice_in_dim(bias, start, size, 0)
    return dataclasses.replace(self, weight=weight, bias=bias)


def as_head(
  function: str,
  head: Any,
  *,
  softcap: float | None = None,
  bias: Any = None,
  transposed: bool = False,
) -> Head:
  """A `Head` from a `Head` or a bare matrix and the caller's keywords.

  Raises:
    ValueError: a keyword repeats what the `Head` already says, or a shape or
      the soft cap makes no sense.
  """
  if isinstance(head, Head):
    given = {"softcap": softcap, "bias": bias, "transposed": transposed or None}
    for name, value in given.items():
      if value is not None:
        raise ValueError(
          f"{function}: {name} is given twice, set it in the Head only"
        )
  else:
    head = Head(head, bias, softcap, transposed)
  if head.weight.ndim != 2:
    raise ValueError(
      f"{function}: head has shape {head.weight.shape}, expected [D, V]"
      " or, with transposed=True, [V, D]"
    )
  if head.bias is not None and head.bias.shape != (head.vocab_size,):
    raise ValueError(
      f"{function}: bias has shape {head.bias.shape}, expected"
      f" ({head.vocab_size},)"
    )
  if head.softcap is not None and not head.softcap > 0:
    raise ValueError(
      f"{function}: softcap={head.softcap} is not positive; None turns it off"
    )
  return head
