# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs on other machines: started by engines, checked, told their places."""
