# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Naming schemes of published checkpoints, by `model_type`."""

from prefjax.core import errors
from prefjax.models.families import common, gemma, gpt2, llama, phi3

Family = common.Family
Tensor = common.Tensor

FAMILIES: dict[str, Family] = {
  **llama.FAMILIES,
  **gemma.FAMILIES,
  **gpt2.FAMILIES,
  **phi3.FAMILIES,
}


def get(model_type: str | None) -> Family:
  """The naming scheme of a `model_type`.

  Raises:
    ModelError: unknown; lists the known ones.
  """
  if not isinstance(model_type, str) or model_type not in FAMILIES:
    raise errors.ModelError(
      f"config key model_type={repr(model_type)[:80]} is not one of"
      f" {', '.join(sorted(FAMILIES))}"
      f"{errors.nearest(str(model_type), FAMILIES)}"
    )
  return FAMILIES[model_type]


__all__ = ["FAMILIES", "Family", "Tensor", "get"]
