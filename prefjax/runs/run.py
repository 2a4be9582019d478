# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What all stages of a run share: model, devices, data, first weights."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import jax

from prefjax import config as config_lib
from prefjax import kernels
from prefjax.core import errors, prng
from prefjax.data import packing
from prefjax.methods import language_model
from prefjax.models import lora as lora_lib
from prefjax.runs import models as run_models
from prefjax.runs import remat, scoring
from prefjax.runs import stages as stages_lib
from prefjax.train import mesh as mesh_lib
from prefjax.train import placement

RULES = language_model.SHARDING_RULES


class Run:
  """One run in one work directory.

  Args:
    config: what to do.
    workdir: where everything is written; made if missing, mode 0700.
    devices: to run on; default all.
  """

  def __init__(
    self,
    config: config_lib.Config,
    workdir: str | os.PathLike,
    devices: Sequence[Any] | None = None,
  ):
    self.config = config
    self.workdir = pathlib.Path(workdir)
    self.source = run_models.open_source(config.model, config.seed)
    mesh = mesh_lib.make_mesh(**config.mesh.axes, devices=devices)
    for name in config_lib.stage_names(config):
      own = config_lib.stage(config, name)
      mesh_lib.check_batch(mesh, own.data.batch_size, own.train.micro_batches)
      if own.train.parallel != config.train.parallel:
        raise errors.ConfigError(
          f"stages.{name}.train.parallel: the same for all stages"
        )
    self.place = placement.Placement(
      mesh,
      config.train.parallel,
      config.mesh.compiler_preset,
      config.mesh.compiler_options,
    )
    self.compute = language_model.Compute(
      layout=config.model.layout,
      dtype=run_models.compute_dtype(config.model),
      remat=config.model.remat,
      attention=config.model.attention,
      sharding=self._sharding(),
    )
    self.stages = stages_lib.prepare(config, self.source, self.workdir)
    self._share_rows()
    self._pack()
    if self.compute.remat == remat.AUTO:
      self.compute = dataclasses.replace(self.compute, remat=self._remat())
    self._initial: Any = None
    self.scorer = scoring.scorer(
      self.source.model,
      self.compute,
      has_adapter=self.source.model.lora is not None,
    )

  def _sharding(self) -> kernels.Sharding | None:
    """What the models are told about the mesh; None where there is none."""
    if self.place.mesh.size == 1 or self.place.parallel != "jit":
      return None
    return kernels.Sharding(
      self.place.mesh, rows=mesh_lib.BATCH_AXES, vocab="tensor", hidden="fsdp"
    )

  def _share_rows(self) -> None:
    """Each process makes the rows of a batch that its devices hold."""
    if jax.process_count() == 1:
      return
    for stage in self.stages:
      if stage.method.online is None:
        rows = stage.source.global_batch_size
        stage.source.make_only(mesh_lib.own_rows(self.place.mesh, rows))

  def _pack(self) -> None:
    """Packs the batches of stages whose data section says so."""
    ways = mesh_lib.batch_ways(self.place.mesh)
    for stage in self.stages:
      own = stage.config
      if own.data.pack and stage.method.online is None:
        stage.source.pack(packing.Cells(ways, own.train.micro_batches))

  def _remat(self) -> str:
    """What the backward pass keeps, by the memory of a device."""
    groups = []
    for stage in self.stages:
      group = stage.source.batch(0).groups[stage.method.inputs[0]]
      rows = stage.source.global_batch_size
      largest = stage.source.batch_shapes()[-1][stage.method.inputs[0]]
      groups.append(
        remat.resized(group, rows // stage.config.train.micro_batches, largest)
      )
    mesh, dtype = self.place.mesh, self.source.dtype
    shapes = self.source.model.shapes(dtype)
    placed = self.place.shardings(shapes, RULES)
    # Weights, a reference, gradients and two moments.
    fixed = 5 * remat.placed_bytes(shapes, placed)
    return remat.choose(
      self.source.model,
      self.compute,
      groups,
      dtype=dtype,
      fixed=fixed,
      memory=remat.device_bytes(mesh.devices.flat[0], mesh.size),
    )

  # --- weights ---------------------------------------------------------------

  @property
  def has_adapter(self) -> bool:
    return self.source.model.lora is not None

  def initial(self) -> Any:
    """The weights that the config names, on the devices; kept."""
    if self._initial is None:
      shapes = self.source.model.shapes(self.source.dtype)
      self._initial = self.source.load(self.place.shardings(shapes, RULES))
    return self._initial

  def first_policy(self) -> Any:
    """Trained arrays at the very beginning."""
    if self.has_adapter:
      key = prng.step_key(self.config.seed, 0, "lora")
      adapter = lora_lib.init(key, self.source.model.config, self._spec())
      return self.place.put(adapter, RULES)
    return self.place.copy(self.initial())

  def _spec(self) -> lora_lib.LoraSpec:
    return self.source.model.lora

  def policy_weights(self, policy: Any) -> tuple[Any, Any]:
    """(decoder weights, adapter or None) to run the policy with."""
    if self.has_adapter:
      return self.initial(), policy
    return policy, None
