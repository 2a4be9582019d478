# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compiled programs are kept where somebody said, or at home, or not."""

import jax
import pytest

from prefjax.runs import caching

_NAMES = (
  "jax_compilation_cache_dir",
  "jax_persistent_cache_min_compile_time_secs",
)


@pytest.fixture(autouse=True)
def _restored():
  before = {name: getattr(jax.config, name) for name in _NAMES}
  yield
  for name, value in before.items():
    jax.config.update(name, value)


def test_a_folder_that_is_set_stays(tmp_path):
  jax.config.update(_NAMES[0], str(tmp_path))
  assert caching.keep_compiled() == str(tmp_path)
  assert jax.config.jax_compilation_cache_dir == str(tmp_path)


def test_the_default_is_at_home(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  monkeypatch.delenv(_NAMES[1].upper(), raising=False)
  jax.config.update(_NAMES[0], None)
  expected = tmp_path / ".cache" / "prefjax" / "xla"
  assert caching.keep_compiled() == str(expected)
  assert expected.is_dir() and expected.stat().st_mode & 0o777 == 0o700
  assert jax.config.jax_compilation_cache_dir == str(expected)
  assert getattr(jax.config, _NAMES[1]) == 0.3


def test_no_place_is_no_error(tmp_path, monkeypatch):
  (tmp_path / "file").write_text("")
  monkeypatch.setenv("HOME", str(tmp_path / "file"))
  jax.config.update(_NAMES[0], None)
  assert caching.keep_compiled() is None
  assert jax.config.jax_compilation_cache_dir is None
