# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses that pass a preference-aligned teacher's token distributions on.

All take whole-vocabulary logits; for large vocabularies the tiled sums of
`prefjax.kernels` give the same numbers.
"""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking, numerics
from prefjax.losses import base

_DIRECTIONS = ("forward", "reverse")


def token_kl(logits, teacher_logits, mask, *, direction="forward") -> jax.Array:
  """Mean over tokens of the KL divergence between teacher and student.

    forward: mean_t KL(teacher || student);  reverse: KL(student || teacher)

  Args:
    logits: [B, T, V], student logits that predict response token t.
    teacher_logits: [B, T, V], teacher logits.
    mask: [B, T], which tokens count; others may hold anything.
    direction: "forward" or "reverse".

  Returns:
    [B] float32 nats a token, not reduced, >= 0; 0 for an empty response.

  Raises:
    ValueError: shapes differ or an unknown direction.

  Limits:
    0 for equal distributions; constants added to logits change nothing.

  Reference:
    Gao et al., "Advantage-Guided Distillation for Preference Alignment in
    Small Language Models", arXiv:2502.17927.
  """
  checks.one_of("token_kl", _DIRECTIONS, direction=direction)
  student, teacher, kept = base.masked_logits(
    "token_kl", mask, logits=logits, teacher_logits=teacher_logits
  )
  student = jax.nn.log_softmax(student, axis=-1)
  teacher = jax.nn.log_softmax(teacher, axis=-1)
  if direction == "forward":
    divergence = base.vocab_kl(teacher, student)
  else:
    divergence = base.vocab_kl(student, teacher)
  return masking.masked_mean(divergence, kept, axis=-1)


def dckd(
  chosen_logits,
  rejected_logits,
  teacher_chosen_logits,
  teacher_rejected_logits,
  chosen_mask,
  rejected_mask,
  *,
  chosen_weight=1.0,
  rejected_weight=1.0,
) -> jax.Array:
  """Dual-constrained distillation: the aligned teacher on both responses.

    loss = chosen_weight * KL_c + rejected_weight * KL_r

  with the forward `token_kl` along each response. Add `nll` for the method's
  likelihood term.

  Args:
    chosen_logits: [B, T, V], student logits along the chosen response.
    rejected_logits: [B, U, V], along the rejected response.
    teacher_chosen_logits: [B, T, V], logits of the aligned teacher.
    teacher_rejected_logits: [B, U, V], the same along the rejected one.
    chosen_mask: [B, T], which tokens count; others may hold anything.
    rejected_mask: [B, U], the same.
    chosen_weight: >= 0.
    rejected_weight: >= 0.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    Weights (1, 0) are ordinary distillation on the chosen response.

  Reference:
    Gao et al., "Advantage-Guided Distillation for Preference Alignment in
    Small Language Models", arXiv:2502.17927 (DCKD).
  """
  checks.in_range(
    "dckd", 0, chosen_weight=chosen_weight, rejected_weight=rejected_weight
  )
  checks.same_shape(
    "dckd",
    chosen_logits=chosen_logits,
    teacher_chosen_logits=teacher_chosen_logits,
  )
  checks.same_shape(
    "dckd",
    rejected_logits=rejected_logits,
    teacher_rejected_logits=teacher_rejected_logits,
  )
  for side, logits, mask in (
    ("chosen", chosen_logits, chosen_mask),
    ("rejected", rejected_logits, rejected_mask),
  ):
    if jnp.shape(mask) != jnp.shape(logits)[:-1]:
      raise ValueError(
        f"dckd: {side}_mask has shape {jnp.shape(mask)}, expected"
        f" {jnp.shape(logits)[:-1]} for logits of shape {jnp.shape(logits)}"
      )
  base.same_rows("dckd", chosen_mask=chosen_mask, rejected_mask=rejected_mask)
  chosen = token_kl(chosen_logits, teacher_chosen_logits, chosen_mask)
  rejected = token_kl(rejected_logits, teacher_rejected_logits, rejected_mask)
  return chosen_weight * chosen + rejected_weight * rejected


def teacher_advantages(
  teacher_logits, ref_teacher_logits, *, beta=1.0, clip_advantage=None
) -> jax.Array:
  """The advantage of every token that an aligned teacher implies; no loss.

    A(s, a) = beta (log pi_teacher(a|s) - log pi_ref_teacher(a|s))

  In the token-level decision process it is the optimal advantage Q* - V* of
  the KL-regularised problem that the teacher solves.

  Args:
    teacher_logits: [B, T, V], logits of the aligned teacher.
    ref_teacher_logits: [B, T, V], logits of the teacher before alignment.
    beta: > 0, scale; the teacher's own beta, or 1.
    clip_advantage: > 0 or None, bound on |A|: a reference that is almost
      sure against a token makes the ratio huge.

  Returns:
    [B, T, V] float32 without gradient; 0 for a token that neither allows.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    Its mean under the teacher is beta KL(teacher || reference), under the
    reference -beta KL(reference || teacher).

  Reference:
    Gao et al., "Advantage-Guided Distillation for Preference Alignment in
    Small Language Models", arXiv:2502.17927.
  """
  name = "teacher_advantages"
  checks.in_range(
    name, 0, low_open=True, beta=beta, clip_advantage=clip_advantage
  )
  teacher, reference = base.floats(
    name, teacher_logits=teacher_logits, ref_teacher_logits=ref_teacher_logits
  )
  teacher = jax.nn.log_softmax(teacher, axis=-1)
  reference = jax.nn.log_softmax(reference, axis=-1)
  neither = jnp.isneginf(teacher) & jnp.isneginf(reference)
  advantage = beta * (
    jnp.where(neither, 0.0, teacher) - jnp.where(neither, 0.0, reference)
  )
  if clip_advantage is not None:
    advantage = jnp.clip(advantage, -clip_advantage, clip_advantage)
  return jax.lax.stop_gradient(advantage)


def sparse_advantages(
  teacher_logits, ref_teacher_logits, *, top_k: int, beta=1.0
) -> dict[str, jax.Array]:
  """`teacher_advantages` of the teacher's likeliest tokens, to be stored.

  Args:
    teacher_logits: [B, T, V], logits of the aligned teacher.
    ref_teacher_logits: [B, T, V], logits of the teacher before alignment.
    top_k: in 1..V, tokens kept at each position.
    beta: > 0, scale.

  Returns:
    {"indices": int32 [B, T, top_k], "values": float32 [B, T, top_k]}, the
    likeliest token first, ties by lowest index.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    top_k=V keeps everything.

  Reference:
    Gao et al., "Advantage-Guided Distillation for Preference Alignment in
    Small Language Models", arXiv:2502.17927 (compressed storage).
  """
  advantage = teacher_advantages(teacher_logits, ref_teacher_logits, beta=beta)
  checks.in_range("sparse_advantages", 1, advantage.shape[-1], top_k=top_k)
  (teacher,) = numerics.to_float32(teacher_logits)
  _, indices = jax.lax.top_k(teacher, top_k)
  values = jnp.take_along_axis(advantage, indices, axis=-1)
  return {"indices": indices.astype(jnp.int32), "values": values}


def _mean_advantage(probabilities, advantage, kept) -> jax.Array:
  """Mean over tokens of sum_a p A; a token of probability 0 counts 0."""
  product = jnp.where(
    probabilities > 0,
    probabilities * jnp.where(probabilities > 0, advantage, 0.0),
    0.0,
  )
  return masking.masked_mean(jnp.sum(product, axis=-1), kept, axis=-1)


def adpa(
  logits,
  teacher_logits,
  ref_teacher_logits,
  mask,
  *,
  beta=1.0,
  clip_advantage=None,
) -> jax.Array:
  """Advantage-guided distillation on text that the student wrote.

    loss = - mean_t sum_a pi(a|s_t) A(s_t, a)

  with A from `teacher_advantages`. The sum runs over all tokens, so there is
  no sampling noise; gradient flows through pi only. Alone it collapses onto
  the token of the largest advantage: keep a likelihood term beside it.

  Args:
    logits: [B, T, V], student logits along its own response.
    teacher_logits: [B, T, V], logits of the aligned teacher.
    ref_teacher_logits: [B, T, V], logits of the teacher before alignment
      (not of the student).
    mask: [B, T], which tokens count; others may hold anything.
    beta: > 0, scale of the advantage.
    clip_advantage: > 0 or None, bound on |A|.

  Returns:
    [B] float32, not reduced; lower is better. 0 for an empty response.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    Equal teachers give 0; a student equal to the teacher gives
    -beta KL(teacher || reference).

  Reference:
    Gao et al., "Advantage-Guided Distillation for Preference Alignment in
    Small Language Models", arXiv:2502.17927 (ADPA).
  """
  checks.in_range(
    "adpa", 0, low_open=True, beta=beta, clip_advantage=clip_advantage
  )
  student, teacher, reference, kept = base.masked_logits(
    "adpa",
    mask,
    logits=logits,
    teacher_logits=teacher_logits,
    ref_teacher_logits=ref_teacher_logits,
  )
  advantage = teacher_advantages(
    teacher, reference, beta=beta, clip_advantage=clip_advantage
  )
  return -_mean_advantage(jax.nn.softmax(student, axis=-1), advantage, kept)


def adpa_sparse(logits, indices, values, mask) -> jax.Array:
  """`adpa` from stored advantages of a few tokens at each position.

    loss = - mean_t sum_k pi(indices_tk | s_t) values_tk

  All other advantages count 0, and the student's probabilities are not
  renormalised.

  Args:
    logits: [B, T, V], student logits along its own response.
    indices: int [B, T, k], tokens, from `sparse_advantages`.
    values: [B, T, k], their advantages; no gradient flows into them.
    mask: [B, T], which tokens count; others may hold anything.

  Returns:
    [B] float32, not reduced; lower is better. 0 for an empty response.

  Raises:
    ValueError: shapes differ.

  Limits:
    k = V is `adpa`.

  Reference:
    Gao et al., "Advantage-Guided Distillation for Preference Alignment in
    Small Language Models", arXiv:2502.17927 (ADPA, compressed storage).
  """
  student, kept = base.masked_logits("adpa_sparse", mask, logits=logits)
  checks.same_shape("adpa_sparse", indices=indices, values=values)
  (values,) = numerics.to_float32(jax.lax.stop_gradient(jnp.asarray(values)))
  if jnp.shape(values)[:-1] != kept.shape:
    raise ValueError(
      f"adpa_sparse: values has shape {jnp.shape(values)}, expected"
      f" {kept.shape} positions"
    )
  indices = jnp.where(kept[..., None], jnp.asarray(indices), 0)
  values = jnp.where(kept[..., None], values, 0.0)
  probabilities = jnp.take_along_axis(
    jax.nn.softmax(student, axis=-1), indices, axis=-1
  )
  return -_mean_advantage(probabilities, values, kept)


def adpa_objective(
  chosen_token_logps,
  chosen_mask,
  logits,
  teacher_logits,
  ref_teacher_logits,
  mask,
  *,
  sft_weight=1.0,
  gamma=1.0,
  beta=1.0,
  clip_advantage=None,
) -> jax.Array:
  """ADPA with its likelihood term.

    loss = sft_weight * (- mean_t log pi(chosen_t)) + gamma * adpa

  Args:
    chosen_token_logps: [B, T], student log-probs of the chosen response.
    chosen_mask: [B, T], which of its tokens count; others may hold anything.
    logits: [B, U, V], student logits along its own response.
    teacher_logits: [B, U, V], logits of the aligned teacher.
    ref_teacher_logits: [B, U, V], logits of the teacher before alignment.
    mask: [B, U], which tokens of the student's response count.
    sft_weight: >= 0, weight of the likelihood.
    gamma: >= 0, weight of the expected advantage.
    beta: > 0, scale of the advantage.
    clip_advantage: > 0 or None, bound on |A|.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    gamma=0 is the mean token NLL; sft_weight=0 is gamma * `adpa`.

  Reference:
    Gao et al., "Advantage-Guided Distillation for Preference Alignment in
    Small Language Models", arXiv:2502.17927 (ADPA).
  """
  name = "adpa_objective"
  checks.in_range(name, 0, sft_weight=sft_weight, gamma=gamma)
  logps, kept = base.masked_tokens(
    name, chosen_mask, "chosen_mask", chosen_token_logps=chosen_token_logps
  )
  checks.same_shape(
    name,
    logits=logits,
    teacher_logits=teacher_logits,
    ref_teacher_logits=ref_teacher_logits,
  )
  base.masked_logits(name, mask, logits=logits)
  base.same_rows(name, chosen_mask=chosen_mask, mask=mask)
  likelihood = masking.masked_mean(logps, kept, axis=-1)
  advantage = adpa(
    logits,
    teacher_logits,
    ref_teacher_logits,
    mask,
    beta=beta,
    clip_advantage=clip_advantage,
  )
  return gamma * advantage - sft_weight * likelihood
