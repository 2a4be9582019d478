# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Which input of its class each input is compared with (host).

For prefer-to-classify: Kim et al., "Prefer to Classify: Improving Text
Classifiers via Auxiliary Preference Learning", arXiv:2306.04925.
"""

import numpy as np

from prefjax.core import checks, prng

MODES = ("random", "disagreement", "inconsistency")


def p2c_disagreement(scores) -> np.ndarray:
  """Number of head pairs that order two inputs differently.

  Args:
    scores: [H, N], scores of N inputs by H heads.

  Returns:
    int32 [N, N], pairs i < j of heads whose signs (-1, 0 or 1) of
    scores[n] - scores[m] differ; symmetric, 0 on the diagonal.

  Raises:
    ValueError: scores is not two axes.
  """
  checks.rank("p2c_disagreement", 2, scores=scores)
  scores = np.asarray(scores)
  signs = np.sign(scores[:, :, None] - scores[:, None, :])  # [H, N, N]
  # Of H heads with n_-, n_0, n_+ of each sign, all pairs less the equal ones.
  heads = len(scores)
  same = sum(
    n * (n - 1) // 2 for n in ((signs == s).sum(axis=0) for s in (-1, 0, 1))
  )
  return (heads * (heads - 1) // 2 - same).astype(np.int32)


def _margin(probs, soft, row: int, others: np.ndarray) -> np.ndarray:
  """The margin-consistency loss of one input with each of some others."""
  wanted = soft[row] - soft[others]
  short = wanted - (probs[row] - probs[others])
  return np.maximum(np.where(wanted >= 0, short, -short), 0).sum(axis=-1)


def p2c_partners(
  key, labels, scores=None, *, mode: str = "random", soft=None, probs=None
) -> np.ndarray:
  """Draws a partner of the same class for each input.

  Args:
    key: integer seed, JAX key or NumPy generator.
    labels: [N], classes.
    scores: [H, N], for "disagreement".
    mode: "random"; "disagreement": the partner that the heads disagree on
      most, ties at random; "inconsistency": in proportion to the
      margin-consistency loss, scaled to [0, 1] over the candidates.
    soft: [N, C], shares of votes, for "inconsistency".
    probs: [N, C], class probabilities, for "inconsistency".

  Returns:
    int32 [N]; an input that is alone in its class is its own partner.

  Raises:
    ValueError: an unknown mode, what it needs is missing, or shapes differ.
  """
  checks.one_of("p2c_partners", MODES, mode=mode)
  checks.rank("p2c_partners", 1, labels=labels)
  labels = np.asarray(labels)
  number = len(labels)
  needs = {
    "random": {},
    "disagreement": {"scores": scores},
    "inconsistency": {"soft": soft, "probs": probs},
  }[mode]
  for name, value in needs.items():
    if value is None:
      raise ValueError(f"p2c_partners: mode={mode!r} needs {name}")
    axis = 1 if name == "scores" else 0
    if np.ndim(value) != 2 or np.shape(value)[axis] != number:
      raise ValueError(
        f"p2c_partners: {name} has shape {np.shape(value)}, expected"
        f" {number} inputs on axis {axis}"
      )
  draw = prng.host_generator(key, "p2c_partners")
  table = p2c_disagreement(scores) if mode == "disagreement" else None
  soft, probs = (None if x is None else np.asarray(x) for x in (soft, probs))
  partners = np.arange(number)
  for row in range(number):
    others = np.flatnonzero(labels == labels[row])
    others = others[others != row]
    if not others.size:
      continue
    weight = np.ones(others.size)
    if mode == "disagreement":
      weight = (table[row, others] == table[row, others].max()).astype(float)
    elif mode == "inconsistency":
      loss = _margin(probs, soft, row, others)
      spread = loss.max() - loss.min()
      if spread > 0:
        weight = (loss - loss.min()) / spread
    partners[row] = draw.choice(others, p=weight / weight.sum())
  return partners.astype(np.int32)
