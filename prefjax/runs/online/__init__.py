# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Learning from own samples: rounds of rollouts around the train step."""

from prefjax.runs.online.stage import OnlineStageRun

__all__ = ["OnlineStageRun"]
