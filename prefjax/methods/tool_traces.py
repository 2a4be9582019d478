# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A reward model that learns to call tools before it scores."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from prefjax import losses
from prefjax.core import errors
from prefjax.core import tool_traces as kinds
from prefjax.methods import adapters, pair_tokens, reward_pairs
from prefjax.methods import method as method_lib
from prefjax.methods import objective as objective_lib
from prefjax.models import reward_heads

DEFAULTS: dict[str, Any] = {
  **adapters.keyword_defaults(losses.themis),
  "width": 0,
}


def themis(name: str, kwargs: Mapping[str, Any]) -> method_lib.Method:
  """Themis: ranks answers, and learns to write their tool traces.

  Args:
    name: the term's name.
    kwargs: of DEFAULTS: the weights of `losses.themis`, and the width of the
      head's hidden layer, 0 for none.
  """
  settings = reward_pairs.settings_of(name, DEFAULTS, kwargs)
  for key, value in settings.items():
    if value < 0:
      raise errors.ConfigError(f"method.kwargs.{key}: {value} is negative")
  width = settings.pop("width")

  def method_loss(outputs, batch, method_state, keys):
    del keys
    if batch.main.segments is None:
      raise errors.DataError(
        f"{name}: the records have no parts of traces; use data.view=traced"
      )
    rewards = outputs[adapters.POLICY]["rewards"]
    arrays = reward_pairs.pair_arrays(rewards, batch)
    tokens = pair_tokens.token_arrays(outputs, batch)
    sides = {}
    for side in ("chosen", "rejected"):
      sides[f"{side}_token_logps"] = tokens[f"{side}_token_logps"]
      sides[f"{side}_segments"] = jnp.where(
        tokens[f"{side}_mask"], tokens[f"{side}_segments"], kinds.NONE
      )
    chosen, rejected = arrays["chosen_rewards"], arrays["rejected_rewards"]
    values = losses.themis(
      chosen_rewards=chosen, rejected_rewards=rejected, **sides, **settings
    )
    term = adapters.pairs_to_term(values, arrays["pair_valid"], batch)
    metrics = reward_pairs.metrics(chosen, rejected, arrays, batch)
    return objective_lib.LossResult({name: term}, method_state, metrics)

  return method_lib.Method(
    inputs=("main",),
    needs={adapters.POLICY: ("head", "token_logps")},
    loss=method_loss,
    record_kind="traced",
    head=reward_heads.RewardHead(num_outputs=1, width=width),
  )
