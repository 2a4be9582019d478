#!/usr/bin/env bash
# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Mutated inputs for every parser of text or bytes from strangers: executions,
# crashes and slow inputs by target, as a table, and as JSON with --json.
#
#   bash scripts/fuzz.sh [--executions=1000000] [--seed=0] [--target=NAME ...]
#     [--json=FILE] [--page=docs/reliability.md]
#   bash scripts/fuzz.sh --atheris [--runs=100000] [--target=NAME]
#
# --atheris guides the mutations by coverage. It is installed into
# build/atheris, beside the environment and not into it.

set -eo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$PREFJAX_ROOT"
prefjax_install dev
prefjax_cpu_settings
export PYTHONPATH="$PREFJAX_ROOT"

if [ "$1" = --atheris ]; then
  shift
  if [ ! -d build/atheris ]; then
    "$PREFJAX_VENV/bin/python" -m pip install --quiet \
      --disable-pip-version-check --target build/atheris atheris
  fi
  PYTHONPATH="$PREFJAX_ROOT:$PREFJAX_ROOT/build/atheris" \
    exec "$PREFJAX_VENV/bin/python" tests/security/fuzz_guided.py "$@"
fi
exec "$PREFJAX_VENV/bin/python" tests/security/fuzz_run.py "$@"
