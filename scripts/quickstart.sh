#!/usr/bin/env bash
# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Sets up everything and runs the main job on its embedded default: a small
# model learns a made-up language, then people's preferences, on the CPU.
#
#   bash scripts/quickstart.sh [--workdir=DIR] [--config.key=value ...]

set -eo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$PREFJAX_ROOT"
prefjax_install ""
prefjax_cpu_settings

workdir=runs/quickstart
for argument in "$@"; do
  case "$argument" in
    --workdir=*) workdir="${argument#--workdir=}" ;;
  esac
done
"$PREFJAX_VENV/bin/prefjax" train --config=configs/quickstart.py \
  --workdir="$workdir" "$@"
if [ -f "$workdir/report.html" ]; then
  echo "Open file://$(cd "$workdir" && pwd)/report.html in a browser."
fi
