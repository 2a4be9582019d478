# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Whole runs on images: references, blind runs, export, scores."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import run_support

from prefjax import checkpoint, models, runs
from prefjax.core import errors
from prefjax.data import encoding, readers
from prefjax.runs import scores

_DATA = {"language": {"n": 24, "eval_n": 8, "size": 16}}


def _config(**changes):
  c = {
    "data": _DATA,
    "train": {"steps": 3},
    "checkpoint": {"every": 0},
    **changes,
  }
  return run_support.config("bpo_blind", **c)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("images")
  samples = {"samples": 2, "max_new_tokens": 4}
  run_support.train(_config(log={"export": True}, eval=samples), workdir)
  return workdir


def test_the_encoder_is_exported(whole):
  params = checkpoint.restore_untyped(whole / "checkpoints").tree["params"]
  trained = params["policy"]["vision"]
  model, exported = models.from_pretrained(whole / "policy")
  assert model.config.vision.image_size == 16
  np.testing.assert_array_equal(
    exported["vision"]["patch"]["kernel"], trained["patch"]["kernel"]
  )
  rows = run_support.updates(whole)
  assert "rewards/blind_margins" in rows[-1]
  assert rows[0]["loss"] == pytest.approx(
    np.log(2) * (1 + _blind_share(whole)), rel=0.3
  )


def test_samples_answer_questions_about_images(whole):
  lines = (whole / "samples.jsonl").read_text().splitlines()
  rows = [json.loads(line) for line in lines]
  assert len(rows) == 2
  assert all("<image>" not in row["prompt"] for row in rows)
  assert all(row["gold_after"] is None for row in rows)


def _blind_share(workdir):
  lines = (workdir / "data" / "scenes-train.jsonl").read_text().splitlines()
  return np.mean(["blind" in json.loads(line) for line in lines])


def test_precomputed_references_see_the_images(whole, tmp_path):
  c = _config(train={"steps": 3, "reference": "precomputed"})
  run_support.train(c, tmp_path)
  for row, other in zip(
    run_support.updates(tmp_path), run_support.updates(whole), strict=True
  ):
    assert row["loss"] == pytest.approx(other["loss"], rel=1e-5)
    assert row["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-4)


def test_a_blind_run_has_no_images(whole, tmp_path):
  """Nothing of a picture reaches it: its encoder gets no gradient."""
  for media in ("drop", "noise"):
    workdir = tmp_path / media
    run_support.train(_config(data={**_DATA, "media": media}), workdir)
    rows = run_support.updates(workdir)
    assert rows[0]["logps/chosen"] != pytest.approx(
      run_support.updates(whole)[0]["logps/chosen"], rel=1e-6
    )
  assert _largest_moment(tmp_path / "drop") == 0
  assert _largest_moment(tmp_path / "noise") > 0


def _largest_moment(workdir):
  """Of what the optimiser remembers of the encoder's gradients."""
  tree = checkpoint.restore_untyped(workdir / "checkpoints").tree["opt_state"]
  flat = jax.tree_util.tree_flatten_with_path(tree)[0]
  found = [leaf for path, leaf in flat if "'vision'" in str(path)]
  assert found
  return max(np.abs(np.asarray(leaf)).max() for leaf in found)


def test_scores_and_held_out_pairs_see_the_images(whole, tmp_path):
  policy = runs.open_policy(whole)
  found = readers.read(whole / "data" / "scenes-heldout.jsonl").records
  lengths = encoding.Lengths(prompt=48, response=40)

  def scored(records, name):
    scores.score(policy, records, tmp_path / name, lengths=lengths)
    lines = (tmp_path / name).read_text().splitlines()
    return [json.loads(line)["logps"] for line in lines]

  shown = scored(found, "shown.jsonl")
  # The same questions about each other's pictures.
  turned = [
    dataclasses.replace(record, images=other.images)
    for record, other in zip(found, found[1:] + found[:1], strict=True)
  ]
  gap = np.abs(np.subtract(shown, scored(turned, "turned.jsonl"))).max()
  assert gap > 1e-5
  before = json.loads((whole / "eval.json").read_text())["after"]
  margin = np.asarray(shown)[:, 0].mean()
  assert margin == pytest.approx(before["logps/chosen"], rel=1e-4)


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"model": {"vision": {"image_size": 0}}}, "has no vision encoder: set"),
    ({"model": {"vision": {"image_size": 20, "patch": 8}}}, "model.vision.im"),
    ({"data": {**_DATA, "buckets": ((1000, 22),)}}, "data.max_prompt and"),
  ],
)
def test_mistakes_are_one_line(changes, message, tmp_path):
  with pytest.raises(errors.PrefjaxError, match=message) as caught:
    run_support.train(_config(**changes), tmp_path / "run")
  assert "\n" not in str(caught.value)
