# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""How a process learns its place."""

import dataclasses

import pytest

from prefjax.core import errors
from prefjax.launching import places


def _place(environment=None, **given):
  place = places.find(environment or {}, **given)
  return place and dataclasses.astuple(place)[:3]


def test_nobody_else():
  assert places.find({}) is None
  # An interactive allocation, or one worker, is no step of several tasks.
  alone = {"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_JOB_ID": "7"}
  assert places.find(alone) is None
  assert places.find({"TPU_WORKER_HOSTNAMES": "localhost"}) is None
  assert places.find({"SLURM_STEP_NUM_TASKS": "1"}) is None
  cluster = {"SLURM_STEP_NUM_TASKS": "8", "PREFJAX_COORDINATOR": "a:1"}
  assert places.find(cluster, method="off") is None


def test_flags():
  flags = dict(coordinator="10.0.0.1:1234", processes=4, process_id=3)
  assert _place(**flags) == ("10.0.0.1:1234", 4, 3)
  # Flags win over what the machine says.
  slurm = {"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "1"}
  assert _place(slurm, **flags) == ("10.0.0.1:1234", 4, 3)
  assert _place(**{**flags, "coordinator": "[::1]:80"})[0] == "[::1]:80"


def test_slurm():
  environment = {
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_STEP_NODELIST": "tpu[003-006,9],other",
    "SLURM_JOB_ID": "20017",
  }
  assert _place(environment) == ("tpu003:20017", 8, 5)


@pytest.mark.parametrize(
  "nodes, first",
  [
    ("a1", "a1"),
    ("a1,a2", "a1"),
    ("node[1-3]", "node1"),
    ("node[07,9]", "node07"),
    ("rack-2.x[10-12],b", "rack-2.x10"),
  ],
)
def test_first_host(nodes, first):
  assert places.first_host(nodes) == first


def test_pods_of_a_job_set():
  environment = {
    "PREFJAX_COORDINATOR": "run-w-0-0.run:1234",
    "PREFJAX_PROCESSES": "8",
    "JOB_COMPLETION_INDEX": "3",
  }
  assert _place(environment) == ("run-w-0-0.run:1234", 8, 3)
  environment |= {"PREFJAX_JOB_INDEX": "1", "PREFJAX_PODS_PER_JOB": "4"}
  assert _place(environment) == ("run-w-0-0.run:1234", 8, 7)
  assert _place({**environment, "PREFJAX_PROCESS_ID": "2"})[2] == 2


def test_cloud_tpu_is_left_to_jax():
  place = places.find({"TPU_WORKER_HOSTNAMES": "t0,t1"})
  assert (place.coordinator, place.found) == ("", "Cloud TPU")
  assert places.find({}, method="tpu").coordinator == ""


@pytest.mark.parametrize(
  "environment, given, named",
  [
    ({}, dict(coordinator="a:1"), "--processes is missing"),
    ({}, dict(processes=2, process_id=0), "--coordinator is missing"),
    ({}, dict(method="flags"), "--coordinator is missing"),
    (
      {},
      dict(coordinator="a:1", processes=2, process_id=2),
      "--process_id=2 is outside 0..1",
    ),
    ({}, dict(coordinator="a", processes=2, process_id=0), "HOST:PORT"),
    ({}, dict(coordinator="a:1 b", processes=2, process_id=0), "HOST:PORT"),
    ({}, dict(method="slurm"), "SLURM_STEP_NUM_TASKS is not set"),
    ({}, dict(method="off", coordinator="a:1"), "--distributed=off"),
    ({"PREFJAX_COORDINATOR": "a:1"}, {}, "JOB_COMPLETION_INDEX=None"),
    (
      {"PREFJAX_COORDINATOR": "a:1", "PREFJAX_PROCESS_ID": "0"},
      {},
      "PREFJAX_PROCESSES=None",
    ),
    (
      {
        "PREFJAX_COORDINATOR": "a:1",
        "PREFJAX_PROCESSES": "2",
        "JOB_COMPLETION_INDEX": "x",
      },
      {},
      "JOB_COMPLETION_INDEX='x'",
    ),
  ],
)
def test_half_a_place_is_refused(environment, given, named):
  with pytest.raises(errors.ConfigError) as error:
    places.find(environment, **given)
  assert named in str(error.value) and "\n" not in str(error.value)
