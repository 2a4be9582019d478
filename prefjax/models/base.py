# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What the rest of the package sees of a language model.

A Model is a static description; parameters travel beside it as a nested
dict with string keys. It turns a Group into hidden states and hands over its
LM head; log-probs are made from the two in `prefjax.kernels`.
"""

from typing import Any, NamedTuple

import jax

Params = dict[str, Any]  # nested, string keys, arrays only


class GroupHidden(NamedTuple):
  """Final hidden states (after the last norm, before the LM head).

  Values at pads are finite but mean nothing.

  Attributes:
    predict: [B, K, R, D], the state that predicts response token t; t = 0 is
      the last prompt token.
    at: [B, K, R, D], the state at response token t (reward, value heads).
    prompt_end: [B, D], the state at the last prompt token.
  """

  predict: jax.Array
  at: jax.Array
  prompt_end: jax.Array
