# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scorers behind one interface, and their files."""

import numpy as np
import policy_support as support
import pytest
from scorer_support import ROWS, Counting, lines, make_folder, read_all, sources

from prefjax import rewards
from prefjax.core import errors
from prefjax.rewards import sequences
from prefjax.runs import scorers
from prefjax.runs.scorers import models, texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return make_folder(tmp_path_factory.mktemp("scorers"))


# --- files --------------------------------------------------------------------


def test_a_file_of_scores_goes_on_where_it_was(folder, tmp_path):
  records, path = read_all(folder), tmp_path / "deep" / "s.jsonl"
  first = Counting(bad=("liked",))
  outcome = scorers.write(first, records[:2], path, chunk=1)
  assert (outcome.scored, outcome.unusable, outcome.present) == (2, 0, 0)
  with path.open("a") as file:
    file.write('{"id": "liked", "scor')  # the process died here
  again = Counting(bad=("liked",))
  outcome = scorers.write(again, records, path, chunk=3)
  assert (outcome.scored, outcome.unusable, outcome.present) == (2, 1, 2)
  assert again.asked == [r.id for r in records[2:]]
  rows = lines(path)
  assert rows["ranked"]["scores"] == [2, 11, 2]
  assert rows["liked"]["error"] == "cannot be scored"
  with pytest.raises(errors.DataError, match="scored with another model"):
    scorers.write(Counting("other"), records, path)


def test_a_scorer_must_give_a_score_a_response(folder, tmp_path):
  class Short(Counting):
    def score(self, records):
      return [{"scores": [1.0]} for _ in records]

  with pytest.raises(errors.DataError, match="gave 1 scores for 2 responses"):
    scorers.write(Short(), read_all(folder), tmp_path / "a.jsonl")

  class Odd(Counting):
    def score(self, records):
      return [{"scores": [float("nan")] * len(r.responses)} for r in records]

  outcome = scorers.write(Odd(), read_all(folder), tmp_path / "b.jsonl")
  assert outcome.unusable == outcome.scored == 4


# --- language models ----------------------------------------------------------


def test_density_is_the_difference_of_two_models(folder):
  scorer = scorers.make("density", sources(folder), {})
  rows = scorer.score(read_all(folder))
  for row, source in zip(rows, ROWS, strict=True):
    for score, strong, response in zip(
      row["scores"], row["strong"], source["responses"], strict=True
    ):
      want, n = support.log_prob(folder / "a", source["prompt"], response)
      other, _ = support.log_prob(folder / "b", source["prompt"], response)
      # Without the end token, which the long way counts.
      assert strong > want and n == len(response) + 1
      assert np.isfinite(other) and np.isfinite(score)
  same = scorers.make("density", sources(folder, weak=str(folder / "a")), {})
  assert all(not any(row["scores"]) for row in same.score(read_all(folder)))
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
  scorer = scorers.make("density", sources(folder), {})
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
  own = scorers.make("density", sources(folder), {"instruction": "Be safe."})
  record = read_all(folder)[1]
  assert own.score([record])[0]["scores"][0] == pytest.approx(
    float(found[0, 0]), abs=2e-4
  )
  with pytest.raises(errors.ConfigError, match="give a router"):
    rewards.density_ratio_scorer(*triples, instruction_table=table)
  with pytest.raises(errors.DataError, match="different numbers"):
    plain(["a", "b"], [["c"], ["d", "e"]])


def test_followups_are_read_after_each_response(folder):
  scorer = scorers.make("followups", sources(folder), {})
  record = read_all(folder)[0]
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
  less = scorers.make("followups", sources(folder), {"baseline": True})
  moved = less.score([record])[0]["scores"]
  # Within a prompt the baseline changes no difference.
  assert moved[0] - moved[1] == pytest.approx(
    row["scores"][0] - row["scores"][1], abs=1e-4
  )


def test_long_prompts_lose_their_beginning(folder):
  reader = models.Reader(
    scorers.make("density", sources(folder), {})._models[0].policy,
    max_prompt=5,
  )
  long, short = reader.token_logps(
    [(list(range(40, 90)), [[1, 2]]), (list(range(85, 90)), [[1, 2]])]
  )
  np.testing.assert_allclose(long[0], short[0], atol=1e-6)


def test_token_logps_do_not_depend_on_company(folder):
  reader = scorers.make("density", sources(folder), {})._models[0]
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
  scorer = scorers.make("judge", sources(folder), {"options": ["1", "2"]})
  rows = scorer.score(read_all(folder)[:2])
  for row in rows:
    k = len(row["scores"])
    assert sum(row["scores"]) == pytest.approx(k / 2)
  assert rows[0]["scores"][0] != 0.5
  # To a byte tokenizer both begin with the same token, a space.
  alike = scorers.make("judge", sources(folder), {"options": [" 1", " 2"]})
  with pytest.raises(errors.DataError, match="do not differ"):
    alike.score(read_all(folder)[:1])


def test_judge_probabilities_are_those_of_the_first_token(folder):
  reader = scorers.make("density", sources(folder), {})._models[0]
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
  rows = scorers.make("length", sources(folder), {"per": 1.0}).score(
    read_all(folder)
  )
  assert rows[1]["scores"] == [2, 11, 2]
  own = tmp_path / "mine.py"
  own.write_text("def upper(prompt, response, record):\n  return 7\n")
  assert scorers.make(f"{own}:upper", sources(folder), {}).score(
    read_all(folder)[:1]
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
      scorers.make(name, sources(folder), settings)
  with pytest.raises(errors.ConfigError, match="--weak: the scorer 'density'"):
    scorers.make("density", sources(folder, weak=""), {})


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
  rows = scorer.score(read_all(folder))
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

  rows = texts.JudgeScorer(Silent("s", None), {}).score(read_all(folder))
  assert rows[0]["scores"] == [0.5, 0.5]
  assert rows[1]["error"] == "no verdict (failed: gone)"
