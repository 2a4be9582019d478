# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records as token ids: what counts, what is cut, and what is left out."""

import dataclasses

import numpy as np
import pytest

from prefjax.core import errors
from prefjax.data import encoding, fields, records, tokenizers, views

BYTES = tokenizers.ByteTokenizer()
EOS, BOS = BYTES.eos_id, BYTES.bos_id


def record(kind="pair", **raw):
  base = {"id": "r", "kind": kind, "prompt": "ask "}
  return records.validate({**base, **raw}, "test")


def encoder(view="pair", prompt=64, response=64, tokenizer=BYTES, **options):
  made = views.view(view) if isinstance(view, str) else view
  limits = {
    name: options.pop(name)
    for name in ("groups", "too_long", "keep")
    if name in options
  }
  lengths = encoding.Lengths(prompt=prompt, response=response, **limits)
  return encoding.Encoder(tokenizer, made, lengths, **options)


def text(ids):
  return BYTES.decode(ids)


def test_a_pair_shares_its_prompt_and_ends_with_eos():
  made = encoder().encode(5, record(responses=["yes", "no"], weight=0.5))
  main = made.groups["main"]
  assert (made.example_id, made.weight) == (5, 0.5)
  assert text(main.prompt) == "ask "
  good, bad = main.responses()
  assert good.tolist() == [*b"yes", EOS] and bad.tolist() == [*b"no", EOS]
  assert main.weights.tolist() == [1.0] * 7
  assert main.prompt.dtype == main.tokens.dtype == np.int32
  bare = encoder(views.view("pair", eos=False))
  made = bare.encode(0, record(responses=["yes", "no"]))
  assert made.groups["main"].lengths.tolist() == [3, 2]


def test_equal_prompts_have_equal_hashes():
  make = encoder()
  one = make.encode(0, record(responses=["a", "b"]))
  two = make.encode(1, record(responses=["c", "d"]))
  three = make.encode(2, record(prompt="else", responses=["a", "b"]))
  assert one.prompt_hash == two.prompt_hash != three.prompt_hash
  assert 0 <= one.prompt_hash < 2**63


def test_turns_of_others_in_a_response_do_not_count():
  answer = [
    {"role": "assistant", "content": "AAA"},
    {"role": "user", "content": "UUU"},
    {"role": "assistant", "content": "BBB"},
  ]
  made = encoder(response=200, template="chatml").encode(
    0, record(responses=[answer, "plain"])
  )
  first = made.groups["main"].responses()[0]
  weights = made.groups["main"].weights[: len(first)]
  counted = text([t for t, w in zip(first, weights, strict=True) if w])
  free = text([t for t, w in zip(first, weights, strict=True) if not w])
  assert "AAA" in counted and "BBB" in counted and "UUU" not in counted
  assert "UUU" in free


def test_a_template_can_be_the_tokenizer_s_own_for_plain_text():
  own = tokenizers.ByteTokenizer(
    chat_template="{% for m in messages %}<{{ m.content }}>{% endfor %}"
  )
  plain = encoder(tokenizer=own).encode(0, record(responses=["a", "b"]))
  assert text(plain.groups["main"].prompt) == "ask "
  made = encoder(tokenizer=own, template="own").encode(
    0, record(responses=["a", "b"])
  )
  assert text(made.groups["main"].prompt) == "<ask >"
  with pytest.raises(errors.ConfigError, match="brings no chat template"):
    encoder(template="own").encode(0, record(responses=["a", "b"]))


def test_prompts_keep_their_end_and_responses_their_start():
  make = encoder(prompt=3, response=4)
  made = make.encode(0, record(prompt="abcdef", responses=["ghijkl", "m"]))
  main = made.groups["main"]
  assert text(main.prompt) == "def"
  assert [text(r) for r in main.responses()] == ["ghij", "m"]
  assert (make.report.cut_prompts, make.report.cut_responses) == (1, 1)
  head = encoder(prompt=3, keep="head").encode(
    0, record(prompt="abcdef", responses=["g", "h"])
  )
  assert text(head.groups["main"].prompt) == "abc"


def test_groups_may_have_limits_of_their_own():
  item = record(
    responses=["aaaa", "bbbb"],
    metadata={"groups": {"why": {"prompt": "pppp", "responses": ["cccc"]}}},
  )
  made = encoder("groups", 3, 3, groups=(("why", (2, 1)),)).encode(0, item)
  assert made.groups["main"].longest == 3
  assert len(made.groups["why"].prompt) == 2
  assert made.groups["why"].longest == 1


def test_a_prompt_without_responses():
  made = encoder("prompt", prompt=2).encode(0, record(responses=["a", "b"]))
  main = made.groups["main"]
  assert text(main.prompt) == "k " and main.longest == 0
  assert main.lengths.shape == (0,) and main.tokens.shape == (0,)


def test_text_starts_from_bos():
  item = record("text", prompt="", responses=["once"])
  main = encoder("text").encode(0, item).groups["main"]
  assert main.prompt.tolist() == [BOS]
  assert main.tokens.tolist() == [*b"once", EOS]


def test_steps_are_numbered():
  item = record("steps", steps=["one\n", "two\n", "x"])
  main = encoder("steps").encode(0, item).groups["main"]
  assert main.segments.tolist() == [0] * 4 + [1] * 4 + [2, 2]


def test_joint_texts_count_but_for_their_first_token():
  made = encoder("joint").encode(0, record(responses=["yes", "no"]))
  chosen = made.groups["chosen"]
  assert text(chosen.prompt) == "a"
  assert text(chosen.tokens) == "sk yes" and chosen.tokens[-1] == EOS
  assert chosen.weights.tolist() == [1.0] * 7
  assert chosen.segments.tolist() == [0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("template", ["chatml", "gemma", "plain"])
@pytest.mark.parametrize("system", [False, True])
def test_the_start_of_a_template_is_the_prompt_of_joint_texts(template, system):
  own = tokenizers.ByteTokenizer(adds_bos=True)
  talk = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "ask me"},
    {"role": "assistant", "content": "yes"},
  ][0 if system and template != "gemma" else 1 :]
  item = record(prompt="", responses=[talk, talk])
  make = encoder("joint", 128, 128, tokenizer=own, template=template)
  chosen = make.encode(0, item).groups["chosen"]
  before, said = text(chosen.prompt), text(chosen.tokens)
  assert "ask" not in before and said.startswith("ask me")
  assert ("be brief" in before) == (system and template != "gemma")
  assert "yes" in said and len(chosen.prompt) >= 1
  answer = text(
    [t for t, s in zip(chosen.tokens, chosen.segments, strict=True) if s]
  )
  assert answer.startswith("yes")
  short = encoder("joint", 5, 128, tokenizer=own, template=template)
  cut = short.encode(0, item).groups["chosen"]
  assert len(cut.prompt) == 1 and cut.segments.tolist().count(0) == 4


def test_context_at_the_start_of_a_response_does_not_count():
  item = record(
    responses=["ctx yes", "ctx no"],
    metadata={"context_prefixes": ["ctx ", "ctx "]},
  )
  main = encoder().encode(0, item).groups["main"]
  assert main.weights.tolist() == [0] * 4 + [1] * 4 + [0] * 4 + [1] * 3
  for bad in (["ctx "], "ctx ", [1, 2]):
    wrong = record(responses=["a", "b"], metadata={"context_prefixes": bad})
    with pytest.raises(fields.Problem, match="context_prefixes"):
      encoder().encode(0, wrong)


@pytest.mark.parametrize(
  "item,options,reason",
  [
    (record(responses=["aab", "aac"]), {"response": 2}, "equal_after_cut"),
    (record(responses=["aab", "c"]), {"response": 2, "too_long": "drop"},
     "long_response"),
    (record(responses=["a", "c"]), {"prompt": 2, "too_long": "drop"},
     "long_prompt"),
    (record(responses=["ctx", "ctx no"],
            metadata={"context_prefixes": ["ctx", "ctx"]}),
     {"view": views.view("pair", eos=False)}, "no_weighted_token"),
    (record(responses=["a" * 99, "b"]),
     {"limits": fields.Limits(tokens=50)}, "long"),
    (record("sft", responses=["a"]), {}, "view"),
  ],
)  # fmt: skip
def test_what_is_left_out_is_named(item, options, reason):
  make = encoder(**options)
  good = record(id="good", prompt="a", responses=["b", "c"])
  made = list(make.encode_all([item, good, item]))
  assert [e.example_id for e in made] == [1]
  report = make.report
  assert (report.seen, report.kept, report.dropped) == (3, 1, 2)
  assert sum(report.reasons.values()) == 2
  (kind,) = report.reasons
  assert reason in kind and kind in report.summary()
  assert [(i, name) for i, name, _ in report.dropped_records] == [
    (0, "r"), (2, "r")
  ]  # fmt: skip


def test_each_pass_has_a_report_of_its_own():
  make = encoder()
  seen = []
  items = [record(responses=["a", "b"])] * 3
  list(make.encode_all(items, lambda done, all_: seen.append((done, all_))))
  first = make.report
  list(make.encode_all(items[:1]))
  assert (first.seen, make.report.seen) == (3, 1)
  assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_conversation_that_a_template_refuses_is_left_out():
  strict = (
    "{% if messages|length > 2 %}{{ raise_exception('too many') }}{% endif %}"
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
  )
  talk = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    {"role": "user", "content": "c"},
  ]
  items = [
    record(id="long", prompt=talk, responses=["x", "y"]),
    record(id="fine", responses=["x", "y"]),
  ]
  make = encoder(template=strict)
  assert [e.example_id for e in make.encode_all(items)] == [1]
  (_, name, reason) = make.report.dropped_records[0]
  assert name == "long" and "too many" in reason


def test_tokens_outside_the_vocabulary_stop():
  class Wrong(tokenizers.ByteTokenizer):
    vocab_size = 100

  with pytest.raises(errors.ModelError, match="outside its vocabulary of 100"):
    encoder(tokenizer=Wrong()).encode(0, record(responses=["yes", "no"]))


def test_the_key_changes_with_everything_that_decides_tokens():
  other = tokenizers.ByteTokenizer(adds_bos=True)
  keys = [
    encoder().key(),
    encoder("sft").key(),
    encoder(prompt=63).key(),
    encoder(response=63).key(),
    encoder(too_long="drop").key(),
    encoder(keep="head").key(),
    encoder(groups=(("main", (2, 2)),)).key(),
    encoder(template="chatml").key(),
    encoder(template="plain").key(),
    encoder(tokenizer=other).key(),
    encoder(limits=fields.Limits(tokens=9)).key(),
    encoder("kto").key(),
  ]
  assert all(keys.count(key) == 1 for key in keys)
  assert encoder().key() == keys[0]


@pytest.mark.parametrize(
  "options,field",
  [
    ({"prompt": 0}, "max_prompt"),
    ({"response": -1}, "max_response"),
    ({"groups": (("x", (0, 1)),)}, "max_prompt"),
    ({"too_long": "keep"}, "too_long"),
    ({"keep": "middle"}, "keep"),
  ],
)
def test_bad_lengths_name_the_key(options, field):
  with pytest.raises(errors.ConfigError, match=f"data.{field}"):
    encoding.Lengths(**options)
  assert dataclasses.asdict(encoding.Lengths())["prompt"] == 512
