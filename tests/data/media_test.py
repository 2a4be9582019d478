# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Images and frames of records: pixels, bounds, batches, blind variants."""

import dataclasses
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from prefjax.core import errors
from prefjax.data import (
  encoding,
  examples,
  language,
  media,
  pipeline,
  readers,
  records,
  scenes,
  splits,
  store,
  tokenizers,
  views,
)

BYTES = tokenizers.load("bytes")
OPTIONS = media.Options(size=8)


def record(number=0, **raw):
  base = {
    "id": f"r{number}",
    "kind": "pair",
    "prompt": "<image>\nwhat?",
    "responses": ["yes", "no"],
  }
  return records.validate({**base, **raw}, "test")


def picture(number=0, size=8, channels=3):
  rng = np.random.default_rng(number)
  return rng.integers(0, 256, (size, size, channels), dtype=np.uint8)


def encoder(options=OPTIONS, view="pair"):
  return encoding.Encoder(
    BYTES, views.view(view), encoding.Lengths(prompt=32, response=8),
    media=options,
  )  # fmt: skip


# --- pixels -------------------------------------------------------------------


def test_arrays_of_all_kinds():
  exact = picture()
  floats = exact.astype(np.float32) / 255
  for value in (exact, floats, floats.astype(np.float64)):
    found = media.load(record(images=[value]), OPTIONS)["images"]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[0], exact)
  grey = picture(channels=1)
  for value in (grey, grey[..., 0]):
    found = media.load(record(images=[value]), OPTIONS)["images"][0]
    np.testing.assert_array_equal(found, np.repeat(grey, 3, axis=-1))
  one = media.load(
    record(frames=[exact, exact]), dataclasses.replace(OPTIONS, channels=1)
  )["frames"]
  assert one.shape == (2, 8, 8, 1)


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "gif", "webp"])
def test_files_of_all_formats(kind, tmp_path):
  image = scenes.draw([scenes.Item("square", "red", 0, 0)], size=32, grid=1)
  path = tmp_path / f"image.{kind}"
  Image.fromarray(image).save(path)
  found = media.load(record(images=[str(path)]), OPTIONS)["images"][0]
  want = np.asarray(
    Image.fromarray(image).resize((8, 8), Image.Resampling.BILINEAR)
  )
  assert np.abs(found.astype(int) - want).mean() < (8 if kind == "jpeg" else 3)


def test_paths_are_seen_from_the_data_file(tmp_path):
  rows = scenes.scene_records(0, 4, size=8)
  language.write_jsonl(tmp_path / "deep" / "rows.jsonl", rows)
  written = (tmp_path / "deep" / "rows.jsonl").read_text().splitlines()
  assert json.loads(written[0])["images"] == ["rows-media/000000-images-0.png"]
  found = readers.read(tmp_path / "deep" / "rows.jsonl").records
  for item, row in zip(found, rows, strict=True):
    pixels = media.load(item, OPTIONS)["images"]
    np.testing.assert_array_equal(pixels[0], row["images"][0])
  # Of a folder of data files too.
  found = readers.read(tmp_path / "deep").records
  assert media.load(found[0], OPTIONS)["images"].shape == (1, 8, 8, 3)


def _header_only(width, height):
  """A PNG that says how large it is, and holds nothing of it."""

  def chunk(name, data):
    body = name + data
    return (
      struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    )

  size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
  return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"")


def test_files_that_are_refused(tmp_path):
  (tmp_path / "text.png").write_text("not an image")
  (tmp_path / "huge.png").write_bytes(_header_only(60000, 60000))
  (tmp_path / "cut.png").write_bytes(_header_only(8, 8))
  (tmp_path / "large.png").write_bytes(b"\x00" * 2000)
  Image.fromarray(picture()).save(tmp_path / "image.tiff")
  small = dataclasses.replace(OPTIONS, max_bytes=1000)
  for name, message in (
    ("text.png", "is no image of the formats PNG"),
    ("huge.png", "over 67,108,864 pixels"),
    ("cut.png", "is damaged"),
    ("large.png", "holds over 1,000 bytes"),
    ("image.tiff", "is no image of the formats"),
    ("none.png", "cannot be read .No such file or directory.; relative paths"),
  ):
    with pytest.raises(media.MediaError, match=message) as caught:
      media.load(record(images=[str(tmp_path / name)]), small)
    text = str(caught.value)
    assert text.startswith("record 'r0': images[0]: ") and "\n" not in text
  with pytest.raises(media.MediaError, match="is an address"):
    media.load(record(images=["https://example.org/a.png"]), OPTIONS)


@pytest.mark.parametrize(
  "value, message",
  [
    (np.zeros((8, 8, 2), np.uint8), "has shape .8, 8, 2., expected"),
    (np.zeros((0, 8, 3), np.uint8), "has shape .0, 8, 3., expected"),
    (np.zeros((8,), np.uint8), "has shape .8,., expected"),
    (np.zeros((8, 8), np.int32), "is int32, expected uint8 or floats"),
    (np.full((8, 8), 1.5), "holds values outside 0..1"),
    (np.full((8, 8), np.nan), "holds values outside 0..1"),
  ],
)
def test_arrays_that_are_refused(value, message):
  with pytest.raises(media.MediaError, match=message):
    media.load(record(frames=[value]), OPTIONS)


def test_too_many_and_no_encoder():
  many = record(images=[picture(i) for i in range(4)])
  options = dataclasses.replace(OPTIONS, max_images=3)
  with pytest.raises(media.MediaError, match="there are 4, the limit is 3; "):
    media.load(many, options)
  with pytest.raises(errors.DataError, match="has no vision encoder: set mod"):
    list(encoding.Encoder(BYTES, views.view("pair"), encoding.Lengths())
         .encode_all([many]))  # fmt: skip
  with pytest.raises(errors.ConfigError, match="data.media: 'hide' is not"):
    media.Options(use="hide")


# --- blind variants -----------------------------------------------------------


def test_blind_variants():
  shown = record(images=[picture()])
  assert media.load(shown, dataclasses.replace(OPTIONS, use="drop")) == {}
  # Without an encoder, leaving out is all that can be done.
  assert media.load(shown, media.Options(use="drop")) == {}
  noise = dataclasses.replace(OPTIONS, use="noise")
  first, again, other = (
    media.load(r, noise)["images"]
    for r in (shown, shown, record(1, images=[picture()]))
  )
  np.testing.assert_array_equal(first, again)
  assert (first != other).any() and (first[0] != picture()).any()
  assert 90 < first.mean() < 165


def test_marks_go_where_there_are_images():
  (made,) = encoder().encode_all([record(images=[picture()])])
  text = BYTES.decode(made.groups["main"].prompt.tolist(), skip_special=True)
  assert text == "what?"
  (plain,) = encoder().encode_all([record()])
  assert b"<image>" in bytes(plain.groups["main"].prompt.tolist()[-20:])


# --- stores and batches -------------------------------------------------------


def _ragged():
  return [
    record(i, images=[picture(10 * i + j) for j in range(i % 3)])
    for i in range(12)
  ]


def test_batches_hold_images_left_aligned(tmp_path):
  made = store.MemoryStore(encoder(), _ragged())
  kept = store.build_or_open(encoder(), _hashable(tmp_path), tmp_path / "c")
  assert made.fingerprint == kept.fingerprint
  for opened in (made, kept):
    source = pipeline.Source(
      opened, pipeline.Options(batch_size=6, shuffle=False)
    )
    assert source.media() == {"main": {"images": (2, 8, 8, 3)}}
    batch = source.batch(0)
    images, mask = batch.main.images, batch.main.image_mask
    assert images.shape == (6, 2, 8, 8, 3) and images.dtype == np.float32
    for i, example in enumerate(batch.example_id):
      number = int(example) % 3
      assert mask[i].tolist() == [j < number for j in range(2)]
      for j in range(number):
        want = picture(10 * int(example) + j).astype(np.float32) / 255
        np.testing.assert_allclose(images[i, j], want, rtol=1e-6)
      assert not images[i, number:].any()
    assert batch.main.frames is None and batch.main.frame_mask is None


def _hashable(tmp_path):
  """The same records with files, for a store that is kept."""
  out = []
  for item in _ragged():
    paths = []
    for j, pixels in enumerate(item.images):
      path = tmp_path / f"{item.id}-{j}.png"
      media.save_png(path, pixels)
      paths.append(str(path))
    out.append(dataclasses.replace(item, images=tuple(paths)))
  return out


def test_bytes_of_an_example_keep_its_pixels():
  (made,) = encoder().encode_all([record(frames=[picture(1), picture(2)])])
  again = examples.from_bytes(examples.to_bytes(made))
  np.testing.assert_array_equal(
    again.groups["main"].frames, np.stack([picture(1), picture(2)])
  )
  assert again.groups["main"].images is None


def test_all_groups_of_a_record_see_its_images():
  item = record(
    images=[picture()], metadata={"blind": "maybe", "rationale": "because"}
  )
  for view in ("blind", "rationale", "mapl", "ranked"):
    item = dataclasses.replace(item, scores=(2.0, 1.0))
    (made,) = encoding.Encoder(
      BYTES, views.view(view), encoding.Lengths(), media=OPTIONS
    ).encode_all([item])
    for group in made.groups.values():
      np.testing.assert_array_equal(group.images[0], picture())


def test_a_borrowed_response_is_seen_with_the_own_image():
  items = [
    record(i, prompt="same?", images=[picture(i)], responses=["a", "b"])
    for i in range(4)
  ]
  made = store.MemoryStore(encoder(view="kto"), items)
  source = pipeline.Source(made, pipeline.Options(batch_size=4, shuffle=False))
  batch = source.batch(0)
  other = batch.groups["mismatched"]
  np.testing.assert_array_equal(other.images, batch.main.images)
  np.testing.assert_array_equal(other.image_mask, batch.main.image_mask)
  # Equal words about another image are another prompt.
  hashes = made.index.prompt_hash
  assert len(set(hashes.tolist())) == 4


def test_the_key_of_a_store_knows_what_became_of_images():
  keys = {
    store.key(encoder(options), [])
    for options in (
      OPTIONS,
      dataclasses.replace(OPTIONS, size=16),
      dataclasses.replace(OPTIONS, use="noise"),
    )
  }
  assert len(keys) == 3


def test_a_cache_is_made_anew_when_a_file_changes(tmp_path):
  path, cache = tmp_path / "a.png", tmp_path / "cache"
  items = [record(images=[str(path)])]

  def shown():
    found = store.build_or_open(encoder(), items, cache)
    return found.get([0])[0].groups["main"].images

  media.save_png(path, picture(1))
  first = shown()
  np.testing.assert_array_equal(first, shown())
  assert len(list(cache.iterdir())) == 1
  media.save_png(path, picture(2))
  np.testing.assert_array_equal(shown()[0], picture(2))
  assert not np.array_equal(first[0], picture(2))


def test_records_are_held_out_by_what_they_show():
  items = [record(i, images=[picture(i % 30)]) for i in range(300)]
  train, held = splits.held_out(items, 0.3)
  shown = [{r.images[0].tobytes() for r in part} for part in (train, held)]
  assert len(held) > 30 and not shown[0] & shown[1]
