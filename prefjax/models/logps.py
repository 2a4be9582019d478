# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Log-probs of the responses that a model has read."""

from typing import Any

import jax.numpy as jnp

from prefjax import kernels
from prefjax.core import types
from prefjax.models import base


def token_logps(
  hidden: base.GroupHidden,
  head: kernels.Head,
  group: types.Group,
  **options: Any,
) -> kernels.TokenLogps:
  """`kernels.token_logps` of every response token; 0 at pads.

  Where rows are packed, the head sees no more than they hold.

  Args:
    hidden: of the group.
    head: of the model.
    group: whose responses are the targets.
    **options: of `kernels.token_logps`, but the mask.

  Returns:
    TokenLogps of float32 [B, K, R].
  """
  response = jnp.asarray(group.response)
  packing = hidden.packing
  if packing is None:
    return kernels.token_logps(
      hidden.predict, head, response, mask=group.token_mask, **options
    )
  p = group.prompt.shape[1]
  found = kernels.token_logps(
    hidden.packed,
    head,
    packing.pack_responses(response, p),
    mask=packing.held[:, packing.prompts :],
    **options,
  )
  return kernels.TokenLogps(
    *(
      None if x is None else packing.unpack_responses(x, response.shape, p)
      for x in found
    )
  )
