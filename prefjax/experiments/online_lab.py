# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A small laboratory for learning from own samples, all of it on the device.

lab = OnlineLab(model, eos_id=12, response=4)
start = lab.demonstrate(weights, tasks, answers, lengths, steps=400, seed=0)
plan = online_rounds.Plan(rounds=200)
policy, rows = lab.train(start, "grpo", tasks, exact, plan=plan, seed=0)
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefjax.core import errors, prng
from prefjax.experiments import arrays, online_rounds
from prefjax.models import base, heads

_CHUNK = 10  # rounds of one program


class OnlineLab:
  """One decoder that learns from its own samples.

  Args:
    model: the decoder.
    eos_id: token that ends a response.
    response: response slots, the end included.
  """

  def __init__(self, model: base.Model, *, eos_id: int, response: int):
    self.model, self.eos_id, self.response = model, eos_id, response
    self._programs: dict[Any, online_rounds.Program] = {}
    self.draw = jax.jit(
      self.sample, static_argnames=("samples", "temperature", "greedy")
    )

  def sample(self, weights: Any, tasks: arrays.Tasks, ids: Any, **options: Any):
    """(group, decoder's output); takes what `online_rounds.sample` takes."""
    options.setdefault("samples", 1)
    return online_rounds.sample(
      self.model,
      weights,
      tasks,
      ids,
      slots=self.response,
      eos_id=self.eos_id,
      **options,
    )

  def score(
    self,
    weights: Any,
    tasks: arrays.Tasks,
    reward: online_rounds.Reward,
    frozen: Mapping[str, Any] | None = None,
  ) -> np.ndarray:
    """Rewards [N] of the likeliest responses, on the host."""
    number = tasks.prompt.shape[0]
    tasks = arrays.padded(tasks)
    ids = jnp.arange(tasks.prompt.shape[0])
    group, _ = self.draw(
      weights, tasks, ids, greedy=True, stream=online_rounds.EVAL
    )
    return np.asarray(reward(frozen or {}, group, tasks)[:number, 0])

  def demonstrate(
    self,
    start: Any,
    tasks: arrays.Tasks,
    answers: Any,
    lengths: Any,
    **how: Any,
  ) -> Any:
    """Weights after supervised updates.

    Args:
      start: weights to begin from; left as they are.
      tasks: N prompts.
      answers: int32 [N, R], left-aligned, the end included.
      lengths: int [N], tokens of the answers.
      **how: steps, seed and more of `arrays.fit`.
    """
    group = arrays.group_of(
      tasks, np.asarray(answers)[:, None], np.asarray(lengths)[:, None]
    )
    return arrays.fit(self.model, {"policy": start}, "sft", group, **how)[
      "policy"
    ]

  def train(
    self,
    start: Any,
    method: str,
    tasks: arrays.Tasks,
    reward: online_rounds.Reward,
    *,
    plan: online_rounds.Plan,
    seed: int,
    kwargs: Mapping[str, Any] | None = None,
    frozen: Mapping[str, Any] | None = None,
    value: Any = None,
    price: float | None = None,
    watch: Callable[[Any], Mapping[str, float]] | None = None,
    every: int = 0,
  ) -> tuple[Any, list[dict[str, float]]]:
    """Trained weights and a row of numbers a round.

    Args:
      start: weights to begin from, which the reference keeps; left as they
        are.
      method: a registry name that samples from the policy alone.
      tasks: the prompts.
      reward: pure function of arrays; keep one object, it is part of the
        program's name.
      plan: how rounds are made.
      seed: of orders and draws.
      kwargs: hyper-parameters of the method.
      frozen: more frozen roles, for the reward.
      value: where a value model's decoder begins; None for the policy.
      price: of the divergence inside the reward, in place of `kl_in_reward`:
        other prices share a program. The method must have one.
      watch: weights -> numbers, added to the rows that `every` names.
      every: rounds between two looks; 0 looks at the end only. The first is
        before the first round, as a row of its own.

    Returns:
      (weights, rows); each has `round`, `samples` (responses drawn so far)
      and the numbers of the round.
    """
    program = self._program(method, kwargs or {}, plan, reward)
    params = {"policy": start}
    own = program.method.online
    if price is not None and not own.kl_coef:
      raise errors.ConfigError(f"{method}: its reward has no price to set")
    if own.uses_values:
      key = prng.step_key(seed, 0, "value")
      head = heads.init(key, self.model.config.hidden_size, std=0.0)
      begin = start if value is None else value
      params["value"] = {"backbone": begin, "scalar_head": head}
    still = dict(frozen or {})
    if own.uses_reference:
      still["reference"] = start
    state = arrays.begin(program.method, program.tx, params, {}, seed)
    order = arrays.orders(
      seed, "rounds", tasks.prompt.shape[0], plan.prompts, plan.rounds
    )
    price = jnp.float32(own.kl_coef if price is None else price)
    tasks = arrays.padded(tasks)  # after the order: repeated rows have no place
    drawn = plan.samples + (1 if own.uses_greedy else 0)
    rows: list[dict[str, float]] = []

    def look(index: int, row: dict[str, float]) -> None:
      due = every and index % every == 0
      if watch is not None and (due or index == plan.rounds):
        row.update(watch(state.params["policy"]))

    if watch is not None and every:
      rows.append({"round": 0, "samples": 0})
      look(0, rows[-1])
    size = min(_CHUNK, every or _CHUNK, plan.rounds)
    for first in range(0, plan.rounds, size):
      chunk = np.arange(first, min(first + size, plan.rounds))
      (state, price), found = program.run(
        (state, price), still, tasks, order[chunk], chunk.astype(np.int32)
      )
      found = jax.device_get(found) if every else found
      for at, index in enumerate(chunk.tolist()):
        row = {"round": index + 1}
        row["samples"] = (index + 1) * plan.prompts * drawn
        row |= {name: values[at] for name, values in found.items()}
        rows.append(row)
      look(int(chunk[-1]) + 1, rows[-1])
    rows = [{k: float(v) for k, v in row.items()} for row in rows]
    if sum(row.get("train/skipped", 0.0) for row in rows) > 0:
      raise errors.TrainingError(
        f"{method}, seed {seed}: updates were not finite; lower the learning"
        " rate"
      )
    return state.params["policy"], rows

  def _program(self, name, kwargs, plan, reward) -> online_rounds.Program:
    """The compiled rounds; one for every method and set of settings."""
    key = (name, json.dumps(dict(kwargs), sort_keys=True), plan, reward)
    if key not in self._programs:
      self._programs[key] = online_rounds.Program(
        self.model,
        name,
        kwargs,
        plan,
        reward,
        eos_id=self.eos_id,
        slots=self.response,
      )
    return self._programs[key]
