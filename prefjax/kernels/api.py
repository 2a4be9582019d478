# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""hidden states x head -> token log-probs: the primitive under every loss."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from prefjax.kernels import head as head_lib
from prefjax.kernels import problem as problem_lib
from prefjax.kernels import select


class TokenLogps(NamedTuple):
  """What the head says about each token; float32, shaped like `targets`.

  Attributes:
    logps: log-probability of the target, in nats.
    logsumexp: log of the softmax's denominator (z-loss, combining shards).
    entropy: entropy of the distribution over the vocabulary, in nats; None
      when called with `entropy=False`.
  """

  logps: jax.Array
  logsumexp: jax.Array
  entropy: jax.Array | None


def check_rows(function: str, hidden, head, **per_row: Any) -> None:
  """Checks the hidden size, and that the others have a value for each row.

  Raises:
    ValueError: names the argument, its shape and the one expected.
  """
  if hidden.ndim < 1 or hidden.shape[-1] != head.hidden_size:
    raise ValueError(
      f"{function}: hidden has shape {hidden.shape}, but head"
      f" {head.weight.shape} takes a last axis of {head.hidden_size}"
      f" (transposed={head.transposed})"
    )
  for name, value in per_row.items():
    if value is not None and value.shape != hidden.shape[:-1]:
      raise ValueError(
        f"{function}: {name} has shape {value.shape}, expected"
        f" {hidden.shape[:-1]}, one for each row of hidden"
      )


def check_temperature(function: str, temperature) -> float:
  """The temperature as a Python number.

  Raises:
    ValueError: it is an array or not positive.
  """
  if isinstance(temperature, bool) or not isinstance(temperature, (int, float)):
    raise ValueError(
      f"{function}: temperature must be a Python number, got"
      f" {type(temperature).__name__}"
    )
  if not 0 < temperature < float("inf"):
    raise ValueError(
      f"{function}: temperature={temperature} is not positive and finite"
    )
  return float(temperature)


def token_logps(
  hidden,
  head,
  targets,
  *,
  softcap: float | None = None,
  temperature: float = 1.0,
  bias=None,
  transposed: bool = False,
  mask=None,
  impl: str = "auto",
  entropy: bool = True,
  block_rows: int | None = None,
  block_vocab: int | None = None,
) -> TokenLogps:
  """Log-prob of each target, logsumexp and entropy, without the logits.

  logits = softcap * tanh((hidden @ W + bias) / softcap) / temperature, then
  logps = logits[target] - logsumexp(logits), all in nats. The temperature
  comes last: the logsumexp and entropy are those of the tempered
  distribution too. Leading axes may be of any number, e.g. hidden
  [B, K, R, D] with targets [B, K, R].

  Gradients flow to hidden, head and bias from all three outputs, exactly,
  and are not computed for an argument that nobody differentiates.

  Args:
    hidden: [..., D] float, final hidden states that predict the targets.
    head: `Head`, or a matrix [D, V] ([V, D] with transposed=True).
    targets: int [...], 0 .. V - 1. An id outside gives NaN, unless masked.
    softcap: final logit soft cap; None for none. Not with a `Head`.
    temperature: positive Python number.
    bias: [V] or None. Not with a `Head`.
    transposed: the matrix is stored [V, D]. Not with a `Head`.
    mask: bool [...] or None. A row that it drops gives exactly 0 in all
      outputs and no gradient, whatever its hidden state and target hold.
    impl: "auto", "reference", "chunked", "pallas_tpu" or "pallas_gpu".
    entropy: False leaves the entropy out (None).
    block_rows: rows a tile, None for the table; not with "reference".
    block_vocab: vocabulary ids a tile, likewise.

  Returns:
    TokenLogps, float32 (float64 where an input is).

  Raises:
    ValueError: shapes do not fit, an option is out of range or unknown.
  """
  name = "token_logps"
  head = head_lib.as_head(
    name, head, softcap=softcap, bias=bias, transposed=transposed
  )
  head = jax.tree.map(jnp.asarray, head)
  hidden, targets = jnp.asarray(hidden), jnp.asarray(targets)
  mask = None if mask is None else jnp.asarray(mask, bool)
  check_rows(name, hidden, head, targets=targets, mask=mask)
  if not jnp.issubdtype(targets.dtype, jnp.integer):
    raise ValueError(f"{name}: targets has dtype {targets.dtype}, not integer")
  shape = targets.shape
  x = hidden.reshape(-1, hidden.shape[-1])  # [N, D]
  ids = targets.reshape(-1).astype(jnp.int32)
  if mask is not None:
    kept = mask.reshape(-1)
    x = jnp.where(kept[:, None], x, 0)
    ids = jnp.where(kept, ids, 0)
  problem = problem_lib.Problem(
    softcap=None if head.softcap is None else float(head.softcap),
    temperature=check_temperature(name, temperature),
    transposed=head.transposed,
    entropy=bool(entropy),
  )
  run = select.token_stats(
    name, impl, x.shape[0], head.vocab_size, block_rows, block_vocab
  )
  outputs = run(problem, x, head.weight, head.bias, ids)

  def finish(value):
    if value is None:
      return None
    if mask is not None:
      value = jnp.where(kept, value, 0)
    return value.reshape(shape)

  return TokenLogps(*(finish(value) for value in outputs))


def sequence_logps(hidden, head, targets, weights, *, mask=None, **options):
  """Weighted sum of a response's token log-probs.

  Args:
    hidden: [..., R, D].
    head: as in `token_logps`.
    targets: int [..., R].
    weights: float [..., R], how much each token counts. A token of weight 0
      is not looked at: its hidden state and target may hold anything.
    mask: bool [..., R] or None; tokens to drop besides those of weight 0.
    **options: softcap, temperature, bias, transposed, impl, block_rows and
      block_vocab of `token_logps`.

  Returns:
    float32 [...], summed nats.

  Raises:
    ValueError: as `token_logps`, or for weights of another shape.
  """
  weights = jnp.asarray(weights)
  if "entropy" in options:
    raise ValueError("sequence_logps: entropy is not summed; use token_logps")
  if weights.shape != jnp.shape(targets) or weights.ndim < 1:
    raise ValueError(
      f"sequence_logps: weights has shape {weights.shape}, expected"
      f" {jnp.shape(targets)} like targets"
    )
  kept = weights != 0
  if mask is not None:
    kept = kept & jnp.asarray(mask, bool)
  logps = token_logps(
    hidden, head, targets, mask=kept, entropy=False, **options
  ).logps
  weights = jnp.where(kept, weights, 0).astype(logps.dtype)
  return jnp.sum(weights * logps, axis=-1)
