# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Density ratio of a strong and a weak model as a reward without training."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefjax.core import checks, errors, numerics
from prefjax.rewards import sequences

_NORMALIZE = ("none", "tokens")
# Log-probs are held above it, so that two impossible texts are equal.
_FLOOR = -1e6


def density_ratio(
  strong_logps,
  weak_logps,
  strong_lengths=None,
  weak_lengths=None,
  *,
  normalize="none",
) -> jax.Array:
  """How much likelier a response is under the stronger model.

    log pi_strong(y | x) - log pi_weak(y | x)

  With a strong model tuned from the weak one it is DPO's implicit reward, up
  to scale and a constant of the prompt.

  Args:
    strong_logps: [...], log-probs of the responses under the strong model,
      summed nats.
    weak_logps: [...], under the weak model, with its own tokenizer.
    strong_lengths: [...] or None, tokens of the strong model's tokenizer.
    weak_lengths: [...] or None, of the weak one's; None takes the strong
      lengths.
    normalize: "none", or "tokens": each log-prob per token.

  Returns:
    [...] float32; 0 for equal models.

  Raises:
    ValueError: shapes differ, or "tokens" without strong_lengths.

  Reference:
    "Dr. SoW: Density Ratio of Strong-over-weak LLMs for Reducing the Cost
    of Human Annotation in Preference Tuning", arXiv:2411.02481.
  """
  checks.one_of("density_ratio", _NORMALIZE, normalize=normalize)
  checks.same_shape(
    "density_ratio",
    strong_logps=strong_logps,
    weak_logps=weak_logps,
    strong_lengths=strong_lengths,
    weak_lengths=weak_lengths,
  )
  strong, weak = (
    jnp.maximum(x, _FLOOR)
    for x in numerics.to_float32(strong_logps, weak_logps)
  )
  if normalize == "none":
    return strong - weak
  if strong_lengths is None:
    raise ValueError("density_ratio: normalize='tokens' needs strong_lengths")
  if weak_lengths is None:
    weak_lengths = strong_lengths
  strong_lengths, weak_lengths = (
    jnp.maximum(jnp.asarray(n).astype(strong.dtype), 1)
    for n in (strong_lengths, weak_lengths)
  )
  return strong / strong_lengths - weak / weak_lengths


def parse_domain(
  *,
  text: str,
  domains: Sequence[str] = ("SAFETY", "REASONING", "CHAT"),
  default: str = "CHAT",
) -> str:
  """The domain that a router named between [START] and [END].

  Args:
    text: the router's reply.
    domains: what it may name.
    default: for a reply without a domain.

  Returns:
    One of domains, or the default.
  """
  _, found, rest = text.partition("[START]")
  label, closed, _ = rest.partition("[END]")
  label = label.strip()
  return label if found and closed and label in domains else default


def density_ratio_scorer(
  strong: tuple[Any, Any, Any],
  weak: tuple[Any, Any, Any],
  *,
  instruction_table: Mapping[str, str] | None = None,
  router: Callable[[str], str] | None = None,
  normalize: str = "none",
  max_prompt: int = 2048,
  batch_size: int = 8,
) -> Callable[..., np.ndarray]:
  """A scorer of texts from two language models (host).

  Args:
    strong: (apply_fn, params, tokenizer): apply_fn(params, group) gives the
      log-probs of response tokens; the tokenizer has `encode`, or is a
      function (prompt, responses) -> (prompt ids, ids of each response).
    weak: the same of the weaker model, with its own tokenizer.
    instruction_table: domain -> text that both models read before the
      prompt; a domain without a text gets none.
    router: prompt -> reply that `parse_domain` reads. Without one every
      prompt is of the table's one domain.
    normalize: see `density_ratio`.
    max_prompt: longer prompts lose their beginning.
    batch_size: prompts of a batch.

  Returns:
    (prompts, responses) -> float32 [B, K] for B lists of K responses.

  Raises:
    ConfigError: several domains without a router.
  """
  checks.one_of("density_ratio_scorer", _NORMALIZE, normalize=normalize)
  table = dict(instruction_table or {})
  if router is None and len(table) > 1:
    raise errors.ConfigError(
      "density_ratio_scorer: instruction_table has the domains"
      f" {', '.join(table)}; give a router to choose among them"
    )

  def context(prompt: str) -> str:
    if not table:
      return ""
    if router is None:
      return next(iter(table.values()))
    domains = tuple(dict.fromkeys((*table, "CHAT")))
    return table.get(parse_domain(text=router(prompt), domains=domains), "")

  def logps(model, prompts, responses):
    apply_fn, params, tokenizer = model
    items = []
    for prompt, texts in zip(prompts, responses, strict=True):
      if callable(tokenizer):
        ids, ends = tokenizer(prompt, texts)
      else:
        ids, ends = sequences.encode_text(tokenizer, prompt, texts)
      items.append(sequences.Item(sequences.cut_left(ids, max_prompt), ends))
    found = sequences.token_logps(
      apply_fn, params, items, batch_size=batch_size
    )
    sums = [[float(np.sum(x, dtype=np.float64)) for x in row] for row in found]
    return np.asarray(sums), np.asarray([[len(x) for x in r] for r in found])

  def score(
    prompts: Sequence[str], responses: Sequence[Sequence[str]]
  ) -> np.ndarray:
    if len(prompts) != len(responses):
      raise errors.DataError(
        f"density_ratio_scorer: {len(responses)} lists of responses for"
        f" {len(prompts)} prompts"
      )
    number = {len(texts) for texts in responses}
    if len(number) > 1:
      raise errors.DataError(
        "density_ratio_scorer: prompts have different numbers of responses"
      )
    if not prompts:
      return np.zeros((0, 0), np.float32)
    asked = []
    for prompt in prompts:
      before = context(prompt)
      asked.append(f"{before}\n\n{prompt}" if before else prompt)
    (s, s_length), (w, w_length) = (
      logps(model, asked, responses) for model in (strong, weak)
    )
    return np.asarray(
      density_ratio(s, w, s_length, w_length, normalize=normalize), np.float32
    )

  return score
