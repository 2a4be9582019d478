# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""SteerLM 2.0: a policy that gives what attributes ask for."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from prefjax import losses
from prefjax.core import errors, types
from prefjax.methods import adapters, reward_pairs
from prefjax.methods import method as method_lib
from prefjax.methods import objective as objective_lib

DEFAULTS: dict[str, Any] = adapters.keyword_defaults(losses.steerlm2)
PRIOR = ("reference", "prior")


def steerlm2(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """Fits the policy to P(y | a, x) ~ P(a | x, y) P(y | x).

  The group 'main' holds K samples after the prompt with the wanted
  attributes, their scores are log P(a | x, y), and 'prior' the same samples
  after the prompt without attributes. The reference plays both the sampler
  (on 'main') and the prior (on 'prior'): a model tuned on demonstrations with
  and without attribute strings.
  """
  settings = reward_pairs.settings_of(name, DEFAULTS, kwargs)

  def method_loss(outputs, batch, method_state, keys):
    del keys
    group, prior = batch.main, batch.groups["prior"]
    if group.scores is None:
      raise errors.DataError(
        f"{name} needs log-probs of the attributes as scores of the responses"
      )
    if group.response.shape[1] != prior.response.shape[1]:
      raise errors.DataError(
        f"{name}: the group 'prior' has {prior.response.shape[1]} responses,"
        f" 'main' {group.response.shape[1]}; they must be the same"
      )
    kept = jnp.asarray(group.response_mask, bool)
    kept = kept & (batch.example_weight[:, None] != 0)
    arrays = {
      "logps": adapters.sequence_sums(outputs, adapters.POLICY, group),
      "attr_logps": group.scores,
      "prior_logps": adapters.sequence_sums(outputs, PRIOR, prior),
      "proposal_logps": adapters.sequence_sums(
        outputs, adapters.REFERENCE, group
      ),
    }
    values = losses.steerlm2(
      *arrays.values(), group.lengths(), kept, **settings
    )
    found = losses.steerlm2_weights(*arrays.values(), kept)
    term = types.Term(
      value=values,
      weight=jnp.asarray(batch.example_weight, jnp.float32),
      coefficient=jnp.float32(1.0),
    )
    square = jnp.sum(jnp.square(found["target"]), axis=-1)
    metrics = {
      "steerlm/distance": types.weighted(found["distance"], term.weight),
      # Of K samples, how many the target spreads over.
      "steerlm/effective_samples": types.weighted(
        1 / jnp.maximum(square, 1e-6), term.weight
      ),
      "logps/policy": types.weighted(
        jnp.where(kept, arrays["logps"], 0.0),
        kept * batch.example_weight[:, None],
      ),
    }
    return objective_lib.LossResult({name: term}, method_state, metrics)

  return method_lib.Method(
    inputs=("main", "prior"),
    needs={
      adapters.POLICY: ("token_logps",),
      adapters.REFERENCE: ("token_logps",),
      PRIOR: ("token_logps",),
    },
    loss=method_loss,
    record_kind="groups",
  )
