# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pictures, cues and answers of the experiment on BPO."""

import numpy as np
import pytest

from experiments.bpo_blind import objects


def test_bpo_cues_agree_as_often_as_they_should():
  rows = objects.draw(np.random.default_rng(0), 800, agrees=0.9, noise=0.1)
  conflict = np.mean([row["metadata"]["conflict"] for row in rows])
  assert conflict == pytest.approx(0.1, abs=0.04)
  for row in rows:
    item = row["metadata"]["item"]
    assert row["chosen"] == objects.act(item) + objects.NAMES[item]
    assert row["rejected"][0] != row["chosen"][0]
  acts = [objects.act(i) for i in range(len(objects.NAMES))]
  assert acts.count("R") == acts.count("H")
  (scored,) = objects.candidates(rows[:1])
  assert (
    scored["responses"][int(np.argmax(scored["scores"]))] == (rows[0]["chosen"])
  )
