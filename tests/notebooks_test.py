# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The notebooks: stored without outputs, run from top to bottom, and right."""

import json
import math
import pathlib
import sys

import nbclient
import nbformat
import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "experiments" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

# Run before the first cell: the kernel is this environment's, and offline.
_BEFORE = """
import socket, sys
assert sys.prefix == {prefix!r}, sys.prefix
def _refuse(*args, **options):
  raise RuntimeError("a notebook may not use the network")
socket.getaddrinfo = socket.socket.connect = _refuse
"""
# Run after the last one: what the prose says, as numbers.
_AFTER = """
import json
print(json.dumps({
  "sft": [sft[0]["loss"], sft[-1]["loss"]],
  "dpo": [row["loss"] for row in dpo],
  "drift": [dpo[-1][f"drift/{s}_logps"] for s in ("chosen", "rejected")],
  "by_hand": [float(by_hand), float(dpo_loss(chosen + 5.0) / len(chosen))],
  "untrained": [float(x) for x in loss],
  "accuracy": float(accuracy),
}))
"""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_stored_clean(path):
  """No outputs, counts or traces of the machine it was written on."""
  text = path.read_text(encoding="utf-8")
  notebook = nbformat.reads(text, as_version=4)
  nbformat.validate(notebook)
  assert set(notebook.metadata) == {"kernelspec", "language_info"}
  assert notebook.metadata.kernelspec.name == "python3"
  assert notebook.metadata.language_info == {"name": "python"}
  for cell in notebook.cells:
    assert cell.metadata == {}
    if cell.cell_type == "code":
      assert cell.outputs == [] and cell.execution_count is None
  assert text == nbformat.writes(notebook) + "\n"


def _execute(path, scratch, monkeypatch) -> nbformat.NotebookNode:
  for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
    monkeypatch.setenv(name, str(scratch / name.lower()))
  monkeypatch.setenv("TMPDIR", str(scratch))
  notebook = nbformat.read(path, as_version=4)
  before = _BEFORE.format(prefix=sys.prefix)
  notebook.cells.insert(0, nbformat.v4.new_code_cell(before))
  notebook.cells.append(nbformat.v4.new_code_cell(_AFTER))
  client = nbclient.NotebookClient(
    notebook,
    timeout=300,
    kernel_name="python3",
    resources={"metadata": {"path": str(scratch)}},
  )
  return client.execute()


@pytest.fixture(scope="module")
def first_steps(tmp_path_factory):
  scratch = tmp_path_factory.mktemp("kernel")
  with pytest.MonkeyPatch.context() as patch:
    return _execute(FOLDER / "01_first_steps.ipynb", scratch, patch)


def _outputs(notebook, name):
  (cell,) = (c for c in notebook.cells if c.id == name)
  return cell.outputs


def _text(notebook, name) -> str:
  return "".join(o.text for o in _outputs(notebook, name) if "text" in o)


def test_first_steps_says_what_is_true(first_steps):
  facts = json.loads(first_steps.cells[-1].outputs[0].text)
  assert facts["untrained"] == pytest.approx([math.log(2)] * 32, abs=1e-6)
  assert facts["by_hand"] == pytest.approx(
    [math.log(1 + math.exp(-0.5))] * 2, abs=1e-6
  )
  assert facts["sft"][1] < 2.5 < facts["sft"][0]
  assert facts["dpo"][0] == pytest.approx(math.log(2), abs=1e-6)
  assert sum(facts["dpo"][-20:]) / 20 < 0.62
  # Seeds and versions move it a little; a coin would give 0.5.
  assert 0.66 < facts["accuracy"] <= 1
  assert facts["drift"][1] < facts["drift"][0]
  assert "equal: True" in _text(first_steps, "save")
  assert "slope at 0: -0.05" in _text(first_steps, "arithmetic")


def test_first_steps_shows_pictures_and_spans(first_steps):
  for name in ("curves", "plots", "heldout"):
    images = [o for o in _outputs(first_steps, name) if "image/png" in o.data]
    assert len(images) == 1 and len(images[0].data["image/png"]) > 5000, name
  for name, color in (("spans", "#b7e4c7"), ("credit", "rgba(0,114,178")):
    (page,) = _outputs(first_steps, name)
    assert color in page.data["text/html"] and "⏎" in page.data["text/html"]


def test_first_steps_prints_no_warning(first_steps):
  """Not even a line on stderr: a reader would wonder."""
  noise = [
    output.text
    for cell in first_steps.cells
    for output in cell.get("outputs", [])
    if output.get("name") == "stderr"
  ]
  assert noise == []
