# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Packed batches: the same examples, cells that fit, few shapes."""

import numpy as np
import pytest

from prefjax.core import errors
from prefjax.data import (
  encoding,
  language,
  loading,
  packing,
  pipeline,
  readers,
  tokenizers,
  views,
)


def test_cells_are_what_a_step_cuts():
  cells = packing.Cells(devices=2, parts=3)
  assert cells.count == 6
  # Device 0 has rows 0..5; its part 0 has rows 0 and 3.
  np.testing.assert_array_equal(
    cells.of_rows(12), [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]
  )


@pytest.fixture(scope="module")
def source(tmp_path_factory):
  return _source(tmp_path_factory.mktemp("data"))


def _source(folder, name="pairs", view="pair", **options):
  producers = {
    "pairs": language.pair_records,
    "unpaired": language.unpaired_records,
  }
  rows = producers[name](0, 96, "train", language=language.QUICK)
  path = folder / f"{name}.jsonl"
  language.write_jsonl(path, rows)
  records = readers.read(path).records
  encoder = encoding.Encoder(
    tokenizers.load("bytes"),
    views.view(view),
    encoding.Lengths(prompt=256, response=256),
  )
  store = loading.open_store(encoder, records, None)
  given = {"batch_size": 12, "remainder": "fill", **options}
  return pipeline.Source(store, pipeline.Options(**given))


def _cell_tokens(batch, cells):
  """Tokens [cells, 2] of prompts and responses."""
  group = batch.main
  cell = cells.of_rows(len(batch.example_id))
  each = np.stack(
    [group.prompt_mask.sum(axis=1), group.token_mask.sum(axis=(1, 2))], axis=1
  )
  out = np.zeros((cells.count, 2), int)
  np.add.at(out, cell, each)
  return out


@pytest.mark.parametrize("cells", (packing.Cells(), packing.Cells(2, 3)))
def test_batches_hold_the_same_and_cells_fit(tmp_path, source, cells):
  own = _source(tmp_path)
  fingerprint = own.fingerprint
  own.pack(cells)
  # Where the run goes on with other devices is no other data.
  assert own.fingerprint == fingerprint == source.fingerprint
  shapes, slots = set(), []
  for step in range(3 * own.steps_per_epoch):
    plain, packed = source.batch(step), own.batch(step)
    assert sorted(plain.example_id) == sorted(packed.example_id)
    np.testing.assert_array_equal(own.example_ids(step), packed.example_id)
    # Rows moved whole, those that only fill up among them.
    by_id = {
      (i, w): row
      for row, (i, w) in enumerate(
        zip(plain.example_id, plain.example_weight, strict=True)
      )
    }
    for row, key in enumerate(
      zip(packed.example_id, packed.example_weight, strict=True)
    ):
      for field in ("prompt", "response", "token_mask"):
        np.testing.assert_array_equal(
          getattr(packed.main, field)[row],
          getattr(plain.main, field)[by_id[key]],
        )
    assert plain.main.packed is None
    tokens = _cell_tokens(packed, cells)
    b, k, p, r = packed.main.shape
    shapes.add(((p, r), packed.main.packed))
    if packed.main.packed is None:
      slots.append(p + k * r)
      continue
    room = np.asarray(packed.main.packed) * (b // cells.count)
    assert (tokens <= room).all()
    slots.append(sum(packed.main.packed))
  levels = len(own.batch_shapes())
  assert len(shapes) <= 3 * levels
  plain_slots = [
    source.batch(s).main.shape for s in range(3 * own.steps_per_epoch)
  ]
  before = np.mean([p + k * r for _, k, p, r in plain_slots])
  assert np.mean(slots) < 0.85 * before


def test_cells_are_alike(source):
  """Balanced: the fullest cell is close to the mean."""
  cells = packing.Cells(2, 3)
  needed = np.zeros(len(source._index), int)
  packer = packing.Packer(
    source._index,
    source._levels[-1:],
    needed,
    cells,
    source._order.rows,
    8,
    source._index.groups,
  )

  def fullest(rows):
    sums = np.zeros(cells.count, int)
    tokens = packing.totals(source._index)[rows].sum(axis=(1, 2))
    np.add.at(sums, cells.of_rows(12), tokens)
    return sums.max()

  loose, even = [], []
  for step in range(8):
    rows, real = source._order.rows(step)
    moved, also = packer.arrange(rows, real)
    assert sorted(zip(rows, real, strict=True)) == sorted(
      zip(moved, also, strict=True)
    )
    loose.append(fullest(rows))
    even.append(fullest(moved))
  assert np.mean(even) < 0.9 * np.mean(loose)


def test_a_batch_that_fits_nothing_is_not_packed(source):
  index = source._index
  packer = packing.Packer(
    index,
    source._levels,
    source._needed,
    packing.Cells(),
    lambda step: (np.full(12, step), np.ones(12, bool)),
    1,
    index.groups,
  )
  longest = np.argmax(index.sizes[:, 0, [0, 4]].sum(axis=1))
  assert packer.slots(np.full(12, longest)) == {}


def test_what_cannot_be_packed_is_named(tmp_path, source):
  with pytest.raises(errors.ConfigError, match="12 rows .* 5 devices"):
    source.pack(packing.Cells(5, 1))
  kto = _source(tmp_path, "unpaired", "kto")
  with pytest.raises(errors.ConfigError, match="data.pack: the group"):
    kto.pack(packing.Cells())
