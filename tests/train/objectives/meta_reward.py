# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""MetaRM (arXiv:2405.00438): a gradient at displaced parameters.

A reward model first steps to tell samples of the current policy apart, and
takes the gradient of its ranking loss there. Both gradients are the
trainer's, with its micro-batches and devices.
"""

import jax
import lm_support

from prefjax import losses, methods
from prefjax.core import types

META_RATE = 0.5
SAMPLES = "samples"


def _rewards(outputs, name):
  return outputs["reward", name]["rewards"]  # [B, K]


def _ranking(outputs, batch, method_state, keys):
  del keys
  rewards = _rewards(outputs, "main")
  value = losses.bradley_terry(rewards[:, 0], rewards[:, 1])
  weight = batch.example_weight
  gap = rewards[:, 0] - rewards[:, 1]
  return methods.LossResult(
    {"ranking": types.Term(value=value, weight=weight)},
    method_state,
    {"rewards/margins": types.weighted(gap, weight)},
  )


def _difference(outputs, batch, method_state, keys):
  del keys
  group = batch.groups[SAMPLES]
  value = losses.metarm_difference(
    _rewards(outputs, SAMPLES), group.response_mask
  )
  term = types.Term(value=-value, weight=batch.example_weight)
  return methods.LossResult({"difference": term}, method_state, {})


def _method(name, loss):
  return methods.Method(
    inputs=(name,), needs={("reward", name): ("rewards",)}, loss=loss
  )


def method():
  return _method("main", _ranking)


class MetaReward(methods.LanguageModelObjective):
  """The ranking loss after an ascent of the difference of samples."""

  def __init__(self):
    super().__init__(
      method(), lm_support.MODEL, lambda key: lm_support.start(method())
    )
    self.inner = lm_support.objective(_method(SAMPLES, _difference))

  def gradient(self, grad, params):
    descent, _ = grad(self.inner, params)
    shifted = jax.tree.map(lambda p, g: p - META_RATE * g, params, descent)
    return grad(self, shifted)


def objective():
  return MetaReward()


def batch(step: int):
  ids = range(8 * step, 8 * step + 8)
  whole = lm_support.batch("pair", ids)
  whole.groups[SAMPLES] = lm_support.group(ids, 3, salt=7)
  return whole
