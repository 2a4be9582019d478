# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the scripts beside it: makes the project's own virtual environment
# and sets what small CPU runs want. Nothing is installed outside .venv.
#
#   PREFJAX_PYTHON=python3.12   the interpreter to build .venv with
#   PREFJAX_VENV=DIR            where the environment lies (default .venv)

PREFJAX_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
PREFJAX_VENV="${PREFJAX_VENV:-$PREFJAX_ROOT/.venv}"

# Prints the first interpreter that runs, is 3.11 to 3.13 and can make an
# environment. A name on PATH may be a wrapper of a version not installed.
prefjax_python() {
  local candidate
  for candidate in ${PREFJAX_PYTHON:-python3.11 python3.12 python3.13 python3}
  do
    if "$candidate" -c '
import sys, ensurepip, venv
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
' >/dev/null 2>&1
    then
      echo "$candidate"
      return 0
    fi
  done
  echo "no Python 3.11 to 3.13 with the venv module was found" \
    "(tried ${PREFJAX_PYTHON:-python3.11, python3.12, python3.13, python3});" \
    "set PREFJAX_PYTHON=/path/to/python" >&2
  return 1
}

# Installs the project with the given extras, again only when what it asks for
# has changed since.
prefjax_install() {
  local extras="$1" python wanted stamp="$PREFJAX_VENV/.prefjax-installed"
  if [ ! -x "$PREFJAX_VENV/bin/python" ]; then
    python="$(prefjax_python)" || return 1
    echo "Making $PREFJAX_VENV with $("$python" --version) ..."
    "$python" -m venv "$PREFJAX_VENV" || return 1
  fi
  # A stamp of the dev extras covers a run without them.
  wanted="$(cat "$PREFJAX_ROOT/setup.cfg" "$PREFJAX_ROOT/pyproject.toml" |
    cksum)"
  if [ "$(cat "$stamp" 2>/dev/null)" = "dev $wanted" ] ||
    [ "$(cat "$stamp" 2>/dev/null)" = "$extras $wanted" ]; then
    return 0
  fi
  echo "Installing PrefJAX into $PREFJAX_VENV (minutes, the first time) ..."
  "$PREFJAX_VENV/bin/python" -m pip install --quiet \
    --disable-pip-version-check \
    --editable "$PREFJAX_ROOT${extras:+[$extras]}" || return 1
  echo "$extras $wanted" > "$stamp"
}

# Small programs on a few cores: threads inside an operation cost more than
# they bring, and compiled programs are kept between runs.
prefjax_cpu_settings() {
  export JAX_PLATFORMS="${JAX_PLATFORMS:-cpu}"
  export XLA_FLAGS="${XLA_FLAGS:---xla_cpu_multi_thread_eigen=false}"
  export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-\
$PREFJAX_ROOT/build/jax-cache}"
  export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="\
${JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS:-0.3}"
}
