# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What holds for every experiment of the project, found by itself."""

import importlib
import json
import pathlib

import pytest

from prefjax import experiments, methods
from prefjax.experiments import judging, spec, store, table

_ROOT = pathlib.Path(__file__).resolve().parents[2] / "experiments"
_SLUGS = experiments.known(_ROOT)
_DONE = [slug for slug in _SLUGS if (_ROOT / slug / store.FILE).is_file()]


def _load(slug) -> experiments.Experiment:
  module = importlib.import_module(f"experiments.{slug}.experiment")
  return experiments.from_module(slug, module)


def test_there_are_some():
  assert {"rdpo", "ld_dpo", "step_dpo", "medllm_rpo", "zoo"} <= set(_SLUGS)


@pytest.mark.parametrize("slug", _SLUGS)
def test_it_declares_what_it_should(slug):
  found = _load(slug)
  for scale in spec.SCALES:
    text = json.dumps(dict(found.settings[scale]), allow_nan=False)
    assert json.loads(text)
  assert found.arm != found.baseline
  for name in found.methods:
    assert name in methods.names(), name


@pytest.mark.parametrize("slug", _DONE)
def test_its_results_are_those_of_the_code_beside_them(slug):
  found = _load(slug)
  results = store.read_json(_ROOT / slug / store.FILE)
  assert results["scale"] == "full"
  assert results["digest"] == store.key(found, "full"), (
    f"run prefjax experiment run {slug}"
  )
  assert len(results["seeds"]) >= 3
  rows = [row["arms"] for row in results["seeds"]]
  judged = judging.judge(found, rows)
  assert {name: results[name] for name in judged} == judged
  assert (_ROOT / slug / "plot.png").is_file()


def test_the_page_is_up_to_date():
  page = (_ROOT / "README.md").read_text(encoding="utf-8")
  assert page == table.markdown(table.read(_ROOT)), (
    "run prefjax experiment table"
  )
