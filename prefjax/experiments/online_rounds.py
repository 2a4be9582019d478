# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rounds of own samples as one program: sample, score, measure, update.

Rewards are functions of arrays, so nothing comes to the host between two
updates, and a chunk of rounds is one `lax.scan`. Methods come from the
registry, and decoder, advantages and train step are those of whole runs.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from prefjax import methods, rl
from prefjax.core import errors, prng, types
from prefjax.experiments import arrays
from prefjax.generation import decoding, processing
from prefjax.methods import adapters, online
from prefjax.methods import method as method_lib
from prefjax.models import base
from prefjax.train import optim
from prefjax.train import step as step_lib

_STREAMS = 4  # kinds of draws in a round
OWN, GREEDY, EVAL = range(3)

# (frozen roles, responses, their tasks) -> reward [B, K].
Reward = Callable[[Mapping[str, Any], types.Group, arrays.Tasks], jax.Array]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
  """How rounds are made and become updates.

  Attributes:
    rounds: how many.
    prompts: of a round.
    samples: responses to a prompt.
    epochs: passes over a round.
    pieces: updates of a pass.
    temperature: of the draws.
    learning_rate: at the end of the warm-up.
    warmup: updates of linear warm-up.
    schedule: after it; see `optim.make_schedule`.
    clip_norm: of gradients.
  """

  rounds: int
  prompts: int = 64
  samples: int = 8
  epochs: int = 1
  pieces: int = 1
  temperature: float = 1.0
  learning_rate: float = 1e-3
  warmup: int = 10
  schedule: str = "constant"
  clip_norm: float = 1.0

  @property
  def updates(self) -> int:
    """Updates of a round."""
    return self.epochs * self.pieces


def measuring(reference: bool, values: bool) -> method_lib.Method:
  """What must be known of rollouts, as needs of a method without a loss."""
  needs: dict[Any, tuple[str, ...]] = {
    adapters.POLICY: ("token_logps", "entropy")
  }
  if reference:
    needs[adapters.REFERENCE] = ("token_logps",)
  if values:
    needs[online.VALUE] = ("state_values",)

  def no_loss(*arguments):
    raise TypeError("rollouts are only measured")

  return method_lib.Method(
    inputs=("main",), needs=needs, loss=no_loss, record_kind="prompt"
  )


def sample(
  model: base.Model,
  weights: Any,
  tasks: arrays.Tasks,
  ids: Any,
  *,
  samples: int,
  slots: int,
  eos_id: int,
  seed: Any = 0,
  index: Any = 0,
  stream: int = OWN,
  temperature: float = 1.0,
  greedy: bool = False,
) -> tuple[types.Group, decoding.Output]:
  """Responses to tasks, as a group and as the decoder gave them.

  Args:
    model: the decoder.
    weights: its weights.
    tasks: N prompts.
    ids: int [N], stand for the prompts in the keys.
    samples: responses to a prompt.
    slots: most tokens of a response.
    eos_id: token that ends one.
    seed: of the draws.
    index: number of the round.
    stream: kind of draw.
    temperature: divides the logits.
    greedy: take the likeliest token instead.
  """
  keys = prng.example_keys(seed, index * _STREAMS + stream, "generation", ids)
  request = decoding.Request(
    prompt=jnp.asarray(tasks.prompt, jnp.int32),
    prompt_mask=jnp.asarray(tasks.mask, bool),
    keys=keys,
    real=jnp.ones(tasks.prompt.shape[0], bool),
    limit=jnp.int32(slots),
    eos=jnp.asarray([eos_id], jnp.int32),
    stop=jnp.zeros((0, 0), jnp.int32),
    processors=processing.standard(temperature, greedy=greedy),
  )
  made = decoding.decode(
    model, weights, None, request, samples=samples, slots=slots, greedy=greedy
  )
  return arrays.group_of(tasks, made.tokens, made.lengths), made


class Program:
  """A chunk of rounds of one method, compiled once."""

  def __init__(
    self,
    model: base.Model,
    name: str,
    kwargs: Mapping[str, Any],
    plan: Plan,
    reward: Reward,
    *,
    eos_id: int,
    slots: int,
  ):
    self.method = methods.get(name, **kwargs)
    own = self.method.online
    if own is None or own.source != "policy":
      raise errors.ConfigError(
        f"{name}: an online lab takes methods that sample from the policy alone"
      )
    self._plan, self._reward, self._slots = plan, reward, slots
    self._sample = functools.partial(sample, model, slots=slots, eos_id=eos_id)
    self.tx = optim.make_optimizer("adamw", b2=0.99, clip_norm=plan.clip_norm)
    rate = optim.make_schedule(
      plan.schedule,
      plan.learning_rate,
      total_steps=plan.rounds * plan.updates,
      warmup_steps=plan.warmup,
    )
    self._step = step_lib.make_train_step(
      arrays.objective(self.method, model, "precomputed"), self.tx, rate
    )
    self._measure = arrays.objective(
      measuring(own.uses_reference, own.uses_values), model, "live"
    )
    self.run = jax.jit(self._chunk, donate_argnums=0)

  def _chunk(self, carry, still, tasks, rows, indices):
    def one(carry, xs):
      return self._round(carry, still, tasks.take(xs[0]), *xs)

    return jax.lax.scan(one, carry, (rows, indices))

  def _round(self, carry, still, tasks, ids, index):
    """((state, price), numbers) after one round on some tasks."""
    state, price = carry
    plan, own = self._plan, self.method.online
    draw = functools.partial(
      self._sample,
      state.params["policy"],
      tasks,
      ids,
      seed=state.seed,
      index=index,
    )
    group, made = draw(
      samples=own.samples or plan.samples, temperature=plan.temperature
    )
    scores = self._reward(still, group, tasks)
    greedy = None
    if own.uses_greedy:
      best, _ = draw(samples=1, greedy=True, stream=GREEDY)
      greedy = self._reward(still, best, tasks)[:, 0]
    kept = jnp.ones(plan.prompts, bool)
    if own.dynamic:
      kept = rl.dynamic_sampling_mask(scores) > 0
    batch = arrays.batch_of(group, ids, kept.astype(jnp.float32))
    found = self._measure.outputs(state.params, still, batch, {}, None)
    policy = found[adapters.POLICY]
    reference = values = None
    if own.uses_reference:
      reference = found[adapters.REFERENCE]["token_logps"]
    if own.uses_values:
      values = found[online.VALUE]["state_values"]
    ended = made.finish != 0
    prepared = own.prepare(
      rl.Rollouts(
        mask=group.token_mask,
        logps=policy["token_logps"],
        scores=scores,
        ended=ended,
        ref_logps=reference,
        values=values,
        baseline=greedy,
        sampler_logps=made.policy_logps,
        kept=kept,
      ),
      price,
    )
    whole = dataclasses.replace(
      batch,
      groups={"main": dataclasses.replace(group, **prepared.group)},
      extras={
        **prepared.extras,
        "max_length": jnp.full(plan.prompts, float(self._slots)),
      },
    )
    state, metrics = self._updates(state, whole, index)
    if own.kl_target:
      price = rl.adaptive_kl(
        kl_coef=price,
        observed=jnp.mean(prepared.statistics["kl"]),
        target=own.kl_target,
        horizon=own.kl_horizon,
        num_samples=scores.size,
      )
    mask = group.token_mask
    out = {
      "reward": jnp.mean(scores),
      "zero_spread": jnp.mean(1 - rl.dynamic_sampling_mask(scores)),
      "length": jnp.mean(made.lengths.astype(jnp.float32)),
      "ended": jnp.mean(ended.astype(jnp.float32)),
      "entropy": jnp.sum(policy["entropy"] * mask) / jnp.sum(mask),
      "kl": jnp.mean(prepared.statistics["kl"]),
      "sampler_gap": jnp.max(
        jnp.where(mask, jnp.abs(policy["token_logps"] - made.policy_logps), 0)
      ),
      "loss": metrics["loss"].mean(),
      "grad_norm": metrics["grad_norm"].mean(),
      "train/skipped": metrics["train/skipped"].total,
    }
    return (state, price), out

  def _updates(self, state, batch, index):
    """The round cut into updates, as `Rounds` of a whole run does it."""
    plan = self._plan
    if plan.updates == 1:
      return self._step(state, batch)
    rows = plan.prompts // plan.pieces

    def one(state, at):
      key = prng.step_key(state.seed, index, "pieces")
      order = jax.random.permutation(
        jax.random.fold_in(key, at // plan.pieces), plan.prompts
      )
      piece = jax.lax.dynamic_slice_in_dim(
        order, (at % plan.pieces) * rows, rows
      )
      return self._step(state, jax.tree.map(lambda x: x[piece], batch))

    state, metrics = jax.lax.scan(one, state, jnp.arange(plan.updates))
    total = jax.tree.map(lambda x: jnp.sum(x, axis=0), metrics)
    return state, total
