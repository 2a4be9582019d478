# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Going on with a changed configuration, data or tokenizer."""

import dataclasses

import pytest

from prefjax import checkpoint
from prefjax.checkpoint import manifest as manifest_lib
from prefjax.core import errors

_CONFIG = {
  "train": {"steps": 100, "lr": 1e-3, "clip": float("inf")},
  "log": {"every": 10},
  "checkpoint": {"keep": 3},
  "eval": {"every": 5, "sets": ("a", "b")},
  "mesh": {},
}


def _manifest(**changes):
  metadata = {
    "config": _CONFIG,
    "data_fingerprint": "data-1",
    "tokenizer_hash": "tok-1",
    **changes,
  }
  return manifest_lib.build(30, metadata=metadata)


def _check(manifest=None, **changes):
  arguments = {
    "config": _CONFIG,
    "data_fingerprint": "data-1",
    "tokenizer_hash": "tok-1",
    **changes,
  }
  return checkpoint.check_compatible(manifest or _manifest(), **arguments)


def _with(section: str, **values):
  return {**_CONFIG, section: {**_CONFIG[section], **values}}


def test_the_same_run_may_go_on():
  assert _check() == []


def test_keys_on_the_allow_list_may_change():
  config = {**_CONFIG, "log": {"every": 1, "text": True}}
  config["train"] = {**_CONFIG["train"], "steps": 200}
  config["checkpoint"] = {}
  changes = {c.key: (c.saved, c.now) for c in _check(config=config)}
  assert changes == {
    "log.every": (10, 1),
    "log.text": ("<absent>", True),
    "train.steps": (100, 200),
    "checkpoint.keep": (3, "<absent>"),
  }


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"config": _with("train", lr=2e-3)}, r"train.lr: 0.001 -> 0.002"),
    ({"config": _with("train", clip=1.0)}, r"train.clip: 'inf' -> 1.0"),
    ({"config": _with("train", new=1)}, r"train.new: '<absent>' -> 1"),
    ({"config": _with("train", steps_per=1)}, "train.steps_per"),
    ({"config": {**_CONFIG, "mesh": {"data": 8}}}, "mesh.data"),
    ({"config": _with("train", lr=None)}, "train.lr: 0.001 -> None"),
    ({"data_fingerprint": "data-2"}, "data_fingerprint: 'data-1' -> 'data-2'"),
    ({"tokenizer_hash": "tok-2"}, "tokenizer_hash: 'tok-1' -> 'tok-2'"),
  ],
)
def test_other_changes_are_refused_with_a_diff(changes, message):
  with pytest.raises(errors.CheckpointError, match=message) as caught:
    _check(**changes)
  assert "step 30" in str(caught.value) and "\n" not in str(caught.value)


def test_all_refused_changes_are_listed_at_once():
  config = _with("train", lr=5.0, clip=2.0)
  with pytest.raises(
    errors.CheckpointError, match="train.clip.*train.lr.*data"
  ):
    _check(config=config, data_fingerprint="other")


def test_one_and_true_are_different_values():
  saved = _manifest(config={"a": 1})
  with pytest.raises(errors.CheckpointError, match="a: 1 -> True"):
    _check(saved, config={"a": True})


def test_overrides_pass_and_are_recorded():
  changes = _check(
    config=_with("train", lr=5.0, steps=7),
    data_fingerprint="data-2",
    override=["train.lr", "data_*"],
  )
  recorded = checkpoint.as_json(changes)
  assert recorded == [
    {"key": "train.lr", "saved": 1e-3, "now": 5.0},
    {"key": "data_fingerprint", "saved": "data-1", "now": "data-2"},
  ]
  built = manifest_lib.build(31, metadata={"overrides": recorded})
  assert built.metadata["overrides"] == recorded


def test_allow_replaces_the_list():
  config = _with("train", lr=5.0)
  assert _check(config=config, allow=("train.*",))
  with pytest.raises(errors.CheckpointError, match="log.every"):
    _check(config=_with("log", every=1), allow=("train.*",))


def test_what_is_none_now_is_not_compared():
  assert _check(config=None, data_fingerprint=None, tokenizer_hash=None) == []
  unknown = _manifest(data_fingerprint=None)
  with pytest.raises(errors.CheckpointError, match="'<absent>' -> 'data-1'"):
    _check(unknown)


def test_dataclasses_and_config_dicts_compare_like_dictionaries():
  @dataclasses.dataclass
  class Inner:
    lr: float = 0.5
    shape: tuple = (1, 2)

  @dataclasses.dataclass
  class Outer:
    train: Inner

  saved = _manifest(config={"train": {"lr": 0.5, "shape": [1, 2]}})
  assert _check(saved, config=Outer(Inner())) == []
  with pytest.raises(errors.CheckpointError, match="train.lr: 0.5 -> 0.25"):
    _check(saved, config=Outer(Inner(lr=0.25)))
  ml_collections = pytest.importorskip("ml_collections")
  config = ml_collections.ConfigDict({"train": {"lr": 0.5, "shape": (1, 2)}})
  assert _check(saved, config=config) == []
