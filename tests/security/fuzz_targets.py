# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every parser of text or bytes from strangers, and what it may raise.

A target takes bytes. It passes if it returns, or raises what its parser
promises; any other exception is a crash.
"""

import pathlib

import fuzz_common
import fuzz_file_targets
import fuzz_memory_targets

Target = fuzz_common.Target
IN_MEMORY = fuzz_memory_targets.TARGETS
IN_FILES = fuzz_file_targets.TARGETS
NAMES = (*IN_MEMORY, *IN_FILES)


def make(name: str, folder: pathlib.Path) -> Target:
  """The target of a name; files go to the folder."""
  if name in IN_MEMORY:
    return IN_MEMORY[name]()
  return IN_FILES[name](folder)
