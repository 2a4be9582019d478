# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax train`: what it refuses, in one line, before anything is written."""

import json

import pytest

from prefjax.cli import main

_CONFIG = "--config=configs/dpo.py:tiny"


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch, request):
  monkeypatch.chdir(request.config.rootpath)


def _train(capsys, workdir, *words):
  status = main.main(["train", _CONFIG, f"--workdir={workdir}", *words])
  out, err = capsys.readouterr()
  return status, out, err


# What is set -> what the line says; more is in malformed_test.
_WRONG = {
  "method.mixture.dpo=0.5": "'dpo' is named twice",
  "method.mixture.kto=0.5": "need different records",
  "data.language.n=0": "data.language.n: 0 is not a whole number of 1",
  "data.language.eval_n=-1": "data.language.eval_n: -1",
  "data.language.language=big": "is not one of easy, quick, full",
  "data.batch_size=9": "9 rows are not a multiple",
  "data.batch_size=4": "4 rows are not a multiple",
  "model.overrides.max_positions=16": "data.max_prompt",
  "model.overrides.vocab_size=8": "give the model's own tokenizer",
  "model.chat_template=no.jinja": "model.chat_template: no.jinja cannot be",
  "model.dtype=float64": "set the environment variable JAX_ENABLE_X64",
  "model.compute_dtype=float64": "model.compute_dtype: float64 needs",
  "mesh.fsdp=-1": "only one axis may be -1",
  "opt.decay_pattern=(": "not a regular expression",
  "train.reference=none": "dpo needs a reference",
  "checkpoint.keep_best=1": "checkpoint.keep_best: needs",
}


@pytest.mark.parametrize("word", _WRONG)
def test_one_line_and_nothing_written(capsys, tmp_path, word):
  said, workdir = _WRONG[word], tmp_path / "run"
  status, out, err = _train(capsys, workdir, f"--config.{word}")
  assert (status, out) == (2, ""), err
  assert err.startswith("prefjax train: ") and err.count("\n") == 1
  assert said in err
  assert not workdir.exists()


def test_pmap_spreads_no_weights(capsys, tmp_path):
  words = ("--config.train.parallel=pmap", "--config.mesh.fsdp=2")
  status, _, err = _train(capsys, tmp_path / "run", *words)
  assert status == 2 and "pmap is data parallel only" in err


def test_records_that_the_method_cannot_use(capsys, tmp_path):
  path = tmp_path / "prompts.jsonl"
  rows = [{"prompt": f"question {i}"} for i in range(30)]
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  status, out, err = _train(
    capsys, tmp_path / "run", f"--config.data.train={path}"
  )
  assert status == 2 and err.count("\n") == 1
  assert "no example is left" in err and "responses" in err


def test_a_row_that_cannot_be_used(capsys, tmp_path):
  path = tmp_path / "pairs.jsonl"
  rows = [{"prompt": "a", "chosen": "b", "rejected": "c"}] * 3
  rows[2] = {"prompt": "a", "chosen": 5, "rejected": "c"}
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  status, _, err = _train(
    capsys, tmp_path / "run", f"--config.data.train={path}"
  )
  assert status == 2 and err.count("\n") == 1
  assert "pairs.jsonl, line 3" in err and "chosen" in err
