# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Log-probs and whole-vocabulary sums that never materialise the logits."""

from prefjax.kernels import integrands
from prefjax.kernels.api import TokenLogps, sequence_logps, token_logps
from prefjax.kernels.head import Head
from prefjax.kernels.sharded import Sharding
from prefjax.kernels.vocabulary import VocabSum, vocab_sum

__all__ = [
  "Head",
  "Sharding",
  "TokenLogps",
  "VocabSum",
  "integrands",
  "sequence_logps",
  "token_logps",
  "vocab_sum",
]
