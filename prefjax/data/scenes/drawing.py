# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Coloured shapes on a grid of cells, drawn with NumPy."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from prefjax.core import errors

SHAPES = ("circle", "square", "triangle", "cross", "ring", "diamond")
COLORS = {
  "red": (220, 40, 40),
  "green": (40, 170, 60),
  "blue": (50, 80, 220),
  "yellow": (235, 205, 40),
  "purple": (150, 60, 190),
  "white": (245, 245, 245),
}
BACKGROUND = (24, 24, 28)


@dataclasses.dataclass(frozen=True)
class Item:
  """One shape.

  Attributes:
    shape: one of SHAPES.
    color: one of COLORS.
    row: cell from the top.
    column: cell from the left.
  """

  shape: str
  color: str
  row: int
  column: int

  @property
  def name(self) -> str:
    return f"{self.color} {self.shape}"


@functools.lru_cache(maxsize=256)
def _mask(shape: str, size: int) -> np.ndarray:
  """bool [size, size] of a shape that fills most of a cell."""
  axis = (np.arange(size) + 0.5) / size * 2 - 1  # centres in [-1, 1]
  y, x = np.meshgrid(axis, axis, indexing="ij")
  radius = np.hypot(x, y)
  return {
    "circle": radius < 0.8,
    "square": np.maximum(np.abs(x), np.abs(y)) < 0.72,
    "triangle": (y < 0.75) & (np.abs(x) < (y + 0.8) / 1.9),
    "cross": np.minimum(np.abs(x), np.abs(y)) < 0.3,
    "ring": (radius < 0.85) & (radius > 0.45),
    "diamond": np.abs(x) + np.abs(y) < 0.9,
  }[shape]


def draw(
  items: Sequence[Item],
  *,
  size: int = 32,
  grid: int = 2,
  background: tuple[int, int, int] = BACKGROUND,
) -> np.ndarray:
  """An image of shapes in the cells of a grid.

  Args:
    items: what is shown; later ones are drawn over earlier ones.
    size: height and width in pixels, a multiple of `grid`.
    grid: cells along a side.
    background: colour where nothing is.

  Returns:
    uint8 [size, size, 3].

  Raises:
    ConfigError: the size is no multiple of the grid, or an item lies outside.
  """
  if grid < 1 or size < 4 * grid or size % grid:
    raise errors.ConfigError(
      f"size={size} is not a multiple of grid={grid}, of 4 pixels or more each"
    )
  cell = size // grid
  image = np.empty((size, size, 3), np.uint8)
  image[:] = background
  for item in items:
    if not (0 <= item.row < grid and 0 <= item.column < grid):
      raise errors.ConfigError(f"{item} lies outside a grid of {grid}")
    top, left = item.row * cell, item.column * cell
    place = image[top : top + cell, left : left + cell]
    place[_mask(item.shape, cell)] = COLORS[item.color]
  return image
