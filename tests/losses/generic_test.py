# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Laws that every loss of the registry obeys, present and future."""

import inspect

import jax
import jax.numpy as jnp
import loss_inputs
import numpy as np
import pytest

from prefjax import losses
from prefjax.core import errors

NAMES = losses.names()
INDEPENDENT = [n for n in NAMES if n not in loss_inputs.COUPLED]
KEYWORDS = [(n, k) for n in NAMES for k in loss_inputs.keyword_names(n)]
MASKED = [
  n
  for n in NAMES
  if any(a.endswith(("mask", "select")) for a in loss_inputs.array_names(n))
]

# float32 against float64, relative to the largest value of the output.
RTOL = 2e-5


def _close(actual, expected, tolerance=RTOL):
  expected = np.asarray(expected, np.float64)
  scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
  np.testing.assert_allclose(
    np.asarray(actual, np.float64),
    expected,
    rtol=tolerance,
    atol=tolerance * scale,
  )


def _all_finite(tree) -> bool:
  return all(bool(np.all(np.isfinite(x))) for x in jax.tree.leaves(tree))


@pytest.mark.parametrize("name", NAMES)
def test_unreduced_float32_and_jit_agrees(name):
  arrays = loss_inputs.example(name)
  eager = loss_inputs.call(name, arrays)
  assert eager.shape == (loss_inputs.B,)
  assert eager.dtype == jnp.float32
  assert _all_finite(eager)
  jitted = jax.jit(lambda arrays: loss_inputs.call(name, arrays))(arrays)
  _close(jitted, eager, 2e-6)


@pytest.mark.parametrize("name", INDEPENDENT)
def test_rows_are_independent(name):
  arrays = loss_inputs.example(name)
  rows = {k: v for k, v in arrays.items() if k not in loss_inputs.SHARED}
  rest = {k: v for k, v in arrays.items() if k in loss_inputs.SHARED}
  expected = loss_inputs.call(name, arrays)
  order = np.array([3, 0, 5, 2, 2, 1])  # a permutation with a repeat
  shuffled = {k: v[order] for k, v in rows.items()}
  _close(loss_inputs.call(name, {**shuffled, **rest}), expected[order], 2e-6)

  def one_row(row):
    lifted = jax.tree.map(lambda x: x[None], row)
    return loss_inputs.call(name, {**lifted, **rest})[0]

  _close(jax.vmap(one_row)(rows), expected, 2e-6)


@pytest.mark.parametrize("name", sorted(loss_inputs.COUPLED))
def test_coupled_losses_are_declared_rightly(name):
  arrays = loss_inputs.example(name)
  rows = {k: v for k, v in arrays.items() if k not in loss_inputs.SHARED}
  rest = {k: v for k, v in arrays.items() if k in loss_inputs.SHARED}
  alone = []
  for i in range(loss_inputs.B):
    row = {k: v[i : i + 1] for k, v in rows.items()}
    alone.append(loss_inputs.call(name, {**row, **rest}))
  whole = loss_inputs.call(name, arrays)
  assert not np.allclose(np.sort(np.concatenate(alone)), np.sort(whole))


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_in_float32_out(name):
  arrays = {
    k: jnp.asarray(v, jnp.bfloat16) if loss_inputs.is_float(v) else v
    for k, v in loss_inputs.example(name).items()
  }
  rounded = {
    k: np.asarray(v, np.float32) if v.dtype == jnp.bfloat16 else v
    for k, v in arrays.items()
  }
  actual = loss_inputs.call(name, arrays)
  assert actual.dtype == jnp.float32
  # The same numbers as float32 give the same loss: nothing is computed in
  # the lower precision.
  _close(actual, loss_inputs.call(name, rounded), 2e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [500.0, 1e4])
def test_values_and_gradients_finite_far_out(name, size):
  arrays = loss_inputs.example(name)
  signs = np.array([1, -1, 1, -1, 1, -1], np.float32)
  for flipped in (1, -1):
    far = {}
    for key, value in arrays.items():
      if not loss_inputs.is_float(value):
        far[key] = value
        continue
      # Sides at opposite ends, alternating over rows: margins of +-size.
      sign = signs * flipped * (-1 if "rejected" in key else 1)
      sign = sign.reshape(-1, *(1,) * (value.ndim - 1))
      if key.endswith("logps") and not key.startswith("ref_"):
        value = np.where(sign > 0, 0.0, -size / loss_inputs.T * 5)
        value = np.broadcast_to(value, arrays[key].shape)
      elif key.endswith(("logits", "rewards", "scores")):
        value = value * size
      far[key] = np.asarray(value, np.float32)
    assert _all_finite(loss_inputs.call(name, far))
    assert _all_finite(loss_inputs.gradients(name, far))


@pytest.mark.parametrize(("name", "keyword"), KEYWORDS)
def test_every_keyword_matters(name, keyword):
  arrays = loss_inputs.example(name)
  base, value = loss_inputs.flip(name, keyword)
  changed = {**base, keyword: value}

  def differs(left, right):
    return any(
      not np.allclose(a, b, rtol=1e-6, atol=0)
      for a, b in zip(
        jax.tree.leaves(left), jax.tree.leaves(right), strict=True
      )
    )

  if differs(
    loss_inputs.call(name, arrays, **base),
    loss_inputs.call(name, arrays, **changed),
  ):
    return
  assert differs(
    loss_inputs.gradients(name, arrays, **base),
    loss_inputs.gradients(name, arrays, **changed),
  )


@pytest.mark.parametrize("name", NAMES)
def test_float64_agrees(name):
  arrays = loss_inputs.example(name, seed=1)
  expected = np.asarray(loss_inputs.call(name, arrays))
  with jax.enable_x64(True):
    double = {
      k: v.astype(np.float64) if loss_inputs.is_float(v) else v
      for k, v in arrays.items()
    }
    actual = loss_inputs.call(name, double)
    assert actual.dtype == jnp.float64
  _close(expected, actual)


@pytest.mark.parametrize("name", MASKED)
def test_masked_entries_may_be_nan(name):
  arrays = loss_inputs.example(name)
  masks = [v for k, v in arrays.items() if k.endswith(("mask", "select"))]
  poisoned, touched = dict(arrays), 0
  for key, value in arrays.items():
    for mask in masks:
      fits = value.ndim >= mask.ndim and value.shape[: mask.ndim] == mask.shape
      if loss_inputs.is_float(value) and fits:
        hidden = mask.reshape(mask.shape + (1,) * (value.ndim - mask.ndim)) == 0
        poisoned[key] = np.where(hidden, np.float32(np.nan), poisoned[key])
        touched += 1
  assert touched, "the example has nothing that a mask hides"
  _close(loss_inputs.call(name, poisoned), loss_inputs.call(name, arrays), 0)
  clean = loss_inputs.gradients(name, arrays)
  for key, gradient in loss_inputs.gradients(name, poisoned).items():
    np.testing.assert_array_equal(gradient, clean[key], err_msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_shape_names_function_argument_and_shapes(name):
  arrays = loss_inputs.example(name)
  names = [k for k in arrays if k not in loss_inputs.SHARED]
  if len(names) < 2:
    pytest.skip("a single array has nothing to disagree with")
  # The last array loses its last row; everything else stays.
  broken = names[-1]
  wrong = {**arrays, broken: arrays[broken][:-1]}
  with pytest.raises(ValueError) as caught:
    loss_inputs.call(name, wrong)
  message = str(caught.value)
  assert message.startswith(f"{name}: ")
  assert "\n" not in message
  assert str(wrong[broken].shape) in message or broken in message
  assert "expected" in message


@pytest.mark.parametrize("name", NAMES)
def test_docstring_has_every_part(name):
  function = losses.get(name)
  text = inspect.getdoc(function)
  for part in ("Args:", "Returns:", "Raises:", "Limits:", "Reference:"):
    assert part in text, part
  for parameter in loss_inputs.parameters(name):
    assert f"{parameter.name}:" in text, parameter.name
  assert function.__name__ == name
  annotation = inspect.signature(function).return_annotation
  assert annotation is not inspect.Signature.empty


def test_registry_names_and_near_matches():
  assert list(NAMES) == sorted(set(NAMES))
  for name in NAMES:
    assert losses.get(name) is getattr(losses, name)
    assert name in losses.__all__
  with pytest.raises(errors.ConfigError, match="did you mean 'dpo'"):
    losses.get("dpoo")


def test_every_public_name_is_there():
  assert list(losses.__all__) == sorted(set(losses.__all__))
  for name in losses.__all__:
    assert callable(getattr(losses, name))
