# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which kind of stage a method asks for."""

from prefjax.runs import online, reward_stage, stage_run
from prefjax.runs import run as run_lib
from prefjax.runs import stages as stages_lib


def make(run: run_lib.Run, stage: stages_lib.Stage) -> stage_run.StageRun:
  """The stage as it is trained, or planned."""
  if stage.method.online is not None:
    return online.OnlineStageRun(run, stage)
  if stage.method.head is not None:
    return reward_stage.RewardStageRun(run, stage)
  return stage_run.StageRun(run, stage)
