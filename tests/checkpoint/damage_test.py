# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Damaged checkpoints are noticed, named, and passed over."""

import json
import logging
import os
import pathlib
import shutil

import checkpoint_support
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefjax import checkpoint
from prefjax.checkpoint import layout, manifest, parsing
from prefjax.core import errors

same = checkpoint_support.same


def _tree(seed: int):
  key = jax.random.key(seed)
  return {
    "w": jax.random.normal(key, (256, 160)),  # lanes
    "b": jax.random.normal(key, (33,), jnp.bfloat16),  # SHA-256
    "n": (jnp.asarray(seed, jnp.int32), np.arange(3.0)),
  }


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
  """A directory with steps 10 and 20 and the trees in them."""
  root = tmp_path_factory.mktemp("two")
  with checkpoint.Checkpointer(root) as checkpointer:
    for step in (10, 20):
      checkpointer.save(step, _tree(step), metadata={"config": {"lr": 0.1}})
  return root


@pytest.fixture
def copy(two_steps, tmp_path):
  root = tmp_path / "copy"
  shutil.copytree(two_steps, root)
  return root


def _files(step_dir: pathlib.Path) -> list[pathlib.Path]:
  return sorted(p for p in step_dir.rglob("*") if p.is_file())


def _check_one_damage(root: pathlib.Path, what: str) -> str:
  """Restores after damage to step 20: right values or a loud fallback."""
  template = _tree(0)
  restored = checkpoint.restore(root, template)
  assert same(restored.tree, _tree(restored.step)), f"{what}: wrong values"
  if restored.step == 20:
    assert not restored.skipped, what
    return "harmless"
  assert restored.step == 10
  [skipped] = restored.skipped
  assert skipped.step == 20 and skipped.reason, what
  with pytest.raises(errors.CheckpointCorruptError) as caught:
    checkpoint.restore(root, template, step=20)
  message = str(caught.value)
  # The message names the step, the file or leaf, and what to do.
  assert "step 20" in message and str(root) in message, message
  assert "/20/" in message or "leaf '" in message, message
  assert "restore another step (10)" in message, message
  return "fallback"


def _flips(root: pathlib.Path, trials: int, seed: int) -> dict[str, int]:
  """Flips one bit in a random file, restores, and puts it back."""
  rng = np.random.default_rng(seed)
  outcomes = {"harmless": 0, "fallback": 0}
  files = _files(root / "20")
  for trial in range(trials):
    # Every second trial hits the file that holds most of the array bytes.
    path = files[rng.integers(len(files))]
    if trial % 2:
      path = max(files, key=lambda p: p.stat().st_size)
    content = bytearray(path.read_bytes())
    if not content:
      continue
    byte, bit = rng.integers(len(content)), rng.integers(8)
    content[byte] ^= 1 << bit
    clean = path.read_bytes()
    path.write_bytes(content)
    what = f"seed {seed}: bit {bit} of byte {byte} of {path.name}"
    outcomes[_check_one_damage(root, what)] += 1
    path.write_bytes(clean)
  assert _check_one_damage(root, "restored") == "harmless"
  return outcomes


def test_60_bit_flips_never_give_wrong_values(copy, caplog):
  caplog.set_level(logging.ERROR)
  outcomes = _flips(copy, 60, seed=11)
  # All files of a small step are hashed: no flip may pass.
  assert outcomes == {"harmless": 0, "fallback": 60}


@pytest.mark.slow
def test_300_bit_flips_never_give_wrong_values(copy, caplog):
  caplog.set_level(logging.ERROR)
  outcomes = _flips(copy, 300, seed=12)
  assert outcomes["fallback"] == 300


def test_flips_in_large_array_files_are_caught_by_the_leaf_digests(
  tmp_path, caplog
):
  # Files above the hashing limit: only the digests of the leaves remain.
  caplog.set_level(logging.ERROR)
  rng = np.random.default_rng(4)
  tree = {"w": rng.standard_normal((1024, 512)).astype(np.float32)}
  with checkpoint.Checkpointer(tmp_path) as checkpointer:
    checkpointer.save(1, tree)
  path = max(_files(tmp_path / "1"), key=lambda p: p.stat().st_size)
  assert path.stat().st_size > 1 << 20
  clean = path.read_bytes()
  by_digest = 0
  for _ in range(12):
    content = bytearray(clean)
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    path.write_bytes(content)
    with pytest.raises(errors.CheckpointCorruptError) as caught:
      checkpoint.restore(tmp_path, tree, step=1)
    by_digest += "leaf 'w'" in str(caught.value)
  assert by_digest >= 10  # the rest hit the storage's own framing
  path.write_bytes(clean)
  assert same(checkpoint.restore(tmp_path, tree).tree, tree)


def test_truncated_and_deleted_files_fall_back(copy, caplog):
  caplog.set_level(logging.ERROR)
  rng = np.random.default_rng(5)
  for path in _files(copy / "20"):
    clean = path.read_bytes()
    if clean:
      path.write_bytes(clean[: rng.integers(len(clean))])
      assert _check_one_damage(copy, f"truncated {path.name}") == "fallback"
    path.unlink()
    if path.name != layout.MARKER:
      assert _check_one_damage(copy, f"deleted {path.name}") == "fallback"
    else:
      restored = checkpoint.restore(copy, _tree(0))
      assert restored.step == 10 and restored.skipped[0].step == 20
    path.write_bytes(clean)
  assert _check_one_damage(copy, "repaired") == "harmless"


def test_fallback_is_loud(copy, caplog):
  (copy / "20" / layout.MANIFEST).write_text("{}")
  with caplog.at_level(logging.WARNING):
    restored = checkpoint.restore(copy, _tree(0))
  assert restored.step == 10
  [record] = [r for r in caplog.records if r.name.startswith("prefjax")]
  assert record.levelno == logging.WARNING
  text = record.getMessage()
  assert "step 20" in text and "manifest.json" in text
  assert "falling back" in text


def test_torn_step_is_invisible_but_reported(copy):
  (copy / "20" / layout.MARKER).unlink()
  assert checkpoint.steps(copy) == [10]
  assert checkpoint.latest_step(copy) == 10
  restored = checkpoint.restore(copy, _tree(0))
  assert restored.step == 10
  assert "interrupted" in restored.skipped[0].reason
  with pytest.raises(errors.CheckpointCorruptError, match="step 20.*interrup"):
    checkpoint.restore(copy, _tree(0), step=20)


def test_every_step_damaged(copy):
  for step in ("10", "20"):
    (copy / step / layout.MANIFEST).write_bytes(b"\xff" * 10)
  with pytest.raises(errors.CheckpointCorruptError, match="no step.*step 20"):
    checkpoint.restore(copy, _tree(0))


def test_renamed_and_mixed_steps_are_noticed(copy):
  shutil.copytree(copy / "10", copy / "30")
  with pytest.raises(errors.CheckpointCorruptError, match="holds step 10"):
    checkpoint.restore(copy, _tree(0), step=30)
  shutil.rmtree(copy / "20" / "arrays")
  shutil.copytree(copy / "10" / "arrays", copy / "20" / "arrays")
  restored = checkpoint.restore(copy, _tree(0))
  assert [s.step for s in restored.skipped] == [30, 20]


def test_links_are_refused(copy):
  secret = copy.parent / "elsewhere"
  target = max(_files(copy / "20"), key=lambda p: p.stat().st_size)
  shutil.move(target, secret)
  os.symlink(secret, target)
  with pytest.raises(errors.CheckpointCorruptError, match="no links"):
    checkpoint.restore(copy, _tree(0), step=20)


def test_deep_verification_and_description(copy):
  infos = checkpoint.describe(copy, deep=True)
  assert [(i.step, i.status) for i in infos] == [(10, "ok"), (20, "ok")]
  assert infos[0].num_leaves == 4
  assert infos[0].num_bytes == 256 * 160 * 4 + 33 * 2 + 4 + 24
  assert infos[0].disk_bytes > infos[0].num_bytes
  assert checkpoint.verify(copy, 20).config == {"lr": 0.1}
  # A payload change that keeps every file hash: only `deep` sees it.
  step = copy / "20"
  content = json.loads((step / layout.MANIFEST).read_bytes())
  content["leaves"]["w"]["lanes"][0] ^= 1
  text = json.dumps(content).encode()
  (step / layout.MANIFEST).write_bytes(text)
  (step / layout.MARKER).write_bytes(layout.marker_text(text))
  assert checkpoint.describe(copy)[1].status == "ok"
  [_, info] = checkpoint.describe(copy, deep=True)
  assert info.status == "corrupt" and "leaf 'w'" in info.reason
  (copy / "10" / layout.MARKER).unlink()
  assert checkpoint.describe(copy)[0].status == "torn"


# --- manifests -------------------------------------------------------------


def _manifest_text() -> dict:
  built = manifest.build(3, metadata={"config": {"a": 1}, "note": "x"})
  return json.loads(manifest.to_bytes(built))


def test_manifest_round_trip():
  built = manifest.build(
    3,
    metadata={
      "config": {"lr": 1e-3, "clip": float("inf"), "shape": (1, 2)},
      "data_fingerprint": "d",
      "tokenizer_hash": "t",
      "stage": {"index": 1, "epoch": np.int64(2)},
      "who": [None, True, jnp.float32(0.5)],
    },
    metrics={"loss": jnp.asarray(0.25), "bad": float("nan")},
  )
  read = parsing.parse(manifest.to_bytes(built), "m")
  assert manifest.to_bytes(read) == manifest.to_bytes(built)
  assert read.config == {"lr": 1e-3, "clip": "inf", "shape": [1, 2]}
  assert read.stage == {"index": 1, "epoch": 2}
  assert read.metadata == {"who": [None, True, 0.5]}
  assert np.isnan(read.metrics["bad"]) and read.metrics["loss"] == 0.25
  assert set(read.versions) == {"prefjax", "jax", "orbax", "numpy"}


def _set(*keys, value):
  def change(content):
    node = content
    for key in keys[:-1]:
      node = node[key]
    node[keys[-1]] = value

  return change


_LEAF = {"shape": [2], "dtype": "float32", "sha256": "0" * 64}


@pytest.mark.parametrize(
  "change",
  [
    _set("format", value="other"),
    _set("step", value=-1),
    _set("step", value=True),
    _set("step", value=1.0),
    _set("surprise", value=1),
    lambda content: content.pop("versions"),
    _set("config", value={"a": 2}),  # the hash no longer fits
    _set("metrics", value={"a": "1.0"}),
    _set("leaves", value=[]),
    _set("leaves", "../x", value=_LEAF),
    _set("leaves", "x", value={**_LEAF, "dtype": "object"}),
    _set("leaves", "x", value={**_LEAF, "dtype": ["float32"]}),
    _set("leaves", "x", value={**_LEAF, "dtype": "key<evil>"}),
    _set("leaves", "x", value={**_LEAF, "shape": [-1]}),
    _set("leaves", "x", value={**_LEAF, "shape": [1 << 40, 1 << 40]}),
    _set("leaves", "x", value={**_LEAF, "shape": [1] * 99}),
    _set("leaves", "x", value={**_LEAF, "sha256": "zz"}),
    _set("leaves", "x", value={**_LEAF, "lanes": [1, 2]}),
    _set("files", "a/../../b", value={"size": 1, "sha256": None}),
    _set("files", "/etc/passwd", value={"size": 1, "sha256": None}),
    _set("files", "a", value={"size": "1", "sha256": None}),
    _set("frozen", "r", value={"digest": "0" * 64, "stored": 1, "leaves": {}}),
    _set("frozen", "r/x", value={}),
  ],
)
def test_malformed_manifests_are_refused(change):
  content = _manifest_text()
  change(content)
  with pytest.raises(errors.CheckpointCorruptError, match="'m' is not a valid"):
    parsing.parse(json.dumps(content).encode(), "m")


@pytest.mark.parametrize(
  "text",
  [
    b"",
    b"null",
    b"[1]",
    b"\xff\xfe",
    b'{"format": NaN}',
    b'{"a": 1, "a": 1}',
    b"[" * 100_000,
    b'{"step": ' + b"9" * 10_000 + b"}",
    b"(lambda: 1)()",
  ],
)
def test_malformed_json_is_refused(text):
  with pytest.raises(errors.CheckpointCorruptError, match="'m' is not a valid"):
    parsing.parse(text, "m")


def test_later_format_asks_for_an_upgrade():
  content = _manifest_text()
  content["version"] = manifest.VERSION + 1
  with pytest.raises(errors.CheckpointError, match="upgrade") as caught:
    parsing.parse(json.dumps(content).encode(), "m")
  assert not isinstance(caught.value, errors.CheckpointCorruptError)


@pytest.mark.parametrize(
  ("metadata", "message"),
  [
    ({"f": object()}, "metadata.f is a object"),
    ({"config": {"a": {"b": len}}}, "config.a.b is a builtin"),
    ({"config": 3}, "config must be a dictionary"),
    ({"n": 1 << 80}, "metadata.n does not fit 64 bits"),
    ({1: 0, "1": 0}, "two keys with the same text"),
    ({"data_fingerprint": 3}, "data_fingerprint must be text"),
  ],
)
def test_metadata_without_json_form_is_refused(metadata, message):
  with pytest.raises(errors.CheckpointError, match=message):
    manifest.build(1, metadata=metadata)


def test_config_hash_ignores_order_and_container_kind():
  a = {"x": (1, 2), "y": {"b": 1.0, "a": None}}
  b = {"y": {"a": None, "b": 1.0}, "x": [1, 2]}
  assert checkpoint.config_hash(a) == checkpoint.config_hash(b)
  b["y"]["b"] = 1.5
  assert checkpoint.config_hash(a) != checkpoint.config_hash(b)
