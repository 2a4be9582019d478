# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Dataclasses as pytrees that JAX does not take for one another."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from prefjax.core import pytrees


@pytrees.register
@dataclasses.dataclass(frozen=True)
class _Plain:
  x: Any
  y: Any = None


@pytrees.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class _Other:
  x: Any
  y: Any = None


@functools.partial(pytrees.register, static=("name",))
@dataclasses.dataclass(frozen=True)
class _Named:
  name: str
  x: Any


def test_two_classes_have_two_structures():
  one, other = (jax.tree.structure(cls(x=1.0)) for cls in (_Plain, _Other))
  assert one != other and one == jax.tree.structure(_Plain(2.0))


def test_static_fields_are_structure():
  first, second = (jax.tree.structure(_Named(n, 1.0)) for n in "ab")
  assert first != second and first == jax.tree.structure(_Named("a", 2.0))
  assert jax.tree.leaves(_Named("a", 1.0)) == [1.0]


@pytest.mark.parametrize("tree", [_Plain(1, 2), _Other(x=1), _Named("a", 1)])
def test_they_come_back_from_their_leaves(tree):
  leaves, structure = jax.tree.flatten(tree)
  assert jax.tree.unflatten(structure, leaves) == tree
  with_paths, _ = jax.tree_util.tree_flatten_with_path(tree)
  assert [leaf for _, leaf in with_paths] == leaves
  # As `register_dataclass` names them: checkpoints go by these.
  assert jax.tree_util.keystr(with_paths[0][0]) == ".x"


def test_they_go_through_jit_and_grad():
  def square(tree):
    return jnp.sum(tree.x**2)

  found = jax.jit(jax.grad(square))(_Named("a", jnp.arange(3.0)))
  assert isinstance(found, _Named) and found.x.tolist() == [0.0, 2.0, 4.0]
