# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records without images and the responses written for them."""

import numpy as np
import pytest

from prefjax import data
from prefjax.core import errors


def _record(**more):
  return {
    "prompt": "<image>\nWhat is it? <image> \n<image>",
    "image": np.ones((2, 2)),
    "chosen": "a cat",
    "rejected": "a dog",
    **more,
  }


def test_image_and_placeholders_go_and_nothing_else():
  record = _record(meta={"n": [1]})
  out = data.blind(record)
  assert out["prompt"] == "What is it?  \n"
  assert "image" not in out and "image" in record
  assert out["chosen"] == "a cat"
  out["meta"]["n"].append(2)
  assert record["meta"]["n"] == [1]  # a deep copy


def test_only_one_newline_after_a_placeholder_goes():
  assert data.blind({"prompt": "<image>\n\nHi"})["prompt"] == "\nHi"


def test_other_keys_and_placeholders():
  record = {"prompt": "[v]\nSee? <image>", "clip": 1, "image": 2, "sound": 3}
  out = data.blind(record, drop=("clip", "sound"), placeholder="[v]")
  assert out == {"prompt": "See? <image>", "image": 2}
  assert data.blind({"prompt": "a\nb"}, placeholder="")["prompt"] == "a\nb"


def test_conversations():
  parts = [{"type": "image"}, {"type": "text", "text": "<image>\nHi"}]
  prompt = [
    {"role": "system", "content": "be kind <image>"},
    {"role": "user", "content": parts},
  ]
  out = data.blind({"prompt": prompt, "image": 1})
  assert out["prompt"][0]["content"] == "be kind "
  assert out["prompt"][1]["content"] == [{"type": "text", "text": "Hi"}]
  assert prompt[1]["content"] == parts and len(parts) == 2


def test_responses_are_sampled_from_blinded_records():
  seen = []

  def sample(key, records):
    seen.append((key, records))
    return ["a cat", "a tree"]

  records = [_record(), _record()]
  out = data.attach_blind_responses("key", records, sample)
  ((key, given),) = seen
  assert key == "key" and all("image" not in r for r in given)
  # The first said what was chosen: nothing to learn.
  assert len(out) == 1 and out[0]["blind"] == "a tree"
  assert "image" in out[0] and "blind" not in records[1]
  kept = data.attach_blind_responses(
    "key", records, sample, drop_identical=False
  )
  assert [r["blind"] for r in kept] == ["a cat", "a tree"]


def test_other_inputs_can_be_hidden():
  def sample(key, records):
    del key
    return [f"{sorted(r)} {r['prompt']}" for r in records]

  out = data.attach_blind_responses(
    0, [_record(clip=1)], sample, drop=("clip",), placeholder="What"
  )
  assert out[0]["blind"].startswith("['chosen', 'image', 'prompt', 'rejected']")
  assert "What" not in out[0]["blind"]


def test_errors():
  with pytest.raises(errors.DataError, match="gave 0 responses, expected 1"):
    data.attach_blind_responses(0, [_record()], lambda key, records: [])
  with pytest.raises(errors.DataError, match="response 0 of sample_fn is int"):
    data.attach_blind_responses(0, [_record()], lambda key, records: [3])
