# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Views: which groups a record becomes; records split and gathered."""

import pytest

from prefjax.core import errors
from prefjax.data import fields, records, regroup, views


def record(kind="pair", **raw):
  """A valid record with ids and a prompt of its own."""
  base = {"id": "r", "kind": kind, "prompt": "p"}
  return records.validate({**base, **raw}, "test")


PAIR = record(responses=["good", "bad"])
RANKED = record(
  "ranked", responses=["a", "b", "c", "d"], scores=[1, 3, None, 2]
)
LABEL = record("unpaired", responses=["yes"], labels=[True])


def groups(name, item, **options):
  return views.view(name, **options).groups(item)


def test_a_pair_has_the_better_response_first():
  main = groups("pair", PAIR)["main"]
  assert (main.prompt, main.responses) == ("p", ("good", "bad"))
  assert main.scores is None and main.pairs is None and main.eos
  turned = record(responses=["bad", "good"], pairs=[[1, 0]], scores=[1, 5])
  main = groups("pair", turned)["main"]
  assert main.responses == ("good", "bad") and main.scores == (5, 1)


def test_a_pair_of_a_ranked_record_is_its_best_and_its_worst():
  main = groups("pair", RANKED)["main"]
  assert main.responses == ("b", "a") and main.scores == (3, 1)
  tied = record("ranked", responses=["a", "b"], scores=[1, 1])
  with pytest.raises(fields.Problem, match="do not prefer"):
    groups("pair", tied)


def test_a_ranked_view_keeps_scored_responses_and_makes_pairs():
  main = groups("ranked", RANKED)["main"]
  assert main.responses == ("a", "b", "d") and main.scores == (1, 3, 2)
  assert main.pairs == ((1, 0), (1, 2), (2, 0))
  main = groups("ranked", RANKED, pairs="adjacent")["main"]
  assert main.pairs == ((1, 2), (2, 0))
  given = record(responses=["a", "b", "c"], pairs=[[2, 0], [2, 1]])
  assert groups("ranked", given)["main"].pairs == ((2, 0), (2, 1))


def test_unpaired_views_split_pairs_and_keep_labels():
  for name, mismatched in (("unpaired", None), ("kto", "mismatched")):
    view = views.view(name)
    assert view.mismatched == mismatched
    made = view.prepare([PAIR, LABEL])
    assert [r.id for r in made] == ["r/0", "r/1", "r"]
    mains = [view.groups(r)["main"] for r in made]
    assert [m.responses for m in mains] == [("good",), ("bad",), ("yes",)]
    assert [m.scores for m in mains] == [(1.0,), (0.0,), (1.0,)]


def test_responses_that_are_on_both_sides_are_not_labelled():
  made = regroup.unpair([RANKED])
  assert [(r.id, r.labels, r.scores) for r in made] == [
    ("r/0", (False,), (1.0,)),
    ("r/1", (True,), (3.0,)),
  ]


@pytest.mark.parametrize(
  "item,best",
  [
    (PAIR, "good"),
    (record(responses=["a", "b"], pairs=[[1, 0]]), "b"),
    (RANKED, "b"),
    (LABEL, "yes"),
    (record("sft", responses=["only"]), "only"),
  ],
)
def test_sft_imitates_the_best_response(item, best):
  assert groups("sft", item)["main"].responses == (best,)


def test_sft_leaves_disliked_responses_out():
  disliked = record("unpaired", responses=["no"], labels=[False])
  with pytest.raises(fields.Problem, match="like no response"):
    groups("sft", disliked)


def test_texts_and_prompts_stand_alone():
  text = record("text", prompt="", responses=["once"])
  assert groups("text", text)["main"].prompt == ""
  with pytest.raises(fields.Problem, match="needs text"):
    groups("text", PAIR)
  main = groups("prompt", PAIR)["main"]
  assert (main.prompt, main.responses) == ("p", ())
  with pytest.raises(fields.Problem, match="prompt"):
    groups("prompt", text)


def test_steps_carry_their_pieces_and_labels():
  steps = record("steps", steps=["a\n", "b"], step_labels=[True, False])
  view = views.view("steps")
  assert view.groups(steps)["main"].pieces == (("a\n", "b"),)
  assert view.extras(steps) == {"step_labels": [1, 0], "first_error": 1}
  unknown = record("steps", steps=["a", "b"], step_labels=[True, None])
  assert view.extras(unknown)["first_error"] == -2
  with pytest.raises(fields.Problem, match="steps"):
    view.groups(PAIR)


def test_ratings_become_a_table_with_a_mask():
  rated = record(
    "rated", responses=["a", "b"], attributes=[{"x": 1, "y": 2}, {"y": 3}]
  )
  view = views.view("rated", attributes=("y", "x"))
  assert view.groups(rated)["main"].pairs == ()
  assert view.extras(rated) == {
    "ratings": [[2.0, 1.0], [3.0, 0.0]],
    "rating_mask": [[1.0, 1.0], [1.0, 0.0]],
  }
  with pytest.raises(fields.Problem, match="rate none of z"):
    views.view("rated", attributes=["z"]).extras(rated)


def test_joint_views_make_two_groups():
  talk = [
    [{"role": "user", "content": f"q{i}"},
     {"role": "assistant", "content": f"a{i}"}]
    for i in range(2)
  ]  # fmt: skip
  made = groups("joint", record(prompt="", responses=talk, pairs=[[1, 0]]))
  assert list(made) == ["chosen", "rejected"]
  assert all(g.joint for g in made.values())
  assert made["chosen"].prompt == (talk[1][0],)
  assert made["chosen"].responses == ((talk[1][1],),)
  shared = groups("joint", PAIR)
  assert shared["rejected"].prompt == "p"
  assert shared["rejected"].responses == ("bad",)


def test_groups_come_from_metadata():
  item = record(
    responses=["a", "b"],
    metadata={
      "groups": {"why": {"prompt": "p why", "responses": ["x"], "scores": [2]}}
    },
  )
  made = groups("groups", item)
  assert list(made) == ["main", "why"]
  assert made["why"].responses == ("x",) and made["why"].scores == (2,)
  assert made["main"].responses == ("a", "b")
  for bad in ({}, {"why": 3}, {"why": {"prompt": "x"}}):
    with pytest.raises(fields.Problem, match="groups"):
      groups("groups", record(responses=["a", "b"], metadata={"groups": bad}))


def test_numbers_travel_along_or_the_record_is_left_out():
  view = views.view("pair", extras=("flip_rate", "age"))
  item = record(responses=["a", "b"], flip_rate=0.25, metadata={"age": 3})
  assert view.extras(item) == {"flip_rate": 0.25, "age": 3}
  with pytest.raises(fields.Problem, match="flip_rate"):
    view.extras(PAIR)
  bad = record(responses=["a", "b"], flip_rate=0, metadata={"age": "old"})
  with pytest.raises(fields.Problem, match="age"):
    view.extras(bad)


def test_every_option_is_part_of_the_name():
  names = {
    views.view(name, **options).name
    for name, options in (
      ("pair", {}),
      ("kto", {}),
      ("pair", {"eos": False}),
      ("ranked", {}),
      ("ranked", {"pairs": "adjacent"}),
      ("rated", {"attributes": ["a"]}),
      ("rated", {"attributes": ["b"]}),
      ("pair", {"extras": ["flip_rate"]}),
    )
  }
  assert len(names) == 8
  assert not groups("pair", PAIR, eos=False)["main"].eos


@pytest.mark.parametrize(
  "name,options,message",
  [
    ("pairs", {}, "data.view.*did you mean 'pair'"),
    ("ranked", {"pairs": "some"}, "data.pairs"),
    ("rated", {}, "data.attributes"),
    ("pair", {"attributes": ["a"]}, "data.attributes"),
  ],
)
def test_bad_options_name_the_key(name, options, message):
  with pytest.raises(errors.ConfigError, match=message):
    views.view(name, **options)


@pytest.mark.parametrize(
  "mode,expected",
  [
    ("all", ((1, 0), (1, 3), (3, 0))),
    ("adjacent", ((1, 3), (3, 0))),
    ("best_worst", ((1, 0),)),
    ("best_rest", ((1, 0), (1, 3))),
  ],
)
def test_pairs_from_scores(mode, expected):
  assert regroup.pairs_from_scores([1, 3, None, 2], mode) == expected
  assert regroup.pairs_from_scores([1, 1, 1], mode) == ()
  assert regroup.pairs_from_scores([1], mode) == ()
  assert regroup.pairs_from_scores(None, mode) == ()


def test_ties_never_make_a_pair():
  assert regroup.pairs_from_scores([2, 2, 1]) == ((0, 2), (1, 2))
  assert regroup.pairs_from_scores([2, 1, 1], "best_worst") == ((0, 2),)


def test_records_of_a_prompt_are_gathered():
  made = [
    record("rated", id=f"r{i}", prompt=p, responses=[f"a{i}"],
           attributes=[{"x": i}], metadata={"system": i})
    for i, p in enumerate(("p", "q", "p"))
  ]  # fmt: skip
  first, lone = regroup.group(made)
  assert first.id == "r0" and first.responses == ("a0", "a2")
  assert first.attributes == ({"x": 0}, {"x": 2})
  assert [m["system"] for m in first.metadata["members"]] == [0, 2]
  assert lone is made[1]
  by = regroup.group(made, by=lambda r: r.id)
  assert len(by) == 3
  with pytest.raises(fields.Problem, match="differ in kind or prompt"):
    regroup.group(made, by=lambda r: 0)
