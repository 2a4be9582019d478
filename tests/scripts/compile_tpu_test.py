# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A whole train step through the TPU compiler, with no TPU."""

import importlib.util
import json
import pathlib

import pytest
import tpu_topology

from prefjax import config as config_lib
from prefjax.models import presets

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_SCALE = sorted(
  path.stem
  for path in (_ROOT / "configs" / "scale").glob("*.py")
  if path.stem not in ("__init__", "pod")
)


@pytest.fixture(scope="module")
def script():
  tpu_topology.devices("v5e")  # skips without the compiler
  path = _ROOT / "scripts" / "compile_tpu.py"
  spec = importlib.util.spec_from_file_location("compile_tpu", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def _config(name: str, arg: str = ""):
  module = importlib.import_module(f"configs.scale.{name}")
  return config_lib.parse(module.get_config(arg))


@pytest.mark.parametrize("name", _SCALE)
def test_configs_of_published_shapes(name):
  """4,096 tokens a pair, weights over all chips; options are taken."""
  config = _config(name)
  shape = presets.preset(config.model.source.removeprefix("preset:"))
  assert shape.num_layers >= 16
  assert config.train.reference == "precomputed"
  assert config.data.max_prompt + 2 * config.data.max_response == 4096
  assert config.mesh.fsdp == -1
  other = _config(name, "reference=live,lora=16,pairs=32,tensor=4")
  assert other.train.reference == "live"
  assert other.model.lora.rank == 16
  assert other.data.batch_size == 32
  assert other.mesh.tensor == 4


def test_figures_of_a_step_on_two_slices(script, tmp_path, capsys):
  """As chips double, each holds and multiplies half."""
  out = tmp_path / "out.json"
  status = script.main(
    [
      f"--config={_ROOT}/configs/scale/llama_3_2_1b.py:tiny",
      "--config.mesh.data=1",
      "--config.mesh.fsdp=-1",
      "--config.train.reference=precomputed",
      "--topology=v5e:2x2",
      "--topology=v5e:2x4",
      f"--out={out}",
    ]
  )
  assert status == 0
  few, many = json.loads(out.read_text())
  printed = capsys.readouterr().out
  assert "v5e:2x2: 4 x TPU v5 lite (data=1, fsdp=4, tensor=1)" in printed
  assert few["plan"]["devices"] == 4 and many["plan"]["devices"] == 8
  for result in (few, many):
    assert result["fits"] and not result["error"]
    assert result["hbm_bytes"] == 16 << 30
    assert result["peak_bytes"] >= result["argument_bytes"] > 0
    assert result["collectives"]
    times = result["seconds"]
    assert 0 < times["overlapped"] <= times["serial"]
    useful = result["plan"]["useful_flops"] / result["plan"]["devices"]
    assert result["flops"] > 0.8 * useful
  assert many["plan"]["state_bytes"] < 0.7 * few["plan"]["state_bytes"]


def test_several_slices_and_a_preset(script, capsys):
  """Only the axis data leaves a slice; weights are whole on each."""
  words = [
    f"--config={_ROOT}/configs/scale/llama_3_2_1b.py:tiny",
    "--config.mesh.compiler_preset=multi_slice",
    "--config.mesh.fsdp=4",
    "--topology=v5e:2x2",
    "--slices=2",
  ]
  assert script.main([*words, "--config.mesh.data=2"]) == 0
  printed = capsys.readouterr().out
  assert "2 slices: 8 x TPU v5 lite (data=2, fsdp=4, tensor=1)" in printed
  words[2] = "--config.mesh.fsdp=8"
  assert script.main([*words, "--config.mesh.data=1"]) == 2
  assert "mesh.data: 1 is not a multiple" in capsys.readouterr().err


def test_wrong_slices_and_rows_are_named(script, capsys):
  config = f"--config={_ROOT}/configs/scale/llama_3_2_1b.py:tiny"
  assert script.main([config, "--topology=v5e:3x5x7"]) == 2
  assert "--topology=v5e:3x5x7" in capsys.readouterr().err
  assert script.main([config, "--topology=v5e:2x2", "--rows=3"]) == 2
  assert "--rows=3" in capsys.readouterr().err
