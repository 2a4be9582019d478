# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A method on tables in place of models: every output is a parameter.

A gradient of a table is the gradient of the method in that output, row by
row, so properties of a method can be told from those of models, in no time.
"""

import jax
import jax.numpy as jnp
import numpy as np

from prefjax import methods
from prefjax.methods import method as method_lib
from prefjax.models import base

EXAMPLES, RESPONSES, TOKENS, WIDTH = 12, 3, 4, 5
_SHAPES = {
  "token_logps": (RESPONSES, TOKENS),
  "entropy": (RESPONSES, TOKENS),
  "values": (RESPONSES, TOKENS),
  "state_values": (RESPONSES, TOKENS),
  "rewards": (RESPONSES,),
  "hidden": (RESPONSES, TOKENS, WIDTH),
  "hidden_prompt_end": (WIDTH,),
  "hidden_response_end": (RESPONSES, WIDTH),
}
# What a head reads; its own parameters are constants here.
_UNDER_A_HEAD = ("hidden", "hidden_prompt_end")
_NEGATIVE = ("token_logps",)


class TableObjective(methods.Objective):
  """The method, with one row a table for every example id below EXAMPLES."""

  def __init__(self, method: methods.Method):
    self.method = method
    self.coupled = method.coupled

  def init(self, key):
    del key
    rng = np.random.default_rng(0)
    params, frozen = {}, {}

    def table(shape, negative=False):
      values = rng.normal(size=(EXAMPLES, *shape))
      if negative:
        values = -0.2 - np.abs(values)
      return jnp.asarray(values, jnp.float32)

    for (role, group), wanted in sorted(self.method.needs.items()):
      place = params if role in method_lib.TRAINED_ROLES else frozen
      names = dict.fromkeys(n for n in wanted if n != "head")
      if "head" in wanted:
        names.update(dict.fromkeys(_UNDER_A_HEAD))
      place.setdefault(role, {})[group] = {
        name: table(_SHAPES[name], name in _NEGATIVE) for name in names
      }
    for name, need in sorted(self.method.vocab.items()):
      # As large as a divergence or a log-probability of a token.
      params.setdefault("vocab", {})[name] = {
        "total": table(_SHAPES["entropy"], negative=True),
        "at_target": table(_SHAPES["entropy"], negative=True),
        "logps": tuple(
          table(_SHAPES["token_logps"], negative=True) for _ in need.streams
        ),
      }
    return methods.Init(params, frozen, self.method.init_state(None))

  def _head(self, found, group, keys):
    """Arrays of the method's head, from tables of hidden states."""
    head = self.method.head.init(jax.random.key(3), WIDTH, jnp.float32)
    states = base.GroupHidden(
      predict=found["hidden"],
      at=found["hidden"],
      prompt_end=found["hidden_prompt_end"],
    )
    return self.method.head.apply(head, states, group, keys)

  def outputs(self, params, frozen, batch, method_state, keys):
    del method_state
    ids = batch.example_id

    def look_up(table, group):
      rows = table[ids]
      if rows.ndim == 2:
        return rows[:, : group.shape[1]] if rows.shape[1] != WIDTH else rows
      rows = rows[:, : group.shape[1]]
      if rows.ndim == 3 and rows.shape[-1] == TOKENS:
        rows = jnp.where(group.token_mask, rows, 0.0)
      return rows

    out = {}
    for (role, name), wanted in self.method.needs.items():
      group = batch.groups[name]
      tables = (params if role in params else frozen)[role][name]
      found = {w: look_up(tables[w], group) for w in tables}
      if "head" in wanted:
        found.update(self._head(found, group, keys))
      out[role, name] = found
    for name, need in self.method.vocab.items():
      group = batch.groups[need.streams[0][1]]
      tables = params["vocab"][name]
      out["vocab", name] = {
        "total": look_up(tables["total"], group),
        "at_target": look_up(tables["at_target"], group),
        "logps": tuple(look_up(t, group) for t in tables["logps"]),
      }
    return out

  def terms(self, outputs, batch, method_state, keys):
    return self.method.loss(outputs, batch, method_state, keys)
