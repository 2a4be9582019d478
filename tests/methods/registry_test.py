# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Methods by name: what a config may say, and what it is told."""

import inspect
import re

import jax.numpy as jnp
import lm_support
import numpy as np
import pytest

from prefjax import losses, methods
from prefjax.core import errors
from prefjax.methods import adapters, registry

every = pytest.mark.parametrize("name", methods.names())


def _refuses(message, call, *args, **kwargs):
  with pytest.raises(errors.ConfigError, match=message) as caught:
    call(*args, **kwargs)
  assert "\n" not in str(caught.value)


def test_names_are_sorted_and_the_basic_ones_are_there():
  names = methods.names()
  assert list(names) == sorted(set(names))
  basic = "sft dpo conservative_dpo ipo hinge simpo orpo kto"
  assert set(basic.split()) <= set(names)


@every
def test_every_row_says_what_it_is(name):
  row = registry.row(name)
  assert re.search(r"arXiv:\d{4}\.\d{4,5}", row.paper) or name == "sft"
  method = methods.get(name)
  assert method.roles()[0] in ("policy", "reward")
  assert method.inputs and method.record_kind


@every
def test_defaults_may_be_spelt_out(name):
  row = registry.row(name)
  given = {k: v for k, v in row.defaults.items() if v is not None}
  found, plain = methods.get(name, **given), methods.get(name)
  assert found.needs == plain.needs and found.coupled == plain.coupled


@every
def test_an_unknown_hyper_parameter_lists_the_known_ones(name):
  _refuses("method.kwargs.betta: ", methods.get, name, betta=1.0)
  known = registry.row(name).defaults
  if "beta" in known:
    _refuses("did you mean 'beta'", methods.get, name, betta=1.0)


def test_near_matches():
  _refuses("unknown method 'dpoo' .did you mean 'dpo'", methods.get, "dpoo")
  _refuses("methods are .*simpo", methods.get, "zzz")
  _refuses("mean 'sigmoid'", methods.get, "sigmoids")


def test_hyper_parameters_out_of_range():
  # A loss looks at its keywords when it is called.
  method = methods.get("dpo", beta=-1.0)
  with pytest.raises(ValueError, match="dpo: beta=-1.0 is outside"):
    _loss(method, lm_support.of_method(method))
  message = "method.kwargs.average: 'tokens'"
  _refuses(message, methods.get, "sft", average="tokens")


def test_aliases():
  for alias, name in registry.ALIASES.items():
    assert alias not in methods.names()
    assert registry.row(alias) is registry.row(name)


def test_keywords_that_the_adapter_fills_are_no_hyper_parameters():
  def loss(chosen_logps, rejected_logps, *, beta=1.0, mask=None):
    del chosen_logps, rejected_logps, beta, mask

  assert adapters.keyword_defaults(loss) == {"beta": 1.0}
  _refuses("mask", adapters.pairwise, "x", loss, {"mask": 1})


# --- mixtures -----------------------------------------------------------------


def _outputs(method, batch, seed=0):
  """Random log-probs as a model would give them."""
  rng = np.random.default_rng(seed)
  out = {}
  for role, name in sorted(method.needs):
    mask = batch.groups[name].token_mask
    logps = -rng.exponential(1, mask.shape) * mask
    out[role, name] = {"token_logps": jnp.asarray(logps, jnp.float32)}
  return out


def _loss(method, batch):
  state = method.init_state(None)
  return method.loss(_outputs(method, batch), batch, state, None)


def test_a_mixture_is_the_weighted_sum():
  mixed = methods.mixture([("dpo", 0.7, {"beta": 0.3}), ("sft", 0.2)])
  batch = lm_support.batch("pair")
  terms = _loss(mixed, batch).terms
  assert terms.keys() == {"dpo", "sft"}
  for name, weight, kwargs in (("dpo", 0.7, {"beta": 0.3}), ("sft", 0.2, {})):
    method = methods.get(name, **kwargs)
    (alone,) = method.loss(
      _outputs(mixed, batch), batch, {}, None
    ).terms.values()
    np.testing.assert_array_equal(terms[name].value, alone.value)
    np.testing.assert_array_equal(terms[name].weight, alone.weight)
    np.testing.assert_allclose(terms[name].coefficient, weight, rtol=1e-6)


def test_a_mixture_takes_over_what_its_parts_are():
  mixed = methods.mixture([("sft", 0.5), ("kto", 1.0)])
  kto = methods.get("kto")
  assert mixed.record_kind == "kto" and mixed.coupled
  assert set(mixed.inputs) == set(kto.inputs)
  assert mixed.needs.keys() == kto.needs.keys()
  assert not methods.mixture([("dpo", 1.0), ("sft", 1.0)]).coupled


def test_cross_entropy_beside_labels_leaves_the_disliked_out():
  mixed = methods.mixture([("kto", 1.0), ("sft", 1.0)])
  batch = lm_support.of_method(mixed)
  liked = batch.main.scores[:, 0] > 0
  assert 0 < liked.sum() < len(liked)
  weight = np.asarray(_loss(mixed, batch).terms["sft"].weight)
  np.testing.assert_array_equal(weight > 0, liked)


@pytest.mark.parametrize(
  "parts, message",
  [
    ([], "method.mixture: names no method"),
    ([("dpo", 1.0), ("dpo", 0.5)], "'dpo' is named twice"),
    ([("dpo", 1.0), ("sigmoid", 0.5)], "'dpo' is named twice"),
    ([("dpo", "1"), ("sft", 1.0)], "weight of 'dpo' is '1', not a number"),
    ([("dpo", True)], "not a number"),
    ([("dpo", 1.0), ("kto", 1.0)], "parts need different records: kto, pair"),
    ([("dpo", 1.0), ("sfft", 1.0)], "did you mean 'sft'"),
    ([("dpo", 1.0, {"betta": 1})], "did you mean 'beta'"),
  ],
)
def test_mixtures_that_are_refused(parts, message):
  _refuses(message, methods.mixture, parts)


def test_parts_that_would_overwrite_each_other_are_refused():
  one = methods.get("dpo")
  mixed = adapters.mixture([("a", 1.0, one), ("b", 1.0, one)])
  batch = lm_support.batch("pair")
  _refuses("b and another part both have a term 'dpo'", _loss, mixed, batch)


# --- methods of one's own -----------------------------------------------------


def test_names_in_a_method_are_checked():
  def make(needs, inputs=("main",), vocab=()):
    return methods.Method(
      inputs=inputs, needs=needs, loss=lambda *a: None, vocab=dict(vocab)
    )

  make({("policy", "main"): ("token_logps",)})
  _refuses(
    "'token_logp' of .policy, main. .did you mean 'token_logps'",
    make,
    {("policy", "main"): ("token_logp",)},
  )
  _refuses("needs the group 'other' .of policy.", make,
           {("policy", "other"): ("token_logps",)})  # fmt: skip
  need = methods.VocabNeed(streams=(("teacher", "x"),), integrand=lambda x: x)
  _refuses("needs the group 'x' .of teacher.", make, {}, vocab={"kl": need})


def test_every_keyword_of_a_pairwise_loss_reaches_the_method():
  """A misspelt partial would be silent: the table's defaults are the loss's."""
  for name in ("dpo", "simpo", "orpo", "ipo", "hinge"):
    signature = inspect.signature(losses.get(name)).parameters.values()
    keywords = {p.name for p in signature if p.kind is p.KEYWORD_ONLY}
    assert registry.row(name).defaults.keys() == keywords
