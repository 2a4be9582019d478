# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The surroundings that conftest.py promises to every test."""

import socket
import urllib.request

import jax
import pytest


def test_eight_cpu_devices():
  assert jax.default_backend() == "cpu"
  assert jax.device_count() == 8


def test_no_network():
  with pytest.raises(RuntimeError, match="may not look up example.org"):
    urllib.request.urlopen("http://example.org")
  with socket.socket() as outside:
    for connect in (outside.connect, outside.connect_ex):
      with pytest.raises(RuntimeError, match="may not open a connection"):
        connect(("192.0.2.1", 80))


def test_loopback_works():
  with socket.create_server(("127.0.0.1", 0)) as server:
    with socket.create_connection(server.getsockname()) as client:
      peer, _ = server.accept()
      peer.sendall(b"x")
      assert client.recv(1) == b"x"
      peer.close()
