# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a run says before it begins, where settings defeat each other."""

from prefjax import config as config_lib

# Neighbouring bfloat16 numbers differ by 1/128 to 1/256 of their size, and a
# weight of a language model is some 0.02: an update of half a gap is lost.
_LOST = 0.02 / 256 / 2


def notes(config: config_lib.Config) -> tuple[str, ...]:
  """One line each, with what to do about it.

  Args:
    config: of the stage.
  """
  out = []
  rate = config.opt.learning_rate
  is_adapter = config.model.lora.rank > 0
  if config.model.dtype == "bfloat16" and rate < _LOST and not is_adapter:
    out.append(
      f"model.dtype=bfloat16 with opt.learning_rate={rate:g}: most updates are"
      " smaller than the parameters can hold, and are lost; keep"
      " model.dtype=float32 and set model.compute_dtype=bfloat16"
    )
  return tuple(out)
