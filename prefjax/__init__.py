# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""PrefJAX: learning from preferences in JAX.

Importing this package starts no backend, reads no flag and touches no file.
"""

from prefjax.version import __version__

__all__ = ["__version__"]
