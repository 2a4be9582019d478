# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""DPO and PPO at several strengths of the pull to the start, and their gold."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.unpacking_dpo_ppo import asking, rewards
from prefjax.core import types
from prefjax.experiments import arrays, online_rounds
from prefjax.methods import adapters

_BATCH = 32


class Found(NamedTuple):
  """A policy's answers, one to a prompt.

  Attributes:
    gold: their mean gold reward.
    kl: mean log-prob above the start's, nats.
    length: mean tokens, the end included.
    valid: mean gold on the prompts that strengths are chosen by.
  """

  gold: float
  kl: float
  length: float
  valid: float


def dpo(
  seed: int,
  start: Any,
  group: types.Group,
  how: Mapping[str, Any],
  beta: float,
) -> Any:
  """The policy after `how["epochs"]` passes over pairs."""
  return arrays.fit(
    asking.lab().model,
    {"policy": start},
    "dpo",
    group,
    frozen={"reference": start},
    kwargs={"beta": beta},
    steps=how["epochs"] * (group.response.shape[0] // _BATCH),
    seed=seed,
    batch_size=_BATCH,
    learning_rate=how["rate"],
    warmup=10,
    schedule="linear",
  )["policy"]


def ppo(
  seed: int,
  start: Any,
  tasks: arrays.Tasks,
  reward: Any,
  size: str,
  value: Any,
  how: Mapping[str, Any],
  price: float,
) -> Any:
  """The policy after rounds of own answers that a reward model scores.

  Args:
    seed: of draws and orders.
    start: weights.
    tasks: prompts.
    reward: weights of the reward model.
    size: its name in `rewards.SIZES`.
    value: decoder that the value model begins with.
    how: rounds, prompts, pieces, rate.
    price: of a nat of divergence.
  """
  return asking.lab().train(
    start,
    "ppo",
    tasks,
    rewards.scorer(size),
    plan=online_rounds.Plan(
      rounds=how["rounds"],
      prompts=how["prompts"],
      samples=1,
      pieces=how["pieces"],
      learning_rate=how["rate"],
      schedule="linear",
    ),
    seed=seed,
    # Rewards have a spread of 1: an answer without an end is a bad one.
    kwargs={"missing_eos": -3.0, "value_coef": 0.5},
    price=price,
    value=value,
    frozen={"reward": reward},
  )[0]


@functools.lru_cache(maxsize=1)
def _log_ratios():
  """(policy, start, group) -> log-prob above the start's, nats [N, K]."""
  objective = arrays.objective(
    online_rounds.measuring(True, False), asking.lab().model, "live"
  )

  @jax.jit
  def run(policy, start, group):
    batch = arrays.batch_of(group, jnp.arange(group.response.shape[0]))
    found = objective.outputs(
      {"policy": policy}, {"reference": start}, batch, {}, None
    )
    ours, theirs = (
      found[role]["token_logps"]
      for role in (adapters.POLICY, adapters.REFERENCE)
    )
    return jnp.sum((ours - theirs) * group.token_mask, axis=-1)

  return run


def measure(
  seed: int, policy: Any, start: Any, asked: arrays.Tasks, valid: int
) -> Found:
  """One answer to each prompt; the last `valid` of them choose strengths."""
  ids = jnp.arange(asked.prompt.shape[0])
  group, made = asking.lab().draw(
    policy, asked, ids, seed=seed, stream=online_rounds.EVAL
  )
  gold = asking.gold(group)[:, 0]
  kl = np.asarray(_log_ratios()(policy, start, group))[:, 0]
  lengths = np.asarray(made.lengths)[:, 0]
  return Found(
    gold=float(gold[:-valid].mean()),
    kl=float(kl[:-valid].mean()),
    length=float(lengths[:-valid].mean()),
    valid=float(gold[-valid:].mean()),
  )


def at_kl(found: Sequence[Found], before: Found, kl: float) -> float:
  """Gold where the divergence is `kl`, on the line through all strengths.

  The line begins at the start, which has no divergence, and is flat beyond
  the policy that is furthest from it.
  """
  rows = [before, *sorted(found, key=lambda row: row.kl)]
  return float(np.interp(kl, [r.kl for r in rows], [r.gold for r in rows]))


def best(found: Mapping[float, Found]) -> float:
  """The strength whose policy earns most on the prompts for choosing."""
  return max(found, key=lambda strength: found[strength].valid)


def numbers(found: Mapping[float, Found]) -> dict[str, float]:
  """Those of the best strength; gold and kl of each where there are more."""
  chosen = best(found)
  row = found[chosen]
  out = {"gold": row.gold, "kl": row.kl, "length": row.length}
  out["strength"] = chosen
  # Which one an arm has alone differs from seed to seed: no names for it.
  several = found if len(found) > 1 else {}
  for strength, row in several.items():
    out |= {f"gold_at_{strength}": row.gold, f"kl_at_{strength}": row.kl}
  return out
