# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Many runs of one config: planned, run in parallel, resumed, compared."""
