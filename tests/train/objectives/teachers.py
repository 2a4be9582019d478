# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""ADPA (arXiv:2502.17927): two frozen teachers and the whole vocabulary.

  - mean_t log pi(chosen_t) - mean_t sum_a pi(a|s_t) A(s_t, a)
  A = log pi_aligned - log pi_unaligned

the second along a text of the student's own, in a group of its own.
"""

import lm_support

from prefjax import kernels, methods
from prefjax.core import masking, types

OWN = "student"


def _loss(outputs, batch, method_state, keys):
  del keys
  chosen = outputs["policy", "main"]["token_logps"][:, 0]
  kept = batch.main.token_mask[:, 0]
  likelihood = masking.masked_mean(chosen, kept, axis=-1)
  mask = batch.groups[OWN].token_mask[:, 0]
  advantage = masking.masked_mean(
    outputs["vocab", "advantage"]["total"][:, 0], mask, axis=-1
  )
  weight = batch.example_weight
  return methods.LossResult(
    {
      "likelihood": types.Term(value=-likelihood, weight=weight),
      "advantage": types.Term(value=-advantage, weight=weight),
    },
    method_state,
    {"advantage": types.weighted(advantage, weight)},
  )


def method():
  return methods.Method(
    inputs=("main", OWN),
    needs={("policy", "main"): ("token_logps",)},
    vocab={
      "advantage": methods.VocabNeed(
        streams=(("policy", OWN), ("teacher", OWN), ("unaligned", OWN)),
        integrand=kernels.integrands.expected_advantage,
        stopped=(1, 2),
      )
    },
    loss=_loss,
    record_kind="sft",
  )


def objective():
  return lm_support.objective(method())


def batch(step: int):
  return lm_support.of_method(method(), range(8 * step, 8 * step + 8))
