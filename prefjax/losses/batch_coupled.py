# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Losses in which the rows of a batch meet: sorting, batch-wide beta.

Their values depend on the batch size and on who shares a batch, so a method
built on them must see the whole batch, not one micro-batch. Sorting is over
the rows that are passed in: on several devices that is a shard unless the
caller gathers first.
"""

import jax
import jax.numpy as jnp

from prefjax.core import checks, masking, numerics
from prefjax.losses import base


def _blocks(function, upper, lower, mask, sort_rows):
  """Both sides and what is kept, [blocks, rows]; each block is one sort."""
  checks.rank(function, 1, chosen_logps=upper)
  if mask is None:
    kept = jnp.ones(upper.shape, bool)
  else:
    checks.same_shape(function, chosen_logps=upper, mask=mask)
    kept = jnp.asarray(mask).astype(bool)
  size = upper.shape[0]
  rows = max(size, 1) if sort_rows is None else sort_rows
  if rows < 1 or size % rows:
    raise ValueError(
      f"{function}: sort_rows={sort_rows} does not divide the {size} rows"
    )
  return [x.reshape(size // rows, rows) for x in (upper, lower, kept)]


def _sorted_loss(
  function, upper, lower, beta, smoothing, unsort, mask, sort_rows
):
  """Losses [B] of both sides sorted ascending, masked rows last."""
  upper, lower, kept = _blocks(function, upper, lower, mask, sort_rows)
  order = jnp.argsort(jnp.where(kept, upper, jnp.inf), axis=-1)
  low_order = jnp.argsort(jnp.where(kept, lower, jnp.inf), axis=-1)
  upper = jnp.take_along_axis(masking.replace(upper, kept), order, -1)
  lower = jnp.take_along_axis(masking.replace(lower, kept), low_order, -1)
  losses = numerics.soft_log_sigmoid_loss(beta * (upper - lower), smoothing)
  losses = jnp.where(jnp.take_along_axis(kept, order, -1), losses, 0.0)
  if unsort:
    rank = jnp.argsort(order, axis=-1)  # the sorted place of each row
    losses = jnp.take_along_axis(losses, rank, -1)
  return losses.reshape(-1)


def aot(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.01,
  label_smoothing=0.0,
  unsort=False,
  mask=None,
  sort_rows=None,
) -> jax.Array:
  """Alignment by optimal transport: margins compared in sorted order.

    A = sort(chosen - rejected), B = sort(ref_chosen - ref_rejected)
    loss_i = -(1 - e) log s(beta (A_i - B_i)) - e log s(-beta (A_i - B_i))

  The distribution of policy margins is to dominate that of the reference,
  whichever rows they come from. Couples the batch.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, scale of the difference.
    label_smoothing: e in [0, 0.5].
    unsort: False gives losses in ascending order of the policy margin, True
      gives row i the loss of its own policy margin. Use True wherever rows
      carry weights, ids or padding.
    mask: [B] or None, real rows; the others are left out of the sort and
      get loss 0 (at the end when sorted).
    sort_rows: number of consecutive rows that are sorted among themselves,
      as code that sorts each micro-batch does; None for all of them.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ, not one axis, or a keyword is out of range.

  Limits:
    `dpo` for B = 1 or sort_rows = 1, and row by row when both margins have
    the same order.

  Reference:
    Melnyk et al., "Distributional Preference Alignment of LLMs via Optimal
    Transport", arXiv:2406.05882 (paired).
  """
  checks.in_range("aot", 0, low_open=True, beta=beta)
  checks.in_range("aot", 0, 0.5, label_smoothing=label_smoothing)
  chosen, rejected, ref_chosen, ref_rejected = base.floats(
    "aot",
    chosen_logps=chosen_logps,
    rejected_logps=rejected_logps,
    ref_chosen_logps=ref_chosen_logps,
    ref_rejected_logps=ref_rejected_logps,
  )
  return _sorted_loss(
    "aot",
    chosen - rejected,
    ref_chosen - ref_rejected,
    beta,
    label_smoothing,
    unsort,
    mask,
    sort_rows,
  )


def aot_unpaired(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  *,
  beta=0.01,
  label_smoothing=0.0,
  unsort=False,
  mask=None,
  sort_rows=None,
) -> jax.Array:
  """Alignment by optimal transport between chosen and rejected rewards.

    A = sort(c), B = sort(r)
    loss_i = -(1 - e) log s(beta (A_i - B_i)) - e log s(-beta (A_i - B_i))

  Chosen and rejected need not belong to the same prompts. Couples the batch.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    beta: > 0, inverse temperature of the implicit reward.
    label_smoothing: e in [0, 0.5].
    unsort: False gives losses in ascending order of c, True gives row i the
      loss of its own c. Use True wherever rows carry weights, ids or
      padding.
    mask: [B] or None, real rows; the others are left out of the sort and
      get loss 0 (at the end when sorted).
    sort_rows: number of consecutive rows that are sorted among themselves,
      as code that sorts each micro-batch does; None for all of them.

  Returns:
    [B] float32, not reduced; lower is better.

  Raises:
    ValueError: shapes differ, not one axis, or a keyword is out of range.

  Limits:
    `dpo` for B = 1 or sort_rows = 1, and row by row when c and r have the
    same order.

  Reference:
    Melnyk et al., "Distributional Preference Alignment of LLMs via Optimal
    Transport", arXiv:2406.05882 (unpaired).
  """
  checks.in_range("aot_unpaired", 0, low_open=True, beta=beta)
  checks.in_range("aot_unpaired", 0, 0.5, label_smoothing=label_smoothing)
  c, r = base.log_ratios(
    "aot_unpaired",
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
  )
  return _sorted_loss(
    "aot_unpaired",
    c,
    r,
    beta,
    label_smoothing,
    unsort,
    mask,
    sort_rows,
  )


def beta_dpo(
  chosen_logps,
  rejected_logps,
  ref_chosen_logps,
  ref_rejected_logps,
  select_mask,
  *,
  margin_mean=0.0,
  beta=0.1,
  a=0.6,
  min_beta=1e-3,
) -> dict[str, jax.Array]:
  """DPO whose beta follows the batch's mean margin.

    M = mean of D over the selected rows
    b = max(min_beta, beta (1 + a (M - margin_mean)))      no gradient
    loss_i = -log s(b D_i) where selected, else 0

  Easy batches get a larger beta. Couples the batch through M.

  Args:
    chosen_logps: [B], policy log-prob of the chosen response, summed nats.
    rejected_logps: [B], the same of the rejected response.
    ref_chosen_logps: [B], reference log-prob of the chosen response.
    ref_rejected_logps: [B], the same of the rejected response.
    select_mask: [B], rows that count, from `beta_dpo_select`; the others
      may hold anything.
    margin_mean: [] or number, running mean of D in nats, from
      `ema_moments` updated with the current batch before use.
    beta: > 0, centre of the inverse temperature.
    a: >= 0, how strongly beta follows the margin.
    min_beta: > 0, floor of beta.

  Returns:
    {"losses": [B] float32, not reduced, "beta": [] float32}.

  Raises:
    ValueError: shapes differ or a keyword is out of range.

  Limits:
    a=0 with all rows selected is `dpo`.

  Reference:
    Wu et al., "beta-DPO: Direct Preference Optimization with Dynamic beta",
    arXiv:2407.08639.
  """
  checks.in_range("beta_dpo", 0, low_open=True, beta=beta, min_beta=min_beta)
  checks.in_range("beta_dpo", 0, a=a)
  c, r = base.log_ratios(
    "beta_dpo",
    chosen_logps,
    rejected_logps,
    ref_chosen_logps,
    ref_rejected_logps,
  )
  checks.rank("beta_dpo", 1, chosen_logps=c)
  checks.same_shape("beta_dpo", chosen_logps=c, select_mask=select_mask)
  kept = jnp.asarray(select_mask).astype(bool)
  margin = masking.replace(c - r, kept)
  mean = masking.masked_mean(margin, kept)
  batch_beta = jax.lax.stop_gradient(
    jnp.maximum(beta * (1 + a * (mean - margin_mean)), min_beta)
  )
  losses = jnp.where(kept, -jax.nn.log_sigmoid(batch_beta * margin), 0.0)
  return {"losses": losses, "beta": batch_beta}


def beta_dpo_select(
  key, margins, mean, std, *, drop=0.2, mask=None
) -> jax.Array:
  """Draws the rows of a batch whose margin is not unusual; not a loss.

  Keeps floor((1 - drop) n) of n rows without replacement, row i with weight
  exp(-0.5 ((D_i - mean) / std)^2).

  Args:
    key: one random key, or keys [B], one a row: made from example ids, they
      make the draw independent of the order of the batch.
    margins: [B], D in nats (no beta).
    mean: [] or number, running mean of D.
    std: [] or number, running standard deviation of D; 0 selects rows at
      the mean first.
    drop: in [0, 1), share of rows to leave out.
    mask: [B] or None, real rows; the others are not counted among the n, are
      never kept, and may hold anything.

  Returns:
    int32 [B], 1 where kept; exactly floor((1 - drop) n) ones.

  Raises:
    ValueError: margins is not one axis, mask has another shape, or drop is
      out of range.

  Limits:
    drop=0 keeps every real row.

  Reference:
    Wu et al., "beta-DPO: Direct Preference Optimization with Dynamic beta",
    arXiv:2407.08639 (beta-guided filtering).
  """
  checks.rank("beta_dpo_select", 1, margins=margins)
  checks.in_range("beta_dpo_select", 0, 1, high_open=True, drop=drop)
  (margins,) = numerics.to_float32(jax.lax.stop_gradient(margins))
  kept = jnp.ones(margins.shape, bool) if mask is None else jnp.asarray(mask)
  checks.same_shape("beta_dpo_select", margins=margins, mask=kept)
  kept = kept.astype(bool)
  margins = masking.replace(margins, kept)
  # Counted on the host: (1 - 0.9) * 10 is just below 1 in floating point.
  counts = [int((1 - drop) * n + 1e-9) for n in range(margins.shape[0] + 1)]
  keep = jnp.asarray(counts, jnp.int32)[jnp.sum(kept)]
  score = (margins - mean) / jnp.maximum(std, 1e-6)
  log_weight = -0.5 * jnp.square(score)
  # Gumbel top-k: the k largest of log-weight + noise are a draw without
  # replacement in proportion to the weights.
  if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim:
    noise = jax.vmap(lambda k: jax.random.gumbel(k, (), margins.dtype))(key)
  else:
    noise = jax.random.gumbel(key, margins.shape, dtype=margins.dtype)
  noisy = jnp.where(kept, log_weight + noise, -jnp.inf)
  rank = jnp.argsort(jnp.argsort(-noisy))
  return ((rank < keep) & kept).astype(jnp.int32)
