# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs of several processes, killed, stopped, delayed and put together anew.

The quick test is `tests/runs/distributed_test.py`. Where bits are compared
there are two devices in all: with more, XLA's collectives on CPUs add in the
order of arrival, and not even one process gives the same bits twice.
"""

import pathlib
import signal
import sys
import time

import numpy as np
import pytest
from safetensors import numpy as safetensors_numpy

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "runs"))
import processes_support as support  # noqa: E402

pytestmark = pytest.mark.slow

STEPS = 30
WORDS = (f"train.steps={STEPS}", "checkpoint.every=5")
# Slow enough that a signal meets the middle of the run.
TIMEOUT = "--peer_timeout=15"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """The work directory of an uninterrupted run of two processes."""
  workdir = tmp_path_factory.mktemp("whole") / "run"
  support.Run(workdir, WORDS, devices=1).finish()
  return workdir


def test_evaluations_samples_and_exports_are_those_of_one_process(tmp_path):
  words = (
    "train.steps=3",
    "data.language={'n': 96, 'eval_n': 12}",
    "eval.samples=2",
    "eval.every=2",
    "train.reference=precomputed",
    "log.export=true",
    "log.report=true",
  )
  support.Run(tmp_path / "two", words).finish()
  support.Run(tmp_path / "one", words, count=1, devices=1).finish()
  found, expected = (
    [row for row in support.rows(tmp_path / name) if "eval/loss" in row]
    for name in ("two", "one")
  )
  assert [row["step"] for row in found] == [0, 2, 3]
  for row, other in zip(found, expected, strict=True):
    assert row["eval/loss"] == pytest.approx(other["eval/loss"], abs=1e-6)
  for name in ("samples.jsonl", "eval.json", "report.html"):
    assert (tmp_path / "two" / name).is_file()
  texts = [
    (tmp_path / name / "samples.jsonl").read_text() for name in ("two", "one")
  ]
  assert texts[0] == texts[1]
  weights = [
    safetensors_numpy.load_file(
      tmp_path / name / "policy" / "model.safetensors"
    )
    for name in ("two", "one")
  ]
  assert weights[0].keys() == weights[1].keys()
  for name, value in weights[0].items():
    np.testing.assert_allclose(value, weights[1][name], atol=2e-4)


def _same_updates(found, expected):
  assert [row["step"] for row in found] == [row["step"] for row in expected]
  for row, other in zip(found, expected, strict=True):
    assert row["batch/ids"] == other["batch/ids"]
    assert row["tokens"] == other["tokens"]
    assert row["loss"] == pytest.approx(other["loss"], abs=1e-6)


@pytest.mark.parametrize(
  "count, devices, words",
  [
    (1, 1, ()),
    (1, 4, ("mesh.fsdp=2", "mesh.tensor=2")),
    (2, 2, ()),
    (4, 2, ("mesh.fsdp=2",)),
    # Weights spread over processes, which then make the same rows.
    (2, 2, ("mesh.tensor=4",)),
  ],
)
def test_any_number_of_processes_trains_the_same(
  tmp_path, whole, count, devices, words
):
  steps = 8
  run = support.Run(
    tmp_path / "run",
    (*words, f"train.steps={steps}", "checkpoint.every=5"),
    count=count,
    devices=devices,
  )
  run.finish()
  expected = support.updates(whole)[:steps]
  _same_updates(support.updates(tmp_path / "run"), expected)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_others_and_the_run_goes_on(
  tmp_path, whole, victim
):
  run = support.Run(tmp_path / "run", WORDS, devices=1, flags=[TIMEOUT])
  run.reach(12)
  run.kill(victim)
  begin = time.monotonic()
  other = 1 - victim
  status = run.wait(other, 60)  # within a minute
  print(
    f"process {other} ended {time.monotonic() - begin:.1f} s after the kill"
  )
  assert status != 0
  said = run.said(other)
  if victim:
    assert "no sign of life from process 1" in said, said[-3000:]
  else:
    assert "process 0 cannot be reached" in said or (
      "another task died" in said
    ), said[-3000:]
  support.Run(tmp_path / "run", WORDS, devices=1).finish()
  _same_updates(support.updates(tmp_path / "run"), support.updates(whole))
  assert support.digest(tmp_path / "run") == support.digest(whole)


@pytest.mark.parametrize("target", [0, 1])
def test_a_signal_to_one_stops_all_at_the_same_update(tmp_path, whole, target):
  run = support.Run(tmp_path / "run", WORDS, devices=1)
  run.reach(7)
  run.processes[target].send_signal(signal.SIGTERM)
  run.finish(143, 143)
  at = support.saved(tmp_path / "run")[-1]
  assert at == support.updates(tmp_path / "run")[-1]["step"] < STEPS
  line = f"stopped after {at} updates"
  assert line in run.said(0) and line in run.said(1)
  support.Run(tmp_path / "run", WORDS, devices=1).finish()
  _same_updates(support.updates(tmp_path / "run"), support.updates(whole))
  assert support.digest(tmp_path / "run") == support.digest(whole)


def test_runs_go_on_with_any_number_of_processes(tmp_path, whole):
  workdir = tmp_path / "run"
  for steps, count, devices in ((10, 2, 2), (20, 1, 1), (25, 4, 2), (30, 2, 2)):
    words = (f"train.steps={steps}", "checkpoint.every=5")
    support.Run(workdir, words, count=count, devices=devices).finish()
    assert support.saved(workdir)[-1] == steps
  _same_updates(support.updates(workdir), support.updates(whole))
  found, expected = support.leaves(workdir), support.leaves(whole)
  assert found.keys() == expected.keys()
  for path, value in found.items():
    # Sums over other numbers of devices round otherwise, and AdamW divides
    # small gradients by their own size.
    np.testing.assert_allclose(value, expected[path], atol=2e-4, rtol=1e-3)


def test_the_clock_of_process_0_stops_and_saves(tmp_path):
  words = (
    "train.steps=100000",
    "checkpoint.every=0",
    "checkpoint.minutes=0.05",
    "checkpoint.keep=50",
    "train.minutes=1.0",
  )
  run = support.Run(tmp_path / "run", words)
  run.finish(143, 143)
  steps = support.saved(tmp_path / "run")
  assert len(steps) >= 3
  assert steps[-1] == support.updates(tmp_path / "run")[-1]["step"]


def test_configs_that_differ_are_refused(tmp_path):
  run = support.Run(
    tmp_path / "run", WORDS, own={1: ["--config.opt.learning_rate=0.5"]}
  )
  # The first to say so ends the other.
  assert {run.wait(0, 120), run.wait(1, 120)} <= {1, 2}
  for i in range(2):
    assert "different configs" in run.said(i)
    assert "Traceback" not in run.said(i)


def test_a_work_directory_that_is_not_shared_is_refused(tmp_path):
  own = {1: [f"--workdir={tmp_path / 'other'}"]}
  run = support.Run(tmp_path / "run", WORDS, own=own)
  assert run.wait(0, 120) == run.wait(1, 120) == 1
  said = run.said(0) + run.said(1)
  assert "process 1 does not see what process 0 writes there" in said
  assert "Traceback" not in said
