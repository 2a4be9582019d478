# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Training on arrays that lie on the device: a run is one `lax.scan`."""

import functools
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from prefjax import methods
from prefjax.core import errors, prng, types
from prefjax.methods import language_model
from prefjax.methods import method as method_lib
from prefjax.models import base
from prefjax.train import optim
from prefjax.train import state as state_lib
from prefjax.train import step as step_lib

_ROWS = 256  # arrays of rows come in multiples of


def padded(rows: Any) -> Any:
  """Arrays with rows repeated up to a multiple, so that programs are shared.

  Splits of different seeds seldom have equally many rows, and a program is
  compiled for a number of rows. Take the number and orders before.
  """
  number = jax.tree.leaves(rows)[0].shape[0]
  kept = np.arange(-(-number // _ROWS) * _ROWS) % number
  return jax.tree.map(lambda x: jnp.asarray(x)[kept], rows)


class Tasks(NamedTuple):
  """N prompts and what a reward compares with.

  Attributes:
    prompt: int32 [N, P], right-aligned.
    mask: bool [N, P].
    facts: any arrays that lead with N.
  """

  prompt: Any
  mask: Any
  facts: Any = ()

  def take(self, rows: Any) -> "Tasks":
    return jax.tree.map(lambda x: jnp.asarray(x)[rows], self)


def group_of(tasks: Tasks, tokens: Any, lengths: Any) -> types.Group:
  """Responses int32 [N, K, R] of so many tokens [N, K] as a group."""
  tokens = jnp.asarray(tokens, jnp.int32)
  mask = jnp.arange(tokens.shape[-1]) < jnp.asarray(lengths)[..., None]
  return types.Group(
    prompt=jnp.asarray(tasks.prompt, jnp.int32),
    prompt_mask=jnp.asarray(tasks.mask, bool),
    response=tokens,
    token_mask=mask,
    token_weights=mask.astype(jnp.float32),
    response_mask=jnp.ones(tokens.shape[:2], bool),
  )


def batch_of(group: types.Group, ids: Any, weight: Any = 1.0) -> types.Batch:
  """A group as a batch; `weight` is a number or [B]."""
  ids = jnp.asarray(ids, jnp.int32)
  weight = jnp.asarray(weight, jnp.float32)
  return types.Batch(
    groups={"main": group},
    example_id=ids,
    example_weight=jnp.broadcast_to(weight, ids.shape),
  )


def orders(
  seed: int, tag: str, number: int, size: int, steps: int
) -> np.ndarray:
  """int32 [steps, size]: rows of each step, in passes over all `number`.

  A step never has a row twice.

  Raises:
    ConfigError: there are fewer rows than a step wants.
  """
  if size > number:
    raise errors.ConfigError(f"{number} rows are too few for {size} a step")
  draw = prng.host_generator(seed, tag)
  out: list[np.ndarray] = []
  while len(out) < steps:
    order = draw.permutation(number)
    out += [order[i : i + size] for i in range(0, number - size + 1, size)]
  return np.stack(out[:steps]).astype(np.int32)


def objective(
  method: method_lib.Method,
  model: base.Model,
  reference: str = "none",
  models: Mapping[str, base.Model] | None = None,
) -> language_model.LanguageModelObjective:
  """The method on decoders in float32 that begin with given weights."""

  def no_init(key):
    raise AssertionError("training begins from given weights")

  return language_model.LanguageModelObjective(
    method,
    model,
    no_init,
    compute=language_model.Compute(dtype=jnp.dtype("float32")),
    reference=reference,
    models=models,
  )


def begin(method, tx, params, frozen, seed: int) -> state_lib.TrainState:
  """A state that owns its arrays: a step may give them away."""
  params = jax.tree.map(jnp.copy, params)
  return state_lib.TrainState(
    step=jnp.asarray(0, jnp.int32),
    params=params,
    frozen=frozen,
    opt_state=jax.jit(tx.init)(params),
    method_state=method.init_state(prng.step_key(seed, 0, "method_state")),
    seed=jnp.asarray(seed, jnp.uint32),
  )


def fit(
  model: base.Model,
  params: Mapping[str, Any],
  method: str | method_lib.Method,
  group: types.Group,
  *,
  steps: int,
  seed: int,
  kwargs: Mapping[str, Any] | None = None,
  frozen: Mapping[str, Any] | None = None,
  models: Mapping[str, base.Model] | None = None,
  batch_size: int = 64,
  learning_rate: float = 1e-3,
  warmup: int = 20,
  schedule: str = "constant",
) -> Any:
  """Trained roles after so many updates on rows of a group.

  Args:
    model: of roles that `models` does not name.
    params: role -> weights to begin from; left as they are.
    method: a registry name, or a Method.
    group: N rows.
    steps: updates.
    seed: of the order.
    kwargs: hyper-parameters of a method given by name.
    frozen: role -> weights that stay.
    models: role -> another decoder.
    batch_size: rows of an update.
    learning_rate: at the end of the warm-up.
    warmup: updates of linear warm-up.
    schedule: after it; see `optim.make_schedule`.

  Raises:
    TrainingError: an update was not finite.
  """
  shape = (steps, learning_rate, warmup, schedule)
  if isinstance(method, str):
    built, tx, run = _named_updates(
      model,
      method,
      json.dumps(dict(kwargs or {}), sort_keys=True),
      tuple(sorted((models or {}).items())),
      *shape,
    )
  else:
    built = method
    tx, run = _updates(model, built, models, *shape)
  number = group.response.shape[0]
  rows = orders(seed, "fit", number, batch_size, steps)
  state = begin(built, tx, dict(params), dict(frozen or {}), seed)
  state, skipped = run(state, padded(group), rows)
  if float(jnp.sum(skipped)):
    raise errors.TrainingError(
      f"seed {seed}: updates were not finite; lower the learning rate"
    )
  return state.params


@functools.lru_cache(maxsize=16)
def _named_updates(model, name: str, kwargs: str, models, *shape):
  """(method, tx, run) of a registry name; seeds share the program."""
  built = methods.get(name, **json.loads(kwargs))
  return built, *_updates(model, built, dict(models), *shape)


def _updates(model, method, models, steps, learning_rate, warmup, schedule):
  """(tx, run): (state, group, rows) -> (state, skipped updates [steps])."""
  tx = optim.make_optimizer("adamw", b2=0.99, clip_norm=1.0)
  rate = optim.make_schedule(
    schedule, learning_rate, total_steps=steps, warmup_steps=warmup
  )
  reference = "live" if "reference" in method.roles() else "none"
  step = step_lib.make_train_step(
    objective(method, model, reference, models), tx, rate
  )

  @jax.jit
  def run(state, group, rows):
    def update(state, rows):
      chosen = jax.tree.map(lambda x: x[rows], group)
      state, metrics = step(state, batch_of(chosen, rows))
      return state, metrics["train/skipped"].total

    return jax.lax.scan(update, state, rows)

  return tx, run
