# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a run will need: counted from its config, and by the compiler."""

import math
import types as python_types

import jax
import pytest
import run_support

from prefjax.runs import chips, hlo, planning


def _part(tmp_path, devices=1, **changes):
  c = run_support.config(**changes)
  return planning.parts(c, tmp_path, jax.devices()[:devices])[0]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
  part = _part(tmp_path_factory.mktemp("run"))
  given = planning.inputs(part)
  return planning.plan(part, given), planning.compile_step(part, given)


def test_the_plan_counts(compiled):
  plan, _ = compiled
  assert plan.shape == (8, 2, 48, 40) and plan.rows == 8 and plan.updates == 8
  assert plan.tokens == 8 * (48 + 2 * 40)
  assert plan.weights == plan.trained
  # Live: the policy, two moments and the reference, all float32.
  assert 0 <= plan.state_bytes - 16 * plan.weights < 64
  assert plan.mesh == {"data": 1, "fsdp": 1, "tensor": 1}


def test_the_compiler_is_asked(compiled):
  plan, step = compiled
  assert step.error is None and step.seconds > 0
  # Besides the state, the arguments hold a batch.
  assert 0 < step.argument_bytes - plan.state_bytes < 100_000
  assert step.temporary_bytes > 4 * plan.weights  # gradients
  assert step.peak_bytes < step.argument_bytes + 2 * step.temporary_bytes
  assert step.cost.unknown_loops == 0
  # Scores that nobody sees are computed here, and pads.
  assert step.cost.flops == pytest.approx(plan.useful_flops, rel=0.35)


@pytest.mark.parametrize("reference", ("precomputed", "live"))
def test_frozen_roles_and_adapters(tmp_path, reference):
  plain = _part(tmp_path, train={"steps": 3, "reference": reference})
  plan = planning.plan(plain, planning.inputs(plain))
  copies = 4 if reference == "live" else 3
  assert 0 <= plan.state_bytes - 4 * copies * plan.weights < 64
  model = {"lora": {"rank": 2}}
  adapted = _part(
    tmp_path, train={"steps": 3, "reference": reference}, model=model
  )
  own = planning.plan(adapted, planning.inputs(adapted))
  assert own.trained < own.weights
  assert 0 <= own.state_bytes - 4 * (own.weights + 3 * own.trained) < 64
  assert own.useful_flops < plan.useful_flops


def test_eight_devices_hold_an_eighth(tmp_path):
  size = {"data": {"batch_size": 16}, "mesh": {"data": 1, "fsdp": 8}}
  part = _part(tmp_path, devices=8, **size)
  plan = planning.plan(part, planning.inputs(part))
  # Norms are small and stay whole.
  share = plan.state_bytes / (16 * plan.weights)
  assert 1 / 8 <= share < 0.2
  assert plan.devices == 8


@pytest.mark.parametrize(
  "told, gib",
  [
    (
      "Ran out of memory in memory space hbm. Used 20.50G of 15.75G hbm."
      " Exceeded hbm capacity by 4.75G.",
      20.5,
    ),
    (
      "Ran out of memory on HBM, the total memory required for HLO temporaries"
      " (64.40G) exceeds available HBM (15.75G).",
      64.4,
    ),
    ("Something else.", None),
  ],
)
def test_a_program_that_does_not_fit_is_told(tmp_path, monkeypatch, told, gib):
  part = _part(tmp_path)
  given = planning.inputs(part)

  class Lowered:
    def compile(self):
      raise jax.errors.JaxRuntimeError(f"RESOURCE_EXHAUSTED: {told}\nmore")

  monkeypatch.setattr(part.run.place, "lower", lambda *a, **k: Lowered())
  found = planning.compile_step(part, given)
  assert found.needs_bytes == (gib and pytest.approx(gib * 2**30))
  assert found.error.startswith("RESOURCE_EXHAUSTED") and "more" not in (
    found.error
  )
  assert planning.roofline(jax.devices()[0], found) is None


def _call(name, *dims):
  instruction = hlo.Instruction(name, (), "custom-call", (), "", "", False)
  shapes = [(hlo.Array("bf16", d, False),) for d in dims]
  return instruction, shapes


def test_kernels_are_counted():
  count = planning.kernel_flops((1, 2, 128, 64))
  x, w = (100, 32), (32, 500)
  once = 2 * 100 * 32 * 500
  assert count(*_call("token_logps_forward.1", x, w)) == once
  assert count(*_call("token_logps_dw.clone", x, w[::-1])) == 2 * once
  seen = 128 * 129 / 2 + 2 * (64 * 128 + 64 * 65 / 2)
  row = (4, 256, 16)  # heads, slots, size
  forward = count(*_call("splash_mha_fwd_segmented.2", (2, 2), row))
  assert forward == 2 * 2 * 4 * seen * 16
  assert count(*_call("splash_mha_dkv", row)) == 2 * forward
  assert count(*_call("splash_mha_dq", (3, *row))) == 3 * 1.5 * forward
  # A row of another length is a plain causal one.
  plain = count(*_call("splash_mha_fwd", (4, 512, 16)))
  assert plain == 2 * 2 * 4 * (512 * 513 / 2) * 16
  assert count(*_call("rng", x)) == 0


def test_the_table_of_chips():
  def spec(kind):
    return chips.chip(python_types.SimpleNamespace(device_kind=kind))

  assert spec("TPU v5 lite") != spec("TPU v5p") == spec("TPU v5")
  assert spec("TPU v5 lite").memory == 16 * 2**30
  assert spec("cpu") is None
  line = chips.roofline(spec("TPU v5 lite"), 197e12, 2 * 819e9, 0.5 * 200e9)
  assert (line.products, line.memory, line.links) == (1, 2, 0.5)
  assert line.overlapped == 2 and math.isclose(line.serial, 3.5)
