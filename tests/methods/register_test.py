# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`methods.register`: a loss of one's own under a name, from outside."""

import jax.numpy as jnp
import lm_support
import numpy as np
import pytest

from prefjax import losses, methods
from prefjax.core import errors
from prefjax.methods import registry


@pytest.fixture(autouse=True)
def _table(monkeypatch):
  monkeypatch.setattr(registry, "_ROWS", dict(registry._ROWS))


def squares(chosen_logps, rejected_logps, chosen_lengths, *, scale=1.0):
  return scale * (chosen_logps - rejected_logps) ** 2 / chosen_lengths


def centred(chosen_logps, rejected_logps, *, mask):
  margin = jnp.where(mask, chosen_logps - rejected_logps, 0.0)
  return (margin - margin.sum() / mask.sum()) ** 2


def register(name="mine", loss=squares, paper="Nobody, 2026", **options):
  methods.register(name, loss, paper=paper, **options)


def term(method, batch):
  """The one term of a method on random log-probs: (value, weight) [B]."""
  rng = np.random.default_rng(0)
  table = rng.normal(size=(2, 8, *batch.main.token_weights.shape[1:]))
  outputs = {
    role_group: {"token_logps": jnp.float32(table[i, batch.example_id])}
    for i, role_group in enumerate(method.needs)
  }
  (found,) = method.loss(outputs, batch, {}, None).terms.values()
  return np.asarray(found.value), np.asarray(found.weight)


def test_a_registered_loss_is_a_method_like_any_other():
  assert "mine" not in methods.names()
  register()
  assert "mine" in methods.names()
  assert registry.row("mine").paper == "Nobody, 2026"
  method = methods.get("mine", scale=2.0)
  assert method.roles() == ("policy",) and not method.coupled
  with pytest.raises(errors.ConfigError, match="scal.*did you mean 'scale'"):
    methods.get("mine", scal=1.0)
  mixed = methods.mixture([("mine", 1.0), ("sft", 0.1)])
  assert mixed.roles() == ("policy",)


def test_the_same_loss_gives_the_same_numbers():
  register(loss=losses.dpo)
  batch = lm_support.batch("pair")
  mine = term(methods.get("mine", beta=0.3), batch)
  np.testing.assert_array_equal(mine, term(methods.get("dpo", beta=0.3), batch))
  assert np.abs(mine[0] - term(methods.get("mine"), batch)[0]).max() > 1e-3


def test_coupled_losses_get_the_mask():
  register(loss=centred, coupled=True)
  method = methods.get("mine")
  assert method.coupled and registry.row("mine").defaults == {}
  weight = [1, 1, 1, 1, 1, 1, 0, 0]
  value, _ = term(method, lm_support.batch("pair", weight=weight))
  few, _ = term(method, lm_support.batch("pair", range(6), weight=[1] * 6))
  np.testing.assert_allclose(value[:6], few, rtol=1e-5)
  assert few.max() > 1e-3


def test_a_name_is_given_once():
  register()
  with pytest.raises(errors.ConfigError, match="'mine' is registered already"):
    register(loss=losses.dpo)
  assert methods.get("mine").roles() == ("policy",)
  register(loss=losses.dpo, replace=True)
  assert methods.get("mine").roles() == ("policy", "reference")


@pytest.mark.parametrize("name", ["dpo", "sigmoid"])
@pytest.mark.parametrize("replace", [False, True])
def test_built_in_methods_stay(name, replace):
  before = registry.row(name)
  with pytest.raises(errors.ConfigError, match="that of a built-in method"):
    register(name, replace=replace)
  assert registry.row(name) is before


@pytest.mark.parametrize("name", ["", "Mine", "my loss", "1st", "a/b", None])
def test_names_are_plain(name):
  with pytest.raises(errors.ConfigError, match="is not made of small letters"):
    register(name)


@pytest.mark.parametrize(
  "loss,message",
  [
    (lambda chosen_logp: chosen_logp, "'chosen_logp' .did you mean"),
    (lambda chosen_logps, beta=0.1: beta, "no array 'beta'.*after a '\\*'"),
    (lambda *, beta=0.1: beta, "takes no array"),
    (lambda chosen_logps, *, beta: beta, "'beta' needs a default"),
  ],
)
def test_losses_that_cannot_be_called(loss, message):
  with pytest.raises(errors.ConfigError, match=message) as raised:
    register(loss=loss)
  assert "\n" not in str(raised.value) and "mine" not in methods.names()
