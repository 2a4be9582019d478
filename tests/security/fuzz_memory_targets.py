# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Parsers of text and bytes that are in memory already."""

import dataclasses
import pathlib
from typing import Any

import fuzz_common
import numpy as np

from prefjax import config as config_lib
from prefjax.checkpoint import manifest as manifest_lib
from prefjax.checkpoint import parsing
from prefjax.core import errors

Target, dumps = fuzz_common.Target, fuzz_common.dumps


def _json_line() -> Target:
  from prefjax.data import streams

  return Target(
    streams.parse_json,
    dumps(*fuzz_common.ROWS),
    (ValueError,),
    is_json=True,
    share=6,
  )


def _layouts() -> Target:
  from prefjax.data import fields, layouts, records

  def run(data: bytes) -> None:
    row = fuzz_common.json_of(data)
    if not isinstance(row, dict):
      return
    layout, _ = layouts.recognise([row], "rows")
    try:
      converted = layout.convert(row)
    except (fields.Problem, KeyError):
      return  # what `readers` makes a message of
    raw = {"id": "row1", **converted.raw}
    records.validate(
      raw, records.Where("rows", 1, "line"), names=converted.names
    )

  return Target(run, dumps(*fuzz_common.ROWS), is_json=True, share=5)


def _overrides() -> Target:
  from configs import dpo
  from prefjax.cli import overrides

  words = (
    b"seed=3", b"opt.learning_rate=1e-3", b"data.buckets=((48,40),)",
    b"data.language={'n': 40}", b"method.kwargs.beta=0.2", b"opt.name=sgd",
    b"model.source=preset:tiny", b"train.steps=9", b"data.shuffle=true",
    b"stages.a.train.steps=3", b"model.overrides={'num_layers': 1}",
  )  # fmt: skip
  config = dpo.get_config("tiny")
  overrides.lock(config)

  def run(data: bytes) -> None:
    key, _, text = fuzz_common.text_of(data).partition("=")
    overrides.set_text(config.copy_and_resolve_references(), key, text)

  return Target(run, words, share=0.15)


def _config() -> Target:
  raw = config_lib.to_json(config_lib.Config())
  staged = {**raw, "stages": {"a": {"train": {"steps": 3}}}}
  return Target(
    lambda data: config_lib.parse(fuzz_common.json_of(data)),
    dumps(raw, staged),
    is_json=True,
    share=0.3,
  )


_TEMPLATES = (
  b"{% for m in messages %}<|{{ m.role }}|>{{ m['content'] | trim }}"
  b"{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}",
  b"{% set ns = namespace(n=0) %}{% for m in messages %}{% if loop.first and "
  b"m.role != 'system' %}{{ raise_exception('no system') }}{% endif %}"
  b"{% set ns.n = ns.n + 1 %}{{ '%s' | format(ns.n) }}{% endfor %}",
  b"{{ messages | map(attribute='role') | join(',') }}{{ 'a' ~ 3 * 'b' }}"
  b"{{ messages | tojson(indent=1) }}{{ range(9) | list }}",
  b"{% macro f(x) %}[{{ x }}]{% endmacro %}{{ f('a') }}{{ f(messages) }}",
  b"{{ strftime_now('%Y') }}{{ 'x'.join(['a', 'b']) }}{{ 'abc'[::-1] }}"
  b"{{ messages[0].content.split('h') }}{{ 2 ** 8 }}{{ 7 // 2 }}",
)


def _chat_template() -> Target:
  from prefjax.data import template_sandbox

  def run(data: bytes) -> None:
    template_sandbox._compile.cache_clear()
    text = template_sandbox.render(
      fuzz_common.text_of(data),
      {
        "messages": [{"role": "user", "content": "hi"}],
        "add_generation_prompt": True,
        "eos_token": "</s>",
        "strftime_now": template_sandbox.dates(_today()),
      },
      seconds=2.0,
    )
    if len(text) > template_sandbox.MAX_OUTPUT:
      raise AssertionError("the output is over its cap")

  return Target(run, _TEMPLATES, share=0.15)


def _today() -> Any:
  from prefjax.data import chat

  return chat.TODAY


def _manifest() -> Target:
  from prefjax.checkpoint import digest

  tree = {"w": np.arange(6.0).reshape(2, 3), "n": np.int32(3)}
  manifest = manifest_lib.build(
    5,
    metadata={"config": {"a": 1}, "stage": {"name": ""}, "tokenizer_hash": "x"},
    metrics={"loss": 0.5},
  )
  full = dataclasses.replace(
    manifest,
    leaves=digest.tree_digest(tree),
    files={"d/0": manifest_lib.FileEntry(30, "0" * 64)},
  )
  return Target(
    lambda data: parsing.parse(data, "manifest.json"),
    [manifest_lib.to_bytes(full)],
    is_json=True,
    share=3,
  )


def _judge_reply() -> Target:
  from prefjax.feedback import chat_server, judges

  replies = dumps(
    {
      "choices": [
        {
          "message": {"content": "One is better.\n[[1]]"},
          "finish_reason": "stop",
        }
      ],
      "usage": {"prompt_tokens": 3, "completion_tokens": 5},
    },
    {"error": {"message": "sk-secret is not allowed"}},
  )

  def run(data: bytes) -> None:
    try:
      reply = chat_server.parse(data, "sk-secret")
    except chat_server.Fault as fault:
      if "sk-secret" in str(fault):
        raise AssertionError("the key is in the message") from None
      return
    judges.read_verdict(reply.text)

  return Target(run, replies, (), is_json=True, share=6)


def _completion_reply() -> Target:
  from prefjax.generation import completion_server, engine

  replies = dumps(
    {
      "choices": [
        {
          "text": "ab",
          "token_ids": [5, 6],
          "finish_reason": "stop",
          "logprobs": {
            "tokens": ["token_id:5", "token_id:6"],
            "token_logprobs": [-0.5, None],
          },
        }
      ]
    },
    {"choices": [{"text": "abc", "finish_reason": "length"}]},
  )
  server = completion_server.CompletionEngine(
    "http://localhost:9", "m", lambda text: list(text.encode("utf-8"))
  )
  settings = engine.Settings(
    max_new_tokens=4, num_samples=1, eos_ids=(6,), seed=0
  )

  def run(data: bytes) -> None:
    reply = fuzz_common.json_of(data)
    if not isinstance(reply, dict):
      return
    server.read([reply], settings)

  return Target(run, replies, is_json=True, share=2)


def _numbers() -> Target:
  from prefjax.rewards import numbers

  corpus = (
    rb"The answer is \boxed{\frac{3}{4}}.", b"#### 1,234", b"-3.5e2", b"1/3",
    rb"\sqrt{16} + 2^3", b"(1 + 2) * 3", b"25\\%", b"{1, 2, 3}", b"[0, 1)",
    rb"\boxed{x \in \{1, 2\}}", b"$12.50", b"2^{10}",
  )  # fmt: skip

  def run(data: bytes) -> None:
    text = fuzz_common.text_of(data)
    numbers.extract_answer(text)
    numbers.parse_number(text)
    numbers.maths_equal(text, "3/4")
    numbers.maths_equal("1", text[:200])

  return Target(run, corpus, ())


def _tools() -> Target:
  from prefjax.rewards import actions, tools

  corpus = (
    b"1 + 2 * (3 - 4) / 5", b"2 ** 10 % 7", b"(1,2)", b"2024-02-29",
    b"day of 2024-01-01", b"2024-01-01, 2024-03-01", b"2024-01-01 + 40 days",
    b"Thought: look it up\nAction: search[apple]", b"Action: calculator[1+1]",
    b"Thought: t\nAction: finish\nAction Input: 3",
  )  # fmt: skip

  def run(data: bytes) -> None:
    text = fuzz_common.text_of(data)
    for name in ("Calculator", "Calendar"):
      tools.TOOLS[name](text)
    actions.parse_action(text=text)

  return Target(run, corpus, (), share=0.4)


def _code_text() -> Target:
  from prefjax.rewards import executed, sql

  corpus = (
    b"Here:\n```python\ndef f():\n  return 1\n```\nDone.", b"x = 1",
    b"```sql\nselect a from t order by a\n```", b"``` \n```\n```py\n1\n```",
  )  # fmt: skip

  def run(data: bytes) -> None:
    text = fuzz_common.text_of(data)
    executed.extract_code(text)
    sql.extract_query(text)

  return Target(run, corpus, ())


def _model_config() -> Target:
  from prefjax.models import hf

  root = pathlib.Path(__file__).resolve().parents[1] / "data" / "tiny-models"
  corpus = [path.read_bytes() for path in sorted(root.glob("*/config.json"))]
  return Target(
    lambda data: hf.config_from_hf(_as_object(data)),
    corpus,
    is_json=True,
    share=0.2,
  )


def _as_object(data: bytes) -> dict[str, Any]:
  value = fuzz_common.json_of(data)
  if not isinstance(value, dict):
    raise errors.ModelError("no object")
  return value


TARGETS = {
  "json line": _json_line,
  "layouts": _layouts,
  "overrides": _overrides,
  "config": _config,
  "chat template": _chat_template,
  "checkpoint manifest": _manifest,
  "judge reply": _judge_reply,
  "completion reply": _completion_reply,
  "maths answers": _numbers,
  "tool calls": _tools,
  "code and query text": _code_text,
  "model config": _model_config,
}
