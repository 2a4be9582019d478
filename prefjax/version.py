# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The one place that names the version."""

__version__ = "0.1.0"
