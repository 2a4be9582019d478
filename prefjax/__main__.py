# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`python -m prefjax`, the same thing as `prefjax`."""

import sys

from prefjax.cli import main

if __name__ == "__main__":
  sys.exit(main.main())
