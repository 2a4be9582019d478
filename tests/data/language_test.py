# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The instruction language: purity, gold rewards, grades, noise, producers."""

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy import stats

from prefjax.core import errors
from prefjax.data import language as lang
from prefjax.data.language import randomness, scoring

PRODUCERS = {
  "prompt": lang.prompt_records,
  "sft": lang.sft_records,
  "pair": lang.pair_records,
  "unpaired": lang.unpaired_records,
  "ranked": lang.ranked_records,
  "rated": lang.rated_records,
  "step": lang.step_records,
  "step_pair": lang.step_pair_records,
  "user": lang.user_records,
  "joint": lang.joint_records,
  "rationale": lang.rationale_records,
}
LANGUAGES = {"quick": lang.QUICK, "full": lang.FULL}


def _prompts(record):
  """The prompt of a record, or of each of its sides."""
  return [v for k, v in record.items() if k.split("_")[0] == "prompt"]


# --- purity -----------------------------------------------------------------


@pytest.mark.parametrize("name", PRODUCERS)
def test_producer_is_deterministic_and_order_independent(name):
  make = PRODUCERS[name]
  whole = make(7, 40)
  assert whole == make(7, 40)
  # Any slice alone, and single records in reverse, give the same records.
  assert whole[25:32] == make(7, 7, start=25)
  assert [make(7, 1, start=i)[0] for i in (39, 3, 0)] == [
    whole[39],
    whole[3],
    whole[0],
  ]
  assert whole != make(8, 40)
  assert whole != make(7, 40, "heldout")


@pytest.mark.parametrize("name", PRODUCERS)
def test_records_are_json_and_within_size(name):
  records = PRODUCERS[name](3, 200)
  assert len({record["id"] for record in records}) == 200
  assert records[7]["id"].endswith("-3-train-7")
  for record in records:
    assert json.loads(json.dumps(record)) == record
    assert all(0 < len(prompt) <= 40 for prompt in _prompts(record))
    texts = [record.get(k) for k in ("completion", "chosen", "rejected")]
    texts += record.get("responses", [])
    for text in texts:
      assert text is None or 0 < len(text) <= 40


def test_quick_language_keeps_to_its_sizes():
  for record in lang.sft_records(0, 6000) + lang.pair_records(0, 6000):
    assert len(record["prompt"]) <= 32
    for name in ("completion", "chosen", "rejected"):
      assert len(record.get(name, "")) <= 24, record


def test_blocks_equal_single_draws_across_block_edges():
  rows = list(randomness.stream(5, 1020, 10, "a", "b"))
  for index, row in enumerate(rows):
    alone = randomness.draws(5, 1020 + index, "a", "b")
    # 200 values: well past the first page of a record.
    assert [row.uniform() for _ in range(200)] == [
      alone.uniform() for _ in range(200)
    ]


def test_streams_and_pages_do_not_repeat():
  values = [
    randomness.draws(seed, index, name).uniform()
    for seed in range(5)
    for index in range(20)
    for name in ("a", "b", "ab")
  ]
  assert len(set(values)) == len(values)
  long = randomness.draws(0, 0, "a")
  first = [long.uniform() for _ in range(640)]
  assert len(set(first)) == 640


def test_draws_are_uniform():
  draw = randomness.draws(0, 0, "uniformity")
  values = np.array([draw.uniform() for _ in range(20_000)])
  assert stats.kstest(values, "uniform").pvalue > 1e-4
  counts = np.bincount([draw.below(7) for _ in range(14_000)], minlength=7)
  assert stats.chisquare(counts).pvalue > 1e-4
  normals = [draw.normal() for _ in range(5_000)]
  assert stats.kstest(normals, "norm").pvalue > 1e-4
  picks = [draw.weighted("abc", [1.0, 1.0, 4.0]) for _ in range(8_000)]
  assert picks.count("b") == 0
  assert abs(picks.count("a") / 8_000 - 0.25) < 5 * math.sqrt(0.1875 / 8_000)


def test_numpy_generator_is_accepted():
  task = lang.parse("copy: abc?")
  one, two = (np.random.default_rng(3) for _ in range(2))
  assert [lang.corrupt(one, task, "slip") for _ in range(9)] == [
    lang.corrupt(two, task, "slip") for _ in range(9)
  ]
  assert lang.sample(np.random.default_rng(1), lang.FULL).prompt


def test_bad_seed_is_refused():
  with pytest.raises(errors.ConfigError, match="seed='x'"):
    lang.prompt_records("x", 1)


# --- splits -----------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_splits_do_not_share_prompts_or_arguments(language):
  seen = {}
  for split in lang.SPLITS:
    tasks = [
      task
      for seed in (0, 1)
      for task in lang.tasks(seed, 1500, split, language)
    ]
    assert all(lang.split_of(task.prompt) == split for task in tasks)
    seen[split] = {(t.kind, t.detail, t.argument) for t in tasks}
  assert not seen["train"] & seen["heldout"]
  assert not seen["train"] & seen["valid"]
  assert not seen["valid"] & seen["heldout"]
  # Held-out prompts are many, not a handful.
  assert len(seen["heldout"]) > 1000


@pytest.mark.parametrize("name", PRODUCERS)
@pytest.mark.parametrize("split", lang.SPLITS)
def test_producers_stay_in_their_split(name, split):
  for record in PRODUCERS[name](2, 60, split):
    assert all(lang.split_of(prompt) == split for prompt in _prompts(record))


def test_unknown_split_is_refused():
  with pytest.raises(errors.ConfigError, match="split='test'"):
    lang.sft_records(0, 1, "test")


# --- tasks and gold rewards -------------------------------------------------

ANSWERS = {
  "copy: fox?": "fox",
  "copy: red fox?": "red fox",
  "reverse: abcd?": "dcba",
  "reverse: abcd | caps?": "DCBA",
  "upper: abc | !?": "ABC!",
  "repeat 3: ab?": "ab ab ab",
  "sort: dbca?": "abcd",
  "sort: 9 2 15?": "2 9 15",
  "add: 12+7 | polite?": "Sure, 19",
  "sub: 12-7?": "5",
  "max: 3 18 2?": "18",
  "min: 3 18 2 | !, polite?": "Sure, 2!",
  "count a: banana?": "3",
  "take 2: red fox dog | caps, !, polite, brief?": "SURE, RED FOX!",
  "solve: 3+4-2?": "3+4=7\n7-2=5\n5",
  "solve: 2*3+1 | brief?": "2*3=6\n6+1=7\n7",
  "chain rev,up: abcd?": "dcba\nDCBA",
  "chain cut,dup,sort: dba?": "db\ndbb\nbbd",
}


@pytest.mark.parametrize("prompt", ANSWERS)
def test_answers_by_hand(prompt):
  task = lang.parse(prompt)
  assert task.answer == ANSWERS[prompt]
  assert task.prompt == prompt
  assert lang.gold_reward(prompt, task.answer) == 1.0


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_gold_is_one_for_every_exact_answer(language):
  kinds = set()
  for task in lang.tasks(11, 3000, "train", language):
    kinds.add(task.kind)
    assert lang.parse(task.prompt) == task
    assert lang.gold_reward(task.prompt, task.answer) == 1.0
    values = lang.aspects(task.prompt, task.answer)
    assert values["correctness"] == values["format"] == values["brevity"] == 1
    assert values["politeness"] == float("polite" in task.styles)
  assert kinds == {kind for kind, _ in language.kinds}


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_only_the_exact_answer_is_perfect(language):
  worst = 0.0
  for index, task in enumerate(lang.tasks(4, 2000, "train", language)):
    draw = lang.draws(0, index, "imperfect")
    quality = draw.pick(lang.QUALITIES[:-1])
    response = lang.corrupt(draw, task, quality)
    assert response != task.answer
    gold = lang.gold_reward(task.prompt, response)
    assert 0.0 <= gold < 1.0
    worst = max(worst, gold)
  assert worst < 0.95


@pytest.mark.parametrize(
  ("prompt", "response", "low", "high"),
  [
    ("copy: abc?", "", 0, 0),
    ("copy: abc?", "!", 0, 0),
    ("copy: abc?", "zzzz", 0, 0),
    ("upper: abc?", "abc", 0, 0.01),  # case is the point
    ("copy: abc?", "ABC", 0.8, 0.95),  # right content, wrong dress
    ("copy: abc | caps?", "abc", 0.8, 0.95),
    ("copy: abc | polite?", "sure, abc", 0.8, 0.95),
    ("copy: abc | polite?", "SURE, abc", 0.8, 0.95),
    ("copy: abcd?", "abcx", 0.6, 0.7),
    ("max: 3 8 2?", "The answer is 8.", 0.4, 0.5),
    ("max: 3 8 2?", "3 8 2", 0, 0.1),  # echoing the argument is no answer
    ("max: 3 8 2?", "9", 0.59, 0.61),
    ("max: 3 8 2?", "-8", 0, 0.1),
    ("max: 3 8 2?", "8.5", 0, 0.6),
    ("take 1: red fox?", "red fox", 0, 0.6),
    ("add: 9+7?", "iy16x", 0, 0),
    ("solve: 3+4-2?", "5", 0.1, 0.3),  # the result without its working
    ("solve: 3+4-2?", "3+4=7, 7-2=5, 5", 0.7, 0.9),
    ("solve: 3+4-2?", "3+4=7\n7-2=5,5", 0.8, 0.9),
    ("solve: 3+4-2?", "3+4=8\n8-2=6\n6", 0, 0),
    ("chain rev,up: abcd?", "dcba\nDCBX", 0.3, 0.5),
  ],
)
def test_gold_of_known_mistakes(prompt, response, low, high):
  assert low <= lang.gold_reward(prompt, response) <= high


def test_gold_reward_survives_any_text():
  hostile = ["\x00", "\ud800", "é" * 500, "9" * 5000, "a\nb", "🙂", " " * 99]
  for prompt in ANSWERS:
    for response in hostile:
      assert 0.0 <= lang.gold_reward(prompt, response) < 1.0
      values = lang.aspects(prompt, response)
      assert set(values) == set(lang.ASPECTS)
      assert all(0.0 <= value <= 1.0 for value in values.values())


@pytest.mark.parametrize(
  "prompt",
  [
    "",
    "copy abc?",
    "fly: abc?",
    "copy: " + "abc",  # without its question mark
    "copy: abc?" + "?",
    "copy: abc | loud?",
    "copy: ABC?",
    "add: 3-4?",
    "repeat 99: ab?",
    "take 3: a b?",
    "count: abc?",
    "solve: 3+?",
    "chain spin: ab?",
    "chain rev: a b?",
    "max: " + "1 " * 400 + "2?",
    "copy: abc |?",
  ],
)
def test_prompts_outside_the_language_are_refused(prompt):
  with pytest.raises(errors.DataError, match="prompt"):
    lang.gold_reward(prompt, "x")


def test_edit_distance_by_hand_and_against_the_plain_recursion():
  assert scoring.edit_distance("kitten", "sitting") == 3
  assert scoring.edit_distance("", "abc") == 3
  assert scoring.edit_distance("abc", "abc") == 0

  def plain(a, b):
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    table[:, 0], table[0, :] = range(len(a) + 1), range(len(b) + 1)
    for i in range(1, len(a) + 1):
      for j in range(1, len(b) + 1):
        table[i, j] = min(
          table[i - 1, j] + 1,
          table[i, j - 1] + 1,
          table[i - 1, j - 1] + (a[i - 1] != b[j - 1]),
        )
    return table[-1, -1]

  draw = randomness.draws(0, 0, "edit")
  for _ in range(300):
    a, b = (
      "".join(draw.pick("abc") for _ in range(draw.below(8))) for _ in "12"
    )
    assert scoring.edit_distance(a, b) == plain(a, b)


def test_gold_rewards_batches():
  prompts = ["copy: abc?", "add: 1+2?"]
  flat = lang.gold_rewards(prompts, ["abc", "4"])
  assert flat.shape == (2,) and flat.dtype == np.float32
  np.testing.assert_allclose(flat, [1.0, 0.6])
  groups = lang.gold_rewards(prompts, [["abc", ""], ["3", "4"]])
  np.testing.assert_allclose(groups, [[1.0, 0.0], [1.0, 0.6]])
  with pytest.raises(errors.DataError, match="2 prompts but 1"):
    lang.gold_rewards(prompts, ["abc"])
  with pytest.raises(errors.DataError, match="ragged"):
    lang.gold_rewards(prompts, [["abc"], ["3", "4"]])


# --- grades -----------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_mean_gold_rises_with_the_grade(language):
  golds = {quality: [] for quality in lang.QUALITIES}
  for index, task in enumerate(lang.tasks(1, 1200, "train", language)):
    draw = lang.draws(1, index, "grades")
    for quality in lang.QUALITIES:
      response = lang.corrupt(draw, task, quality)
      golds[quality].append(lang.gold_reward(task.prompt, response))
  means = [np.mean(golds[quality]) for quality in lang.QUALITIES]
  errors_ = [
    np.std(golds[quality]) / math.sqrt(1200) for quality in lang.QUALITIES
  ]
  assert means[-1] == 1.0
  for low, high, spread in zip(
    range(6), range(1, 7), zip(errors_, errors_[1:], strict=False), strict=False
  ):
    assert means[high] - means[low] > 5 * math.hypot(*spread), means


def test_verbose_is_longer_and_half_is_shorter():
  tasks = list(lang.tasks(3, 400, "train", lang.FULL))
  length = {
    quality: np.mean(
      [
        len(lang.corrupt(lang.draws(3, i, "len"), task, quality))
        for i, task in enumerate(tasks)
      ]
    )
    for quality in ("half", "exact", "verbose")
  }
  assert length["half"] < length["exact"] < length["verbose"] - 8


def test_unknown_quality_and_bad_mixtures_are_refused():
  task = lang.parse("copy: abc?")
  with pytest.raises(errors.ConfigError, match="did you mean 'garbage'"):
    lang.corrupt(lang.draws(0, 0), task, "garbige")
  for mixture in ({"fine": 1.0}, {"exact": -1.0}, {"exact": 0.0}, {}):
    with pytest.raises(errors.ConfigError, match="mixture"):
      lang.sft_records(0, 1, mixture=mixture)


def test_sft_mixture_is_honoured():
  records = lang.sft_records(0, 4000)
  share = np.mean([r["metadata"]["quality"] == "exact" for r in records])
  assert abs(share - 0.5) < 5 * math.sqrt(0.25 / 4000)
  golds = [r["metadata"]["gold"] for r in records]
  assert 0.65 < np.mean(golds) < 0.85  # room for preferences to improve
  pure = lang.sft_records(0, 50, mixture={"exact": 1.0})
  assert all(r["completion"] == lang.parse(r["prompt"]).answer for r in pure)


def test_language_settings_change_what_is_drawn():
  plain = dataclasses.replace(lang.QUICK, style_rate=0.0)
  styled = dataclasses.replace(lang.QUICK, style_rate=1.0)
  assert not any(t.styles for t in lang.tasks(0, 200, language=plain))
  assert all(t.styles for t in lang.tasks(0, 200, language=styled))
  two = dataclasses.replace(styled, second_style_rate=1.0)
  assert any(len(t.styles) > 1 for t in lang.tasks(0, 50, language=two))
  only = dataclasses.replace(lang.FULL, kinds=(("sub", 1.0), ("add", 0.0)))
  assert {t.kind for t in lang.tasks(0, 50, language=only)} == {"sub"}
  chains = dataclasses.replace(
    lang.FULL, kinds=(("chain", 1.0),), operations=(4, 4), letters=(5, 5)
  )
  for task in lang.tasks(0, 50, language=chains):
    assert len(task.steps) == 4 and len(task.argument) == 5
  big = dataclasses.replace(lang.FULL, kinds=(("add", 1.0),), largest=900)
  assert any(len(t.answer) >= 4 for t in lang.tasks(0, 50, language=big))


@pytest.mark.parametrize(
  "changes",
  [
    {"kinds": (("jump", 1.0),)},
    {"kinds": (("copy", -1.0),)},
    {"kinds": (("copy", 0.0),)},
    {"letters": (5, 3)},
    {"numbers": (1, 2)},
    {"alphabet": "ABC"},
    {"largest": 2},
    {"max_words": 0},
    {"word_letters": (1, 3)},
    {"longest": 10},
  ],
)
def test_bad_language_settings_are_refused(changes):
  with pytest.raises(errors.ConfigError, match="Language"):
    lang.Language(**changes)
