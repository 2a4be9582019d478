# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""In this folder no array grows axes by accident; conftest.py sees to it."""

import jax.numpy as jnp
import pytest


def test_no_rank_promotion():
  with pytest.raises(ValueError, match="rank_promotion"):
    jnp.ones((2, 3)) + jnp.ones(3)
