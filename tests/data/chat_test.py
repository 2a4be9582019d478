# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Prompts and responses as ids: shared prefixes, spans, end tokens."""

import json

import hypothesis
import pytest
import tokenizers as hf
from hypothesis import strategies as st

from prefjax.core import errors
from prefjax.data import chat, hf_tokenizer, tokenizers

CONTROL = [
  "<|im_start|>",
  "<|im_end|>",
  "<|start_header_id|>",
  "<|end_header_id|>",
  "<|eot_id|>",
  "<start_of_turn>",
  "<end_of_turn>",
]
USER = [{"role": "user", "content": "What is 6 times 7?"}]
NAMES = list(chat.TEMPLATES)


def build(**kwargs) -> hf_tokenizer.HFTokenizer:
  """A byte-level BPE tokenizer whose merges run over spaces and newlines."""
  library = hf.Tokenizer(hf.models.BPE())
  library.pre_tokenizer = hf.pre_tokenizers.ByteLevel(
    add_prefix_space=False, use_regex=False
  )
  library.decoder = hf.decoders.ByteLevel()
  lines = ["yes and no", "a b ab ba", "\n\nyes\n no", "What is it?"] * 8
  trainer = hf.trainers.BpeTrainer(
    vocab_size=340,
    special_tokens=["<s>", "</s>", *CONTROL],
    initial_alphabet=hf.pre_tokenizers.ByteLevel.alphabet(),
    show_progress=False,
  )
  library.train_from_iterator(lines, trainer)
  options = {"bos_token": "<s>", "eos_token": "</s>", **kwargs}
  return hf_tokenizer.HFTokenizer(json.loads(library.to_str()), **options)


BPE = build()
BYTES = tokenizers.ByteTokenizer()
TOKENIZERS = {"bytes": BYTES, "bpe": BPE}
SAY = st.text(alphabet="ab yes\n né?</", max_size=12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("which", list(TOKENIZERS))
@hypothesis.given(prompt=SAY, chosen=SAY, rejected=SAY)
@hypothesis.settings(max_examples=25, deadline=None)
def test_prefix_property_over_every_template(
  which, name, prompt, chosen, rejected
):
  tokenizer = TOKENIZERS[which]
  messages = [{"role": "user", "content": "x" + prompt}]
  encoded = chat.encode_example(
    tokenizer, messages, [chosen, rejected], template=name, add_eos=False
  )
  source = chat.TEMPLATES[name]
  alone = tokenizer.encode(
    chat.render(source, messages, tokenizer, add_generation_prompt=True)
  )
  assert encoded.prompt_ids == alone[: len(encoded.prompt_ids)]
  assert encoded.merges == len(alone) - len(encoded.prompt_ids)
  for say, ids in zip((chosen, rejected), encoded.responses, strict=True):
    full = chat.render(
      source,
      [*messages, {"role": "assistant", "content": say}],
      tokenizer,
    )
    # Prompt and response are the tokens of the one text, cut in two.
    assert encoded.prompt_ids + ids == tokenizer.encode(full)


@pytest.mark.parametrize("which", list(TOKENIZERS))
@hypothesis.given(prompt=SAY, responses=st.lists(SAY, min_size=1, max_size=4))
@hypothesis.settings(max_examples=50, deadline=None)
def test_plain_text_is_tokenized_jointly(which, prompt, responses):
  tokenizer = TOKENIZERS[which]
  prompt = "x" + prompt
  encoded = chat.encode_example(tokenizer, prompt, responses, add_eos=False)
  for say, ids, weights, offsets in zip(
    responses,
    encoded.responses,
    encoded.weights,
    encoded.offsets,
    strict=True,
  ):
    whole = encoded.prompt_ids + ids
    start = 1 if whole[0] == tokenizer.bos_id else 0
    assert whole[start:] == tokenizer.encode(prompt + say)
    for weight, (begin, end) in zip(weights, offsets, strict=True):
      assert weight == float(end > 0 and begin < len(say))


def test_a_token_across_the_seam_goes_to_the_response():
  # "yes" is one token: before an "s" the prompt cannot keep its "ye".
  assert len(BPE.encode("yes")) == 1
  prompt = "no? ye"
  encoded = chat.encode_example(BPE, prompt, ["s", "?"], add_eos=False)
  first, second = encoded.responses
  assert encoded.merges >= 1
  assert BPE.decode(encoded.prompt_ids + first) == "no? yes"
  assert BPE.decode(encoded.prompt_ids + second) == "no? ye?"
  assert encoded.weights[0][-1] == 1.0
  # Prompt characters that had to move over are not the model's to say.
  leftover = [
    weight
    for weight, (_, end) in zip(
      encoded.weights[1], encoded.offsets[1], strict=True
    )
    if end <= 0
  ]
  assert leftover and not any(leftover)


def test_both_sides_share_the_prompt_whatever_their_order():
  one = chat.encode_example(BPE, USER, ["yes", "no"], template="chatml")
  two = chat.encode_example(BPE, USER, ["no", "yes"], template="chatml")
  assert one.prompt_ids == two.prompt_ids
  assert one.responses == two.responses[::-1]
  alone = chat.encode_example(BPE, USER, ["yes"], template="chatml")
  assert alone.responses[0] == one.responses[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_response_ends_once(name):
  encoded = chat.encode_example(BPE, USER, ["yes", ""], template=name)
  for ids in encoded.responses:
    ends = [i for i in ids if i in BPE.special_ids]
    assert len(ends) == 1, BPE.decode(ids)
  without = chat.encode_example(
    BPE, USER, ["yes"], template=name, add_eos=False
  )
  # Each template ends its turns by itself here, so nothing was appended.
  assert without.responses[0] == encoded.responses[0]


def test_eos_is_appended_where_the_text_has_no_end():
  for template in (None, "none", "chatml"):
    prompt = "hi" if template is None else USER
    encoded = chat.encode_example(BYTES, prompt, ["yes"], template=template)
    assert encoded.responses[0][-1] == BYTES.eos_id
    assert encoded.responses[0].count(BYTES.eos_id) == 1
    assert encoded.weights[0][-1] == 1.0


@pytest.mark.parametrize("say", ["yes", "yes</s>"])
def test_eos_is_not_doubled_in_plain_text(say):
  encoded = chat.encode_example(BPE, "x", [say])
  assert encoded.responses[0].count(BPE.eos_id) == 1


def test_add_eos_is_explicit():
  encoded = chat.encode_example(BPE, "x", ["yes", ""], add_eos=False)
  assert BPE.eos_id not in encoded.responses[0]
  assert encoded.responses[1] == []


def test_add_eos_without_an_eos_names_the_way_out():
  tokenizer = build(eos_token=None)
  with pytest.raises(errors.DataError, match="add_eos=False"):
    chat.encode_example(tokenizer, "x", ["yes"])
  chat.encode_example(tokenizer, "x", ["yes"], add_eos=False)


@pytest.mark.parametrize("prompt", ["x y", "<s>x y"])
def test_bos_is_added_once_to_plain_text(prompt):
  tokenizer = build(adds_bos=True)
  encoded = chat.encode_example(tokenizer, prompt, ["yes"])
  assert encoded.prompt_ids.count(tokenizer.bos_id) == 1
  assert encoded.prompt_ids[0] == tokenizer.bos_id
  bare = chat.encode_example(tokenizer, prompt, ["yes"], add_bos=False)
  assert bare.prompt_ids.count(tokenizer.bos_id) == prompt.count("<s>")


@pytest.mark.parametrize("name", NAMES)
def test_bos_is_never_doubled_by_a_template(name):
  for adds_bos in (False, True):
    tokenizer = build(adds_bos=adds_bos)
    for add_bos in (None, True):
      encoded = chat.encode_example(
        tokenizer, USER, ["yes"], template=name, add_bos=add_bos
      )
      assert encoded.prompt_ids.count(tokenizer.bos_id) <= 1
      if add_bos or (adds_bos and name in ("plain", "none")):
        assert encoded.prompt_ids[0] == tokenizer.bos_id


def test_padding_equal_to_eos_changes_nothing():
  apart = build(pad_token="<|eot_id|>")
  same = build(pad_token="</s>")
  assert same.pad_id == same.eos_id != apart.pad_id
  for prompt, template in ((USER, "mistral"), ("x", None)):
    a = chat.encode_example(apart, prompt, ["yes", "no"], template=template)
    b = chat.encode_example(same, prompt, ["yes", "no"], template=template)
    assert a == b
    assert b.responses[0][-1] == same.eos_id and b.weights[0][-1] == 1.0


def test_empty_prompt_and_empty_response():
  encoded = chat.encode_example(BPE, "", ["yes"])
  assert encoded.prompt_ids == [BPE.bos_id]
  encoded = chat.encode_example(BPE, [], ["yes"], template="llama3")
  assert encoded.prompt_ids == [BPE.bos_id]
  assert BPE.bos_id not in encoded.responses[0]
  encoded = chat.encode_example(BPE, "x", [""])
  assert encoded.responses == [[BPE.eos_id]] and encoded.weights == [[1.0]]
  with pytest.raises(errors.DataError, match="at least one response"):
    chat.encode_example(BPE, "x", [])


@pytest.mark.parametrize("which", list(TOKENIZERS))
@pytest.mark.parametrize("name", NAMES)
def test_user_turns_inside_a_response_have_no_weight(which, name):
  tokenizer = TOKENIZERS[which]
  response = [
    {"role": "assistant", "content": "SAY1"},
    {"role": "user", "content": "ASK2"},
    {"role": "assistant", "content": "SAY3"},
  ]
  encoded = chat.encode_example(
    tokenizer, USER, [response, "SAY4"], template=name
  )
  weighed = tokenizer.decode(
    [
      i
      for i, w in zip(encoded.responses[0], encoded.weights[0], strict=True)
      if w
    ]
  )
  silent = tokenizer.decode(
    [
      i
      for i, w in zip(encoded.responses[0], encoded.weights[0], strict=True)
      if not w
    ]
  )
  assert "SAY1" in weighed and "SAY3" in weighed and "ASK2" not in weighed
  assert "ASK2" in silent and "SAY" not in silent
  assert "assistant" not in weighed and "user" not in weighed


def test_a_tool_turn_at_the_end_is_not_closed_with_eos():
  response = [
    {"role": "assistant", "content": "yes"},
    {"role": "tool", "content": "42"},
  ]
  encoded = chat.encode_example(BYTES, USER, [response], template="none")
  assert encoded.responses[0][-1] != BYTES.eos_id
  assert encoded.weights[0] == [1.0] * 3 + [0.0] * 2


def test_offsets_find_the_response_text():
  encoded = chat.encode_example(BPE, USER, ["yes no"], template="gemma")
  ids, offsets = encoded.responses[0], encoded.offsets[0]
  inside = [
    i
    for i, (start, end) in zip(ids, offsets, strict=True)
    if start >= 0 and end <= len("yes no")
  ]
  assert BPE.decode(inside) == "yes no"


def test_a_template_that_rewrites_earlier_turns_is_refused():
  forgetful = (
    "{% for m in messages %}{{ m.role }}:"
    "{{ m.content if loop.last or m.role == 'user' else '...' }};"
    "{% endfor %}"
  )
  response = [
    {"role": "assistant", "content": "yes"},
    {"role": "user", "content": "sure?"},
    {"role": "assistant", "content": "no"},
  ]
  with pytest.raises(errors.DataError, match=r"responses\[0\]\[0\]"):
    chat.encode_example(BYTES, USER, [response], template=forgetful)


def test_a_generation_prompt_that_opens_more_than_the_answer_has():
  thinking = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]<think>{% endif %}"
  )
  encoded = chat.encode_example(BYTES, USER, ["yes"], template=thinking)
  assert BYTES.decode(encoded.prompt_ids).endswith("[assistant]")
  assert BYTES.decode(encoded.responses[0]) == "yes"
  assert encoded.merges == len("<think>")


def test_plain_prompt_with_a_template_is_a_user_message():
  text = chat.encode_example(BPE, "hi", ["yes"], template="chatml")
  messages = [{"role": "user", "content": "hi"}]
  assert text == chat.encode_example(BPE, messages, ["yes"], template="chatml")


def test_which_template_is_used():
  own = build(
    chat_template="{% for m in messages %}[{{ m.content }}]{% endfor %}"
  )
  encoded = chat.encode_example(own, USER, ["yes"])
  assert own.decode(encoded.responses[0]).startswith("[yes]")
  with pytest.raises(errors.ConfigError, match="template: the tokenizer"):
    chat.encode_example(BPE, USER, ["yes"])
  with pytest.raises(errors.ConfigError, match="did you mean 'chatml'"):
    chat.encode_example(BPE, USER, ["yes"], template="chatlm")


@pytest.mark.parametrize(
  "prompt, responses, message",
  [
    ([{"role": "user"}, "hi"], ["yes"], r"prompt\[1\]: is str"),
    ([{"content": "hi"}], ["yes"], r"prompt\[0\].role"),
    (USER, [[{"role": "assistant", "content": 3}]], r"\[0\]\[0\].content"),
    (USER, [[]], r"responses\[0\]: has no message"),
  ],
)
def test_bad_messages_are_named(prompt, responses, message):
  with pytest.raises(errors.DataError, match=message) as caught:
    chat.encode_example(BPE, prompt, responses, template="chatml")
  assert "\n" not in str(caught.value)


def test_published_formats():
  system = [{"role": "system", "content": "Be terse."}, *USER]
  talk = [*system, {"role": "assistant", "content": "42"}]

  def show(name):
    return chat.render(chat.TEMPLATES[name], talk, BPE)

  ask = "What is 6 times 7?"
  assert show("chatml") == (
    "<|im_start|>system\nBe terse.<|im_end|>\n"
    f"<|im_start|>user\n{ask}<|im_end|>\n"
    "<|im_start|>assistant\n42<|im_end|>\n"
  )
  assert show("llama3") == (
    "<s><|start_header_id|>system<|end_header_id|>\n\nBe terse.<|eot_id|>"
    f"<|start_header_id|>user<|end_header_id|>\n\n{ask}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n42<|eot_id|>"
  )
  assert show("gemma") == (
    f"<s><start_of_turn>user\nBe terse.\n\n{ask}<end_of_turn>\n"
    "<start_of_turn>model\n42<end_of_turn>\n"
  )
  assert show("mistral") == f"<s>[INST] Be terse.\n\n{ask} [/INST] 42</s>"
  assert show("plain") == f"Be terse.\n{ask}\n42</s>"
  assert show("none") == f"Be terse.{ask}42</s>"
