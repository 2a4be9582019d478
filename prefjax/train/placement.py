# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""States and steps on devices: jit over a mesh, or pmap."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from prefjax.core import errors, host, types
from prefjax.methods import objective as objective_lib
from prefjax.train import mesh as mesh_lib
from prefjax.train import state as state_lib
from prefjax.train import step as step_lib

TrainState = state_lib.TrainState


class Placement:
  """Where arrays lie, and how a step is compiled.

  Args:
    mesh: the devices.
    parallel: "jit", or "pmap" for plain data parallelism.
    compiler_preset: see `core.tpu_options`.
    compiler_options: more options of XLA, name -> value.

  Raises:
    ConfigError: pmap with a mesh that spreads weights, or with several
      processes, or with options; an option that the compiler refuses.
  """

  def __init__(
    self,
    mesh: Mesh,
    parallel: str = "jit",
    compiler_preset: str = "default",
    compiler_options: Mapping[str, Any] | None = None,
  ):
    self.mesh = mesh
    self.parallel = parallel
    if parallel == "pmap" and (
      compiler_options or compiler_preset != "default"
    ):
      raise errors.ConfigError(
        "train.parallel: pmap takes no mesh.compiler_preset and no"
        " mesh.compiler_options; use jit"
      )
    if parallel == "pmap" and mesh.shape["data"] != mesh.size:
      raise errors.ConfigError(
        "train.parallel: pmap is data parallel only; set mesh.fsdp and"
        " mesh.tensor to 1"
      )
    if parallel == "pmap" and jax.process_count() > 1:
      raise errors.ConfigError(
        "train.parallel: pmap is for one process; use jit"
      )
    self._compiler_options = host.options_for(
      mesh.devices.flat[0], compiler_preset, compiler_options, mesh.size
    )

  def shardings(self, tree: Any, rules: mesh_lib.Rules) -> Any:
    """Shardings for a tree of arrays or shapes."""
    if self.parallel == "pmap":
      whole = NamedSharding(self.mesh, PartitionSpec())
      return jax.tree.map(lambda _: whole, tree)
    return mesh_lib.tree_shardings(self.mesh, tree, rules)

  def put(self, tree: Any, rules: mesh_lib.Rules) -> Any:
    """The tree on the devices, spread by the rules."""
    return jax.device_put(tree, self.shardings(tree, rules))

  def copy(self, tree: Any) -> Any:
    """New buffers: a donated array must not be somebody else's too."""
    return jax.tree.map(jnp.copy, tree)

  def batch(self, batch: Any) -> Any:
    """Host rows on the devices."""
    if self.parallel == "pmap":
      n = len(self.mesh.local_devices)
      return jax.tree.map(
        lambda x: np.asarray(x).reshape(n, -1, *np.shape(x)[1:]), batch
      )
    return mesh_lib.to_global(self.mesh, batch)

  def train_step(
    self,
    objective: objective_lib.Objective,
    tx: Any,
    schedule: Any,
    *,
    micro_batches: int,
    still: dict[str, Any],
  ) -> Callable[[TrainState, Any], tuple[TrainState, Any]]:
    """(state without the still frozen roles, host batch) -> the same.

    Args:
      objective: what is minimised.
      tx: the optimiser.
      schedule: learning rate by step.
      micro_batches: parts of a batch.
      still: frozen roles that never change; passed beside the state, which
        is donated.
    """
    mapped = self.parallel == "pmap"
    step = step_lib.make_train_step(
      objective,
      tx,
      schedule,
      micro_batches=micro_batches,
      axis="batch" if mapped else None,
    )
    whole = _apart(step, objective)
    if mapped:
      run = jax.pmap(
        whole,
        axis_name="batch",
        in_axes=(None, None, 0),
        out_axes=None,
        devices=list(self.mesh.devices.flat),
      )

      def call_mapped(state, batch):
        new, metrics = run(state, still, self.batch(batch))
        # From the mesh of the map to that of everything else.
        return jax.device_put(new, self.shardings(new, ())), metrics

      return call_mapped
    compiled = {}

    def call(state, batch):
      if "run" not in compiled:
        compiled["run"] = self._jit(whole, objective, state)
      return compiled["run"](state, still, self.batch(batch))

    return call

  def _jit(self, whole, objective: objective_lib.Objective, state: Any):
    out = self.shardings(state, objective.sharding_rules), None
    return jax.jit(
      whole,
      donate_argnums=0,
      out_shardings=out,
      compiler_options=self._compiler_options,
    )

  def lower(
    self,
    objective: objective_lib.Objective,
    tx: Any,
    schedule: Any,
    *,
    micro_batches: int,
    state: Any,
    still: Any,
    batch: Any,
  ) -> Any:
    """The step of `train_step` under jit, lowered for shapes; runs nothing.

    Args:
      objective: what is minimised.
      tx: the optimiser.
      schedule: learning rate by step.
      micro_batches: parts of a batch.
      state, still, batch: arrays or ShapeDtypeStructs with shardings. The
        devices need not be there.
    """
    step = step_lib.make_train_step(
      objective, tx, schedule, micro_batches=micro_batches
    )
    run = self._jit(_apart(step, objective), objective, state)
    return run.lower(state, still, batch)

  def eval_step(
    self, objective: objective_lib.Objective, still: dict[str, Any]
  ) -> Callable[[TrainState, Any], dict[str, types.WeightedSum]]:
    """(state, whole host batch) -> metrics.

    Every process gives the same rows, all of them; they are spread as under
    jit.
    """
    step = step_lib.make_eval_step(objective)

    def whole(state, still, batch):
      return step(state_lib.join_frozen(state, still), batch)

    run = jax.jit(whole, compiler_options=self._compiler_options)
    return lambda state, batch: run(
      state, still, mesh_lib.spread(self.mesh, batch)
    )

  def rows(self, wanted: int) -> int:
    """The next number of rows that divides over the devices."""
    ways = mesh_lib.batch_ways(self.mesh)
    return -(-max(wanted, 1) // ways) * ways


def _apart(step: step_lib.Step, objective: objective_lib.Objective):
  """The step with the frozen roles that never change beside the state."""

  def whole(state, still, batch):
    new, metrics = step(state_lib.join_frozen(state, still), batch)
    return state_lib.split_frozen(new, objective.moving)[0], metrics

  return whole
