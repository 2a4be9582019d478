# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rows of binary tables: Parquet, Arrow, ArrayRecord and TFDS folders.

Rows come in chunks of plain Python values. pyarrow, array_record and tfds are
imported where they are needed; tfds reads without TensorFlow.
"""

import contextlib
import dataclasses
import json
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from prefjax.core import errors

_CHUNK = 512  # rows turned into Python values at a time
# Features that are lists of mappings; tfds hands out mappings of lists.
_VERSION = re.compile(r"\d+\.\d+\.\d+")


@dataclasses.dataclass(frozen=True)
class Problem:
  """What is wrong with one row."""

  field: str
  reason: str


class BrokenError(Exception):
  """The file breaks in the middle; rows before it were fine."""


def _one_line(error: Exception) -> str:
  text = str(error).strip()
  return text.splitlines()[0][:200] if text else type(error).__name__


def _python(batch) -> list[Any]:
  """Rows of an Arrow record batch; bad text makes a Problem of its row."""
  try:
    return batch.to_pylist()
  except UnicodeDecodeError:
    pass
  rows: list[Any] = []
  for index in range(batch.num_rows):
    try:
      rows.extend(batch.slice(index, 1).to_pylist())
    except UnicodeDecodeError:
      rows.append(_culprit(batch.slice(index, 1)))
  return rows


def _culprit(row) -> Problem:
  for name, column in zip(row.schema.names, row.columns, strict=True):
    try:
      column.to_pylist()
    except UnicodeDecodeError:
      return Problem(name, "has bytes that are not UTF-8")
  return Problem("row", "has bytes that are not UTF-8")


def parquet(path: pathlib.Path) -> Iterator[list[Any]]:
  """Chunks of rows of a Parquet file.

  Raises:
    DataError: not a Parquet file.
    BrokenError: it breaks later.
  """
  import pyarrow
  from pyarrow import parquet as pq

  broken = pyarrow.ArrowException, OSError, UnicodeDecodeError  # bad names
  try:
    file = pq.ParquetFile(path)
  except broken as error:
    raise errors.DataError(
      f"{path}: is not a readable Parquet file ({_one_line(error)})"
    ) from None
  with file:
    batches = file.iter_batches(batch_size=_CHUNK)
    while True:
      try:
        batch = next(batches)
      except StopIteration:
        return
      except broken as error:
        raise BrokenError(
          f"cannot be read further ({_one_line(error)})"
        ) from None
      yield _python(batch)


def _arrow_batches(source) -> Iterator[Any]:
  import pyarrow

  try:
    reader = pyarrow.ipc.open_file(source)
  except pyarrow.ArrowException:
    source.seek(0)
    yield from pyarrow.ipc.open_stream(source)
    return
  for index in range(reader.num_record_batches):
    yield reader.get_batch(index)


def _check(batch) -> None:
  """Looks at what Arrow trusts: lengths and offsets that point outside.

  Text that is not UTF-8 is left to whoever reads its row.

  Raises:
    ArrowInvalid: reading the batch would read past its buffers.
  """
  import pyarrow

  for column in batch.columns:
    try:
      column.validate(full=True)
    except pyarrow.ArrowInvalid as error:
      if "UTF8" not in str(error):
        raise


def arrow(paths: list[pathlib.Path]) -> Iterator[list[Any]]:
  """Chunks of rows of Arrow files or streams, one after the other.

  Raises:
    DataError: not Arrow files.
    BrokenError: one breaks later.
  """
  import pyarrow

  seen = False
  for path in paths:
    try:
      with pyarrow.OSFile(str(path), "rb") as source:
        for batch in _arrow_batches(source):
          _check(batch)
          for start in range(0, batch.num_rows, _CHUNK):
            seen = True
            yield _python(batch.slice(start, _CHUNK))
    except (
      pyarrow.ArrowException,
      OSError,
      SystemError,
      UnicodeDecodeError,
    ) as error:
      if not seen:
        raise errors.DataError(
          f"{path}: is not a readable Arrow file ({_one_line(error)})"
        ) from None
      raise BrokenError(
        f"{path}: cannot be read further ({_one_line(error)})"
      ) from None


def array_record(path: pathlib.Path) -> Iterator[list[bytes]]:
  """Chunks of payloads of an ArrayRecord file.

  Raises:
    DataError: not an ArrayRecord file.
    BrokenError: it breaks later.
  """
  from array_record.python import array_record_module

  try:
    reader = array_record_module.ArrayRecordReader(
      str(path), "readahead_buffer_size:0,max_parallelism:0"
    )
    if not reader.ok():
      reader.close()  # raises what is wrong
    number = reader.num_records()
  except (ValueError, RuntimeError, OSError) as error:
    raise errors.DataError(
      f"{path}: is not a readable ArrayRecord file ({_one_line(error)})"
    ) from None
  try:
    for start in range(0, number, _CHUNK):
      try:
        yield reader.read(start, min(start + _CHUNK, number))
      except (ValueError, RuntimeError, IndexError, OSError) as error:
        raise BrokenError(
          f"cannot be read further ({_one_line(error)})"
        ) from None
  finally:
    with contextlib.suppress(RuntimeError):  # said above already
      reader.close()


def plain(value: Any) -> Any:
  """A value of a TFDS example as plain Python values."""
  if isinstance(value, bytes):
    return value.decode("utf-8")
  if isinstance(value, dict):
    return {key: plain(item) for key, item in value.items()}
  if isinstance(value, (list, tuple)):
    return [plain(item) for item in value]
  if hasattr(value, "tolist"):  # a NumPy scalar or array
    return plain(value.tolist())
  return value


def rows_of_columns(value: Any, feature: Any) -> Any:
  """Turns mappings of lists back into lists of mappings, by the feature."""
  from tensorflow_datasets.core import features as tfds_features

  if isinstance(feature, tfds_features.FeaturesDict):
    return {
      key: rows_of_columns(value[key], feature[key])
      for key in feature
      if key in value
    }
  if isinstance(feature, tfds_features.Sequence):
    inner = feature.feature
    if isinstance(inner, tfds_features.FeaturesDict) and isinstance(
      value, dict
    ):
      columns = {key: value[key] for key in inner if key in value}
      length = min((len(column) for column in columns.values()), default=0)
      return [
        rows_of_columns({k: c[i] for k, c in columns.items()}, inner)
        for i in range(length)
      ]
    if isinstance(value, list):
      return [rows_of_columns(item, inner) for item in value]
  return value


def _tfds_chunks(source, feature) -> Iterator[list[Any]]:
  for start in range(0, len(source), _CHUNK):
    out: list[Any] = []
    for index in range(start, min(start + _CHUNK, len(source))):
      try:
        out.append(rows_of_columns(plain(source[index]), feature))
      except UnicodeDecodeError:
        out.append(Problem("row", "has bytes that are not UTF-8"))
      except (ValueError, RuntimeError, OSError) as error:
        raise BrokenError(
          f"cannot be read further ({_one_line(error)})"
        ) from None
    yield out


def _choose(folder, splits: list[str], split: str | None) -> str:
  if split is None and len(splits) == 1:
    return splits[0]
  if split in splits:
    return split
  wanted = "give a split" if split is None else f"has no split {split!r}"
  raise errors.DataError(
    f"{folder}: {wanted}{errors.nearest(split or '', splits)}; it has"
    f" {', '.join(splits) or 'none'}"
  )


def _tfds(folder: pathlib.Path, split: str | None):
  import tensorflow_datasets as tfds

  try:
    builder = tfds.builder_from_directory(str(folder))
    splits = list(builder.info.splits)
  except Exception as error:  # tfds lets parser errors of any type through
    raise errors.DataError(
      f"{folder}: is not a readable TFDS folder ({_one_line(error)})"
    ) from None
  chosen = _choose(folder, splits, split)
  try:
    source = builder.as_data_source(split=chosen)
  except NotImplementedError:
    raise errors.DataError(
      f"{folder}: was prepared in a format without random access; prepare it"
      ' again with file_format="array_record"'
    ) from None
  except (ValueError, RuntimeError, OSError) as error:
    raise errors.DataError(
      f"{folder}: split {chosen!r} cannot be opened ({_one_line(error)})"
    ) from None
  feature = builder.info.features
  return "tfds", chosen, lambda: _tfds_chunks(source, feature)


def _saved(folder: pathlib.Path, split: str | None):
  """A folder as Hugging Face datasets saves one."""
  names = folder / "dataset_dict.json"
  if names.is_file():
    try:
      splits = json.loads(names.read_bytes())["splits"]
    except (ValueError, KeyError, TypeError):
      raise errors.DataError(f"{names}: does not list splits") from None
    chosen = _choose(folder, [str(s) for s in splits], split)
    kind, _, chunks = _saved(folder / chosen, None)
    return kind, chosen, chunks
  state = folder / "state.json"
  try:
    files = [
      folder / pathlib.PurePath(item["filename"]).name
      for item in json.loads(state.read_bytes())["_data_files"]
    ]
  except (ValueError, KeyError, TypeError, OSError):
    raise errors.DataError(f"{state}: does not list data files") from None
  return "arrow", split, lambda: arrow(files)


def describe(
  folder: pathlib.Path, split: str | None
) -> tuple[str, str | None, Callable[[], Iterator[list[Any]]]] | None:
  """(format, split, chunks) of a prepared data set folder, else None.

  Raises:
    DataError: it is one, but cannot be read or lacks the split.
  """
  if (folder / "dataset_dict.json").is_file() or (
    folder / "state.json"
  ).is_file():
    return _saved(folder, split)
  if (folder / "dataset_info.json").is_file():
    return _tfds(folder, split)
  versions = sorted(
    (
      p
      for p in folder.iterdir()
      if _VERSION.fullmatch(p.name) and (p / "dataset_info.json").is_file()
    ),
    key=lambda p: [int(part) for part in p.name.split(".")],
  )
  return _tfds(versions[-1], split) if versions else None
