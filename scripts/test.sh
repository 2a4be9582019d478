#!/usr/bin/env bash
# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Sets up everything and runs the checks: lint, then the tests on two workers.
#
#   bash scripts/test.sh [pytest arguments]
#
# e.g. `bash scripts/test.sh tests/losses -k dpo` or `-m slow`.

set -eo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$PREFJAX_ROOT"
prefjax_install dev
prefjax_cpu_settings

lint=0
"$PREFJAX_VENV/bin/ruff" check --config scripts/ruff.toml . || lint=$?
# A worker keeps tests of one file: they share what is compiled and set up.
"$PREFJAX_VENV/bin/python" -m pytest -n "${PREFJAX_WORKERS:-2}" \
  --dist worksteal "$@"
if [ "$lint" != 0 ]; then
  echo "The tests pass, but ruff found something: see above." >&2
  exit "$lint"
fi
