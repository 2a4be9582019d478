# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The laboratory trains and measures through the library, deterministically."""

import dataclasses

import jax
import numpy as np
import pytest

from prefjax import methods, models
from prefjax.core import errors
from prefjax.data import language, scenes
from prefjax.experiments import lab as lab_lib
from prefjax.experiments import world

_PAIRS = world.pairs(3, 48)


@pytest.fixture(scope="module")
def lab():
  return lab_lib.Lab(hidden=16, heads=2, layers=1, prompt=24, response=26)


@pytest.fixture(scope="module")
def start(lab):
  return lab.init(0)


@pytest.fixture(scope="module")
def policy(lab, start):
  """Trained on few pairs until it knows them."""
  return lab.train(
    start,
    "dpo",
    _PAIRS,
    kwargs=dict(beta=0.5),
    steps=30,
    seed=0,
    batch_size=16,
    learning_rate=1e-2,
  )


def _equal(left, right) -> bool:
  return all(
    jax.tree.leaves(
      jax.tree.map(lambda a, b: bool((a == b).all()), left, right)
    )
  )


def test_training_leaves_the_start_and_repeats_exactly(lab, start, policy):
  assert _equal(start, lab.init(0)) and not _equal(start, lab.init(1))
  assert not _equal(start, policy)
  again, metrics = lab.train_with_metrics(
    start,
    "dpo",
    _PAIRS,
    kwargs=dict(beta=0.5),
    steps=30,
    seed=0,
    batch_size=16,
    learning_rate=1e-2,
  )
  assert _equal(again, policy)
  assert metrics["loss"] < np.log(2) and metrics["rewards/accuracies"] > 0.8


def test_arms_and_seeds_share_a_program(lab, start, policy):
  before = len(lab._steps)
  for seed in (1, 2):
    lab.train(
      start,
      "dpo",
      _PAIRS[: 16 * seed],
      kwargs=dict(beta=0.5),
      steps=30,
      seed=seed,
      batch_size=16,
      learning_rate=1e-2,
    )
  (program,) = list(lab._steps.values())[before - 1 :]
  assert program.step._cache_size() == 1


def test_pairs_are_ranked_better_after_training(lab, start, policy):
  found = lab.pairs(policy, _PAIRS, reference=start)
  before = lab.pairs(start, _PAIRS)
  assert found["reward_accuracy"] > 0.8 > before["accuracy"]
  assert found["reward_margin"] > 0
  assert found["chosen_drift"] == pytest.approx(
    found["chosen_logps"] - before["chosen_logps"], abs=1e-4
  )
  same = lab.pairs(start, _PAIRS, reference=start)
  assert same["chosen_drift"] == 0.0 and same["reward_accuracy"] == 0.5


def test_answers_are_scored_and_their_kl_estimated(lab, start, policy):
  prompts = world.prompts(0, 12)
  made = lab.answers(policy, prompts, seed=1, reference=start, samples=3)
  assert made.gold.shape == made.lengths.shape == made.kl.shape == (12, 3)
  for prompt, texts, golds in zip(prompts, made.texts, made.gold, strict=True):
    assert list(golds) == [language.gold_reward(prompt, t) for t in texts]
  again = lab.answers(policy, prompts, seed=1, samples=3)
  assert again.texts == made.texts and "kl" not in again.numbers()
  other = lab.answers(policy, prompts, seed=2, samples=3)
  assert other.texts != made.texts
  none = lab.answers(policy, prompts, seed=1, reference=policy)
  np.testing.assert_allclose(none.kl, 0.0, atol=1e-4)
  assert made.numbers()["kl"] > 0.1


def test_another_reward_and_no_temperature(lab, policy):
  prompts = world.prompts(0, 4)
  made = lab.answers(
    policy,
    prompts,
    seed=1,
    temperature=0,
    samples=2,
    gold=lambda prompt, text: float(len(text)),
    max_new_tokens=5,
  )
  assert [row[0] for row in made.texts] == [row[1] for row in made.texts]
  assert made.lengths.max() <= 5
  assert made.gold[0, 0] == len(made.texts[0][0])


def test_win_rate_against_other_answers():
  def answers(gold):
    gold = np.asarray(gold, np.float64)
    return lab_lib.Answers([], gold, gold, gold > 0, gold)

  found = answers([[1.0, 0.0]]).numbers(answers([[0.5, 0.0]]))
  assert found["win_rate"] == 0.75


def test_a_method_of_ones_own(lab, start):
  method = methods.get("dpo", beta=0.5)
  ours = lab.train(start, method, _PAIRS, steps=2, seed=0)
  theirs = lab.train(
    start, "dpo", _PAIRS, kwargs=dict(beta=0.5), steps=2, seed=0
  )
  assert _equal(ours, theirs)
  with pytest.raises(errors.ConfigError, match="given by name"):
    lab.train(start, method, _PAIRS, kwargs={"beta": 1.0}, steps=1, seed=0)


def test_the_reference_may_be_another(lab, start, policy):
  kwargs = dict(kwargs=dict(beta=0.5), steps=1, seed=0, batch_size=16)
  _, first = lab.train_with_metrics(policy, "dpo", _PAIRS, **kwargs)
  assert first["loss"] == pytest.approx(np.log(2), abs=1e-5)
  _, other = lab.train_with_metrics(
    policy, "dpo", _PAIRS, reference=start, **kwargs
  )
  assert other["loss"] < 0.6


def test_rows_of_any_layout_become_records():
  rows = [
    {"prompt": "a", "responses": ["b", "c"], "scores": [1.0, 0.5]},
    {"prompt": "d", "responses": ["e", "f"], "scores": [0.1, 0.5]},
  ]
  found = lab_lib.as_records(rows)
  assert [record.kind for record in found] == ["ranked", "ranked"]
  assert lab_lib.as_records(found) == found
  with pytest.raises(errors.DataError, match="rows"):
    lab_lib.as_records([{"prompt": "a", "chosen": 5, "rejected": "b"}])


def test_updates_that_are_not_finite_are_no_policy(lab, start):
  def broken(chosen_logps, rejected_logps, *, scale=float("inf")):
    return (rejected_logps - chosen_logps) * scale

  methods.register("broken", broken, paper="none", replace=True)
  with pytest.raises(errors.TrainingError, match="lower the learning rate"):
    lab.train(start, "broken", _PAIRS, steps=1, seed=0)


def test_log_probs_are_those_that_rank_pairs(lab, policy):
  rows = _PAIRS[:10]
  found = lab.log_probs(policy, rows)
  assert found.shape == (10, 2) and (found < 0).all()
  ranked = lab.pairs(policy, rows)
  assert ranked["chosen_logps"] == pytest.approx(found[:, 0].mean(), rel=1e-5)
  assert ranked["rejected_logps"] == pytest.approx(found[:, 1].mean(), rel=1e-5)
  np.testing.assert_allclose(lab.log_probs(policy, rows[3:]), found[3:], 1e-5)
  with pytest.raises(errors.DataError, match="does not fit"):
    lab.log_probs(policy, [*rows, dict(rows[0], chosen="x" * 99)])


def test_images_and_frames_reach_training_scores_and_answers():
  seeing = lab_lib.Lab(
    hidden=16,
    heads=2,
    layers=1,
    prompt=40,
    response=24,
    vision=models.Vision(image_size=8, patch=8, width=8, layers=0, heads=2),
    images=4,
  )
  clips = scenes.clip_records(1, 8, size=8, frames=4, kinds=("reverse",))
  dark = [dict(r, frames=[0 * f for f in r["frames"]]) for r in clips]
  start = seeing.init(0)
  policy = seeing.train(start, "dpo", clips, steps=2, seed=0, batch_size=4)
  moved = jax.tree.map(lambda a, b: bool((a != b).any()), start, policy)
  assert any(jax.tree.leaves(moved["vision"]["patch"]))
  light, none = (seeing.log_probs(policy, rows) for rows in (clips, dark))
  assert (light != none).all()
  prompts = [row["prompt"] for row in clips]
  how = dict(seed=1, max_new_tokens=4, gold=lambda prompt, text: 0.0)
  seen, unseen = (
    seeing.answers(policy, prompts, shown=rows, reference=start, **how)
    for rows in (clips, None)
  )
  assert np.isfinite(seen.kl).all() and (seen.kl != unseen.kl).any()


# --- the common ground --------------------------------------------------------


@pytest.fixture
def _small_world(monkeypatch, tmp_path):
  monkeypatch.setattr(world, "_FOLDER", str(tmp_path))
  small = lab_lib.Lab(hidden=16, heads=2, layers=1, prompt=24, response=26)
  monkeypatch.setattr(world, "lab", lambda: small)
  for cached in (world.skilled, world.start):
    cached.cache_clear()
  yield tmp_path
  for cached in (world.skilled, world.start):
    cached.cache_clear()


def test_the_first_stage_is_kept_on_disk(_small_world):
  first = world.skilled(2)
  (path,) = _small_world.glob("*.npz")
  world.skilled.cache_clear()
  assert _equal(world.skilled(2), first)
  path.write_bytes(b"damaged")
  world.skilled.cache_clear()
  assert _equal(world.skilled(2), first)
  one, other = world.start(5, 2, 1), world.start(6, 2, 1)
  assert not _equal(one, other)


def test_the_language_fits_the_slots(lab):
  train = lab_lib.as_records(world.pairs(1, 400, flip_rate=0.2))
  encoded = lab.source(train, "pair", batch_size=8)
  assert encoded.num_examples == 400
  held = {row["prompt"] for row in world.held_out_pairs(1)}
  assert held.isdisjoint(record.prompt for record in train)
  assert held.isdisjoint(world.prompts(2)) is False  # the same split
  wrong = [row["metadata"]["flipped"] for row in world.pairs(1, 400)]
  assert not any(wrong)


def test_every_number_of_the_common_measure(_small_world):
  policy = world.start(5, 2, 1)
  before = world.answers(policy, 5, number=8)
  found = world.measure(
    policy, 5, reference=policy, before=before, number=8, samples=2
  )
  assert found["win_rate"] == 0.5 and abs(found["kl"]) < 1e-4
  assert found["gold"] == before.numbers()["gold"]
  assert {"length", "accuracy", "reward_accuracy", "chosen_drift"} <= set(found)


def test_settings_of_the_language_are_frozen():
  with pytest.raises(dataclasses.FrozenInstanceError):
    world.LANGUAGE.longest = 3
