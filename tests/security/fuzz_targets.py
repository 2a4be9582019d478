# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every parser of text or bytes from strangers, and what it may raise.

A target takes bytes. It passes if it returns, or raises what its parser
promises; any other exception is a crash.
"""

import dataclasses
import io
import json
import pathlib
import random
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import fuzz_mutation
import numpy as np

from prefjax import config as config_lib
from prefjax.checkpoint import manifest as manifest_lib
from prefjax.checkpoint import parsing
from prefjax.core import errors

Run = Callable[[bytes], Any]
_PAIR = {"prompt": "p", "chosen": "good", "rejected": "bad", "id": "a"}
_CHAT = {
  "prompt": [{"role": "user", "content": "hi"}],
  "chosen": [{"role": "assistant", "content": "yes"}],
  "rejected": [{"role": "assistant", "content": "no"}],
}
_ROWS = (
  _PAIR,
  _CHAT,
  {"prompt": "p", "completion": "c", "label": True},
  {"prompt": "p", "completions": ["a", "b"], "labels": [True, False]},
  {"prompt": "p", "responses": ["a", "b"], "scores": [1, 2]},
  {"conversations": [*_CHAT["prompt"], *_CHAT["chosen"]]},
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


def _dumps(*values: Any) -> list[bytes]:
  return [json.dumps(value).encode() for value in values]


def _text(data: bytes) -> str:
  return data.decode("utf-8", "replace")


def _json(data: bytes) -> Any:
  """The value, or what a caller would have refused before."""
  try:
    return json.loads(data)
  except (ValueError, RecursionError):
    raise errors.DataError("not JSON") from None


# --- in memory ---------------------------------------------------------------


def _json_line() -> Target:
  from prefjax.data import streams

  return Target(
    streams.parse_json, _dumps(*_ROWS), (ValueError,), is_json=True, share=6
  )


def _layouts() -> Target:
  from prefjax.data import fields, layouts, records

  def run(data: bytes) -> None:
    row = _json(data)
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

  return Target(run, _dumps(*_ROWS), is_json=True, share=5)


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
    key, _, text = _text(data).partition("=")
    overrides.set_text(config.copy_and_resolve_references(), key, text)

  return Target(run, words, share=0.15)


def _config() -> Target:
  raw = config_lib.to_json(config_lib.Config())
  staged = {**raw, "stages": {"a": {"train": {"steps": 3}}}}
  return Target(
    lambda data: config_lib.parse(_json(data)),
    _dumps(raw, staged),
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
      _text(data),
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

  replies = _dumps(
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

  replies = _dumps(
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
    reply = _json(data)
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
    text = _text(data)
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
    text = _text(data)
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
    text = _text(data)
    executed.extract_code(text)
    sql.extract_query(text)

  return Target(run, corpus, ())


def _event_log(folder: pathlib.Path) -> Target:
  from prefjax.runs import diagnosis

  lines = _dumps(
    {"at": "2026-01-31T12:00:00.000Z", "event": "start", "pid": 1, "steps": 9},
    {"at": "x", "event": "save", "step": 3},
    {"event": "stop", "reason": "signal", "status": 143, "step": 5},
    {"event": "fallback", "step": 3, "reason": "damaged"},
  )

  def run(data: bytes) -> None:
    (folder / "events.jsonl").write_bytes(data)
    (folder / "metrics.jsonl").write_bytes(data)
    diagnosis.rows(diagnosis.diagnose(folder))

  return Target(run, [b"\n".join(lines), *lines], share=0.02)


# --- files -------------------------------------------------------------------


def _reader(folder: pathlib.Path, suffix: str, corpus, share=0.05) -> Target:
  """`readers.read` on a file of a format."""
  from prefjax.data import readers

  path = folder / f"rows{suffix}"

  def run(data: bytes) -> None:
    path.write_bytes(data)
    readers.read(path, on_bad="skip", max_bad_fraction=1)

  return Target(run, corpus, share=share)


def _jsonl(folder):
  lines = b"\n".join(_dumps(*[{**_PAIR, "id": f"r{i}"} for i in range(4)]))
  return _reader(folder, ".jsonl", [lines, *_dumps(*_ROWS)], 0.08)


def _csv(folder):
  text = b'prompt,chosen,rejected\np,"a, b",c\nq,"x\ny",z\n'
  return _reader(folder, ".csv", [text, b"\xef\xbb\xbf" + text], 0.05)


def _json_file(folder):
  rows = [{**_PAIR, "id": f"r{i}"} for i in range(3)]
  return _reader(folder, ".json", _dumps(rows, {"data": rows}), 0.05)


def _gzip(folder):
  import gzip

  text = b"\n".join(_dumps(*[{**_PAIR, "id": f"r{i}"} for i in range(40)]))
  return _reader(folder, ".jsonl.gz", [gzip.compress(text, mtime=0)], 0.03)


def _table() -> Any:
  import pyarrow

  rows = [{**_PAIR, "id": f"r{i}", "n": i, "x": [i, 2]} for i in range(12)]
  return pyarrow.Table.from_pylist(rows)


def _parquet(folder):
  from pyarrow import parquet

  files = []
  for compression in ("none", "snappy"):
    sink = io.BytesIO()
    parquet.write_table(_table(), sink, compression=compression)
    files.append(sink.getvalue())
  return _reader(folder, ".parquet", files)


def _arrow(folder):
  import pyarrow

  files = []
  for make in (pyarrow.ipc.new_file, pyarrow.ipc.new_stream):
    sink = io.BytesIO()
    with make(sink, _table().schema) as writer:
      writer.write_table(_table())
    files.append(sink.getvalue())
  return _reader(folder, ".arrow", files)


def _tfds(folder: pathlib.Path) -> Target:
  from prefjax.data import readers, records, tfds_builder

  made = [
    records.validate(
      {"id": f"r{i}", "kind": "pair", "prompt": "p", "responses": ["a", "b"]},
      "fuzz",
    )
    for i in range(3)
  ]
  place = tfds_builder.build({"train": made}, folder, "mine")
  files = sorted(p for p in place.iterdir() if p.is_file())
  clean = {path: path.read_bytes() for path in files}

  def run(data: bytes) -> None:
    """The first byte says which file is damaged."""
    path = files[data[0] % len(files)] if data else files[0]
    path.write_bytes(data[1:])
    try:
      readers.read(place, split="train", on_bad="skip", max_bad_fraction=1)
    finally:
      path.write_bytes(clean[path])

  corpus = [bytes([i]) + clean[path] for i, path in enumerate(files)]
  return Target(run, corpus, share=0.002)


def _images(folder: pathlib.Path) -> Target:
  from PIL import Image

  from prefjax.data import media, records

  rng = np.random.default_rng(0)
  pixels = rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)
  corpus = []
  for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM"):
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, kind)
    corpus.append(sink.getvalue())
  path = folder / "image"
  record = records.validate(
    {"id": "a", "kind": "prompt", "prompt": "p", "images": [str(path)]}, "fuzz"
  )
  options = media.Options(size=8, max_pixels=1 << 16)

  def run(data: bytes) -> None:
    path.write_bytes(data)
    media.load(record, options)

  return Target(run, corpus, share=0.02)


def _safetensors(folder: pathlib.Path) -> Target:
  from safetensors import numpy as safetensors_numpy

  from prefjax.models import safetensors_io

  tensors = {
    "a.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "b": np.zeros(3, np.float16),
  }
  path = folder / "model.safetensors"

  def run(data: bytes) -> None:
    path.write_bytes(data)
    for tensor in safetensors_io.open_file(path).values():
      if np.prod(tensor.shape, dtype=float) < 1e6:
        tensor[...]

  return Target(run, [safetensors_numpy.save(tensors)], share=0.05)


def gguf_bytes(folder: pathlib.Path) -> bytes:
  """A small GGUF file with a vocabulary and tensors of two formats."""
  import gguf

  path = folder / "clean.gguf"
  writer = gguf.GGUFWriter(str(path), "llama")
  writer.add_uint32("llama.block_count", 1)
  writer.add_tokenizer_model("gpt2")
  writer.add_tokenizer_pre("smollm")
  writer.add_token_list(["a", "b", "ab", "<s>", "</s>", "\u0120"])
  writer.add_token_types([1, 1, 1, 3, 3, 1])
  writer.add_token_merges(["a b"])
  writer.add_bos_token_id(3)
  writer.add_eos_token_id(4)
  writer.add_chat_template("{{ messages }}")
  writer.add_tensor("token_embd.weight", np.ones((6, 32), np.float32))
  writer.add_tensor(
    "blk.0.ffn_up.weight",
    np.zeros((2, 34), np.uint8),
    raw_dtype=gguf.GGMLQuantizationType.Q8_0,
  )
  writer.write_header_to_file()
  writer.write_kv_data_to_file()
  writer.write_tensors_to_file()
  writer.close()
  return path.read_bytes()


def _gguf(folder: pathlib.Path) -> Target:
  from prefjax.core import gguf_file
  from prefjax.data import tokenizers
  from prefjax.models import gguf as gguf_lib

  path = folder / "model.gguf"
  clean = gguf_bytes(folder)

  def run(data: bytes) -> None:
    path.write_bytes(data)
    gguf_file.read(path)
    tokenizers.load(path).encode("ab a")
    try:
      gguf_lib.read_gguf(path)
    except errors.ModelError:
      return  # the clean file has the vocabulary of a model, not all settings

  return Target(run, [clean], share=0.06)


def _tokenizer(folder: pathlib.Path) -> Target:
  from prefjax.data import tokenizers

  content = {
    "version": "1.0",
    "added_tokens": [
      {"id": 3, "content": "</s>", "single_word": False, "lstrip": False,
       "rstrip": False, "normalized": False, "special": True}
    ],
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False,
                      "trim_offsets": True, "use_regex": True},
    "decoder": {"type": "ByteLevel", "add_prefix_space": False,
                "trim_offsets": True, "use_regex": True},
    "post_processor": None,
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2},
              "merges": [["a", "b"]]},
  }  # fmt: skip
  side = {"eos_token": "</s>", "chat_template": "{{ messages }}"}
  path = folder / "tokenizer.json"

  def run(data: bytes) -> None:
    """A first byte that is odd damages the config beside it instead."""
    own, other = _dumps(content, side)
    beside = bool(data) and data[0] % 2 == 1
    path.write_bytes(own if beside else data[1:])
    place = folder / "tokenizer_config.json"
    place.write_bytes(data[1:] if beside else other)
    loaded = tokenizers.load(folder)
    loaded.encode("abba é")
    loaded.decode([0, 1, 2])

  corpus = [b"\x00" + _dumps(content)[0], b"\x01" + _dumps(side)[0]]
  return Target(run, corpus, share=0.05)


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
  value = _json(data)
  if not isinstance(value, dict):
    raise errors.ModelError("no object")
  return value


def _sql(folder: pathlib.Path) -> Target:
  from prefjax.rewards import sql

  path = folder / "data.sqlite"
  connection = sqlite3.connect(path)
  connection.execute("create table t (a integer, b text)")
  connection.executemany(
    "insert into t values (?, ?)", [(i, str(i)) for i in range(20)]
  )
  connection.commit()
  connection.close()
  clean = path.read_bytes()
  corpus = (
    b"select a, count(*) from t where b like '1%' group by a order by a",
    b"with recursive n(i) as (select 1 union all select i+1 from n limit 9)"
    b" select * from n",
    b"select max(a), substr(b, 1, 2) from t; drop table t",
    b"attach database '/tmp/x' as y", b"pragma writable_schema=1",
    b"insert into t values (1, 'x')", b"select load_extension('x')",
    b"select hex(randomblob(100)), printf('%.9f', a) from t",
    b"vacuum into '/tmp/fuzz-out'",
  )  # fmt: skip
  limits = sql.Limits(seconds=0.5, rows=200)

  def run(data: bytes) -> None:
    try:
      sql.run_query(path, _text(data), limits=limits)
    finally:
      if path.read_bytes() != clean:
        raise AssertionError("the database has changed")

  return Target(run, corpus, (errors.PrefjaxError, sql.QueryError), share=0.06)


IN_MEMORY = {
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
IN_FILES = {
  "jsonl": _jsonl,
  "json": _json_file,
  "csv": _csv,
  "gzip": _gzip,
  "parquet": _parquet,
  "arrow": _arrow,
  "tfds folder": _tfds,
  "images": _images,
  "safetensors": _safetensors,
  "gguf": _gguf,
  "tokenizer": _tokenizer,
  "sql": _sql,
  "event log": _event_log,
}
NAMES = (*IN_MEMORY, *IN_FILES)


def make(name: str, folder: pathlib.Path) -> Target:
  """The target of a name; files go to the folder."""
  if name in IN_MEMORY:
    return IN_MEMORY[name]()
  return IN_FILES[name](folder)
