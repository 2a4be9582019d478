# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Live, precomputed, and adapter-off references are the same numbers."""

import math

import numpy as np
import pytest
import run_support

from prefjax import checkpoint, models, runs
from prefjax.core import errors
from prefjax.runs import references, scoring

_ADAPTER = {"lora": {"rank": 2, "alpha": 8.0}}
_NUMBERS = (
  "loss",
  "rewards/chosen",
  "rewards/rejected",
  "logps/chosen",
  "drift/chosen_logps",
  "grad_norm",
)


def _run(path, mode, **changes):
  c = run_support.config(
    **{"train": {"steps": 5, "reference": mode}, **changes}
  )
  run_support.train(c, path)
  return run_support.updates(path)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
  path = tmp_path_factory.mktemp("live")
  return path, _run(path, "live", data=run_support.HELD_OUT)


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
  path = tmp_path_factory.mktemp("adapted")
  rows = _run(path, "live", model=_ADAPTER, log={"export": True})
  return path, rows


def _same(rows, others):
  for row, other in zip(rows, others, strict=True):
    for name in _NUMBERS:
      assert row[name] == pytest.approx(other[name], rel=1e-5, abs=2e-6), name


def test_precomputed_is_live(live, tmp_path):
  rows = _run(tmp_path, "precomputed", data=run_support.HELD_OUT)
  _same(rows, live[1])
  # Held-out rows have their own stored log-probs.
  for own, other in zip(
    run_support.rows(tmp_path), run_support.rows(live[0]), strict=True
  ):
    if "eval/loss" in own:
      assert own["eval/loss"] == pytest.approx(other["eval/loss"], abs=1e-6)
  # The weights of the reference are nowhere in the state.
  folder = tmp_path / "checkpoints"
  manifest = checkpoint.describe(folder)[-1].manifest
  assert manifest.frozen == {} and set(manifest.metadata) == {"reference_keys"}


def test_adapter_off_is_the_reference(adapted, tmp_path):
  _, rows = adapted
  assert rows[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
  assert rows[0]["rewards/chosen"] == rows[0]["rewards/rejected"] == 0
  assert rows[-1]["loss"] < rows[0]["loss"]
  _same(_run(tmp_path, "precomputed", model=_ADAPTER), rows)


def test_the_reference_of_an_adapter_is_the_base_model(live, adapted):
  """Before the first update both runs have the same policy and reference."""
  first, other = live[1][0], adapted[1][0]
  for name in ("loss", "logps/chosen", "logps/rejected"):
    assert other[name] == pytest.approx(first[name], rel=1e-6)


def test_only_the_adapter_is_trained_and_merging_loses_nothing(adapted):
  workdir, _ = adapted
  tree = checkpoint.restore_untyped(workdir / "checkpoints").tree
  names = set(tree["params"]["policy"])
  assert names == {"blocks"} and "embed" not in str(tree["params"])
  model, weights, _ = runs.load_policy(workdir)
  _, exported = models.from_pretrained(workdir / "policy")
  assert checkpoint.state_sha256(weights) == checkpoint.state_sha256(exported)
  adapter, spec = models.load_adapter(workdir / "adapter", model.config)
  assert (spec.rank, spec.scale) == (2, 4.0)
  saved = tree["params"]["policy"]["blocks"]["0"]["attention"]["q"]["a"]
  own = adapter["blocks"]["0"]["attention"]["q"]["a"]
  np.testing.assert_array_equal(own, saved)


def test_an_adapted_run_goes_on(adapted, tmp_path, monkeypatch):
  c = run_support.config(train={"steps": 5}, model=_ADAPTER)
  with monkeypatch.context() as patch:
    run_support.kill_after(patch, 4)
    with pytest.raises(run_support.Killed):
      run_support.train(c, tmp_path)
  run_support.train(c, tmp_path)
  assert run_support.digests(tmp_path) == run_support.digests(adapted[0])


@pytest.mark.slow
def test_references_of_another_model_are_not_used(tmp_path):
  cache = {"cache_dir": str(tmp_path / "cache"), **run_support.HELD_OUT}
  first = run_support.config(
    train={"steps": 1, "reference": "precomputed"}, data=cache
  )
  run_support.train(first, tmp_path / "a")
  stores = set((tmp_path / "cache").glob("reference-*"))
  assert len(stores) == 2  # of training and held-out examples
  run_support.train(first, tmp_path / "b")
  assert set((tmp_path / "cache").glob("reference-*")) == stores
  other = run_support.config(
    seed=1, train={"steps": 1, "reference": "precomputed"}, data=cache
  )
  run_support.train(other, tmp_path / "c")
  assert len(set((tmp_path / "cache").glob("reference-*"))) == 4
  assert run_support.updates(tmp_path / "c")[0]["loss"] == pytest.approx(
    math.log(2), abs=1e-6
  )


def test_a_damaged_store_is_made_again(live, tmp_path, caplog):
  c = run_support.config(train={"steps": 5, "reference": "precomputed"})
  run_support.train(c, tmp_path)
  for path in (tmp_path / "references").iterdir():
    path.write_bytes(path.read_bytes()[:-3])
  run_support.train(
    run_support.config(train={"steps": 6, "reference": "precomputed"}), tmp_path
  )
  assert "it is made again" in caplog.text
  _same(run_support.updates(tmp_path)[:5], live[1])


def test_what_cannot_be_stored_is_refused(tmp_path):
  c = run_support.config("kto", train={"steps": 1, "reference": "precomputed"})
  with pytest.raises(errors.ConfigError, match="'mismatched'"):
    run_support.train(c, tmp_path)
  c = run_support.config(train={"steps": 1, "reference": "none"})
  with pytest.raises(errors.ConfigError, match="dpo needs a reference"):
    run_support.train(c, tmp_path / "none")


def _store():
  values = np.arange(9, dtype=np.float32)
  return references.ReferenceStore(
    {
      "main": (
        np.asarray([7, 3], np.int64),
        np.asarray([0, 5, 9], np.int64),
        np.asarray([[3, 2], [1, 3]], np.int32),
        values,
      )
    }
  )


def test_store_pads_and_names_what_is_missing():
  store = _store()
  found = store.token_logps("main", np.asarray([3, 7]), (2, 4))
  np.testing.assert_array_equal(
    found,
    [
      [[5, 0, 0, 0], [6, 7, 8, 0]],
      [[0, 1, 2, 0], [3, 4, 0, 0]],
    ],
  )
  with pytest.raises(errors.DataError, match="example 8"):
    store.token_logps("main", np.asarray([8]), (2, 4))


def test_pairs_of_matches_the_device_version(live):
  from prefjax.core import types

  rng = np.random.default_rng(0)
  for pairs, valid in (
    (None, None),
    (rng.integers(0, 3, (4, 2, 2)).astype(np.int32), None),
    (
      rng.integers(0, 3, (4, 2, 2)).astype(np.int32),
      rng.random((4, 2)) < 0.5,
    ),
  ):
    group = types.Group(
      prompt=np.zeros((4, 1), np.int32),
      prompt_mask=np.ones((4, 1), bool),
      response=np.zeros((4, 3, 2), np.int32),
      token_mask=np.ones((4, 3, 2), bool),
      token_weights=np.ones((4, 3, 2), np.float32),
      response_mask=rng.random((4, 3)) < 0.7,
      pairs=pairs,
      pair_valid=valid,
    )
    for own, other in zip(
      scoring.pairs_of(group), group.pair_indices(), strict=True
    ):
      np.testing.assert_array_equal(own, other)
