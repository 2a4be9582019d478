# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities of the losses in which the rows of a batch meet."""

import jax
import jax.numpy as jnp
import loss_inputs
import numpy as np
import pytest

from prefjax import losses

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
SORTED = ("aot", "aot_unpaired")


@pytest.mark.parametrize("name", SORTED)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_batch_of_one_is_dpo(name, smoothing):
  pair = tuple(x[:1] for x in loss_inputs.pair())
  keywords = {"beta": 0.1, "label_smoothing": smoothing}
  np.testing.assert_allclose(
    losses.get(name)(*pair, **keywords),
    losses.dpo(*pair, **keywords),
    **CLOSE,
  )


def test_comonotone_batches_are_dpo_row_by_row():
  policy = np.array([-3.0, -1.0, 0.5, 4.0], np.float32)
  reference = np.array([-9.0, -2.0, 0.0, 1.0], np.float32)
  zero = 0 * policy
  np.testing.assert_allclose(
    losses.aot(policy, zero, reference, zero, beta=0.1),
    losses.dpo(policy, zero, reference, zero),
    **CLOSE,
  )
  # Unpaired: c = policy and r = reference in one order.
  np.testing.assert_allclose(
    losses.aot_unpaired(policy, reference, zero, zero, beta=0.1),
    losses.dpo(policy, reference, zero, zero),
    **CLOSE,
  )


@pytest.mark.parametrize("name", SORTED)
def test_batch_order_does_not_change_the_sorted_losses(name):
  pair = loss_inputs.pair()
  order = np.array([3, 5, 0, 1, 4, 2])
  moved = tuple(x[order] for x in pair)
  loss = losses.get(name)
  np.testing.assert_allclose(loss(*moved), loss(*pair), **CLOSE)
  np.testing.assert_allclose(
    loss(*moved, unsort=True), loss(*pair, unsort=True)[order], **CLOSE
  )


@pytest.mark.parametrize("name", SORTED)
def test_unsort_gives_each_row_the_loss_that_moves_it(name):
  pair = loss_inputs.pair()
  loss = losses.get(name)
  np.testing.assert_array_equal(
    np.sort(loss(*pair)), np.sort(loss(*pair, unsort=True))
  )
  jacobian = jax.jacobian(lambda x: loss(x, *pair[1:], unsort=True))(pair[0])
  assert (np.diag(jacobian) < 0).all()
  off = jacobian - np.diag(np.diag(jacobian))
  np.testing.assert_array_equal(off, 0)


@pytest.mark.parametrize("name", SORTED)
@pytest.mark.parametrize("unsort", [False, True])
def test_sort_rows_is_a_loss_of_each_block(name, unsort):
  pair = loss_inputs.pair()
  mask = np.array([1, 0, 1, 1, 1, 1])
  loss = losses.get(name)
  whole = loss(*pair, unsort=unsort, mask=mask, sort_rows=2)
  for start in (0, 2, 4):
    block = slice(start, start + 2)
    np.testing.assert_allclose(
      whole[block],
      loss(*(x[block] for x in pair), unsort=unsort, mask=mask[block]),
      **CLOSE,
    )
  np.testing.assert_allclose(
    loss(*pair, beta=0.1, sort_rows=1), losses.dpo(*pair), **CLOSE
  )


@pytest.mark.parametrize("name", SORTED)
@pytest.mark.parametrize("unsort", [False, True])
def test_masked_rows_are_as_if_absent(name, unsort):
  pair = loss_inputs.pair()
  mask = np.array([1, 0, 1, 1, 0, 1])
  padded = tuple(np.where(mask, x, np.float32(np.nan)) for x in pair)
  kept = tuple(x[mask == 1] for x in pair)
  loss = losses.get(name)
  expected = loss(*kept, unsort=unsort)
  actual, pull = jax.vjp(lambda *p: loss(*p, unsort=unsort, mask=mask), *padded)
  if unsort:
    np.testing.assert_allclose(actual[mask == 1], expected, **CLOSE)
    np.testing.assert_array_equal(actual[mask == 0], 0)
  else:
    np.testing.assert_allclose(actual[:4], expected, **CLOSE)
    np.testing.assert_array_equal(actual[4:], 0)
  for gradient in pull(np.ones(6, np.float32)):
    np.testing.assert_array_equal(gradient[mask == 0], 0)
    assert np.isfinite(gradient).all()


def test_beta_dpo_without_adaptation_is_dpo():
  pair = loss_inputs.pair()
  out = losses.beta_dpo(*pair, np.ones(6), a=0.0, beta=0.2)
  np.testing.assert_allclose(
    out["losses"], losses.dpo(*pair, beta=0.2), **CLOSE
  )
  assert out["beta"].shape == ()


def test_beta_follows_the_selected_margin_and_has_a_floor():
  pair = loss_inputs.pair_of([4.0, 2.0, 90.0], 0.0)
  select = np.array([1, 1, 0])
  out = losses.beta_dpo(*pair, select, margin_mean=1.0, beta=0.1, a=0.5)
  np.testing.assert_allclose(out["beta"], 0.1 * (1 + 0.5 * 2.0), rtol=1e-6)
  assert float(out["losses"][2]) == 0
  low = losses.beta_dpo(*pair, select, margin_mean=1e4, min_beta=0.01)
  np.testing.assert_allclose(low["beta"], 0.01)


def test_beta_carries_no_gradient():
  pair = loss_inputs.pair()
  select = np.ones(6)
  out = losses.beta_dpo(*pair, select)
  gradient = jax.grad(
    lambda x: losses.beta_dpo(x, *pair[1:], select)["losses"].sum()
  )(pair[0])
  fixed = jax.grad(lambda x: losses.dpo(x, *pair[1:], beta=out["beta"]).sum())(
    pair[0]
  )
  np.testing.assert_allclose(gradient, fixed, **CLOSE)


@pytest.mark.parametrize(
  ("drop", "kept"), [(0.0, 10), (0.2, 8), (0.9, 1), (0.7, 3), (0.95, 0)]
)
def test_selection_counts(drop, kept):
  margins = np.linspace(-3, 3, 10, dtype=np.float32)
  for seed in range(5):
    select = losses.beta_dpo_select(
      jax.random.key(seed), margins, 0.0, 1.0, drop=drop
    )
    assert int(select.sum()) == kept and select.dtype == np.int32


def test_selection_counts_real_rows_only():
  margins = np.linspace(-1, 1, 10, dtype=np.float32)
  keys = jax.random.split(jax.random.key(3), 10)
  alone = losses.beta_dpo_select(keys, margins, 0.0, 1.0, drop=0.5)
  longer = np.concatenate([margins, [0.0, np.nan, np.inf]]).astype(np.float32)
  more = jnp.concatenate([keys, keys[:3]])
  mask = np.arange(13) < 10
  select = losses.beta_dpo_select(more, longer, 0.0, 1.0, drop=0.5, mask=mask)
  np.testing.assert_array_equal(select, np.concatenate([alone, [0, 0, 0]]))
  assert int(alone.sum()) == 5
  with pytest.raises(ValueError, match="beta_dpo_select: mask has shape"):
    losses.beta_dpo_select(keys, margins, 0.0, 1.0, mask=mask)


def test_selection_prefers_usual_margins():
  margins = np.array([0.0, 0.0, 0.0, 6.0, -6.0], np.float32)
  keys = jax.random.split(jax.random.key(0), 400)
  select = jax.vmap(
    lambda key: losses.beta_dpo_select(key, margins, 0.0, 1.0, drop=0.4)
  )(keys)
  # Weight exp(-18): all but never drawn while a usual row is left.
  assert float(select[:, 3:].mean()) < 0.01
  first = jax.vmap(
    lambda key: losses.beta_dpo_select(
      key, np.array([0.0, 1.0], np.float32), 0.0, 1.0, drop=0.5
    )
  )(jax.random.split(jax.random.key(1), 4000))
  p = 1 / (1 + np.exp(-0.5))
  assert abs(float(first[:, 0].mean()) - p) < 5 * np.sqrt(p * (1 - p) / 4000)


def test_selection_with_no_spread_is_finite():
  margins = np.array([1.0, 1.0, 2.0, 1.0], np.float32)
  select = losses.beta_dpo_select(
    jax.random.key(0), margins, 1.0, 0.0, drop=0.25
  )
  np.testing.assert_array_equal(select, [1, 1, 0, 1])


def test_errors():
  pair = loss_inputs.pair()
  with pytest.raises(ValueError, match=r"aot: mask has shape \(2,\)"):
    losses.aot(*pair, mask=np.ones(2))
  with pytest.raises(ValueError, match=r"aot: chosen_logps has shape \(6, 1\)"):
    losses.aot(*(x[:, None] for x in pair))
  with pytest.raises(
    ValueError, match="aot: sort_rows=4 does not divide the 6"
  ):
    losses.aot(*pair, sort_rows=4)
  with pytest.raises(ValueError, match="aot_unpaired: sort_rows=0 does not"):
    losses.aot_unpaired(*pair, sort_rows=0)
  with pytest.raises(
    ValueError, match=r"beta_dpo: select_mask has shape \(3,\), expected \(6,\)"
  ):
    losses.beta_dpo(*pair, np.ones(3))
  with pytest.raises(ValueError, match="beta_dpo_select: drop=1"):
    losses.beta_dpo_select(jax.random.key(0), pair[0], 0.0, 1.0, drop=1)
