# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The losses that are compared, from the arrays of `tabular`.

Hyper-parameters are the registry's but for a common beta of 0.1 where a loss
works on log-ratios (0.01 and 0.001 are for long texts). A response of the
table has no tokens: SamPO and LD-DPO see its log-prob as shared evenly among
them.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from prefjax import losses

_BETA = 0.1


def _pair(a) -> tuple[jax.Array, ...]:
  return a["chosen"], a["rejected"], a["ref_chosen"], a["ref_rejected"]


def _lengths(a) -> tuple[jax.Array, jax.Array]:
  return a["chosen_lengths"], a["rejected_lengths"]


def _plain(loss, *extra, **kwargs):
  """A loss of the four log-probs and further arrays of these names."""

  def run(a, state):
    return loss(*_pair(a), *(a[name] for name in extra), **kwargs), state

  return run


_LENGTHS = ("chosen_lengths", "rejected_lengths")


def _without_reference(loss, *extra, **kwargs):
  def run(a, state):
    more = [a[name] for name in extra]
    return loss(a["chosen"], a["rejected"], *more, **kwargs), state

  return run


def _sft(a, state):
  return losses.nll(a["chosen"], a["chosen_lengths"]), state


def _unpaired(a) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Each pair as a response with label 1 and one with label 0."""
  chosen, rejected, ref_chosen, ref_rejected = _pair(a)
  labels = jnp.concatenate([jnp.ones_like(chosen), jnp.zeros_like(chosen)])
  return (
    jnp.concatenate([chosen, rejected]),
    jnp.concatenate([ref_chosen, ref_rejected]),
    labels,
  )


def _singles(loss, **kwargs):
  def run(a, state):
    return loss(*_unpaired(a), beta=_BETA, **kwargs), state

  return run


def _bco_unpaired(a, state):
  logps, ref, labels = _unpaired(a)
  delta = jax.lax.stop_gradient(_BETA * jnp.mean(logps - ref))
  values = losses.bco_unpaired(logps, ref, labels, beta=_BETA, delta=delta)
  return values, state


def _beta_dpo(a, state):
  chosen, rejected, ref_chosen, ref_rejected = _pair(a)
  margins = (chosen - ref_chosen) - (rejected - ref_rejected)
  state = losses.ema_moments(
    state["mean"], state["std"], jax.lax.stop_gradient(margins)
  )
  found = losses.beta_dpo(
    *_pair(a), jnp.ones_like(chosen), margin_mean=state["mean"], beta=_BETA
  )
  return found["losses"], state


def _odpo(a, state, *, offset):
  values = losses.odpo(
    *_pair(a), a["gap"], jnp.zeros_like(a["gap"]), beta=_BETA, offset=offset
  )
  return values, state


def _wpo(a, state):
  weights = [
    losses.wpo_weights(
      a[side][:, None], a["collision"][:, None], jnp.ones((len(a[side]), 1))
    )
    for side in ("chosen", "rejected")
  ]
  return losses.wpo(*_pair(a), *weights, beta=_BETA), state


def _discounted(a, state, *, alpha):
  """DPO where tokens beyond the shorter response count alpha."""
  chosen, rejected = _lengths(a)
  shorter = jnp.minimum(chosen, rejected)

  def share(lengths):
    return (shorter + alpha * (lengths - shorter)) / lengths

  w, r = share(chosen), share(rejected)
  arrays = [x * s for x, s in zip(_pair(a), (w, r, w, r), strict=True)]
  return losses.dpo(*arrays, beta=_BETA), state


_FLIPS = {"noise_20": 0.2, "noise_40": 0.4}


@functools.cache
def loss(name: str, condition: str) -> Any:
  """A loss by name; some are told how many labels are wrong."""
  rate = _FLIPS.get(condition, 0.0)
  if name == "rdpo":
    return _plain(losses.rdpo, beta=_BETA, epsilon=rate)
  if name == "conservative_dpo":
    return _plain(losses.conservative_dpo, beta=_BETA, label_smoothing=rate)
  return _TABLE[name]


_TABLE = {
  "aot": _plain(losses.aot, beta=_BETA),
  "aot_unpaired": _plain(losses.aot_unpaired, beta=_BETA),
  "apo_down": _plain(losses.apo_down, beta=_BETA),
  "apo_zero": _plain(losses.apo_zero, beta=_BETA),
  "apo_zero_unpaired": _singles(losses.apo_zero_unpaired),
  "bco_pair": _plain(losses.bco_pair, beta=_BETA),
  "bco_unpaired": _bco_unpaired,
  "beta_dpo": _beta_dpo,
  "cal_dpo": _plain(losses.cal_dpo, beta=_BETA),
  "cpo": _without_reference(losses.cpo, "chosen_lengths"),
  "discopop": _plain(losses.discopop),
  "dpo": _plain(losses.dpo, beta=_BETA),
  "dpo_norm": _plain(losses.dpo_norm, *_LENGTHS),
  "dpop": _plain(losses.dpop),
  "exo_pair": _plain(losses.exo_pair, beta=_BETA),
  "f_dpo": _plain(losses.f_dpo, beta=_BETA, divergence="js"),
  "f_dpo_forward_kl": _plain(losses.f_dpo, beta=_BETA, divergence="forward_kl"),
  "hinge": _plain(losses.hinge, beta=_BETA),
  "ipo": _plain(losses.ipo, *_LENGTHS, beta=_BETA),
  "kto": _singles(losses.kto, reference_point=0.0),
  "ld_dpo": functools.partial(_discounted, alpha=0.5),
  "length_penalized_dpo": _plain(losses.length_penalized_dpo, *_LENGTHS),
  "mpo": _plain(losses.mpo, "chosen_lengths"),
  "nca_pair": _plain(losses.nca_pair, beta=_BETA),
  "odpo": functools.partial(_odpo, offset="log"),
  "odpo_linear": functools.partial(_odpo, offset="linear"),
  "orpo": _without_reference(losses.orpo, *_LENGTHS),
  "rpo": _plain(losses.rpo, "chosen_lengths"),
  "sampo": functools.partial(_discounted, alpha=0.0),
  "sft": _sft,
  "simpo": _without_reference(losses.simpo, *_LENGTHS),
  "slic": _without_reference(losses.slic),
  "sppo_hard": _plain(losses.sppo_hard, beta=_BETA),
  "tdpo": _plain(losses.tdpo, "kl", "kl"),
  "wpo": _wpo,
}
NAMES = tuple(sorted([*_TABLE, "rdpo", "conservative_dpo"]))
