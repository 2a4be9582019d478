# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""float64 NumPy oracles that share no code with the kernels."""

import numpy as np


def logits(x, w, *, bias=None, softcap=None, temperature=1.0, transposed=False):
  """[N, V] logits in float64."""
  x, w = np.asarray(x, np.float64), np.asarray(w, np.float64)
  z = x @ (w.T if transposed else w)
  if bias is not None:
    z = z + np.asarray(bias, np.float64)
  if softcap is not None:
    z = softcap * np.tanh(z / softcap)
  return z / temperature


def log_softmax(z):
  """Row by row, with the largest logit taken out."""
  top = z.max(axis=-1, keepdims=True)
  return z - top - np.log(np.exp(z - top).sum(axis=-1, keepdims=True))


def token_stats(x, w, targets, **options):
  """logps, logsumexp and entropy of each row."""
  z = logits(x, w, **options)
  lp = log_softmax(z)
  p = np.exp(lp)
  rows = np.arange(len(targets))
  entropy = -(p * np.where(p > 0, lp, 0.0)).sum(axis=-1)
  return lp[rows, targets], (z - lp)[:, 0], entropy


def slope(function, args, directions, step=1e-6):
  """Central difference of a float64 function along a direction."""
  up = function(*[a + step * d for a, d in zip(args, directions, strict=True)])
  down = function(
    *[a - step * d for a, d in zip(args, directions, strict=True)]
  )
  return (up - down) / (2 * step)
