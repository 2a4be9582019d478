# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Four aspects of learning from preferences, one changed at a time.

Pairs are two answers of the start itself to a prompt, labelled by the gold
reward with some labels flipped. DPO learns from them; PPO learns from a
reward model that was trained on them and sees its prompts only. What is
changed: how many labels are flipped (20 % or half of that), the algorithm,
the reward model (as large as the policy, or three times that with twice the
layers), and whether PPO also asks prompts that have no label.

DPO and PPO are trained at three strengths of the pull to the start.
`gold_equal_kl` is what they earn where both are equally far from it, on the
line through the three policies; `gold` is that of the strength which is best
on other prompts. The other arms keep that strength. Gold is taken on prompts
that nobody trained on.
"""

import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.unpacking_dpo_ppo import asking, figures, policies, rewards
from prefjax import experiments
from prefjax.analysis import aspects
from prefjax.experiments import arrays, online_rounds, world

PAPER = "Unpacking DPO and PPO, arXiv:2406.09279"
METHODS = ()
CLAIM = (
  "PPO with a reward model beats DPO on the same preferences; better"
  " preferences help more than the algorithm, a larger reward model or more"
  " prompts."
)
ARM, BASELINE = "ppo", "dpo"
METRIC = "gold_equal_kl"
HIGHER_IS_BETTER = True
EXPECTED = (
  "at equal divergence from the start the gold reward of PPO is above DPO's on"
  " average and on no seed lower by half a standard error; half the flipped"
  " labels gain something, and more than PPO over DPO, a larger reward model"
  " or more prompts do (means over seeds, each algorithm at its best strength)."
)
NOTE = (
  "What lacks here is the reward model: it ranks 76 % of held-out pairs rightly"
  " but likes short answers too much. On one more seed the best of 1, 2, 4, 8"
  " and 16 answers by it earn 0.73, 0.82, 0.83, 0.76 and 0.67; best_of_k is the"
  " last of these. PPO at its weakest pull ends below DPO in the same way. A"
  " larger reward model helps PPO most, though it ranks no better. More prompts"
  " add little, as in the paper. Smaller than a fair test of the paper: 1,024"
  " pairs, three seeds, one learning rate for each algorithm, from a run on"
  " another seed."
)
SEEDS = 3
SETTINGS = {
  "quick": dict(
    start_steps=60,
    sft_steps=20,
    pairs=64,
    more_prompts=64,
    flip_rate=0.2,
    kl=0.6,
    reward=dict(epochs=1, rate=1e-3),
    dpo=dict(strengths=[0.3], epochs=1, rate=5e-4),
    ppo=dict(strengths=[0.3], rounds=2, prompts=32, pieces=2, rate=1e-3),
    test=64,
    valid=32,
    choices=4,
  ),
  "full": dict(
    start_steps=world.STEPS,
    sft_steps=world.SFT_STEPS,
    pairs=1024,
    more_prompts=2048,
    flip_rate=0.2,
    kl=0.6,
    reward=dict(epochs=2, rate=1e-3),
    dpo=dict(strengths=[0.1, 0.3, 1.0], epochs=2, rate=5e-4),
    ppo=dict(
      strengths=[0.1, 0.3, 1.0], rounds=40, prompts=64, pieces=2, rate=1e-3
    ),
    test=512,
    valid=256,
    choices=16,
  ),
}
ASPECTS = ("data", "algorithm", "reward_model", "prompts")
# Settings of each arm; the first of an aspect is its baseline.
GRID = {
  "dpo": ("noisy", "dpo", "as_policy", "labelled"),
  "dpo_better_data": ("better", "dpo", "as_policy", "labelled"),
  "ppo": ("noisy", "ppo", "as_policy", "labelled"),
  "ppo_better_data": ("better", "ppo", "as_policy", "labelled"),
  "ppo_larger_reward_model": ("noisy", "ppo", "larger", "labelled"),
  "ppo_more_prompts": ("noisy", "ppo", "as_policy", "more"),
}
WORTH = "worth"  # not an arm: what each aspect changes
GOLD = "gold"
_VALID = 300_000  # first of the prompts that strengths are chosen by


def _prompts(seed: int, made: asking.Pairs, more: int):
  """The labelled prompts, and those with others; equally many rows."""
  own = arrays.Tasks(
    np.asarray(made.group.prompt), np.asarray(made.group.prompt_mask)
  )
  extra = asking.tasks(seed, more, start=200_000)
  number = len(own.prompt)
  rows = np.arange(number + more) % number
  return {
    # Repeated, so that both are asked by the same compiled program.
    "labelled": arrays.Tasks(own.prompt[rows], own.mask[rows]),
    "more": arrays.Tasks(
      np.concatenate([own.prompt, extra.prompt]),
      np.concatenate([own.mask, extra.mask]),
    ),
  }


def measure(seed: int, settings: Mapping[str, Any]) -> experiments.Arms:
  steps = settings["start_steps"], settings["sft_steps"]
  start = world.start(seed, *steps)
  number, rate = settings["pairs"], settings["flip_rate"]
  made = asking.pairs(seed, start, number)
  groups = {
    name: made.ordered(asking.flips(seed, number, flipped))
    for name, flipped in (("noisy", rate), ("better", rate / 2))
  }
  prompts = _prompts(seed, made, settings["more_prompts"])
  test = asking.tasks(seed, settings["test"], "heldout")
  valid = asking.tasks(seed, settings["valid"], start=_VALID)
  asked = arrays.Tasks(
    np.concatenate([test.prompt, valid.prompt]),
    np.concatenate([test.mask, valid.mask]),
  )
  clean = asking.pairs(seed, start, settings["valid"], "heldout")
  choice, _ = asking.lab().draw(
    start,
    test.take(np.arange(settings["test"] // 4)),
    jnp.arange(settings["test"] // 4),
    samples=settings["choices"],
    seed=seed,
    stream=online_rounds.EVAL,
  )
  choice_gold = asking.gold(choice)

  trained: dict[tuple[str, str], Any] = {}

  def reward_of(data: str, size: str) -> Any:
    if (data, size) not in trained:
      begin = world.start(seed, *steps, rewards.SIZES[size])
      trained[data, size] = rewards.train(
        seed, begin, size, groups[data], **settings["reward"]
      )
    return trained[data, size]

  def look(policy: Any) -> policies.Found:
    return policies.measure(seed, policy, start, asked, settings["valid"])

  before = look(start)
  arms = {
    "start": {
      METRIC: before.gold,
      GOLD: before.gold,
      "length": before.length,
      "best_of_k": float(choice_gold.mean()),
    }
  }
  strengths: dict[str, float] = {}
  for arm, (data, algorithm, size, which) in GRID.items():
    how = settings[algorithm]
    if algorithm == "dpo":
      make = functools.partial(policies.dpo, seed, start, groups[data], how)
    else:
      make = functools.partial(
        policies.ppo,
        seed,
        start,
        prompts[which],
        reward_of(data, size),
        size,
        # The same for both sizes: one thing is changed at a time.
        reward_of(data, "as_policy")["backbone"],
        how,
      )
    chosen = strengths.get(algorithm)
    tried = how["strengths"] if chosen is None else [chosen]
    found = {strength: look(make(strength)) for strength in tried}
    arms[arm] = policies.numbers(found)
    if chosen is None:
      strengths[algorithm] = policies.best(found)
      arms[arm][METRIC] = policies.at_kl(
        list(found.values()), before, settings["kl"]
      )
    if algorithm == "ppo":
      arms[arm] |= rewards.quality(
        reward_of(data, size), size, clean, choice, choice_gold
      )
  runs = [
    {**dict(zip(ASPECTS, levels, strict=True)), GOLD: arms[arm][GOLD]}
    for arm, levels in GRID.items()
  ]
  arms[WORTH] = {
    row["aspect"]: row["effect"]
    for row in aspects.aspect_grid(runs, metric=GOLD)
  }
  return arms


def accept(seeds: Sequence[experiments.Arms]) -> dict[str, bool]:
  gaps = experiments.values(seeds, ARM, METRIC) - experiments.values(
    seeds, BASELINE, METRIC
  )
  error = gaps.std(ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else 0.0
  worth = {name: experiments.mean(seeds, WORTH, name) for name in ASPECTS}
  data = worth.pop("data")
  return {
    "PPO above DPO on average, nowhere lower by half a standard error": bool(
      gaps.mean() > 0 and gaps.min() >= -0.5 * error
    ),
    "half the flipped labels help": data > 0,
    **{
      f"they help more than the {name.replace('_', ' ')}": data > value
      for name, value in worth.items()
    },
  }


def draw(seeds: Sequence[experiments.Arms], folder: pathlib.Path) -> None:
  figures.worth(seeds, folder / "aspects.png")
