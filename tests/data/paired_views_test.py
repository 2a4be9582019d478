# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Views of pairs with more beside them, from their own built-in records."""

import pytest

from prefjax.data import (
  encoding,
  fields,
  language,
  readers,
  records,
  tokenizers,
  views,
)

BYTES = tokenizers.load("bytes")


def record(**raw):
  base = {"id": "r", "kind": "pair", "prompt": "p", "responses": ["yes", "no"]}
  return records.validate({**base, **raw}, "test")


def read(tmp_path, rows):
  language.write_jsonl(tmp_path / "rows.jsonl", rows)
  return readers.read(tmp_path / "rows.jsonl").records


# --- rationales ---------------------------------------------------------------


def test_a_rationale_follows_both_responses(tmp_path):
  rows = language.rationale_records(0, 30)
  view = views.view("rationale")
  for item, row in zip(read(tmp_path, rows), rows, strict=True):
    made = view.groups(item)
    assert tuple(made) == ("main", "rationale")
    main, reason = made["main"], made["rationale"]
    assert main.responses == (row["chosen"], row["rejected"])
    assert reason.responses == (row["rationale"],)
    above = reason.prompt.index(f"above:\n{row['chosen']}")
    below = reason.prompt.index(f"below:\n{row['rejected']}")
    assert reason.prompt.index(row["prompt"]) < above < below
  with pytest.raises(fields.Problem, match="metadata.rationale: is None"):
    view.groups(record())


def test_reasons_of_both_kinds_say_what_is_wrong():
  general, detailed = (
    language.rationale_records(3, 20, kind=kind)
    for kind in ("general", "detailed")
  )
  for short, long in zip(general, detailed, strict=True):
    assert short["chosen"] == long["chosen"]
    assert short["rationale"].startswith("Above: the one below")
    assert repr(long["chosen"]) in long["rationale"]
  assert len({row["rationale"] for row in general}) > 2


def test_conversations_stay_conversations():
  chat = record(
    prompt=[{"role": "user", "content": "p"}],
    responses=["yes", "no"],
    metadata={"rationale": "because", "blind": "maybe"},
  )
  made = views.view("rationale").groups(chat)["rationale"]
  assert made.prompt[0]["role"] == "user" and "p" in made.prompt[0]["content"]
  assert made.responses[0] == ({"role": "assistant", "content": "because"},)
  blind = views.view("blind").groups(chat)["main"]
  assert blind.responses[2] == ({"role": "assistant", "content": "maybe"},)


# --- blind responses ----------------------------------------------------------


def test_a_blind_response_is_the_third():
  view = views.view("blind")
  made = view.groups(record(metadata={"blind": "well"}, scores=[2, 1]))["main"]
  assert made.responses == ("yes", "no", "well")
  assert made.pairs is None and made.scores is None
  assert view.groups(record())["main"].responses == ("yes", "no")
  with pytest.raises(fields.Problem, match="metadata.blind"):
    view.groups(record(metadata={"blind": 3}))


# --- instructions added -------------------------------------------------------


def _texts(prompt, base):
  assert prompt.startswith(base)
  return prompt[len(base) :].strip()


def test_mapl_prompts_hold_what_the_relation_says(tmp_path):
  """Checked anew from the words of the prompts, not from what was drawn."""
  view = views.view("mapl")
  directions, with_intra = set(), 0
  for item in read(tmp_path, language.pair_records(0, 60)):
    made, extras = view.groups(item), view.extras(item)
    assert tuple(made) == ("main", "augmented", "better", "worse")
    main = made["main"]
    assert made["augmented"].responses == main.responses
    assert made["better"].responses == made["worse"].responses
    assert made["better"].responses[0] in main.responses
    directions.add(extras["direction"])
    with_intra += extras["intra"]
    if extras["direction"]:
      assert _texts(made["augmented"].prompt, main.prompt)
    if extras["intra"]:
      assert made["better"].prompt != made["worse"].prompt
    # The same record gives the same groups.
    assert view.groups(item) == made
  assert {-1, 1} <= directions and with_intra > 50


@pytest.mark.parametrize(
  "name, rows",
  [
    ("mapl", language.pair_records(0, 12)),
    ("rationale", language.rationale_records(0, 12)),
    ("joint", language.joint_records(0, 12)),
  ],
)
def test_every_record_is_encoded(name, rows, tmp_path):
  encoder = encoding.Encoder(
    BYTES,
    views.view(name),
    encoding.Lengths(prompt=400, response=80),
    template="none",
  )
  made = list(encoder.encode_all(read(tmp_path, rows)))
  assert len(made) == 12, encoder.report.summary()
  again = list(encoder.encode_all(read(tmp_path, rows)))
  for a, b in zip(made, again, strict=True):
    assert a.groups.keys() == b.groups.keys()
    for group in a.groups:
      assert a.groups[group].prompt.tolist() == b.groups[group].prompt.tolist()


# --- joint records ------------------------------------------------------------


def test_joint_records_prefer_the_better_of_two_instructions():
  rows = language.joint_records(0, 200, flip_rate=0.2, same_prompt=0.3)
  gap = [
    r["metadata"]["gold_chosen"] - r["metadata"]["gold_rejected"] for r in rows
  ]
  flipped = [r["metadata"]["flipped"] for r in rows]
  assert all((g < 0) == f for g, f in zip(gap, flipped, strict=True))
  assert 0.1 < sum(flipped) / 200 < 0.3
  same = [r["prompt_chosen"] == r["prompt_rejected"] for r in rows]
  assert 0.2 < sum(same) / 200 < 0.4
