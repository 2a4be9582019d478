#!/usr/bin/env bash
# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Quick tests at both ends of the dependency range: Python 3.11 with jax 0.10.2
# (what continuous integration has), Python 3.12 with the newest jax.
#
#   bash scripts/dependency_ends.sh [old|new|both] [pytest arguments]
#
# Environments are made in build/ends, once. PREFJAX_OLD and PREFJAX_NEW name
# interpreters that are not on PATH as python3.11 and python3.12.

set -eo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$PREFJAX_ROOT"
prefjax_cpu_settings
which="${1:-both}"
[ $# -gt 0 ] && shift
tests=("$@")
if [ ${#tests[@]} = 0 ]; then
  tests=(tests/golden_values_test.py tests/losses tests/kernels tests/train)
fi

# end NAME INTERPRETER PACKAGES...: makes an environment and runs the tests.
end() {
  local name="$1" python="$2" status=0
  shift 2
  local place="$PREFJAX_ROOT/build/ends/$name"
  if [ ! -f "$place/.ready" ]; then
    python="$(PREFJAX_PYTHON="$python" prefjax_python)" || return 1
    "$python" -m venv "$place" || return 1
    "$place/bin/python" -m pip install --quiet --disable-pip-version-check \
      --editable . pytest hypothesis chex "$@" || return 1
    touch "$place/.ready"
  fi
  "$place/bin/python" - <<'PYTHON'
import platform
import flax, jax, optax, orbax.checkpoint
print(f"Python {platform.python_version()}, jax {jax.__version__},",
      f"flax {flax.__version__}, optax {optax.__version__},",
      f"orbax {orbax.checkpoint.__version__}", flush=True)
PYTHON
  # A cache of its own: programs of another version are of no use.
  JAX_COMPILATION_CACHE_DIR="$PREFJAX_ROOT/build/jax-cache-$name" \
    "$place/bin/python" -m pytest -q -p no:cacheprovider "${tests[@]}" ||
    status=$?
  return "$status"
}

failed=0
if [ "$which" != new ]; then
  end old "${PREFJAX_OLD:-python3.11}" "jax==0.10.2" || failed=1
fi
if [ "$which" != old ]; then
  end new "${PREFJAX_NEW:-python3.12}" --upgrade jax || failed=1
fi
exit "$failed"
