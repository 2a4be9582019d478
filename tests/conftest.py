# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What holds in every test: eight CPU devices, no network, strict shapes."""

import os
import pathlib
import socket
import sys

_TESTS = pathlib.Path(__file__).resolve().parent
_ROOT = _TESTS.parent

# Tests import the configs, and what the files beside them share.
sys.path[:0] = [
  str(_ROOT),
  *sorted({str(path.parent) for path in _TESTS.glob("*/*.py")}),
]

from prefjax.core import xla_flags  # noqa: E402

# Read when JAX starts, so set before anything imports it; processes that a
# test starts inherit them. What the caller set stays.
_FLAGS = {
  "--xla_cpu_multi_thread_eigen": "false",
  "--xla_force_host_platform_device_count": "8",
  # Tests run a program a few times at most: compiling takes the time, and
  # without these optimisations it takes about a third of it.
  "--xla_cpu_enable_concurrency_optimized_scheduler": "false",
  **xla_flags.compile_quickly(),
}
xla_flags.add(_FLAGS)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault(
  "JAX_COMPILATION_CACHE_DIR", str(_ROOT / "build" / "jax-cache")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

import hypothesis  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402

# A busy machine is no failure, and a failure must come back when repeated.
hypothesis.settings.register_profile(
  "prefjax", deadline=None, derandomize=True, database=None
)
hypothesis.settings.load_profile(
  os.environ.get("HYPOTHESIS_PROFILE", "prefjax")
)

_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex
_getaddrinfo = socket.getaddrinfo


def _local(host) -> bool:
  name = host.decode() if isinstance(host, bytes) else host
  return (
    name in (None, "", "localhost", "::1", "0.0.0.0", "::")
    or name == socket.gethostname()
    or str(name).startswith("127.")
  )


def _check(family, address) -> None:
  # Addresses of the other families are paths or kernel interfaces.
  if family in (socket.AF_INET, socket.AF_INET6) and not _local(address[0]):
    raise RuntimeError(f"a test may not open a connection to {address[0]}")


def _guarded_connect(self, address):
  _check(self.family, address)
  return _connect(self, address)


def _guarded_connect_ex(self, address):
  _check(self.family, address)
  return _connect_ex(self, address)


def _guarded_getaddrinfo(host, *args, **kwargs):
  if not _local(host):
    raise RuntimeError(f"a test may not look up {host}")
  return _getaddrinfo(host, *args, **kwargs)


# Where functions take arrays one by one, (3,) + (4, 3) is far more often a
# mistake than meant. Models and kernels add biases and masks that way.
_STRICT = {
  "analysis",
  "checkpoint",
  "feedback",
  "losses",
  "rewards",
  "rl",
  "selection",
}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
  folder = item.path.relative_to(_TESTS).parts[0]
  promotion = "raise" if folder in _STRICT else "allow"
  with jax.numpy_rank_promotion(promotion):
    return (yield)


@pytest.fixture(autouse=True, scope="session")
def _no_network():
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(socket.socket, "connect", _guarded_connect)
    patch.setattr(socket.socket, "connect_ex", _guarded_connect_ex)
    patch.setattr(socket, "getaddrinfo", _guarded_getaddrinfo)
    yield
