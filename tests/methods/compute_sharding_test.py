# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`Compute.sharding`: the same log-probs and gradients over a mesh."""

import jax
import lm_support
import numpy as np
from jax.sharding import AxisType

from prefjax import kernels, methods
from prefjax.methods import language_model


def test_token_logps_on_a_mesh_equal_those_of_one_device():
  model = lm_support.MODEL
  params = model.init(jax.random.key(0))
  group = lm_support.group(range(8), 2)
  mesh = jax.make_mesh(
    (2, 2, 2),
    ("data", "fsdp", "tensor"),
    axis_types=(AxisType.Auto,) * 3,
  )
  sharding = kernels.Sharding(
    mesh, rows=("data", "fsdp"), vocab="tensor", hidden="fsdp"
  )

  def run(**options):
    compute = language_model.Compute(**options)

    def total(params):
      logps = methods.token_logps_of(model, params, group, compute=compute)
      return logps.sum(), logps

    grad = jax.value_and_grad(total, has_aux=True)
    text = str(jax.make_jaxpr(grad)(params))
    (_, logps), grads = jax.jit(grad)(params)
    return logps, grads, "shard_map" in text

  want, want_grads, plain = run()
  got, grads, mapped = run(sharding=sharding)
  assert mapped and not plain
  np.testing.assert_allclose(got, want, atol=1e-5)
  jax.tree.map(
    lambda g, e: np.testing.assert_allclose(g, e, atol=1e-4), grads, want_grads
  )
