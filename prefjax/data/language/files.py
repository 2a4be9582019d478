# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Writes records to JSON lines files."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from prefjax.core import errors
from prefjax.data import media
from prefjax.data.language import producers, sampling


def _with_files(
  record: Mapping[str, Any], path: pathlib.Path, count: int
) -> dict[str, Any]:
  """The record with its arrays of pixels as files beside the data file."""
  out = dict(record)
  for name in ("images", "frames"):
    items = out.get(name)
    if items is None or all(isinstance(item, str) for item in items):
      continue
    folder = path.with_name(f"{path.stem}-media")
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for i, item in enumerate(items):
      if not isinstance(item, str):
        file = folder / f"{count:06d}-{name}-{i}.png"
        media.save_png(file, item)
        item = f"{folder.name}/{file.name}"
      names.append(item)
    out[name] = names
  return out


def write_jsonl(
  path: str | os.PathLike[str], records: Iterable[Mapping[str, Any]]
) -> int:
  """Writes one JSON object a line, all or nothing.

  Args:
    path: the file; its folder is made if it is missing.
    records: JSON-ready mappings; arrays under images or frames are written
      as PNG files to a folder beside it.

  Returns:
    How many records were written.

  Raises:
    DataError: the file cannot be written, or a record is not JSON-ready.
  """
  path = pathlib.Path(path)
  temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
  count = 0
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary.open("w", encoding="utf-8") as file:
      for record in records:
        file.write(
          json.dumps(
            _with_files(record, path, count),
            ensure_ascii=False,
            allow_nan=False,
          )
          + "\n"
        )
        count += 1
    os.replace(temporary, path)
  except (TypeError, ValueError) as error:
    raise errors.DataError(
      f"{path}: record {count} cannot be written as JSON ({error})"
    ) from error
  except OSError as error:
    raise errors.DataError(f"{path}: cannot be written ({error})") from error
  finally:
    with contextlib.suppress(OSError):  # gone when all went well
      temporary.unlink()
  return count


def write_demo(
  directory: str | os.PathLike[str],
  *,
  seed: int = 0,
  sft: int = 20_000,
  pairs: int = 20_000,
  heldout: int = 512,
  flip_rate: float = 0.1,
  language: sampling.Language = sampling.QUICK,
) -> dict[str, pathlib.Path]:
  """Writes the quickstart's data set.

  Args:
    directory: where the files go.
    seed: data seed.
    sft: demonstrations of mixed quality, train split.
    pairs: preference pairs, train split, with label noise.
    heldout: clean pairs, and prompts, of the held-out split.
    flip_rate: label noise of the training pairs.
    language: which tasks are drawn.

  Returns:
    Name -> path of 'sft', 'pairs', 'heldout_pairs', 'heldout_prompts'.

  Raises:
    ConfigError: an argument is out of range.
    DataError: a file cannot be written.
  """
  directory = pathlib.Path(directory)
  tables = {
    "sft": producers.sft_records(seed, sft, "train", language=language),
    "pairs": producers.pair_records(
      seed, pairs, "train", flip_rate=flip_rate, language=language
    ),
    "heldout_pairs": producers.pair_records(
      seed, heldout, "heldout", flip_rate=0.0, language=language
    ),
    "heldout_prompts": producers.prompt_records(
      seed, heldout, "heldout", language=language
    ),
  }
  paths = {}
  for name, records in tables.items():
    paths[name] = directory / f"{name}.jsonl"
    write_jsonl(paths[name], records)
  return paths
