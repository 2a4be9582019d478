# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Fixed counts of mutated inputs for every parser, and what was found once.

`scripts/fuzz.sh` runs the same targets a million times and more.
"""

import json
import math

import fuzz_run
import fuzz_targets
import hypothesis
import numpy as np
import pyarrow
import pytest
from hypothesis import strategies as st

from prefjax import config as config_lib
from prefjax.checkpoint import parsing
from prefjax.core import errors
from prefjax.data import readers
from prefjax.feedback import chat_server
from prefjax.generation import completion_server, engine
from prefjax.models import hf

# The slow ones come up to a second of these.
_FEW = {"tfds folder": 12, "event log": 20, "images": 20, "tokenizer": 30}


@pytest.mark.parametrize("name", fuzz_targets.NAMES)
def test_mutated_inputs(name, tmp_path):
  found = fuzz_run.run(name, _FEW.get(name, 60), seed=7, folder=tmp_path)
  assert not found.crashes and not found.slow, found
  assert found.accepted > 0  # the targets do parse what is right


def test_a_crash_would_be_found(tmp_path):
  """The runner tells a promised error from any other."""

  def run(data):
    if data[:1] == b"{":
      raise errors.DataError("refused")
    raise KeyError("x")

  target = fuzz_targets.Target(run, [b"{}", b"[]"])
  found = fuzz_run.Found("toy")
  for data in target.corpus:
    fuzz_run.execute(target, data, found)
  assert found.executions == 2 and found.accepted == 0
  assert [key.split()[0] for key in found.crashes] == ["KeyError"]


def test_every_target_is_listed_once():
  assert len(set(fuzz_targets.NAMES)) == len(fuzz_targets.NAMES) >= 25


# --- what was found, each by its smallest case -------------------------------

_LLAMA = {
  "model_type": "llama", "vocab_size": 8, "hidden_size": 8,
  "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
  "max_position_embeddings": 8,
}  # fmt: skip


@pytest.mark.parametrize(
  "key, value",
  [
    ("model_type", ["llama"]),
    ("hidden_size", "8"),
    ("hidden_size", True),
    ("num_attention_heads", 0),
    ("num_attention_heads", {}),
    ("num_hidden_layers", 2**63),
    ("head_dim", [1]),
    ("head_dim", False),
    ("rms_norm_eps", []),
    ("initializer_range", "wide"),
    ("hidden_act", {"a": 1}),
    ("rope_parameters", [1]),
    ("rope_scaling", 3),
    ("layer_types", [{}]),
    ("sliding_window", "x"),
  ],
)
@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "gemma3_text"])
def test_values_of_another_kind_in_a_model_config(kind, key, value):
  raw = {**_LLAMA, "model_type": kind, key: value}
  try:
    hf.config_from_hf(raw)  # a key that the family does not read
  except errors.ModelError as error:
    assert "\n" not in str(error) and len(str(error)) < 600


def test_offsets_outside_of_an_arrow_buffer(tmp_path):
  offsets = pyarrow.py_buffer(np.array([0, 9, 1, 3], np.int32))
  text = pyarrow.StringArray.from_buffers(3, offsets, pyarrow.py_buffer(b"abc"))
  batch = pyarrow.record_batch({"text": text})
  path = tmp_path / "rows.arrow"
  with pyarrow.ipc.new_file(str(path), batch.schema) as writer:
    writer.write_batch(batch)
  with pytest.raises(errors.DataError, match="not a readable Arrow file"):
    readers.read(path)


@pytest.mark.parametrize(
  "choice",
  [
    {"token_ids": [2**40], "finish_reason": "stop"},
    {"token_ids": [-1], "finish_reason": "stop"},
    {"token_ids": [math.inf], "finish_reason": "stop"},
    {"token_ids": 5, "finish_reason": "stop"},
    {"token_ids": [1], "finish_reason": {}},
    {"token_ids": [1], "logprobs": {"token_logprobs": [10**400]},
     "finish_reason": "stop"},
    {"token_ids": [1], "logprobs": [1], "finish_reason": "stop"},
    {"text": 5, "finish_reason": "stop"},
    "text",
    None,
  ],
)  # fmt: skip
def test_odd_choices_of_a_completion_server(choice):
  server = completion_server.CompletionEngine(
    "http://localhost:9", "m", lambda text: list(text.encode())
  )
  settings = engine.Settings(max_new_tokens=3, eos_ids=(1,))
  with pytest.raises(errors.TrainingError) as caught:
    server.read([{"choices": [choice]}], settings)
  assert "\n" not in str(caught.value)


# --- values made by hypothesis, where it says more than bytes do -------------

_JSON = st.recursive(
  st.none()
  | st.booleans()
  | st.integers(-(2**70), 2**70)
  | st.floats()
  | st.text(max_size=6),
  lambda inner: (
    st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=6), inner, max_size=3)
  ),
  max_leaves=6,
)
_SECTIONS = sorted(config_lib.to_json(config_lib.Config()))


@hypothesis.settings(max_examples=150)
@hypothesis.given(st.sampled_from(_SECTIONS), _JSON, st.data())
def test_any_value_in_a_config(section, value, data):
  raw = config_lib.to_json(config_lib.Config())
  inside = isinstance(raw[section], dict) and raw[section]
  if inside and data.draw(st.booleans()):
    raw[section][data.draw(st.sampled_from(sorted(raw[section])))] = value
  else:
    raw[section] = value
  try:
    config_lib.parse(raw)
  except errors.ConfigError as error:
    assert section in str(error)


@hypothesis.settings(max_examples=150)
@hypothesis.given(_JSON)
def test_any_value_as_a_reply_or_manifest(value):
  text = json.dumps(value).encode()
  with pytest.raises(chat_server.Fault):
    chat_server.parse(text)
  with pytest.raises(errors.CheckpointCorruptError):
    parsing.parse(text, "manifest.json")
