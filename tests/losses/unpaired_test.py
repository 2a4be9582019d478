# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Identities and errors of the losses on single labelled responses."""

import jax
import loss_inputs
import numpy as np
import pytest

from prefjax import losses

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
LABELS = np.array([1, 0, 1, 1, 0, 0])


def _rows():
  logps, ref_logps, _, _ = loss_inputs.pair()
  return logps, ref_logps


def test_kto_is_half_the_weight_at_the_reference_point():
  ref_logps = _rows()[1]
  loss = losses.kto(
    ref_logps + 2,
    ref_logps,
    LABELS,
    reference_point=2.0,
    desirable_weight=1.5,
    undesirable_weight=0.5,
  )
  np.testing.assert_allclose(loss, np.where(LABELS, 0.75, 0.25), **CLOSE)


def test_kto_pulls_labels_apart():
  logps, ref_logps = _rows()
  gradient = jax.grad(
    lambda x: losses.kto(x, ref_logps, LABELS, reference_point=0.0).sum()
  )(logps)
  assert (np.sign(gradient) == np.where(LABELS, -1, 1)).all()


def test_kto_has_no_gradient_into_the_reference_point():
  logps, ref_logps = _rows()
  gradient = jax.grad(
    lambda z: losses.kto(logps, ref_logps, LABELS, reference_point=z).sum()
  )(0.7)
  assert float(gradient) == 0


def test_kto_at_zero_is_apo_zero_unpaired():
  rows = _rows()
  np.testing.assert_allclose(
    losses.kto(*rows, LABELS, reference_point=0.0),
    losses.apo_zero_unpaired(*rows, LABELS),
    **CLOSE,
  )


@pytest.mark.parametrize("dtype", [np.int32, bool, np.float32])
def test_labels_of_any_type(dtype):
  rows = _rows()
  for name, keywords in (
    ("kto", {"reference_point": 0.0}),
    ("bco_unpaired", {}),
    ("apo_zero_unpaired", {}),
  ):
    np.testing.assert_array_equal(
      losses.get(name)(*rows, LABELS.astype(dtype), **keywords),
      losses.get(name)(*rows, LABELS, **keywords),
    )


@pytest.mark.parametrize(
  ("unpaired", "paired", "keywords"),
  [
    ("bco_unpaired", "bco_pair", {"beta": 0.1, "delta": 0.4}),
    ("apo_zero_unpaired", "apo_zero", {"beta": 0.1}),
  ],
)
def test_two_rows_of_a_pair_sum_to_the_paired_loss(unpaired, paired, keywords):
  chosen, rejected, ref_chosen, ref_rejected = loss_inputs.pair()
  ones, zeros = np.ones(6), np.zeros(6)
  loss = losses.get(unpaired)
  np.testing.assert_allclose(
    loss(chosen, ref_chosen, ones, **keywords)
    + loss(rejected, ref_rejected, zeros, **keywords),
    losses.get(paired)(chosen, rejected, ref_chosen, ref_rejected, **keywords),
    **CLOSE,
  )


def test_reference_point_is_a_masked_mean_floored_at_zero():
  kl_logps = np.array([-1.0, -2.0, np.nan, -3.0], np.float32)
  kl_ref_logps = np.array([-2.0, -6.0, np.nan, np.inf], np.float32)
  mask = np.array([1, 1, 0, 0])
  point = losses.kto_reference_point(kl_logps, kl_ref_logps, mask)
  assert point.shape == () and float(point) == 2.5
  assert float(losses.kto_reference_point(kl_ref_logps, kl_logps, mask)) == 0
  assert float(losses.kto_reference_point(kl_logps, kl_logps, 0 * mask)) == 0
  gradient = jax.grad(
    lambda x: losses.kto_reference_point(x, kl_ref_logps, mask)
  )(kl_logps)
  np.testing.assert_array_equal(gradient, 0)


def test_udm_weight_is_clipped_odds():
  p = np.array([0.0, 0.5, 0.75, 1.0], np.float32)
  np.testing.assert_allclose(
    losses.bco_udm_weight(p), [0.5, 1.0, 3.0, 10.0], rtol=1e-6
  )
  np.testing.assert_allclose(
    losses.bco_udm_weight(p, min_ratio=2.0, max_ratio=2.5), [2, 2, 2.5, 2.5]
  )
  with pytest.raises(ValueError, match="max_ratio=0.1"):
    losses.bco_udm_weight(p, max_ratio=0.1)


def test_errors():
  logps, ref_logps = _rows()
  with pytest.raises(
    ValueError,
    match=r"kto: labels has shape \(2,\), expected \(6,\) like logps",
  ):
    losses.kto(logps, ref_logps, LABELS[:2], reference_point=0.0)
  with pytest.raises(ValueError, match="kto: desirable_weight=-1"):
    losses.kto(
      logps, ref_logps, LABELS, reference_point=0.0, desirable_weight=-1
    )
  with pytest.raises(TypeError, match="reference_point"):
    losses.kto(logps, ref_logps, LABELS)
  with pytest.raises(
    ValueError, match=r"bco_unpaired: ref_logps has shape \(1,\)"
  ):
    losses.bco_unpaired(logps, ref_logps[:1], LABELS)
