# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Images and frames of records as pixels of one size, with bounds.

A medium is a path or an array: uint8 in 0..255, or floats in 0..1, with axes
[H, W] or [H, W, C]. Files are decoded by Pillow, of a few formats only, and
never larger than the bounds, whatever their headers say. Nothing is fetched.
"""

import dataclasses
import os
import pathlib
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from prefjax.core import errors
from prefjax.data import blinding, schema

USES = ("use", "drop", "noise")
PLACEHOLDER = "<image>"
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM")
_MODES = {1: "L", 3: "RGB"}


class MediaError(errors.DataError):
  """An image or frame that cannot be used; names record, field and file."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """What images and frames become.

  Attributes:
    size: height and width in pixels; 0 where the model has no vision encoder.
    channels: 3 (RGB) or 1 (grey).
    use: 'use', 'drop' (a blind record) or 'noise' (as many, of random
      pixels that are a function of the record).
    max_images: most images of a record.
    max_frames: most frames of a record.
    max_bytes: of a file.
    max_pixels: of an image before it is resized.
  """

  size: int = 0
  channels: int = 3
  use: str = "use"
  max_images: int = 8
  max_frames: int = 64
  max_bytes: int = 32 << 20
  max_pixels: int = 1 << 26

  def __post_init__(self):
    if self.use not in USES:
      raise errors.ConfigError(
        f"data.media: {self.use!r} is not one of {', '.join(USES)}"
      )
    if self.channels not in _MODES:
      raise errors.ConfigError(
        f"model.vision.channels: {self.channels} is neither 1 nor 3"
      )


def rooted(record: schema.Record, folder: str | os.PathLike) -> schema.Record:
  """The record with relative paths of media seen from a folder."""

  def place(value: Any) -> Any:
    if isinstance(value, str) and not os.path.isabs(value):
      if "://" not in value:  # refused with its name when it is read
        return os.path.join(folder, value)
    return value

  changes = {
    name: tuple(place(value) for value in getattr(record, name))
    for name in ("images", "frames")
    if getattr(record, name)
  }
  return dataclasses.replace(record, **changes) if changes else record


def stamps(records: Iterable[schema.Record]) -> dict[str, list[int]]:
  """{path: [bytes, time of change in ns]} of the files that records name.

  What is kept of their pixels is stale once this differs. Files that are not
  there are left out; they are refused by name where they are read.
  """
  out: dict[str, list[int]] = {}
  for record in records:
    for value in (*record.images, *record.frames):
      if isinstance(value, str) and value not in out:
        try:
          found = os.stat(value)
        except (OSError, ValueError):
          continue
        out[value] = [found.st_size, found.st_mtime_ns]
  return out


def _resized(array: np.ndarray, options: Options) -> np.ndarray:
  """uint8 [size, size, channels] of uint8 [H, W, 1 or 3]."""
  size, channels = options.size, options.channels
  if array.shape == (size, size, channels):
    return np.ascontiguousarray(array)
  from PIL import Image

  squeezed = array[..., 0] if array.shape[-1] == 1 else array
  image = Image.fromarray(np.ascontiguousarray(squeezed))
  return _of_image(image, options)


def _of_image(image: Any, options: Options) -> np.ndarray:
  from PIL import Image

  image = image.convert(_MODES[options.channels])
  if image.size != (options.size, options.size):
    image = image.resize(
      (options.size, options.size), Image.Resampling.BILINEAR
    )
  array = np.asarray(image, np.uint8)
  return array[..., None] if array.ndim == 2 else array


def _of_array(value: Any, options: Options) -> np.ndarray:
  array = np.asarray(value)
  if array.ndim == 2:
    array = array[..., None]
  if array.ndim != 3 or array.shape[-1] not in _MODES or 0 in array.shape:
    raise ValueError(
      f"has shape {np.shape(value)}, expected [H, W], [H, W, 1] or [H, W, 3]"
    )
  if array.shape[0] * array.shape[1] > options.max_pixels:
    raise ValueError(f"has over {options.max_pixels:,} pixels")
  if array.dtype != np.uint8:
    if array.dtype.kind != "f":
      raise ValueError(f"is {array.dtype}, expected uint8 or floats in 0..1")
    if not (np.isfinite(array).all() and 0 <= array.min() <= array.max() <= 1):
      raise ValueError("holds values outside 0..1")
    array = np.round(array * 255).astype(np.uint8)
  return _resized(array, options)


def _of_file(name: str, options: Options) -> np.ndarray:
  """The pixels of a file.

  Raises:
    ValueError: the file cannot be used, and why.
  """
  from PIL import Image, UnidentifiedImageError

  if "://" in name:
    raise ValueError(f"{name[:80]!r} is an address; give a file's path")
  path = pathlib.Path(name)
  try:
    size = path.stat().st_size
  except OSError as error:
    raise ValueError(
      f"{name} cannot be read ({error.strerror}); relative paths are seen from"
      " the folder of the data file"
    ) from None
  if size > options.max_bytes:
    raise ValueError(f"{name} holds over {options.max_bytes:,} bytes")
  try:
    with Image.open(path, formats=_FORMATS) as image:
      # Known from the header: nothing is unpacked yet.
      if image.width * image.height > options.max_pixels:
        raise ValueError(f"{name} has over {options.max_pixels:,} pixels")
      return _of_image(image, options)
  except UnidentifiedImageError:
    raise ValueError(
      f"{name} is no image of the formats {', '.join(_FORMATS)}"
    ) from None
  except Image.DecompressionBombError:  # Pillow's own bound, a larger one
    raise ValueError(f"{name} has over {options.max_pixels:,} pixels") from None
  except (OSError, SyntaxError) as error:
    raise ValueError(f"{name} is damaged ({error})") from None


def _noise(
  record: schema.Record, name: str, number: int, options: Options
) -> np.ndarray:
  """Random pixels, the same for the same record id."""
  seed = [zlib.crc32(record.id.encode()), zlib.crc32(name.encode())]
  shape = (number, options.size, options.size, options.channels)
  return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _load(
  record: schema.Record, name: str, values: Sequence[Any], options: Options
) -> np.ndarray | None:
  if not values or options.use == "drop":
    return None
  most = options.max_images if name == "images" else options.max_frames
  if len(values) > most:
    raise MediaError(
      f"record {record.id!r}: {name}: there are {len(values)}, the limit is"
      f" {most}; raise data.max_{name} or leave some out"
    )
  if not options.size:
    raise MediaError(
      f"record {record.id!r}: has {name}, but the model has no vision encoder:"
      " set model.vision.image_size, or data.media=drop to leave them out"
    )
  if options.use == "noise":
    return _noise(record, name, len(values), options)
  out = []
  for i, value in enumerate(values):
    try:
      make = _of_file if isinstance(value, str) else _of_array
      out.append(make(value, options))
    except ValueError as error:
      raise MediaError(f"record {record.id!r}: {name}[{i}]: {error}") from None
  return np.stack(out)


def load(record: schema.Record, options: Options) -> dict[str, np.ndarray]:
  """{'images' and 'frames'} uint8 [N, size, size, channels], those there are.

  Raises:
    MediaError: too many, unreadable, too large, or no encoder to see them.
  """
  found = {
    name: _load(record, name, getattr(record, name), options)
    for name in ("images", "frames")
  }
  return {name: value for name, value in found.items() if value is not None}


def _without_placeholder(text: schema.Text) -> schema.Text:
  if isinstance(text, str):
    return blinding.without(text, PLACEHOLDER)
  return tuple(
    {**m, "content": blinding.without(m["content"], PLACEHOLDER)} for m in text
  )


def without_placeholders(record: schema.Record) -> schema.Record:
  """A record with media without '<image>' in its prompt.

  What an encoder sees comes before the prompt; the text needs no mark.
  """
  if not (record.images or record.frames):
    return record
  return dataclasses.replace(record, prompt=_without_placeholder(record.prompt))


def save_png(path: pathlib.Path, array: Any) -> None:
  """Writes an array as a PNG file.

  Raises:
    ValueError: it is no image.
    OSError: it cannot be written.
  """
  from PIL import Image

  pixels = np.asarray(array)
  if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
    raise ValueError(
      f"an image is {pixels.dtype} {pixels.shape}, expected uint8 [H, W, C]"
    )
  if pixels.ndim == 3 and pixels.shape[-1] == 1:
    pixels = pixels[..., 0]
  Image.fromarray(np.ascontiguousarray(pixels)).save(path, format="PNG")
