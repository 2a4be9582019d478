# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scorers behind one interface, their files, and what is made of them."""

import json

import jax
import numpy as np
import policy_support as support
import pytest

from prefjax import rewards
from prefjax.cli import main
from prefjax.core import errors
from prefjax.data import readers
from prefjax.rewards import sequences
from prefjax.runs import (
  annotating,
  benching,
  reward_files,
  score_files,
  scorers,
)
from prefjax.runs.scorers import base, models, texts, trained

ROWS = [
  {"id": "pair", "kind": "pair", "prompt": "2+2=",
   "responses": ["4", "five"], "pairs": [[0, 1]]},
  {"id": "ranked", "kind": "ranked", "prompt": "say hi: ",
   "responses": ["hi", "hello there", "no"], "scores": [1.0, 3.0, 2.0]},
  {"id": "liked", "kind": "unpaired", "prompt": "why? ",
   "responses": ["because"], "labels": [True]},
  {"id": "demo", "kind": "sft", "prompt": "a b ", "responses": ["c d e"]},
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("scorers")
  support.save_model(path / "a", 0)
  support.save_model(path / "b", 1)
  support.write(path / "data.jsonl", ROWS)
  return path


def _records(folder):
  return readers.read(folder / "data.jsonl").records


def _lines(path):
  return {
    row["id"]: row for row in map(json.loads, path.read_text().splitlines())
  }


def _sources(folder, **more):
  settings = dict(
    model=str(folder / "a"), weak=str(folder / "b"), batch_size=2,
    max_prompt=64, max_response=64,
  )  # fmt: skip
  return scorers.Sources(**{**settings, **more})


class _Counting:
  """Scores by length; counts what it was asked."""

  name = "counting"

  def __init__(self, key="k", bad=()):
    self.asked, self._key, self._bad = [], key, bad

  def digest(self):
    return base.digest(key=self._key)

  def score(self, records):
    out = []
    for record in records:
      self.asked.append(record.id)
      if record.id in self._bad:
        out.append({"error": "cannot be scored"})
      else:
        out.append({"scores": [len(str(r)) for r in record.responses]})
    return out


# --- files --------------------------------------------------------------------


def test_a_file_of_scores_goes_on_where_it_was(folder, tmp_path):
  records, path = _records(folder), tmp_path / "deep" / "s.jsonl"
  first = _Counting(bad=("liked",))
  outcome = scorers.write(first, records[:2], path, chunk=1)
  assert (outcome.scored, outcome.unusable, outcome.present) == (2, 0, 0)
  with path.open("a") as file:
    file.write('{"id": "liked", "scor')  # the process died here
  again = _Counting(bad=("liked",))
  outcome = scorers.write(again, records, path, chunk=3)
  assert (outcome.scored, outcome.unusable, outcome.present) == (2, 1, 2)
  assert again.asked == [r.id for r in records[2:]]
  rows = _lines(path)
  assert rows["ranked"]["scores"] == [2, 11, 2]
  assert rows["liked"]["error"] == "cannot be scored"
  with pytest.raises(errors.DataError, match="scored with another model"):
    scorers.write(_Counting("other"), records, path)


def test_a_scorer_must_give_a_score_a_response(folder, tmp_path):
  class Short(_Counting):
    def score(self, records):
      return [{"scores": [1.0]} for _ in records]

  with pytest.raises(errors.DataError, match="gave 1 scores for 2 responses"):
    scorers.write(Short(), _records(folder), tmp_path / "a.jsonl")

  class Odd(_Counting):
    def score(self, records):
      return [{"scores": [float("nan")] * len(r.responses)} for r in records]

  outcome = scorers.write(Odd(), _records(folder), tmp_path / "b.jsonl")
  assert outcome.unusable == outcome.scored == 4


# --- language models ----------------------------------------------------------


def test_density_is_the_difference_of_two_models(folder):
  scorer = scorers.make("density", _sources(folder), {})
  rows = scorer.score(_records(folder))
  for row, source in zip(rows, ROWS, strict=True):
    for score, strong, response in zip(
      row["scores"], row["strong"], source["responses"], strict=True
    ):
      want, n = support.log_prob(folder / "a", source["prompt"], response)
      other, _ = support.log_prob(folder / "b", source["prompt"], response)
      # Without the end token, which the long way counts.
      assert strong > want and n == len(response) + 1
      assert np.isfinite(other) and np.isfinite(score)
  same = scorers.make("density", _sources(folder, weak=str(folder / "a")), {})
  assert all(not any(row["scores"]) for row in same.score(_records(folder)))
  # The public function on texts says the same.
  a, b = (models.Reader(r.policy) for r in scorer._models)
  triples = [(m.apply, m.policy.weights, m.policy.tokenizer) for m in (a, b)]
  direct = rewards.density_ratio_scorer(*triples)(
    ["say hi: "], [["hi", "hello there", "no"]]
  )
  np.testing.assert_allclose(direct[0], rows[1]["scores"], atol=2e-4)
  per_token = rewards.density_ratio_scorer(*triples, normalize="tokens")(
    ["say hi: "], [["hi", "hello there", "no"]]
  )
  np.testing.assert_allclose(per_token[0] * [2, 11, 2], direct[0], atol=2e-4)


def test_instructions_come_first_and_are_routed(folder):
  scorer = scorers.make("density", _sources(folder), {})
  triples = [
    (m.apply, m.policy.weights, m.policy.tokenizer) for m in scorer._models
  ]
  table = {"SAFETY": "Be safe.", "CHAT": ""}
  routed = rewards.density_ratio_scorer(
    *triples,
    instruction_table=table,
    router=lambda p: "[START]SAFETY[END]" if "hi" in p else "hm",
  )
  plain = rewards.density_ratio_scorer(*triples)
  found = routed(["say hi: ", "2+2="], [["hi"], ["4"]])
  want = plain(["Be safe.\n\nsay hi: ", "2+2="], [["hi"], ["4"]])
  np.testing.assert_allclose(found, want, atol=1e-5)
  own = scorers.make("density", _sources(folder), {"instruction": "Be safe."})
  record = _records(folder)[1]
  assert own.score([record])[0]["scores"][0] == pytest.approx(
    float(found[0, 0]), abs=2e-4
  )
  with pytest.raises(errors.ConfigError, match="give a router"):
    rewards.density_ratio_scorer(*triples, instruction_table=table)
  with pytest.raises(errors.DataError, match="different numbers"):
    plain(["a", "b"], [["c"], ["d", "e"]])


def test_followups_are_read_after_each_response(folder):
  scorer = scorers.make("followups", _sources(folder), {})
  record = _records(folder)[0]
  row = scorer.score([record])[0]
  assert len(row["scores"]) == 2 and np.shape(row["categories"]) == (2, 3)
  np.testing.assert_allclose(
    row["scores"], np.mean(row["categories"], 1), atol=1e-6
  )
  reader = scorer._model
  remarks = scorer._remarks
  table = rewards.score_followups(
    reader.apply,
    reader.policy.weights,
    reader.policy.tokenizer,
    [record.prompt] * 2,
    list(record.responses),
    remarks,
  )
  half = len(remarks) // 2
  want = table[:, :half].mean(1) - table[:, half:].mean(1)
  np.testing.assert_allclose(row["scores"], want, atol=1e-5)
  # One remark, the long way: the mean over its own tokens.
  remark = remarks[0]
  context = f"{record.prompt}{record.responses[0]}\nUser: "
  total, n = support.log_prob(folder / "a", context, remark)
  tokenizer, log_softmax = support._scorer(folder / "a")
  ids = tokenizer.encode(context + remark)
  padded = np.zeros((1, 96), np.int32)
  padded[0, : len(ids)] = ids
  end = log_softmax(padded)[len(ids) - 1, tokenizer.eos_id]
  assert table[0, 0] == pytest.approx((total - end) / (n - 1), abs=1e-4)
  less = scorers.make("followups", _sources(folder), {"baseline": True})
  moved = less.score([record])[0]["scores"]
  # Within a prompt the baseline changes no difference.
  assert moved[0] - moved[1] == pytest.approx(
    row["scores"][0] - row["scores"][1], abs=1e-4
  )


def test_long_prompts_lose_their_beginning(folder):
  reader = models.Reader(
    scorers.make("density", _sources(folder), {})._models[0].policy,
    max_prompt=5,
  )
  long, short = reader.token_logps(
    [(list(range(40, 90)), [[1, 2]]), (list(range(85, 90)), [[1, 2]])]
  )
  np.testing.assert_allclose(long[0], short[0], atol=1e-6)


def test_token_logps_do_not_depend_on_company(folder):
  reader = scorers.make("density", _sources(folder), {})._models[0]
  rng = np.random.default_rng(0)
  items = [
    sequences.Item(
      rng.integers(0, 250, rng.integers(1, 30)).tolist(),
      [rng.integers(0, 250, n).tolist() for n in rng.integers(0, 9, k)],
    )
    for k in (1, 2, 2, 3, 0)
  ]
  whole = sequences.token_logps(
    reader.apply, reader.policy.weights, items, batch_size=2
  )
  assert whole[4] == []
  for item, found in zip(items, whole, strict=True):
    assert [len(x) for x in found] == [len(r) for r in item.responses]
    if not item.responses:
      continue
    (alone,) = sequences.token_logps(
      reader.apply, reader.policy.weights, [item], batch_size=2
    )
    for a, b in zip(found, alone, strict=True):
      np.testing.assert_allclose(a, b, atol=1e-5)
  with pytest.raises(errors.DataError, match="no token"):
    sequences.token_logps(reader.apply, None, [sequences.Item([], [[1]])])


def test_shapes_come_from_a_short_list():
  sizes = {sequences.slots(n) for n in range(1, 1025)}
  assert len(sizes) <= 32 and sequences.slots(1) == 16
  for n in range(1, 1025):
    assert n <= sequences.slots(n) <= max(16, n + max(16, n // 4))


def test_a_local_judge_compares_in_both_orders(folder):
  scorer = scorers.make("judge", _sources(folder), {"options": ["1", "2"]})
  rows = scorer.score(_records(folder)[:2])
  for row in rows:
    k = len(row["scores"])
    assert sum(row["scores"]) == pytest.approx(k / 2)
  assert rows[0]["scores"][0] != 0.5
  # Both options of a byte tokenizer begin with the same token, a space.
  alike = scorers.make("judge", _sources(folder), {})
  with pytest.raises(errors.DataError, match="do not differ"):
    alike.score(_records(folder)[:1])


def test_judge_probabilities_are_those_of_the_first_token(folder):
  reader = scorers.make("density", _sources(folder), {})._models[0]
  p1, p2 = rewards.judge_probabilities(
    reader.apply, reader.policy.weights, reader.policy.tokenizer,
    ["q"], ["{second}"], ["b"],
    template="{prompt}|{first}|{second}=", options=("1", "2"),
  )  # fmt: skip
  tokenizer, log_softmax = support._scorer(folder / "a")
  ids = tokenizer.encode("q|{second}|b=")
  padded = np.zeros((1, 96), np.int32)
  padded[0, : len(ids)] = ids
  want = np.exp(log_softmax(padded)[len(ids) - 1])
  assert p1[0] == pytest.approx(want[ord("1")], rel=1e-4)
  assert p2[0] == pytest.approx(want[ord("2")], rel=1e-4)
  with pytest.raises(errors.DataError, match="do not differ"):
    rewards.judge_probabilities(
      reader.apply, None, reader.policy.tokenizer, ["q"], ["a"], ["b"],
      options=("x1", "x2"),
    )  # fmt: skip


# --- texts --------------------------------------------------------------------


def test_functions_and_what_is_unknown(folder, tmp_path):
  rows = scorers.make("length", _sources(folder), {"per": 1.0}).score(
    _records(folder)
  )
  assert rows[1]["scores"] == [2, 11, 2]
  own = tmp_path / "mine.py"
  own.write_text("def upper(prompt, response, record):\n  return 7\n")
  assert scorers.make(f"{own}:upper", _sources(folder), {}).score(
    _records(folder)[:1]
  )[0]["scores"] == [7, 7]
  for name, settings, message in (
    ("modle", {}, "did you mean 'model'"),
    ("density", {"normalise": "x"}, "did you mean 'normalize'"),
    ("density", {"normalize": "x"}, "neither 'none' nor 'tokens'"),
    ("followups", {"categories": ["fun"]}, "'fun' is unknown"),
    ("length", {"pre": 1}, "no such setting"),
    ("judge", {"url": "http://h/v1"}, "options.model"),
    ("model", {"aggregate": "max"}, "'max' is not one of min"),
  ):
    with pytest.raises(errors.ConfigError, match=message):
      scorers.make(name, _sources(folder), settings)
  with pytest.raises(errors.ConfigError, match="--weak: the scorer 'density'"):
    scorers.make("density", _sources(folder, weak=""), {})


class _Encoder:
  """Counts letters a, b, c."""

  params = {"w": np.ones(1)}

  def __call__(self, texts):
    return np.asarray([[t.count(c) for c in "abc"] for t in texts], np.float32)


def test_relevance_takes_references_of_closed_questions():
  from prefjax.data import records

  def record(name, **metadata):
    return records.validate(
      {"id": name, "kind": "ranked", "prompt": "aa",
       "responses": ["a a b", "c"], "scores": [1, 0],
       "metadata": metadata}, "test",
    )  # fmt: skip

  rows = [record("open"), record("closed", answer="c c", open_ended=False)]
  scorer = texts.RelevanceScorer(_Encoder(), {"unit": 1.0})
  found = scorer.score(rows)
  assert found[0]["scores"] == pytest.approx([3 * 4.0, 0])
  assert found[1]["scores"] == pytest.approx([0, 2 * 5.12])
  with pytest.raises(errors.ConfigError, match="did you mean 'unit'"):
    texts.RelevanceScorer(_Encoder(), {"units": 1.0})
  assert scorer.digest() != texts.RelevanceScorer(_Encoder(), {}).digest()


def test_a_judge_gives_win_rates_and_leaves_out_by_name(folder):
  from prefjax.feedback import judges

  longer = judges.RuleJudge("long", lambda p, r: len(r))
  scorer = texts.JudgeScorer(longer, {})
  rows = scorer.score(_records(folder))
  assert rows[0]["scores"] == [0, 1]
  assert rows[1]["scores"] == [0.25, 1, 0.25]
  assert "two responses" in rows[2]["error"]

  class Silent(judges.RuleJudge):
    def compare(self, items):
      return [
        judges.Verdict(first=None, status="failed", reason="gone")
        if "hello" in item.first
        else judges.Verdict(first=0.5)
        for item in items
      ]

  rows = texts.JudgeScorer(Silent("s", None), {}).score(_records(folder))
  assert rows[0]["scores"] == [0.5, 0.5]
  assert rows[1]["error"] == "no verdict (failed: gone)"


# --- trained reward models ----------------------------------------------------


def _reward_model(folder, tmp_path, name, **kwargs):
  from prefjax import config as config_lib
  from prefjax import methods

  method = methods.get(name, **kwargs)
  section = config_lib.MethodConfig(name=name, kwargs=kwargs)
  path = support.save_model(tmp_path / name, 0)
  params = method.head.init(jax.random.key(1), 16, np.float32)
  reward_files.write(path, section, params)
  return reward_files.open_reward(path), params


def _head_inputs(model, prompt, responses):
  """Last hidden states [K, D], and the prompt's, the plain way."""
  from prefjax.data import chat

  policy = model.policy
  encoded = chat.encode_example(policy.tokenizer, prompt, responses)
  group = sequences.make_group(
    [sequences.Item(encoded.prompt_ids, encoded.responses)], 1
  )
  hidden = policy.model.hidden(policy.weights, group, layout="concat")
  last = [hidden.at[0, k, len(r) - 1] for k, r in enumerate(encoded.responses)]
  return np.asarray(last), np.asarray(hidden.prompt_end[0])


def test_a_scalar_reward_model(folder, tmp_path):
  model, params = _reward_model(folder, tmp_path, "reward_bt")
  scorer = trained.ModelScorer(
    model, trained.Settings(max_prompt=32, max_response=20), batch_size=2
  )
  rows = scorer.score(_records(folder))
  for row, record in zip(rows, _records(folder), strict=True):
    states, _ = _head_inputs(model, record.prompt, list(record.responses))
    want = states @ np.asarray(params["scalar_head"]["weight"])[0]
    np.testing.assert_allclose(row["scores"], want, atol=1e-4)
  short = trained.ModelScorer(model, trained.Settings(max_response=5))
  assert (
    "12 tokens, over max_response 5"
    in short.score(_records(folder))[1]["error"]
  )


def test_every_kind_of_reward_model(folder, tmp_path):
  records = _records(folder)
  ensemble, _ = _reward_model(folder, tmp_path, "reward_bt", members=3)
  row = trained.ModelScorer(ensemble).score(records[1:2])[0]
  assert np.shape(row["members"]) == (3, 3)
  np.testing.assert_allclose(row["scores"], np.mean(row["members"], 1))

  rated, _ = _reward_model(
    folder, tmp_path, "attribute_regression", attributes=2
  )
  row = trained.ModelScorer(rated, trained.Settings(weights=(2.0, -1.0))).score(
    records[:1]
  )[0]
  np.testing.assert_allclose(
    row["scores"], np.asarray(row["attributes"]) @ [2, -1], rtol=1e-6
  )
  with pytest.raises(errors.ConfigError, match="are 1, the model has 2"):
    trained.ModelScorer(rated, trained.Settings(weights=(1.0,))).score(
      records[:1]
    )

  for name in ("gpm", "pair_preference"):
    model, _ = _reward_model(folder, tmp_path, name)
    rows = trained.ModelScorer(model).score(records[:3])
    matrix = np.asarray(rows[1]["matrix"])
    np.testing.assert_allclose(matrix, -matrix.T, atol=1e-6)
    assert np.abs(matrix).max() > 1e-3
    np.testing.assert_allclose(rows[1]["scores"], matrix.sum(1) / 2, atol=1e-6)
    assert "two" in rows[2]["error"]

  classes, _ = _reward_model(folder, tmp_path, "p2c", num_classes=3)
  row = trained.ModelScorer(classes).score(records[:1])[0]
  np.testing.assert_allclose(np.sum(row["classes"], 1), 1, rtol=1e-6)
  np.testing.assert_allclose(row["scores"], np.asarray(row["classes"])[:, 2])


def test_a_process_reward_model_scores_steps(folder, tmp_path):
  from prefjax.data import records

  model, _ = _reward_model(folder, tmp_path, "process_reward")
  steps = records.validate(
    {"id": "s", "kind": "steps", "prompt": "2+2=? ",
     "responses": ["add\nis 4"], "steps": ["add\n", "is 4"],
     "step_labels": [True, None]}, "test",
  )  # fmt: skip
  row = trained.ModelScorer(model).score([steps])[0]
  assert np.shape(row["steps"]) == (1, 2)
  assert row["scores"] == [min(row["steps"][0])]
  product = trained.Settings(aggregate="product")
  again = trained.ModelScorer(model, product).score([steps])[0]
  assert again["scores"] == pytest.approx([np.prod(row["steps"][0])])


def test_a_reward_model_that_is_none(folder, tmp_path):
  with pytest.raises(errors.ConfigError, match="is no reward model"):
    reward_files.open_reward(folder / "a")
  path = support.save_model(tmp_path / "m", 0)
  _, params = _reward_model(folder, tmp_path, "reward_bt")
  from prefjax import config as config_lib

  reward_files.write(path, config_lib.MethodConfig(name="dpo"), params)
  with pytest.raises(errors.ConfigError, match="dpo trains no reward model"):
    reward_files.open_reward(path)
  reward_files.write(
    path, config_lib.MethodConfig(name="reward_bt", kwargs={"members": 2}),
    params,
  )  # fmt: skip
  with pytest.raises(errors.ModelError, match="is not the head"):
    reward_files.open_reward(path)
  (path / reward_files.SETTINGS).write_text("{")
  with pytest.raises(errors.ModelError, match="reward_model.json"):
    reward_files.open_reward(path)


# --- pairs, ranks, mended labels ----------------------------------------------


def _scored(rows, scores, tmp_path, extra=None):
  support.write(tmp_path / "d.jsonl", rows)
  lines = [
    {
      "id": row["id"],
      "key": "k",
      "scores": s,
      **(extra or {}).get(row["id"], {}),
    }
    for row, s in zip(rows, scores, strict=True)
  ]
  support.write(tmp_path / "s.jsonl", lines)
  found = readers.read(tmp_path / "d.jsonl").records
  return score_files.join(found, tmp_path / "s.jsonl")


_GROUP = {"id": "g", "prompt": "p", "responses": ["a", "bb", "ccc"],
          "scores": [0, 0, 0]}  # fmt: skip


@pytest.mark.parametrize("scheme", annotating.SCHEMES)
def test_pairs_of_scored_groups(scheme, tmp_path):
  flat = {**_GROUP, "id": "flat"}
  scored = _scored([_GROUP, flat], [[1, 3, 2], [1, 1, 1]], tmp_path)
  made = annotating.pairs(scored, scheme=scheme, margin_scale=0.5)
  texts_of = {"a": 1, "bb": 3, "ccc": 2}
  for row in made.rows:
    gap = texts_of[row["chosen"]] - texts_of[row["rejected"]]
    assert row["strength"] == gap > 0 and row["margin"] == 0.5 * gap
    assert row["score_chosen"] - row["score_rejected"] == gap
  assert len(made.rows) == (3 if scheme == "all" else 1)
  assert made.ties == (3 if scheme == "all" else 1)
  if scheme == "best_worst":
    assert made.rows[0]["chosen"] == "bb" and made.rows[0]["rejected"] == "a"
  ties = annotating.pairs(scored, scheme=scheme, min_gap=1.0, keep_ties=True)
  assert any(row["tie"] and row["margin"] == 0 for row in ties.rows)
  assert annotating.pairs(scored, scheme=scheme, seed=3) == annotating.pairs(
    scored, scheme=scheme, seed=3
  )


def test_written_pairs_are_read_again(tmp_path):
  scored = _scored([_GROUP], [[1, 3, 2]], tmp_path)
  annotating.write(annotating.pairs(scored).rows, tmp_path / "p.jsonl", str)
  (record,) = readers.read(tmp_path / "p.jsonl").records
  assert record.kind == "pair" and record.responses[record.pairs[0][0]] == "bb"
  assert record.metadata["margin"] == 2.0
  annotating.write(annotating.ranked(scored).rows, tmp_path / "r.jsonl", str)
  (record,) = readers.read(tmp_path / "r.jsonl").records
  assert record.scores == (1.0, 3.0, 2.0)
  with pytest.raises(errors.DataError, match="exists"):
    annotating.write([{}], tmp_path / "r.jsonl")
  with pytest.raises(errors.DataError, match="no record is left"):
    annotating.write([], tmp_path / "x.jsonl")


def test_votes_mend_labels(tmp_path):
  rows = [
    {"id": f"p{i}", "prompt": "q", "chosen": f"c{i}", "rejected": f"r{i}"}
    for i in range(5)
  ]
  gaps = [2.0, -3.0, 1.0, 0.5, 4.0]
  votes = {
    f"p{i}": {"members": [[g, g + 1], [0.0, 1.0]]} for i, g in enumerate(gaps)
  }
  scored = _scored(rows, [[g, 0.0] for g in gaps], tmp_path, votes)
  made = annotating.mend(scored, method="flip_margin", flip_fraction=0.2)
  assert made.flipped == 1
  flipped = made.rows[1]
  assert flipped["flipped"] and flipped["chosen"] == "r1"
  assert flipped["margin"] == 3.0 and flipped["strength"] == -3.0
  assert made.rows[0]["margin"] == 2.0 and made.rows[0]["chosen"] == "c0"
  assert [r["strength_group"] for r in made.rows] == [2, 0, 2, 1, 2]
  soft = annotating.mend(scored, method="soft", smoothing=0.3)
  assert [r["smoothing"] for r in soft.rows] == pytest.approx([0, 0.3, 0, 0, 0])
  assert soft.rows[1]["chosen"] == "c1"
  with pytest.raises(errors.ConfigError, match="--mend"):
    annotating.mend(scored, method="burn")


def test_files_that_do_not_fit(tmp_path):
  rows = [{"id": "p", "prompt": "q", "chosen": "c", "rejected": "r"}]
  with pytest.raises(errors.DataError, match="3 scores for 2 responses"):
    _scored(rows, [[1, 2, 3]], tmp_path)
  with pytest.raises(errors.DataError, match="none of the 1 records"):
    _scored(rows, [[None, 2]], tmp_path)
  (tmp_path / "s.jsonl").write_text('{"id": "p"}\n')
  found = readers.read(tmp_path / "d.jsonl").records
  with pytest.raises(errors.DataError, match="line 1: was not written"):
    score_files.join(found, tmp_path / "s.jsonl")


# --- the commands -------------------------------------------------------------


def _run(*words):
  return main.main([str(word) for word in words])


def test_score_annotate_and_bench(folder, tmp_path, capsys):
  groups = [
    {"id": f"g{i}", "prompt": f"p{i}", "scores": [3.0, 1.0, 2.0, 0.0],
     "responses": ["aaaa", "b" * (1 + i % 3), "cc", "ddd"], "subset": s}
    for i, s in enumerate(["easy", "easy", "hard", "hard"])
  ]  # fmt: skip
  data = support.write(tmp_path / "groups.jsonl", groups)
  scores, gold = tmp_path / "s.jsonl", tmp_path / "gold.jsonl"
  command = ("score", "--scorer=length", f"--data={data}")
  assert _run(*command, '--options={"per": 1}', f"--out={scores}") == 0
  assert "4 records scored" in capsys.readouterr().out
  assert _run(*command, '--options={"per": 1}', f"--out={scores}") == 0
  assert "4 were there already" in capsys.readouterr().out
  (tmp_path / "g.py").write_text(
    "def g(prompt, response, record):\n"
    "  return record.scores[record.responses.index(response)]\n"
  )
  assert _run("score", f"--scorer={tmp_path}/g.py:g", f"--data={data}",
              f"--out={gold}") == 0  # fmt: skip
  out = tmp_path / "bench"
  status = _run("bench", f"--data={data}", f"--scores={scores}",
                f"--gold={gold}", f"--out={out}")  # fmt: skip
  shown = capsys.readouterr().out
  assert status == 0 and "easy" in shown and "n = 4" in shown
  found = json.loads((out / "bench.json").read_text())
  assert found["all"]["mean"] == 1.0 and found["chance"] == 0.25
  assert found["over_optimisation"]["curve"][-1]["gold"] == 3.0
  written = {path.name for path in out.iterdir()}
  assert written >= {"bench.json", "categories.png", "over_optimisation.png"}
  pairs = tmp_path / "pairs.jsonl"
  status = _run("data", "annotate", f"--data={data}", f"--scores={scores}",
                f"--out={pairs}", "--pairs=all", "--min_gap=1")  # fmt: skip
  assert status == 0 and "ties" in capsys.readouterr().out
  assert all(row["strength"] > 1 for row in _lines(pairs).values())


def test_commands_that_are_refused(folder, tmp_path, capsys):
  data = f"--data={folder / 'data.jsonl'}"
  out = f"--out={tmp_path / 'o.jsonl'}"
  for words, message in (
    (
      ("score", data, out, "--options={}x", "--scorer=length"),
      "no JSON object",
    ),
    (("score", data, out, '--options={"a": 1}'), "the scorer logps has none"),
    (("score", data, out, "--scorer=model"), "--model: the scorer 'model'"),
    (("score", data, out, "--scorer=lenght"), "did you mean 'length'"),
    (("bench", data, f"--scores={folder / 'data.jsonl'}"), "was not written"),
  ):
    assert _run(*words) == 2
    assert message in capsys.readouterr().err


def test_records_without_a_preference_are_counted(folder, tmp_path):
  scored = _scored(
    [_GROUP, {**_GROUP, "id": "h", "scores": [0, 1, 0]}],
    [[1, 2, 3], [1, 2, 3]], tmp_path,
  )  # fmt: skip
  found = benching.evaluate(scored)
  assert found["left_out"]["no preference"] == 1
  assert found["all"]["mean"] == 0 and found["all"]["count"] == 1
