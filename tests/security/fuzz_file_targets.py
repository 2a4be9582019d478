# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Parsers of files and folders; each target gets a folder of its own."""

import io
import pathlib
import sqlite3
from typing import Any

import fuzz_common
import numpy as np

from prefjax.core import errors

Target, dumps = fuzz_common.Target, fuzz_common.dumps


def _event_log(folder: pathlib.Path) -> Target:
  from prefjax.runs import diagnosis

  lines = dumps(
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


def _reader(folder: pathlib.Path, suffix: str, corpus, share=0.05) -> Target:
  """`readers.read` on a file of a format."""
  from prefjax.data import readers

  path = folder / f"rows{suffix}"

  def run(data: bytes) -> None:
    path.write_bytes(data)
    readers.read(path, on_bad="skip", max_bad_fraction=1)

  return Target(run, corpus, share=share)


def _jsonl(folder):
  lines = b"\n".join(
    dumps(*[{**fuzz_common.PAIR, "id": f"r{i}"} for i in range(4)])
  )
  return _reader(folder, ".jsonl", [lines, *dumps(*fuzz_common.ROWS)], 0.08)


def _csv(folder):
  text = b'prompt,chosen,rejected\np,"a, b",c\nq,"x\ny",z\n'
  return _reader(folder, ".csv", [text, b"\xef\xbb\xbf" + text], 0.05)


def _json_file(folder):
  rows = [{**fuzz_common.PAIR, "id": f"r{i}"} for i in range(3)]
  return _reader(folder, ".json", dumps(rows, {"data": rows}), 0.05)


def _gzip(folder):
  import gzip

  text = b"\n".join(
    dumps(*[{**fuzz_common.PAIR, "id": f"r{i}"} for i in range(40)])
  )
  return _reader(folder, ".jsonl.gz", [gzip.compress(text, mtime=0)], 0.03)


def _table() -> Any:
  import pyarrow

  rows = [
    {**fuzz_common.PAIR, "id": f"r{i}", "n": i, "x": [i, 2]} for i in range(12)
  ]
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
    own, other = dumps(content, side)
    beside = bool(data) and data[0] % 2 == 1
    path.write_bytes(own if beside else data[1:])
    place = folder / "tokenizer_config.json"
    place.write_bytes(data[1:] if beside else other)
    loaded = tokenizers.load(folder)
    loaded.encode("abba é")
    loaded.decode([0, 1, 2])

  corpus = [
    b"\x00" + dumps(content)[0],
    b"\x01" + dumps(side)[0],
  ]
  return Target(run, corpus, share=0.05)


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
      sql.run_query(path, fuzz_common.text_of(data), limits=limits)
    finally:
      if path.read_bytes() != clean:
        raise AssertionError("the database has changed")

  return Target(run, corpus, (errors.PrefjaxError, sql.QueryError), share=0.06)


TARGETS = {
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
