# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Any readable file as an ArrayRecord data set of TFDS, without TensorFlow.

The folder that `build` makes opens with `tfds.builder_from_directory(...)`
and `as_data_source`, and with `prefjax.data.read`, which gives equal records.
"""

import contextlib
import os
import pathlib
import re
import tempfile
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from prefjax.core import errors
from prefjax.data import schema, table_rows

_VERSION = "1.0.0"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SPLIT = re.compile(r"[a-z][a-z0-9_]{0,31}")


class RecordBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Writes records in the order given; `build` names and runs it.

  Args:
    splits: split -> records.
    description: goes to the data set's information.
    data_dir: folder of data sets.
  """

  VERSION = tfds.core.Version(_VERSION)
  RELEASE_NOTES = {_VERSION: "Records with prompt, responses and the rest."}

  def __init__(
    self,
    *,
    splits: Mapping[str, Sequence[schema.Record]],
    description: str,
    data_dir: str,
  ):
    self._records = splits
    self._description = description
    super().__init__(data_dir=data_dir, file_format="array_record")

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description=self._description,
      features=tfds.features.FeaturesDict(
        {
          "id": tfds.features.Text(),
          "kind": tfds.features.Text(),
          "chat": tfds.features.Scalar(np.bool_),
          "prompt": tfds.features.Text(),
          "responses": tfds.features.Sequence(tfds.features.Text()),
          "rest": tfds.features.Text(),
        }
      ),
      disable_shuffling=True,  # the order of the records is kept
    )

  def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
    del dl_manager
    return {
      name: self._generate_examples(records)
      for name, records in self._records.items()
    }

  def _generate_examples(
    self, records: Sequence[schema.Record]
  ) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, record in enumerate(records):
      yield index, table_rows.to_row(record)


def build(
  splits: Mapping[str, Sequence[schema.Record]],
  out: str | os.PathLike[str],
  name: str,
  *,
  description: str = "Preference records.",
) -> pathlib.Path:
  """Writes records as an ArrayRecord data set.

  The folder appears under its name only when it is complete.

  Args:
    splits: split -> records, e.g. {"train": ..., "test": ...}.
    out: folder of data sets; made if it is missing.
    name: of the data set: small letters, digits and '_'.
    description: goes to the data set's information.

  Returns:
    The folder of the data set, <out>/<name>/<version>.

  Raises:
    ConfigError: a name is malformed, or a split is empty.
    DataError: the folder exists already or cannot be written, or a record
      holds arrays.
  """
  if not _NAME.fullmatch(name):
    raise errors.ConfigError(
      f"name: {name!r} is not made of small letters, digits and '_', beginning"
      " with a letter"
    )
  for split, records in splits.items():
    if not _SPLIT.fullmatch(split):
      raise errors.ConfigError(f"split: {split!r} is not a name of letters")
    if not records:
      raise errors.ConfigError(f"split: {split!r} has no record")
  if not splits:
    raise errors.ConfigError("split: there is none to write")
  folder = pathlib.Path(out) / name / _VERSION
  if folder.exists():
    raise errors.DataError(
      f"{folder}: exists already; remove it, or give another name or folder"
    )
  # tfds takes the name from the class.
  builder_type = types.new_class(
    "NamedRecordBuilder",
    (RecordBuilder,),
    {"skip_registration": True},
    lambda namespace: namespace.update(name=name),
  )
  try:
    folder.parent.mkdir(parents=True, exist_ok=True)
    tfds.disable_progress_bar()
    with (
      tempfile.TemporaryDirectory() as scratch,
      open(os.devnull, "w") as nowhere,
      contextlib.redirect_stdout(nowhere),  # tfds prints what it does
    ):
      builder = builder_type(
        splits=splits, description=description, data_dir=os.fspath(out)
      )
      builder.download_and_prepare(download_dir=scratch)
  except OSError as error:
    raise errors.DataError(
      f"{folder}: cannot be written ({error.strerror or error})"
    ) from None
  return folder
