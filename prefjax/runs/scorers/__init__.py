# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every way to score the responses of a data file, behind one interface."""

from prefjax.runs.scorers.base import Scorer, write
from prefjax.runs.scorers.making import NAMES, Sources, make

__all__ = ["NAMES", "Scorer", "Sources", "make", "write"]
