# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compiled programs that outlive the process."""

import os
import pathlib

_DEFAULT = "~/.cache/prefjax/xla"
# Programs that compile faster are compiled again: reading costs time too.
_WORTH_SECONDS = 0.3


def keep_compiled() -> str | None:
  """Makes JAX keep compiled programs on disk, so that restarts are quick.

  A folder that JAX knows already (JAX_COMPILATION_CACHE_DIR, or set by the
  program) stays; the default is ~/.cache/prefjax/xla.

  Returns:
    The folder, or None where there can be none: that is never an error.
  """
  import jax

  try:
    folder = jax.config.jax_compilation_cache_dir
    if not folder:
      folder = os.path.expanduser(_DEFAULT)
      pathlib.Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
      if not os.access(folder, os.W_OK):
        return None
      jax.config.update("jax_compilation_cache_dir", folder)
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
      jax.config.update(
        "jax_persistent_cache_min_compile_time_secs", _WORTH_SECONDS
      )
    return folder
  except (OSError, RuntimeError, AttributeError):
    return None
