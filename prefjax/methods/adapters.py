# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Turns a pure loss into a Method by the names of its arguments.

A loss that takes `chosen_logps, rejected_logps, ref_chosen_logps, ...` needs
no glue: the adapter reads the signature, asks for the model outputs that the
names stand for, and gives the arrays over all pairs of the batch.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from prefjax.core import errors, types
from prefjax.methods import diagnostics
from prefjax.methods import method as method_lib
from prefjax.methods import objective as objective_lib

POLICY = ("policy", "main")
REFERENCE = ("reference", "main")
# Keywords that the adapter fills itself: which pairs count.
_FILLED = ("mask",)


def keyword_defaults(function: Callable[..., Any]) -> dict[str, Any]:
  """Keyword-only hyper-parameters of a loss and their defaults."""
  return {
    name: parameter.default
    for name, parameter in inspect.signature(function).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
    and parameter.default is not parameter.empty
    and name not in _FILLED
  }


def check_kwargs(name: str, known: Mapping[str, Any], kwargs) -> None:
  """Refuses hyper-parameters that the method does not have."""
  for key in kwargs:
    if key not in known:
      options = ", ".join(sorted(known)) or "none"
      raise errors.ConfigError(
        f"method.kwargs.{key}: {name} has no such hyper-parameter"
        f"{errors.nearest(key, known)}; it has {options}"
      )


def positional_names(function: Callable[..., Any]) -> tuple[str, ...]:
  """Names of the array arguments of a loss."""
  return tuple(
    name
    for name, parameter in inspect.signature(function).parameters.items()
    if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
  )


def sequence_sums(outputs, role_group, group: types.Group) -> jax.Array:
  """Weighted sums of token log-probs, float32 [B, K].

  Tokens of weight 0 may hold anything.
  """
  weights = jnp.asarray(group.token_weights)  # [B, K, R]
  token_logps = outputs[role_group]["token_logps"]
  return jnp.sum(jnp.where(weights == 0, 0.0, token_logps) * weights, axis=-1)


def select(values: jax.Array, index: jax.Array) -> jax.Array:
  """values [B, K, ...] at response indices [B, M] -> [B, M, ...]."""
  rows = jnp.arange(values.shape[0])[:, None]
  return values[rows, index]


def _fill(name: str) -> float:
  """A harmless value for a pair that is none: finite losses and slopes."""
  return {"logps": -1.0, "lengths": 1.0}.get(name.rsplit("_", 1)[-1], 0.0)


def pair_arrays(outputs, batch) -> dict[str, jax.Array]:
  """Every array a pairwise loss may name, over the pairs: [B * M].

  Pairs that only fill a slot, or lie in rows of weight 0, do not reach the
  loss's arithmetic, whatever they hold; `pair_valid` tells them.
  """
  group = batch.main
  pairs, valid = group.pair_indices()  # [B, M, 2], [B, M]
  valid = valid & (batch.example_weight[:, None] != 0)
  sums = {"": sequence_sums(outputs, POLICY, group)}
  if REFERENCE in outputs:
    sums["ref_"] = sequence_sums(outputs, REFERENCE, group)
  arrays = {}
  for side, name in enumerate(("chosen", "rejected")):
    index = pairs[..., side]
    for prefix, values in sums.items():
      arrays[f"{prefix}{name}_logps"] = select(values, index)
    arrays[f"{name}_lengths"] = select(group.lengths(), index)
    if group.scores is not None:
      arrays[f"{name}_scores"] = select(group.scores, index)
  flat = {
    name: jnp.where(valid, value, _fill(name)).reshape(-1)
    for name, value in arrays.items()
  }
  flat["pair_valid"] = valid.reshape(-1)
  return flat


def check_arrays(name: str, arguments: Sequence[str], arrays: Any) -> None:
  """Refuses records without what a loss reads, by the loss's name.

  Raises:
    DataError: an array that these records do not fill.
  """
  missing = [a for a in arguments if a not in arrays]
  if not missing:
    return
  if any(a.endswith("_scores") for a in missing):
    raise errors.DataError(
      f"method '{name}' needs a score for every response, and these records"
      " have none; train on records with scores"
    )
  raise errors.DataError(
    f"method '{name}' needs {', '.join(missing)}, which these records do not"
    " give"
  )


def pairs_to_term(losses, valid, batch, coefficient=1.0) -> types.Term:
  """A Term from per-pair losses [B * M]: every valid pair counts once."""
  b = batch.example_weight.shape[0]
  losses = jnp.where(valid, losses, 0.0).reshape(b, -1)
  number = jnp.sum(valid.reshape(b, -1), axis=1).astype(jnp.float32)
  value = jnp.sum(losses, axis=1) / jnp.maximum(number, 1)
  return types.Term(
    value=value,
    weight=batch.example_weight * number,
    coefficient=jnp.float32(coefficient),
  )


def pairwise(
  name: str,
  loss: Callable[..., jax.Array],
  kwargs: Mapping[str, Any],
  *,
  coupled: bool = False,
) -> method_lib.Method:
  """A Method from a pairwise loss that returns one value a pair.

  A loss with a keyword `mask` is given the pairs that count: one that sorts
  or averages over the batch must leave the others out.

  Args:
    name: the term's name.
    loss: takes arrays named as in `pair_arrays`, returns [B * M].
    kwargs: hyper-parameters; unknown ones are an error.
    coupled: True where the loss couples pairs (sorting, running means).
  """
  check_kwargs(name, keyword_defaults(loss), kwargs)
  arguments = positional_names(loss)
  uses_reference = any(a.startswith("ref_") for a in arguments)
  settings = {**keyword_defaults(loss), **kwargs}
  bound = functools.partial(loss, **dict(kwargs))
  takes_mask = "mask" in inspect.signature(loss).parameters
  reward = diagnostics.RewardScale(
    beta=float(settings.get("beta", 1.0)),
    per_token=not uses_reference and "chosen_lengths" in arguments,
  )

  def method_loss(outputs, batch, method_state, keys):
    del keys
    arrays = pair_arrays(outputs, batch)
    valid = arrays["pair_valid"]
    filled = {"mask": valid} if takes_mask else {}
    check_arrays(name, arguments, arrays)
    losses = bound(*(arrays[a] for a in arguments), **filled)
    term = pairs_to_term(losses, valid, batch)
    if not uses_reference:
      # Another part of a mixture may have brought one.
      arrays = {k: v for k, v in arrays.items() if not k.startswith("ref_")}
    metrics = diagnostics.pair_metrics(arrays, batch, reward)
    return objective_lib.LossResult({name: term}, method_state, metrics)

  needs = {POLICY: ("token_logps",)}
  if uses_reference:
    needs[REFERENCE] = ("token_logps",)
  return method_lib.Method(
    inputs=("main",), needs=needs, loss=method_loss, coupled=coupled
  )


def supervised(
  name: str, loss: Callable[..., jax.Array], kwargs: Mapping[str, Any]
) -> method_lib.Method:
  """Cross-entropy on the (chosen) responses; one weight a token.

  `average="token"` weighs every counted token of the batch alike, "example"
  every response alike. Of a pair the chosen response counts, of a single
  response with a label one that is liked.
  """
  check_kwargs(name, {"average": "token"}, kwargs)
  average = kwargs.get("average", "token")
  if average not in ("token", "example"):
    raise errors.ConfigError(
      f"method.kwargs.average: {average!r} is neither 'token' nor 'example'"
    )

  def method_loss(outputs, batch, method_state, keys):
    del keys
    group = batch.main
    logps = sequence_sums(outputs, POLICY, group)  # [B, K]
    lengths = jnp.sum(group.token_weights, axis=-1)  # [B, K]
    kept = jnp.asarray(group.response_mask, bool)
    if group.shape[1] > 1:
      pairs, valid = group.pair_indices()
      first = jax.nn.one_hot(pairs[..., 0], group.shape[1])  # [B, M, K]
      kept = kept & (jnp.sum(first * valid[..., None], axis=1) > 0)
    elif group.scores is not None:
      kept = kept & (jnp.asarray(group.scores) > 0)
    losses = loss(logps.reshape(-1), lengths.reshape(-1)).reshape(logps.shape)
    weight = jnp.where(kept, lengths if average == "token" else 1.0, 0.0)
    total = jnp.sum(weight, axis=1)
    value = jnp.sum(jnp.where(kept, losses * weight, 0.0), axis=1)
    value = value / jnp.where(total == 0, 1.0, total)
    term = types.Term(
      value=value,
      weight=total * batch.example_weight,
      coefficient=jnp.float32(1.0),
    )
    tokens = kept * batch.example_weight[:, None]
    metrics = {
      "logps/chosen": types.weighted(logps, tokens),
      "nll_loss": types.weighted(value, term.weight),
      "length/chosen": types.weighted(group.lengths(), tokens),
    }
    return objective_lib.LossResult({name: term}, method_state, metrics)

  return method_lib.Method(
    inputs=("main",),
    needs={POLICY: ("token_logps",)},
    loss=method_loss,
    record_kind="sft",
  )


def mixture(
  parts: list[tuple[str, float, method_lib.Method]],
) -> method_lib.Method:
  """A weighted sum of methods on one batch; each keeps its own weights."""
  kinds = {part.record_kind for _, _, part in parts}
  kinds.discard("sft")  # cross-entropy reads the chosen side of anything
  if kinds & set(method_lib.PAIR_KINDS[1:]):
    kinds.discard("pair")  # which is among their groups
  if len(kinds) > 1:
    raise errors.ConfigError(
      "method.mixture: parts need different records:"
      f" {', '.join(sorted(kinds))}"
    )
  needs: dict[method_lib.RoleGroup, tuple[str, ...]] = {}
  vocab: dict[str, method_lib.VocabNeed] = {}
  for name, _, part in parts:
    for role_group, wanted in part.needs.items():
      merged = dict.fromkeys(needs.get(role_group, ()) + tuple(wanted))
      needs[role_group] = tuple(merged)
    for key, need in part.vocab.items():
      if vocab.setdefault(key, need) != need:
        raise errors.ConfigError(
          f"method.mixture: {name} and another part both name a"
          f" whole-vocabulary output {key!r}"
        )

  def init_state(key):
    return {name: part.init_state(key) for name, _, part in parts}

  def method_loss(outputs, batch, method_state, keys):
    terms, state, metrics = {}, {}, {}
    for name, weight, part in parts:
      own = method_state[name] if method_state else {}
      result = part.loss(outputs, batch, own, keys)
      for key, term in result.terms.items():
        if key in terms:
          raise errors.ConfigError(
            f"method.mixture: {name} and another part both have a term {key!r}"
          )
        terms[key] = types.Term(
          value=term.value,
          weight=term.weight,
          coefficient=term.coefficient * weight,
        )
      state[name] = result.method_state
      for key, value in result.metrics.items():
        metrics.setdefault(key, value)
    return objective_lib.LossResult(terms, state, metrics)

  return method_lib.Method(
    inputs=tuple(dict.fromkeys(i for _, _, p in parts for i in p.inputs)),
    needs=needs,
    vocab=vocab,
    loss=method_loss,
    init_state=init_state,
    coupled=any(part.coupled for _, _, part in parts),
    record_kind=kinds.pop() if kinds else "sft",
    extras=tuple(dict.fromkeys(e for _, _, p in parts for e in p.extras)),
    head=_one_head(parts),
  )


def _one_head(parts: list[tuple[str, float, method_lib.Method]]) -> Any:
  """The head of the one part that has one.

  Raises:
    ConfigError: there are two, or a part's gradient is its own.
  """
  owners = [name for name, _, part in parts if part.head is not None]
  if len(owners) > 1:
    raise errors.ConfigError(
      f"method.mixture: {' and '.join(owners)} train a head each; a run has one"
    )
  for name, _, part in parts:
    if part.gradient is not None:
      raise errors.ConfigError(
        f"method.mixture: {name} has a gradient of its own and cannot be mixed"
      )
  return next((p.head for _, _, p in parts if p.head is not None), None)
