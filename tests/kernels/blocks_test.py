# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The table of block sizes."""

import itertools

import pytest

from prefjax.kernels import blocks

STEPS = ("forward", "dx", "dw")


@pytest.mark.parametrize("kind", [*blocks.GENERATIONS, None, "TPU v99"])
@pytest.mark.parametrize("step", STEPS)
def test_blocks_fit_and_are_whole_lanes(kind, step):
  room = blocks.generation(kind).vmem
  for hidden, size, rows, vocab in itertools.product(
    (64, 576, 2048, 4096, 5120, 8192), (2, 4), (1, 300, 1 << 14), (5, 128_256)
  ):
    if hidden > 2048 and size == 4 and room < 32 << 20:
      continue  # does not fit the smallest; test below
    block = blocks.pick(step, hidden, size, size, rows, vocab, kind)
    assert block.rows % 128 == 0 and block.vocab % 128 == 0
    assert block.rows < rows + 128 and block.vocab < vocab + 128
    need = blocks.bytes_needed(
      step, block.rows, block.vocab, hidden, size, size
    )
    assert need <= room


def test_large_models_keep_the_matrix_units_busy():
  """FLOP a byte from HBM of a v5e, v5p, v6e and v7x, in bfloat16."""
  wanted = {
    "TPU v5 lite": 240,
    "TPU v5": 187,
    "TPU v6 lite": 560,
    "TPU7x": 313,
  }
  for kind, intensity in wanted.items():
    for hidden in (2048, 4096):
      args = (hidden, 2, 2, 1 << 14, 128_256, kind)
      assert blocks.pick("forward", *args).rows >= intensity
      assert 2 * blocks.pick("dx", *args).rows >= intensity
      assert 2 * blocks.pick("dw", *args).vocab >= intensity


def test_the_longest_known_name_wins():
  assert blocks.generation("TPU v5 lite") != blocks.generation("TPU v5p")
  assert blocks.generation("TPU v5p") == blocks.GENERATIONS["TPU v5"]
  assert blocks.generation("TPU v3") == blocks.FALLBACK


def test_what_is_asked_for_is_kept_and_what_does_not_fit_is_named():
  args = ("dx", 4096, 2, 2, 1 << 14, 128_256, "TPU v5")
  block = blocks.pick(*args, block_rows=128, block_vocab=384)
  assert (block.rows, block.vocab) == (128, 384)
  # Only what was not asked for gives way.
  block = blocks.pick(*args[:1], 16_384, *args[2:], block_rows=256)
  assert block.rows == 256 and block.vocab == 128
  with pytest.raises(ValueError, match="128 rows .* 32768 .*TPU v4 has 16"):
    blocks.pick("dw", 32_768, 2, 2, 1000, 1000, "TPU v4")
  with pytest.raises(ValueError, match="4096 rows .* use impl='chunked'"):
    blocks.pick(*args, block_rows=4096)


def test_wide_gradients_take_more_room():
  narrow = blocks.bytes_needed("dw", 256, 512, 4096, 2, 2)
  wide = blocks.bytes_needed("dw", 256, 512, 4096, 2, 2, 4)
  assert wide - narrow == 2 * 512 * 4096
