# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a target of the fuzzer is, and inputs that many targets share."""

import dataclasses
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import fuzz_mutation

from prefjax.core import errors

Run = Callable[[bytes], Any]
PAIR = {"prompt": "p", "chosen": "good", "rejected": "bad", "id": "a"}
CHAT = {
  "prompt": [{"role": "user", "content": "hi"}],
  "chosen": [{"role": "assistant", "content": "yes"}],
  "rejected": [{"role": "assistant", "content": "no"}],
}
ROWS = (
  PAIR,
  CHAT,
  {"prompt": "p", "completion": "c", "label": True},
  {"prompt": "p", "completions": ["a", "b"], "labels": [True, False]},
  {"prompt": "p", "responses": ["a", "b"], "scores": [1, 2]},
  {"conversations": [*CHAT["prompt"], *CHAT["chosen"]]},
  {"conversations": [{"from": "human", "value": "x"},
                     {"from": "gpt", "value": "y"}]},
  {"context": "p", "completions": [{"rank": 0, "completion": "a"},
                                   {"rank": 1, "completion": "b"}]},
  {"chosen": "\n\nHuman: hi\n\nAssistant: yes",
   "rejected": "\n\nHuman: hi\n\nAssistant: no"},
  {"instruction": "i", "input": "", "chosen": "c", "rejected": "r"},
  {"question": "q", "answer": "a"},
  {"text": "only text"},
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Target:
  """A parser under test.

  Attributes:
    run: parses.
    corpus: inputs that are right.
    raises: what it promises to raise.
    is_json: whether the inputs are JSON, and mutated as such too.
    share: of the executions of a run over all targets.
  """

  run: Run
  corpus: Sequence[bytes]
  raises: tuple[type[BaseException], ...] = (errors.PrefjaxError,)
  is_json: bool = False
  share: float = 1.0

  def draw(self, rng: random.Random) -> bytes:
    if self.is_json:
      return fuzz_mutation.mutated_json(rng, self.corpus)
    return fuzz_mutation.mutated(rng, self.corpus)


def dumps(*values: Any) -> list[bytes]:
  """Values as JSON."""
  return [json.dumps(value).encode() for value in values]


def text_of(data: bytes) -> str:
  """Any bytes as text."""
  return data.decode("utf-8", "replace")


def json_of(data: bytes) -> Any:
  """The value, or what a caller would have refused before."""
  try:
    return json.loads(data)
  except (ValueError, RecursionError):
    raise errors.DataError("not JSON") from None
