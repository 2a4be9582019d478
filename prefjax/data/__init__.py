# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records, readers, pair building and the batches that training sees."""

from prefjax.data.annotations import (
  attribute_string,
  feedback_sft_records,
  parse_annotation,
  parse_attribute_string,
  parse_rationales,
)
from prefjax.data.blinding import attach_blind_responses, blind
from prefjax.data.chat import encode_example
from prefjax.data.constraints import CONSTRAINTS, Constraint, constraint_set
from prefjax.data.curricula import (
  CurriculumSampler,
  curriculum_stage_ids,
  difficulty_from_gap,
)
from prefjax.data.encoding import Encoder, EncodeReport, Lengths
from prefjax.data.histories import history_pairs
from prefjax.data.joint_pairs import joint_pairs
from prefjax.data.label_noise import flip_preferences
from prefjax.data.loading import (
  Files,
  Loaded,
  Records,
  load,
  open_store,
  read_files,
)
from prefjax.data.pipeline import Options, Prefetch, Source, prefetch
from prefjax.data.prompt_variants import (
  build_mapl_inter,
  build_mapl_intra,
  mapl_inter_direction,
  mapl_intra_relation,
)
from prefjax.data.ranked_pairs import (
  make_ranked_pairs,
  preference_level_pairs,
  reasoning_pairs,
)
from prefjax.data.ratings import (
  PRINCIPLES,
  all_pairs,
  aspect_mean,
  best_random,
  best_worst,
  max_vs_random_pairs,
  repair_overall,
  sample_models,
  sample_principles,
)
from prefjax.data.rationales import RationaleRecord, format_rationale_prompt
from prefjax.data.readers import read
from prefjax.data.records import Record, RecordError, validate
from prefjax.data.reports import Dataset, ReadReport
from prefjax.data.splits import held_out
from prefjax.data.step_pairs import (
  first_error_step,
  make_step_pairs,
  split_steps,
  step_token_mask,
)
from prefjax.data.store import FileStore, MemoryStore, Store, build_or_open
from prefjax.data.temporal import (
  clip_groups,
  difficulty_schedule,
  drop_clips,
  keep_temporal_video,
  merge_similar_clips,
  num_kept_clips,
  reverse_clips,
  shuffle_clips,
  temporal_pair_filter,
)
from prefjax.data.tokenizers import ByteTokenizer, Tokenizer
from prefjax.data.tokenizers import load as load_tokenizer
from prefjax.data.tool_traces import render_trace, trace_segments
from prefjax.data.views import GroupText, View, view

__all__ = [
  "CONSTRAINTS",
  "PRINCIPLES",
  "ByteTokenizer",
  "Constraint",
  "CurriculumSampler",
  "Dataset",
  "EncodeReport",
  "Encoder",
  "FileStore",
  "Files",
  "GroupText",
  "Lengths",
  "Loaded",
  "MemoryStore",
  "Options",
  "Prefetch",
  "RationaleRecord",
  "ReadReport",
  "Record",
  "RecordError",
  "Records",
  "Source",
  "Store",
  "Tokenizer",
  "View",
  "all_pairs",
  "aspect_mean",
  "attach_blind_responses",
  "attribute_string",
  "best_random",
  "best_worst",
  "blind",
  "build_mapl_inter",
  "build_mapl_intra",
  "build_or_open",
  "clip_groups",
  "constraint_set",
  "curriculum_stage_ids",
  "difficulty_from_gap",
  "difficulty_schedule",
  "drop_clips",
  "encode_example",
  "feedback_sft_records",
  "first_error_step",
  "flip_preferences",
  "format_rationale_prompt",
  "held_out",
  "history_pairs",
  "joint_pairs",
  "keep_temporal_video",
  "load",
  "load_tokenizer",
  "make_ranked_pairs",
  "make_step_pairs",
  "mapl_inter_direction",
  "mapl_intra_relation",
  "max_vs_random_pairs",
  "merge_similar_clips",
  "num_kept_clips",
  "open_store",
  "parse_annotation",
  "parse_attribute_string",
  "parse_rationales",
  "preference_level_pairs",
  "prefetch",
  "read",
  "read_files",
  "reasoning_pairs",
  "render_trace",
  "repair_overall",
  "reverse_clips",
  "sample_models",
  "sample_principles",
  "shuffle_clips",
  "split_steps",
  "step_token_mask",
  "temporal_pair_filter",
  "trace_segments",
  "validate",
  "view",
]
