# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Operations counted from shapes: against sums, and against the compiler."""

import jax
import jax.numpy as jnp
import model_support
import numpy as np
import pytest

from prefjax import kernels, models
from prefjax.models import flops


@pytest.mark.parametrize("window", (None, 3, 100))
@pytest.mark.parametrize("shared", (True, False))
def test_visible_pairs(window, shared):
  b, k, p, r = 3, 2, 5, 4
  want = 0
  for start, count, times in ((0, p, 1 if shared else k), (p, r, k)):
    for i in range(start, start + count):
      want += times * (i + 1 if window is None else min(i + 1, window))
  assert flops.Shape(b, k, p, r, shared).visible(window) == b * want


def test_tokens():
  shared, apart = (flops.Shape(3, 4, 100, 10, s) for s in (True, False))
  assert shared.tokens == 3 * (100 + 40) and apart.tokens == 3 * 4 * 110
  assert shared.predicted == apart.predicted == 120


def test_training_counts_passes():
  config = model_support.config()
  shape = flops.Shape(2, 2, 8, 8)
  once = flops.forward(config, shape)
  assert once.total == once.dense + once.attention + once.head
  plain = flops.train(config, shape)
  assert plain == 3 * once.total
  assert flops.train(config, shape, references=2) == plain + 2 * once.total
  saved = plain - flops.train(config, shape, adapter=True)
  assert saved == once.dense + once.head


def test_the_compiler_counts_the_same():
  """Without scores, which it counts before the mask."""
  config = model_support.config(num_layers=1)
  model = models.Model(config)
  group = model_support.group(
    [8], [[8, 8]], prompt_slots=8, response_slots=8, vocab=32
  )

  def total(params):
    hidden = model.hidden(params, group)
    out = kernels.token_logps(
      hidden.predict, model.head(params), group.response, entropy=False
    )
    return jnp.sum(out.logps)

  compiled = jax.jit(total).lower(model.shapes()).compile()
  once = flops.forward(config, flops.Shape(1, 2, 8, 8))
  wide = config.num_heads * config.head_dim
  scores = 4 * wide * (8 * 8 + 2 * 8 * 16)
  counted = compiled.cost_analysis()["flops"]
  np.testing.assert_allclose(
    counted, once.dense + once.head + scores, rtol=0.35
  )
