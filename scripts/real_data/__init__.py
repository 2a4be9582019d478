# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
