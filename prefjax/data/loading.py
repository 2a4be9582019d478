# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""From the data section of a config to the batches of a run, in one call."""

import dataclasses
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefjax.core import errors
from prefjax.data import (
  encoding,
  pipeline,
  readers,
  reports,
  schema,
  splits,
  team_store,
)
from prefjax.data import store as store_lib

_EVAL_WINDOW = 64  # batches of an evaluation that are sorted by bucket
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Files:
  """Which records a run trains on and is evaluated on.

  Attributes:
    paths: files or folders to train on; see `readers.read`.
    eval_paths: files or folders to evaluate on.
    eval_fraction: of the prompts of `paths` to hold out for evaluation, where
      there are no `eval_paths`.
    split: which split of folders to train on.
    eval_split: which split of folders to evaluate on; with no `eval_paths`,
      of the same folders.
    layout: how rows are laid out, or 'auto'.
    columns: column mapping or preset; see `columns`.
    on_bad: 'stop' or 'skip' bad rows.
    max_bad_fraction: with 'skip', more bad rows than this share are an error.
    limit: most records to read from each path.
    max_eval: most records to evaluate on.
    seed: of the choice of held-out prompts.
  """

  paths: tuple[str, ...]
  eval_paths: tuple[str, ...] = ()
  eval_fraction: float = 0.0
  split: str | None = None
  eval_split: str | None = None
  layout: str = "auto"
  columns: Mapping[str, Any] | str | None = None
  on_bad: str = "stop"
  max_bad_fraction: float = 0.1
  limit: int | None = None
  max_eval: int | None = None
  seed: int = 0

  def __post_init__(self):
    if isinstance(self.paths, str) or not self.paths:
      raise errors.ConfigError(
        f"data.train: {self.paths!r} is not a list of one or more paths"
      )
    if self.eval_fraction and (self.eval_paths or self.eval_split):
      raise errors.ConfigError(
        "data.eval_fraction: is not used beside data.eval; leave one out"
      )
    if self.max_eval is not None and self.max_eval < 1:
      raise errors.ConfigError(f"data.eval_limit: {self.max_eval} is below 1")


@dataclasses.dataclass(frozen=True)
class Records:
  """What `read_files` read.

  Attributes:
    train: records to train on.
    held: records to evaluate on, maybe none.
    reports: one a path.
  """

  train: list[schema.Record]
  held: list[schema.Record]
  reports: list[reports.ReadReport]


def read_files(files: Files) -> Records:
  """Reads all files of a run.

  Raises:
    DataError: a file or row cannot be used.
    ConfigError: the fraction to hold out leaves a side empty.
  """

  def read(paths: Sequence[str], split: str | None) -> list[schema.Record]:
    out: list[schema.Record] = []
    for path in paths:
      data = readers.read(
        path,
        layout=files.layout,
        split=split,
        on_bad=files.on_bad,
        max_bad_fraction=files.max_bad_fraction,
        columns=files.columns,
        limit=files.limit,
      )
      found.append(data.report)
      out += data.records
    return out

  found: list[reports.ReadReport] = []
  train = read(files.paths, files.split)
  if files.eval_paths or files.eval_split:
    held = read(files.eval_paths or files.paths, files.eval_split)
  else:
    train, held = splits.held_out(train, files.eval_fraction, seed=files.seed)
  return Records(train, held[: files.max_eval], found)


def open_store(
  encoder: encoding.Encoder,
  records: Sequence[schema.Record],
  cache_dir: str | os.PathLike[str] | None = None,
  *,
  progress: Callable[[int, int], None] | None = None,
  team: team_store.Team | None = None,
) -> store_lib.Store:
  """Tokenised records: cached in a folder, or in memory where it is None.

  Args:
    encoder: makes the examples.
    records: what they are made of.
    cache_dir: folder of all stores.
    progress: called with (records done, records).
    team: processes that all call this and share the work.

  Raises:
    DataError: no record can be used, or the folder cannot be written.
  """
  if cache_dir is None:
    return store_lib.MemoryStore(encoder, records, progress=progress)
  if team is not None:
    return team_store.build_or_open(
      encoder, records, cache_dir, team, progress=progress
    )
  return store_lib.build_or_open(encoder, records, cache_dir, progress=progress)


def eval_options(
  options: pipeline.Options, batch_size: int | None = None
) -> pipeline.Options:
  """How to cut an evaluation: every example once, none left out.

  Args:
    options: those of training.
    batch_size: over all processes, if another than in training.
  """
  return dataclasses.replace(
    options,
    batch_size=options.batch_size if batch_size is None else batch_size,
    seed=0,
    shuffle=True,  # by bucket; the order does not matter here
    epochs=1,
    remainder="fill",
    window=_EVAL_WINDOW,
  )


@dataclasses.dataclass(frozen=True)
class Loaded:
  """The data of a run.

  Attributes:
    train: batches to train on.
    held: batches to evaluate on, or None.
    records: what they were made of.
  """

  train: pipeline.Source
  held: pipeline.Source | None
  records: Records

  def lines(self) -> list[str]:
    """What was read, made, cut and left out, for people."""
    out = [report.summary() for report in self.records.reports]
    out.append(f"train: {self.train.report.summary()}")
    if self.held is not None:
      out.append(f"eval: {self.held.report.summary()}")
    return out


def load(
  files: Files,
  encoder: encoding.Encoder,
  options: pipeline.Options,
  *,
  cache_dir: str | os.PathLike[str] | None = None,
  eval_batch_size: int | None = None,
  process_index: int = 0,
  process_count: int = 1,
  progress: Callable[[int, int], None] | None = None,
) -> Loaded:
  """Reads, tokenises and opens the data of a run.

  Args:
    files: what to read.
    encoder: tokenizer, view and lengths.
    options: how to cut batches to train on.
    cache_dir: folder for tokenised data, or None to keep it in memory.
    eval_batch_size: over all processes, if another than in training.
    process_index: which slice of a batch this process makes.
    process_count: how many processes share a batch.
    progress: called with (records done, records) while tokenising.

  Raises:
    ConfigError: an option is wrong.
    DataError: a file, a row or the cache cannot be used.
  """
  records = read_files(files)

  def source(part, how) -> pipeline.Source:
    store = open_store(encoder, part, cache_dir, progress=progress)
    return pipeline.Source(
      store, how, process_index=process_index, process_count=process_count
    )

  held = None
  if records.held:
    held = source(records.held, eval_options(options, eval_batch_size))
  loaded = Loaded(source(records.train, options), held, records)
  for line in loaded.lines():
    _LOG.info("%s", line)
  return loaded
