# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Implicit feedback, personalisation and simulated users."""

from prefjax.losses.personalised import (
  causal_preference_effect,
  preference_token_weights,
)

__all__ = ["causal_preference_effect", "preference_token_weights"]
