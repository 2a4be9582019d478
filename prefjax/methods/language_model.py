# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The adapter between language models and methods: a Method as an Objective.

Every (role, group) that a method needs is run once, through the one log-prob
primitive; the method's loss sees arrays only.
"""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from prefjax import kernels
from prefjax.core import checks, errors, prng, types
from prefjax.methods import method as method_lib
from prefjax.methods import objective as objective_lib
from prefjax.models import base, heads, logps, spread

REFERENCES = ("live", "precomputed", "none")
BASE = "base"  # frozen weights under a trained adapter
ADAPTER = "adapter"  # in a role's tree: an adapter of its own over BASE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compute:
  """How the models are run; nothing here changes what is computed.

  Attributes:
    layout: "shared" computes each prompt once, "concat" once a response.
    dtype: compute dtype; None for that of the parameters.
    remat: "none", "dots" or "full".
    impl: implementation of the log-prob kernel.
    attention: which attention runs; "auto", "xla", "blocked" or "splash".
    temperature: of the distribution whose log-probs are taken; 1 is the
      model's own.
    sharding: how hidden states and head lie on a mesh (`kernels.Sharding`),
      None on one device. Without it, XLA splits the model as it likes, and
      the kernel's plain version.
  """

  layout: str = "shared"
  dtype: Any = None
  remat: str = "none"
  impl: str = "auto"
  attention: str = "auto"
  temperature: float = 1.0
  sharding: kernels.Sharding | None = None


# Placement of a decoder's weights on the axes (data, fsdp, tensor).
SHARDING_RULES = spread.RULES


def split_role(tree: Any) -> tuple[Any, Any]:
  """(decoder weights, head or None) of a role's tree.

  A role with a head of its own is {"backbone": ..., "scalar_head": ...}; any
  other tree is a decoder's.
  """
  if isinstance(tree, Mapping) and "backbone" in tree:
    return tree["backbone"], tree.get("scalar_head")
  return tree, None


class LanguageModelObjective(objective_lib.Objective):
  """Runs a Method on decoder language models.

  Args:
    method: what is needed and the loss on it.
    model: the decoder of the policy; with `model.lora` the trained role
      "policy" is an adapter and the frozen role "base" holds the weights.
    init: key -> Init; where training begins.
    compute: how models are run.
    reference: "live" runs the frozen role "reference" (with an adapter: the
      same weights with the adapter off), "precomputed" reads
      `ref_token_logps` of the batch, "none" for methods without one.
    models: role -> Model for roles that have another decoder.
    reference_mix: share of the policy that moves into the reference every
      `reference_every` updates (TR-DPO, arXiv:2404.09656); 0 keeps it fixed.
    reference_every: updates between two such moves.
  """

  sharding_rules = SHARDING_RULES

  def __init__(
    self,
    method: method_lib.Method,
    model: base.Model,
    init: Callable[[Any], objective_lib.Init],
    *,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    reference: str = "live",
    models: Mapping[str, base.Model] | None = None,
    reference_mix: float = 0.0,
    reference_every: int = 1,
  ):
    checks.one_of("LanguageModelObjective", REFERENCES, reference=reference)
    if reference_mix and (reference != "live" or model.lora is not None):
      raise errors.ConfigError(
        "train.reference_mix: a moving reference needs train.reference=live"
        " and weights of its own, not an adapter"
      )
    self._mix, self._every = reference_mix, reference_every
    self.moving = ("reference",) if reference_mix else ()
    self.method = method
    self.model = model
    self.compute = compute
    self.reference = reference
    self.coupled = method.coupled
    self._init = init
    self._models = dict(models or {})

  def init(self, key) -> objective_lib.Init:
    return self._init(key)

  def update_frozen(self, params, frozen, step):
    if not self._mix:
      return frozen
    mix = jnp.where(step % self._every == 0, self._mix, 0.0)

    def move(reference, policy):
      moved = mix * policy + (1 - mix) * reference
      return jnp.where(mix == 0, reference, moved).astype(reference.dtype)

    moved = jax.tree.map(move, frozen["reference"], params["policy"])
    return {**frozen, "reference": moved}

  # --- running the roles -----------------------------------------------------

  def _weights(self, role: str, params, frozen):
    """(model, decoder weights, adapter or None, head or None) of a role."""
    model = self._models.get(role, self.model)
    if model.lora is not None and role in ("policy", "reference"):
      adapter = params["policy"] if role == "policy" else None
      return model, frozen[BASE], adapter, None
    tree = params[role] if role in params else frozen.get(role)
    if tree is None:
      more = ""
      if role == "reference" and self.reference == "precomputed":
        more = "; it wants more than stored log-probs: set train.reference=live"
      raise errors.ConfigError(
        f"the method needs the role {role!r}; trained roles are"
        f" {', '.join(params)}, frozen ones {', '.join(frozen) or 'none'}{more}"
      )
    if isinstance(tree, Mapping) and ADAPTER in tree:
      return model, frozen[BASE], tree[ADAPTER], tree.get("scalar_head")
    weights, head = split_role(tree)
    return model, weights, None, head

  def _hidden(self, role: str, name: str, params, frozen, batch, keys):
    group = batch.groups[name]
    model, weights, adapter, head = self._weights(role, params, frozen)
    dropout = None
    # Without keys, as where rollouts are measured, nothing is dropped.
    if adapter is not None and model.lora.dropout and keys is not None:
      dropout = prng.fold_tag(keys, f"dropout/{role}/{name}")
    hidden = model.hidden(
      weights,
      group,
      layout=self.compute.layout,
      lora=adapter,
      dtype=self.compute.dtype,
      key=dropout,
      remat=self.compute.remat,
      sharding=self.compute.sharding,
      attention=self.compute.attention,
    )
    return hidden, model.head(weights, self.compute.dtype), head

  def _outputs_of(self, hidden, lm_head, head, group, wanted):
    out = {}
    if "token_logps" in wanted or "entropy" in wanted:
      result = logps.token_logps(
        hidden,
        lm_head,
        group,
        impl=self.compute.impl,
        sharding=self.compute.sharding,
        temperature=self.compute.temperature,
        entropy="entropy" in wanted,
      )
      if "token_logps" in wanted:
        out["token_logps"] = result.logps  # [B, K, R]
      if "entropy" in wanted:
        out["entropy"] = result.entropy  # [B, K, R]
    if "values" in wanted:
      values = heads.apply(_need_head(head, "values"), hidden.at)
      out["values"] = _single(values)  # [B, K, R]
    if "state_values" in wanted:
      values = heads.apply(_need_head(head, "state_values"), hidden.predict)
      out["state_values"] = _single(values)  # [B, K, R]
    if "rewards" in wanted:
      last = heads.last_token(hidden.at, group.token_mask)  # [B, K, D]
      rewards = heads.apply(_need_head(head, "rewards"), last)
      out["rewards"] = _single(rewards)  # [B, K] or [B, K, O]
    if "hidden" in wanted:
      out["hidden"] = hidden.at
    if "hidden_prompt_end" in wanted:
      out["hidden_prompt_end"] = hidden.prompt_end
    if "hidden_response_end" in wanted:
      out["hidden_response_end"] = heads.last_token(hidden.at, group.token_mask)
    return out

  def _is_stored(self, role: str, wanted) -> bool:
    """Whether the batch brings what the method wants of the reference."""
    return (
      role == "reference"
      and self.reference == "precomputed"
      and tuple(wanted) == ("token_logps",)
    )

  def outputs(self, params, frozen, batch, method_state, keys):
    """(role, group) -> name -> array that leads with B."""
    del method_state
    method = self.method
    for name in method.inputs:
      if name not in batch.groups:
        raise errors.ConfigError(
          f"the method needs the group {name!r}; the batch has"
          f" {', '.join(batch.groups)}: set data.view"
        )
    streams = {s for need in method.vocab.values() for s in need.streams}
    ran, out = {}, {}
    for role_group in sorted(set(method.needs) | streams):
      role, name = role_group
      wanted = method.needs.get(role_group, ())
      group = batch.groups[name]
      if self._is_stored(role, wanted) and role_group not in streams:
        if group.ref_token_logps is None:
          raise errors.ConfigError(
            f"group {name!r} has no ref_token_logps; precompute them or set"
            " train.reference=live"
          )
        out[role_group] = {"token_logps": group.ref_token_logps}
        continue
      hidden, lm_head, head = self._hidden(
        role, name, params, frozen, batch, keys
      )
      ran[role_group] = hidden.predict, lm_head
      if wanted:
        out[role_group] = self._outputs_of(hidden, lm_head, head, group, wanted)
      if "head" in wanted:
        out[role_group].update(
          method.head.apply(params["reward"], hidden, group, keys)
        )
    for name, need in method.vocab.items():
      out["vocab", name] = self._vocab(need, ran, batch)
    return out

  def _vocab(self, need: method_lib.VocabNeed, ran, batch):
    """A whole-vocabulary quantity over the streams, [B, K, R]."""
    group = batch.groups[need.streams[0][1]]
    hiddens, lm_heads = [], []
    for i, stream in enumerate(need.streams):
      hidden, lm_head = ran[stream]
      if i in need.stopped:
        hidden, lm_head = jax.lax.stop_gradient((hidden, lm_head))
      hiddens.append(hidden)
      lm_heads.append(lm_head)
    result = kernels.vocab_sum(
      need.integrand,
      hiddens,
      lm_heads,
      group.response if need.targets else None,
      reduce=need.reduce,
      mask=group.token_mask,
    )
    out = {"total": result.total}
    if need.targets:
      out["at_target"] = result.at_target
      out["logps"] = result.logps
    return out

  def terms(self, outputs, batch, method_state, keys):
    return self.method.loss(outputs, batch, method_state, keys)

  def with_method(self, method: method_lib.Method) -> "LanguageModelObjective":
    """The same models under another method, e.g. for a meta step."""
    other = copy.copy(self)
    other.method, other.coupled = method, method.coupled
    return other

  def gradient(self, grad, params):
    if self.method.gradient is None:
      return super().gradient(grad, params)
    return self.method.gradient(self, grad, params)


def _need_head(head: Any, output: str) -> Any:
  if head is None:
    raise errors.ConfigError(
      f"the method needs {output!r}, but the role has no head: its parameters"
      ' must be {"backbone": ..., "scalar_head": ...}'
    )
  return head


def _single(values: jax.Array) -> jax.Array:
  """Drops the last axis where a head has one output."""
  return values[..., 0] if values.shape[-1] == 1 else values


def token_logps_of(
  model: base.Model,
  params: base.Params,
  group: types.Group,
  *,
  lora: Any = None,
  compute: Compute = Compute(),  # noqa: B008 - frozen
) -> jax.Array:
  """Log-probs of every response token, float32 [B, K, R]; 0 at pads.

  What the reference store, the evaluator and `prefjax score` share.
  """
  hidden = model.hidden(
    params,
    group,
    layout=compute.layout,
    lora=lora,
    dtype=compute.dtype,
    remat=compute.remat,
    sharding=compute.sharding,
    attention=compute.attention,
  )
  result = logps.token_logps(
    hidden,
    model.head(params, compute.dtype),
    group,
    impl=compute.impl,
    temperature=compute.temperature,
    sharding=compute.sharding,
    entropy=False,
  )
  return result.logps
