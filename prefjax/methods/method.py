# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A Method: which model outputs a loss needs, and the loss on arrays.

This is the usual way to get an Objective for language models. The adapter
(`language_model.py`) runs every (role, group) once and hands `loss` nothing
but arrays.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from prefjax.core import errors
from prefjax.methods import objective as objective_lib

# What can be asked of a (role, group).
OUTPUTS = (
  "token_logps",
  "entropy",
  "values",
  "state_values",
  "rewards",
  "hidden",
  "hidden_prompt_end",
  "hidden_response_end",
  "head",
)
TRAINED_ROLES = ("policy", "value", "reward")
# Kinds of records whose group 'main' is a pair with more beside it.
PAIR_KINDS = ("pair", "blind", "rationale", "mapl")

RoleGroup = tuple[str, str]
# (role, group) -> output name -> array.
Outputs = Mapping[RoleGroup, Mapping[str, Any]]
MethodLoss = Callable[[Outputs, Any, Any, Any], objective_lib.LossResult]


@dataclasses.dataclass(frozen=True)
class VocabNeed:
  """A whole-vocabulary quantity over streams that share token positions.

  The result, [B, K, R], appears under outputs[("vocab", name)].

  Attributes:
    streams: the (role, group) pairs, in the order the integrand takes them.
    integrand: maps the log-probs of each stream to the summand.
    reduce: "sum" or "logsumexp" over the vocabulary.
    stopped: streams that get no gradient, by index.
    targets: also return the integrand at the target token, under
      ("vocab", name)["at_target"].
  """

  streams: tuple[RoleGroup, ...]
  integrand: Callable[..., Any]
  reduce: str = "sum"
  stopped: tuple[int, ...] = ()
  targets: bool = False


def _no_state(key) -> Any:
  del key
  return {}


@dataclasses.dataclass(frozen=True)
class Method:
  """A loss on model outputs.

  Attributes:
    inputs: names of the groups the batch must hold.
    needs: (role, group) -> outputs wanted; see OUTPUTS.
    loss: (outputs, batch, method_state, keys) -> LossResult.
    vocab: name -> VocabNeed.
    init_state: key -> method_state.
    coupled: True where the loss couples examples or updates its state.
    record_kind: the kind of record the method trains on (pair, sft, ...).
    online: an `online.Online` where the method learns from samples of its
      own, else None.
    extras: numeric fields of records that must travel with a batch.
    head: a `models.reward_heads.Head`, whose parameters are the trained role
      "reward". Where `needs` names "head", its arrays are among the outputs.
    gradient: (objective, grad, params) -> (gradients, Evaluation), as
      `Objective.gradient`; None for the plain one.

  Raises:
    ConfigError: `needs` or `vocab` name an unknown output, or a group that is
      not among the inputs.
  """

  inputs: tuple[str, ...]
  needs: Mapping[RoleGroup, tuple[str, ...]]
  loss: MethodLoss
  vocab: Mapping[str, VocabNeed] = dataclasses.field(default_factory=dict)
  init_state: Callable[[Any], Any] = _no_state
  coupled: bool = False
  record_kind: str = "pair"
  online: Any = None
  extras: tuple[str, ...] = ()
  head: Any = None
  gradient: Any = None

  def __post_init__(self):
    """Checks names, which would fail far from here otherwise."""
    streams = [s for need in self.vocab.values() for s in need.streams]
    for role, group in (*self.needs, *streams):
      if group not in self.inputs:
        raise errors.ConfigError(
          f"a method needs the group {group!r} (of {role}), which is not among"
          f" its inputs {', '.join(self.inputs) or 'none'}"
        )
    for (role, group), wanted in self.needs.items():
      for name in wanted:
        if name not in OUTPUTS:
          raise errors.ConfigError(
            f"a method needs {name!r} of ({role}, {group})"
            f"{errors.nearest(name, OUTPUTS)}; outputs are"
            f" {', '.join(OUTPUTS)}"
          )
        if name == "head" and self.head is None:
          raise errors.ConfigError(
            f"a method needs 'head' of ({role}, {group}), but brings no head"
          )

  def roles(self) -> tuple[str, ...]:
    """All roles named, in order of appearance."""
    seen = dict.fromkeys(role for role, _ in self.needs)
    for need in self.vocab.values():
      seen.update(dict.fromkeys(role for role, _ in need.streams))
    return tuple(seen)
