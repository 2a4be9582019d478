# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""NextQuill (arXiv:2506.02368): what a user's history changes, token by token.

A two-group method: the same response after a prompt with the user's history
and after one without it. The effect log softmax(z_h - z_0)[y] is a
whole-vocabulary quantity of both streams; nothing of size [B, T, V] is kept.
"""

import dataclasses

import jax.numpy as jnp
import lm_support

from prefjax import feedback, kernels, methods
from prefjax.core import masking, types

ALPHA = 0.1
GROUPS = ("with_history", "no_history")
STREAMS = tuple(("policy", name) for name in GROUPS)


def _loss(outputs, batch, method_state, keys):
  del keys
  group = batch.groups["with_history"]
  mask = group.token_mask[:, 0]  # [B, R]
  logps, without = (outputs[s]["token_logps"][:, 0] for s in STREAMS)
  effects = feedback.causal_preference_effect(logps, without, mask)
  weights = feedback.preference_token_weights(effects, mask)
  fit = -jnp.sum(masking.replace(weights * logps, mask), axis=-1)
  effect = outputs["vocab", "effect"]
  effect_logps = (effect["at_target"] - effect["total"])[:, 0]
  value = fit - ALPHA * masking.masked_mean(effect_logps, mask, axis=-1)
  term = types.Term(value=value, weight=batch.example_weight)
  metrics = {"effect": types.weighted(effects, mask)}
  return methods.LossResult({"history": term}, method_state, metrics)


def method():
  return methods.Method(
    inputs=GROUPS,
    needs={stream: ("token_logps",) for stream in STREAMS},
    vocab={
      "effect": methods.VocabNeed(
        streams=STREAMS,
        integrand=kernels.integrands.difference,
        reduce="logsumexp",
        targets=True,
      )
    },
    loss=_loss,
    record_kind="history",
  )


def objective():
  return lm_support.objective(method())


def batch(step: int):
  """Both groups have the same response after different prompts."""
  ids = range(8 * step, 8 * step + 8)
  long = lm_support.group(ids, 1)
  short = lm_support.group(ids, 1, salt=1)
  short = dataclasses.replace(
    long,
    prompt=short.prompt,
    prompt_mask=short.prompt_mask,
  )
  whole = lm_support.batch("history", ids)
  groups = dict(zip(GROUPS, (long, short), strict=True))
  return dataclasses.replace(whole, groups=groups)
