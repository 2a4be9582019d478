#!/usr/bin/env bash
# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
#
# The sixteen trials of docs/reliability.md at full counts: kills, damaged
# checkpoints, malformed input, disks that fail. Prints the table, a row a
# trial, with how many things were tried and how many were lost.
#
#   bash scripts/reliability.sh [--only=1,4] [--quick] [--seed=0]
#     [--json=build/reliability.json] [--page=docs/reliability.md] [--show]

set -eo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$PREFJAX_ROOT"
prefjax_install dev
prefjax_cpu_settings
exec env PYTHONPATH="$PREFJAX_ROOT" "$PREFJAX_VENV/bin/python" \
  tests/reliability/trial_table.py "$@"
