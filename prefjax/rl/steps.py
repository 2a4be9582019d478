# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""One update of a policy from scored rollouts, for any model.

Whole runs of language models come from a config (docs/rl.md) and minimise the
same losses through the registry. These steps need no registry: a function
that gives log-probs, and arrays.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from prefjax.core import masking
from prefjax.losses import kl, policy_gradient
from prefjax.rl import presets, statistics


class StepState(NamedTuple):
  """What an update changes.

  Attributes:
    params: any tree; policy and value model may share it.
    opt_state: of the optimiser.
    step: int32 [], updates done.
  """

  params: Any
  opt_state: Any
  step: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepConfig:
  """How rollouts become an update.

  Attributes:
    apply: (params, batch) -> {"token_logps": [B, T]} of the responses of the
      batch, with "entropy" [B, T] and "values" [B, T] where they are used.
    tx: the optimiser, learning rate included.
    settings: which method; see `preset`.
  """

  apply: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]]
  tx: optax.GradientTransformation
  settings: presets.PolicyGradientConfig = presets.PolicyGradientConfig()

  def begin(self, params: Any) -> StepState:
    """The state before the first update."""
    return StepState(params, self.tx.init(params), jnp.int32(0))


def policy_loss(
  outputs: Mapping[str, Any],
  batch: Mapping[str, Any],
  settings: presets.PolicyGradientConfig,
) -> jax.Array:
  """The objective of an update, a scalar.

    aggregate(surrogate + beta k3 - entropy_coef H) + value_coef value_clip

  Args:
    outputs: of `StepConfig.apply`.
    batch: as `policy_gradient_step` takes it.
    settings: which method.

  Raises:
    ValueError: shapes differ.
  """
  mask = jnp.asarray(batch["mask"]).astype(bool)
  logps = outputs["token_logps"]
  old, advantages = batch["old_logps"], batch["advantages"]
  if settings.surrogate == "truncated":
    tokens = policy_gradient.cispo_policy(
      logps, old, advantages, mask, clip_high=settings.clip_high
    )
  else:
    tokens = policy_gradient.ppo_policy(
      logps,
      old,
      advantages,
      mask,
      clip_low=settings.clip_low,
      clip_high=settings.clip_high,
      dual_clip=settings.dual_clip or None,
      level=settings.level,
    )
  if settings.importance_cap:
    tokens = tokens * masking.replace(batch["importance"], mask)
  if settings.beta:
    divergence = kl.kl_estimate(
      masking.replace(logps, mask),
      masking.replace(batch["ref_logps"], mask),
      kind="k3",
    )
    tokens = tokens + settings.beta * divergence
  if settings.entropy_coef:
    entropy = masking.replace(outputs["entropy"], mask)
    tokens = tokens - settings.entropy_coef * jnp.where(mask, entropy, 0.0)
  length = batch.get("max_length", mask.shape[-1])
  loss = policy_gradient.aggregate(
    tokens,
    mask,
    mode=settings.aggregation,
    max_length=length if settings.aggregation == "fixed" else None,
  )
  if settings.baseline == "value":
    values = policy_gradient.value_clip(
      outputs["values"],
      batch["old_values"],
      batch["returns"],
      mask,
      clip=settings.value_clip,
    )
    loss = loss + settings.value_coef * policy_gradient.aggregate(
      values, mask, mode="token"
    )
  return loss


def policy_gradient_step(
  state: StepState, batch: Mapping[str, Any], config: StepConfig
) -> tuple[StepState, dict[str, jax.Array]]:
  """One update of any method of the family; wrap it in `jax.jit`.

  Args:
    state: of `StepConfig.begin`, or of the step before.
    batch: `mask` bool [B, T], `old_logps` [B, T] and `advantages` [B, T] of
      the responses, what `config.apply` reads besides, and where the method
      uses them `ref_logps` [B, T], `importance` [B, T], `old_values` [B, T],
      `returns` [B, T] and `max_length`.
    config: how.

  Returns:
    (state, statistics): `loss`, `grad_norm` and those of `ppo_stats`.

  Raises:
    KeyError: the batch lacks what the method uses.
    ValueError: shapes differ.

  Reference:
    Shao et al., "DeepSeekMath", arXiv:2402.03300, eq. 3, and the relatives
    that `preset` names.
  """
  settings = config.settings

  def objective(params):
    outputs = config.apply(params, batch)
    return policy_loss(outputs, batch, settings), outputs

  (loss, outputs), grads = jax.value_and_grad(objective, has_aux=True)(
    state.params
  )
  updates, opt_state = config.tx.update(grads, state.opt_state, state.params)
  new = StepState(
    optax.apply_updates(state.params, updates), opt_state, state.step + 1
  )
  extra = ()
  if settings.baseline == "value":
    extra = (outputs["values"], batch["old_values"], batch["returns"])
  found = statistics.ppo_stats(
    outputs["token_logps"],
    batch["old_logps"],
    batch["advantages"],
    batch["mask"],
    *extra,
    clip_low=settings.clip_low,
    clip_high=settings.clip_high,
    value_clip_range=settings.value_clip,
  )
  return new, {"loss": loss, "grad_norm": optax.global_norm(grads), **found}


def ppo_step(
  state: StepState, batch: Mapping[str, Any], config: StepConfig
) -> tuple[StepState, dict[str, jax.Array]]:
  """`policy_gradient_step` with a value model: policy and values together.

  Args:
    state: as there.
    batch: as there, with `old_values` and `returns` of `gae`.
    config: with `settings.baseline` "value", as of `preset("ppo")`.

  Returns:
    (state, statistics), the values' among them.

  Raises:
    ValueError: the settings are for a method without values.

  Reference:
    Schulman et al., "Proximal Policy Optimization Algorithms",
    arXiv:1707.06347, eq. 9; Ivison et al., arXiv:2406.09279.
  """
  if config.settings.baseline != "value":
    raise ValueError(
      f"ppo_step: baseline={config.settings.baseline!r} learns no values; use"
      " policy_gradient_step, or preset('ppo')"
    )
  return policy_gradient_step(state, batch, config)
