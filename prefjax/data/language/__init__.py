# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A procedural instruction language with a known gold reward.

`sample`, `task` and `tasks` draw prompts, `parse` reads them back,
`gold_reward` and `aspects` score any response, `corrupt` makes responses of
graded quality, and the `*_records` functions make data sets of every layout.
Everything is a function of (seed, split, index).
"""

from prefjax.data.language.corruption import MIXED, QUALITIES, corrupt
from prefjax.data.language.files import write_demo, write_jsonl
from prefjax.data.language.grammar import KINDS, STYLES, Task, parse
from prefjax.data.language.group_producers import ranked_records, rated_records
from prefjax.data.language.joint_producers import (
  joint_records,
  rationale_records,
)
from prefjax.data.language.people import ARCHETYPES, Annotator, Taste, taste
from prefjax.data.language.producers import (
  PAIRS,
  pair_records,
  prompt_records,
  sft_records,
  unpaired_records,
)
from prefjax.data.language.randomness import Draws, draws
from prefjax.data.language.sampling import (
  EASY,
  FULL,
  QUICK,
  SPLITS,
  Language,
  sample,
  split_of,
  task,
  tasks,
)
from prefjax.data.language.score_producers import (
  labelled_records,
  steered_records,
)
from prefjax.data.language.scoring import (
  ASPECTS,
  aspects,
  gold_reward,
  gold_rewards,
)
from prefjax.data.language.step_producers import step_pair_records, step_records
from prefjax.data.language.steps import (
  StepCheck,
  check_steps,
  first_wrong_step,
  wrong_steps,
)
from prefjax.data.language.user_producers import user_records

__all__ = [
  "ARCHETYPES",
  "ASPECTS",
  "EASY",
  "FULL",
  "KINDS",
  "MIXED",
  "PAIRS",
  "QUALITIES",
  "QUICK",
  "SPLITS",
  "STYLES",
  "Annotator",
  "Draws",
  "Language",
  "StepCheck",
  "Task",
  "Taste",
  "aspects",
  "check_steps",
  "corrupt",
  "draws",
  "first_wrong_step",
  "gold_reward",
  "gold_rewards",
  "joint_records",
  "labelled_records",
  "pair_records",
  "parse",
  "prompt_records",
  "ranked_records",
  "rated_records",
  "rationale_records",
  "sample",
  "sft_records",
  "split_of",
  "steered_records",
  "step_pair_records",
  "step_records",
  "task",
  "taste",
  "tasks",
  "unpaired_records",
  "user_records",
  "wrong_steps",
  "write_demo",
  "write_jsonl",
]
