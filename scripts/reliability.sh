#!/usr/bin/env bash
# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Kills and stops a small run at random moments, and compares how it ends with
# the same run left alone: bit for bit, each update once.
#
#   bash scripts/reliability.sh [--steps=200] [--kills=10] [--terms=5] [--seed=0]

set -eo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$PREFJAX_ROOT"
prefjax_install ""
prefjax_cpu_settings
exec env PYTHONPATH="$PREFJAX_ROOT" "$PREFJAX_VENV/bin/python" \
  tests/reliability/reliability_support.py "$@"
