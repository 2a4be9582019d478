# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The smallest language model, and random batches of any kind of record."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from prefjax import methods, models
from prefjax.core import prng, types
from prefjax.methods import method as method_lib
from prefjax.models import heads

VOCAB = 16
CONFIG = models.preset(
  "tiny",
  vocab_size=VOCAB,
  hidden_size=8,
  intermediate_size=12,
  num_layers=1,
  num_heads=2,
  num_kv_heads=1,
  head_dim=4,
  query_scale=0.5,
  init_std=0.5,
  max_positions=64,
)
MODEL = models.Model(CONFIG)
EOS = 3

# Responses to a prompt, by kind of record; 2 for any other.
RESPONSES = {
  "sft": 1,
  "unpaired": 1,
  "kto": 1,
  "ranked": 3,
  "history": 1,
  "joint": 1,
  "blind": 3,
  "rated": 3,
  "steps": 1,
  "groups": 3,
}
# The same for groups beside 'main' that have another number.
GROUP_RESPONSES = {"rationale": 1, "better": 1, "worse": 1}


def group(ids, k, *, prompt_slots=4, response_slots=4, pad=0, salt=0, **fields):
  """A ragged group whose content is a function of (id, response) alone.

  Args:
    ids: [B], example ids.
    k: responses to each prompt.
    prompt_slots: P; prompts have 1 to 4 tokens.
    response_slots: R; responses have 1 to 4 tokens.
    pad: id written into every pad.
    salt: another value gives other content.
    **fields: more fields of Group.
  """
  b = len(ids)
  prompt = np.full((b, prompt_slots), pad, np.int32)
  prompt_mask = np.zeros((b, prompt_slots), bool)
  response = np.full((b, k, response_slots), pad, np.int32)
  token_mask = np.zeros((b, k, response_slots), bool)
  weights = np.zeros((b, k, response_slots), np.float32)
  for i, example in enumerate(ids):
    rng = np.random.default_rng([int(example), salt])
    n = rng.integers(1, 5)
    prompt[i, prompt_slots - n :] = rng.integers(0, VOCAB, n)
    prompt_mask[i, prompt_slots - n :] = True
    for j in range(k):
      n = rng.integers(1, 5)
      response[i, j, :n] = rng.integers(0, VOCAB, n)
      response[i, j, n - 1] = EOS
      token_mask[i, j, :n] = True
      weights[i, j, :n] = 1
  return types.Group(
    prompt=prompt,
    prompt_mask=prompt_mask,
    response=response,
    token_mask=token_mask,
    token_weights=weights,
    response_mask=fields.pop("response_mask", np.ones((b, k), bool)),
    **fields,
  )


def batch(kind, ids=range(8), *, weight=None, inputs=("main",), **slots):
  """A NumPy batch of a kind of record, for any method.

  Args:
    kind: of `Method.record_kind`; an unknown one has pairs in every group.
    ids: [B], example ids.
    weight: [B] example weights; None for (1, 2, 1, 2, ...) by id.
    inputs: names of the groups.
    **slots: prompt_slots, response_slots and pad of `group`.
  """
  ids = np.asarray(list(ids), np.int32)
  b, k = len(ids), RESPONSES.get(kind, 2)
  if weight is None:
    weight = 1.0 + ids % 2
  fields = {}
  if kind == "pair":
    fields["scores"] = np.stack([2 + ids % 3, ids % 2], 1).astype(np.float32)
  elif kind in ("unpaired", "kto"):
    fields["scores"] = (ids % 3 > 0).astype(np.float32)[:, None]
  elif kind == "groups":
    fields["scores"] = -np.abs(_drawn(ids, (k,), 5))
  elif kind == "ranked":
    # Ragged: every fourth example lacks its last response and its pairs.
    full = ids % 4 != 1
    fields["scores"] = np.tile(np.float32([2, 1, 0]), (b, 1))
    fields["pairs"] = np.tile(np.int32([[0, 1], [0, 2], [1, 2]]), (b, 1, 1))
    fields["pair_valid"] = np.stack([ids >= 0, full, full], 1)
    fields["response_mask"] = np.stack([ids >= 0, ids >= 0, full], 1)
  elif kind == "blind":
    # Every fourth example has no blind response.
    fields["response_mask"] = np.stack([ids >= 0, ids >= 0, ids % 4 != 1], 1)
  elif kind == "prompt":
    fields |= _own_samples(ids, k, slots.get("response_slots", 4))
  groups = {"main": group(ids, k, **slots, **fields)}
  for salt, name in enumerate(inputs, 1):
    if name not in groups:
      own = GROUP_RESPONSES.get(name, k)
      groups[name] = group(ids, own, salt=salt, **slots)
  if kind == "groups":  # the same samples after another prompt
    groups["prior"] = dataclasses.replace(
      groups["prior"],
      **{n: getattr(groups["main"], n) for n in ("response", "token_mask",
         "token_weights", "response_mask")},
    )  # fmt: skip
  if kind == "steps":
    groups = {name: _in_steps(part) for name, part in groups.items()}
  if kind == "traced":
    groups = {name: _traced(part) for name, part in groups.items()}
  if kind == "joint":
    groups = {name: _joint(part) for name, part in groups.items()}
  return types.Batch(
    groups=groups,
    example_id=ids,
    example_weight=np.asarray(weight, np.float32),
    extras=_extras(kind, ids, (k, slots.get("response_slots", 4))),
  )


def _drawn(ids, shape, salt):
  """Normal draws [B, *shape] by id alone."""
  return np.stack(
    [
      np.random.default_rng([int(i), 100 + salt]).normal(size=shape)
      for i in ids
    ]
  ).astype(np.float32)


def _own_samples(ids, k, r):
  """What rollouts bring: scores, log-probs when sampled, advantages."""
  return {
    "scores": np.stack([2 + ids % 3, ids % 2], 1).astype(np.float32),
    "old_logps": -0.2 - np.abs(_drawn(ids, (k, r), 0)),
    "advantages": _drawn(ids, (k, r), 1),
  }


def _joint(part):
  """The group with its first tokens as instruction, the others as answer."""
  answer = np.arange(part.response.shape[-1]) > 0
  segments = np.broadcast_to(answer, part.response.shape).astype(np.int32)
  return dataclasses.replace(part, segments=segments)


def _traced(part):
  """The group with a token of every part of a trace (`core.tool_traces`)."""
  segments = np.broadcast_to(
    (np.arange(part.response.shape[-1]) + 1) % 5, part.response.shape
  ).astype(np.int32)
  return dataclasses.replace(part, segments=segments)


def _in_steps(part):
  """The group with a step for each two tokens."""
  segments = np.broadcast_to(
    np.arange(part.response.shape[-1]) // 2, part.response.shape
  ).astype(np.int32)
  return dataclasses.replace(part, segments=segments)


def _extras(kind, ids, slots):
  """What the records of a kind bring besides."""
  extras = {"flip_rate": (0.1 * (ids % 6)).astype(np.float32)}
  if kind == "mapl":
    extras["direction"] = (ids % 3 - 1).astype(np.int32)
    extras["intra"] = (ids % 4 != 1).astype(np.int32)
  if kind == "pair":
    extras["label"] = (ids // 2 % 2).astype(np.float32)
    extras["tie"] = (ids % 4 == 3).astype(np.float32)
  if kind == "rated":
    extras["ratings"] = np.round(2 + _drawn(ids, (slots[0], 5), 6))
    mask = _drawn(ids, (slots[0], 5), 7) > -1
    extras["rating_mask"] = mask.astype(np.float32)
  if kind == "steps":
    labels = np.stack([ids % 3 > 0, ids % 2 > 0], 1).astype(np.int32)
    labels[ids % 4 == 1, 1] = -1  # unknown
    extras["step_labels"] = labels
    extras["first_error"] = np.full(len(ids), -2, np.int32)
  if kind == "prompt":
    extras["returns"] = _drawn(ids, slots, 2)
    extras["old_values"] = _drawn(ids, slots, 3)
    extras["importance"] = np.exp(_drawn(ids, slots, 4))
    extras["max_length"] = np.full(len(ids), slots[1], np.float32)
  return extras


def of_method(method, ids=range(8), **options):
  """A batch that a method can train on."""
  return batch(method.record_kind, ids, inputs=method.inputs, **options)


_init = jax.jit(MODEL.init, static_argnums=1)


@functools.cache
def tree(name, *, head=False, dtype=jnp.float32):
  """Random weights of a role, other ones for every name."""
  key = jax.random.fold_in(jax.random.key(0), prng.tag_id(name))
  weights = _init(key, jnp.dtype(dtype))
  if not head:
    return weights
  scalar = heads.init(key, CONFIG.hidden_size, dtype=dtype)
  return {"backbone": weights, "scalar_head": scalar}


def start(method, key=0, dtype=jnp.float32):
  """Init: trained and frozen roles that a method names, all different."""
  wanted = {}
  for (role, _), outputs in method.needs.items():
    wanted.setdefault(role, set()).update(outputs)
  params, frozen = {}, {}
  for role in method.roles():
    with_head = {"values", "state_values", "rewards"}
    head = bool(wanted.get(role, set()) & with_head)
    place = params if role in method_lib.TRAINED_ROLES else frozen
    place[role] = tree(role, head=head, dtype=dtype)
  if method.head is not None:
    params["reward"] = method.head.init(
      jax.random.key(7), CONFIG.hidden_size, dtype
    )
  state = method.init_state(jax.random.key(0))
  return methods.Init(params, frozen, state)


def objective(method, dtype=jnp.float32, **options):
  """The method on tiny random models."""
  return methods.LanguageModelObjective(
    method,
    options.pop("model", MODEL),
    options.pop("init", lambda key: start(method, dtype=dtype)),
    **options,
  )


def norm(a) -> float:
  """The global norm of a tree, in float64."""
  leaves = [np.asarray(x, np.float64) for x in jax.tree.leaves(a)]
  return float(np.sqrt(sum(np.sum(x * x) for x in leaves)))


def gap(a, b) -> float:
  """Norm of the difference of two trees over the norm of the first."""
  difference = jax.tree.map(
    lambda x, y: np.asarray(x, np.float64) - np.asarray(y, np.float64), a, b
  )
  return norm(difference) / max(norm(a), 1e-30)
