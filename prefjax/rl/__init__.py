# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Advantages, returns and rollouts."""

from prefjax.losses.distillation import sparse_advantages, teacher_advantages

__all__ = ["sparse_advantages", "teacher_advantages"]
