# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The one thing the trainer knows: an Objective.

An Objective says how parameters begin and what is minimised. It may be
anything (a language model, a diffusion pair, a recommender); the trainer
asks only that a batch is a pytree of arrays that lead with B and has
`example_id` and `example_weight`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from prefjax.core import types

Params = dict[str, Any]  # role -> tree of arrays
Metrics = dict[str, types.WeightedSum]
Terms = dict[str, types.Term]


class Init(NamedTuple):
  """Where training begins.

  Attributes:
    params: trained roles (policy, value, reward, encoder, ...).
    frozen: roles without gradient (reference, teacher, base, ema, ...).
    method_state: arrays that a method carries from step to step.
  """

  params: Params
  frozen: Params
  method_state: Any


class LossResult(NamedTuple):
  terms: Terms
  method_state: Any
  metrics: Metrics


class Evaluation(NamedTuple):
  """What one gradient evaluation of a whole batch returns besides it.

  Attributes:
    loss: float32 [], sum over terms of coefficient * sum(v w) / sum(w).
    method_state: the state after the batch.
    metrics: sums and weights over the whole batch.
  """

  loss: Any
  method_state: Any
  metrics: Metrics


# (objective, params) -> (gradients, Evaluation), over the whole batch.
GradientFn = Callable[["Objective", Params], tuple[Params, Evaluation]]


class Objective:
  """Base class; override `init` and either `loss` or `outputs` + `terms`.

  An objective whose loss couples the examples of a batch, or that updates its
  method state, sets `coupled = True` and gives `outputs` and `terms`: the
  trainer then collects the outputs of all micro-batches, takes the loss on
  the whole batch and back-propagates each micro-batch from its cotangents,
  so that the result does not depend on how the batch is cut.
  """

  coupled: bool = False
  # Frozen roles that `update_frozen` changes; they are checkpointed whole.
  moving: tuple[str, ...] = ()
  # (regular expression over 'a/b/c' paths, mesh axis names by dimension).
  sharding_rules: tuple[tuple[str, tuple[str | None, ...]], ...] = ()

  def init(self, key) -> Init:
    """Returns the parameters training begins from; a function of `key`."""
    raise TypeError(f"{type(self).__name__} does not define init")

  def outputs(self, params, frozen, batch, method_state, keys) -> Any:
    """Model outputs: a pytree of arrays that lead with B."""
    raise TypeError(f"{type(self).__name__} does not define outputs")

  def terms(self, outputs, batch, method_state, keys) -> LossResult:
    """Terms (value [B], weight [B]) from the outputs of a batch."""
    raise TypeError(f"{type(self).__name__} does not define terms")

  def loss(self, params, frozen, batch, method_state, keys) -> LossResult:
    """The terms of a batch; `keys` [B] are keys, one an example."""
    outputs = self.outputs(params, frozen, batch, method_state, keys)
    return self.terms(outputs, batch, method_state, keys)

  def gradient(self, grad: GradientFn, params) -> tuple[Params, Evaluation]:
    """The gradient the optimiser gets; override for meta steps.

    Args:
      grad: evaluates any objective at any parameters over the whole batch,
        with the trainer's micro-batching and devices.
      params: the trained roles.
    """
    return grad(self, params)

  def update_frozen(self, params, frozen, step) -> Params:
    """Frozen roles after an update; overridden for moving references.

    Args:
      params: trained roles after the update.
      frozen: roles before it; those not in `moving` must stay as they are.
      step: updates done, int32 [].
    """
    del params, step
    return frozen

  def export(self, params, frozen, directory) -> None:
    """Writes what a user takes away from the run; nothing by default."""
