# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Log-probs and whole-vocabulary sums that never materialise the logits."""

from prefjax.kernels.api import TokenLogps, sequence_logps, token_logps
from prefjax.kernels.head import Head

__all__ = ["Head", "TokenLogps", "sequence_logps", "token_logps"]
