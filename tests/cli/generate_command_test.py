# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax generate` and `prefjax convert` on a byte-level model."""

import json

import jax
import numpy as np
import pytest

from prefjax import generation, models
from prefjax.cli import main
from prefjax.data import chat_templates, prompting, tokenizers
from prefjax.models import lora


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """A model directory whose greedy answers are not all alike."""
  model = models.Model(
    models.preset("tiny", num_layers=1, init_std=0.3, tied=False)
  )
  params = jax.jit(model.init)(jax.random.key(3))
  path = tmp_path_factory.mktemp("model")
  template = chat_templates.TEMPLATES["chatml"]
  tokenizer = tokenizers.ByteTokenizer(chat_template=template)
  models.save_pretrained(path, model, params, tokenizer)
  return path


def _run(*words):
  return main.main([str(word) for word in words])


def _generate(folder, *words, out=None):
  """Lines of --out."""
  words = ["generate", f"--model={folder}", "--max_new_tokens=8", *words]
  if out is not None:
    assert _run(*words, f"--out={out}") == 0
    return [json.loads(line) for line in out.read_text().splitlines()]
  return _run(*words)


def _texts(lines):
  return [[r["text"] for r in line["responses"]] for line in lines]


def test_a_lone_answer_is_printed_bare(folder, capsys, tmp_path):
  lines = _generate(folder, "--prompt=Hello", out=tmp_path / "out.jsonl")
  assert "1 prompts" in capsys.readouterr().out
  (response,) = lines[0]["responses"]
  assert lines[0]["prompt"] == "Hello"
  assert response["tokens"] == 8 and response["finish"] == "length"
  assert -200 < response["logp"] < 0
  assert _generate(folder, "--prompt=Hello") == 0
  captured = capsys.readouterr()
  assert captured.out == response["text"].strip() + "\n"
  assert "tokens/s" in captured.err


def test_the_answer_is_that_of_the_library(folder, tmp_path):
  model, params = models.from_pretrained(folder)
  tokenizer = tokenizers.load(folder)
  chat_prompt = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
  ]
  prompts = {
    ("--prompt=Hello", "--system=Be brief."): prompting.encode_prompt(
      tokenizer, chat_prompt
    ),
    ("--prompt=Hello", "--raw"): list(b"Hello"),
  }
  text = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello"
  first = next(iter(prompts.values()))
  assert tokenizer.decode(first).startswith(text)
  for words, ids in prompts.items():
    made = generation.generate(
      model, params, [ids], max_new_tokens=8, greedy=True
    )
    want = tokenizer.decode(made.responses()[0][0], skip_special=True)
    lines = _generate(folder, *words, out=tmp_path / "out.jsonl")
    assert _texts(lines) == [[want]]
    np.testing.assert_allclose(
      lines[0]["responses"][0]["logp"], made.policy_logps.sum(), rtol=1e-5
    )


def test_draws(folder, capsys, tmp_path):
  words = ["--prompt=ab", "--num_samples=3", "--top_p=0.95"]
  first = _generate(folder, *words, out=tmp_path / "out.jsonl")
  again = _generate(folder, *words, out=tmp_path / "out.jsonl")
  other = _generate(folder, *words, "--seed=1", out=tmp_path / "out.jsonl")
  assert _texts(first) == _texts(again)
  assert _texts(first) != _texts(other)
  assert len({t for row in _texts(first) for t in row}) > 1
  capsys.readouterr()
  assert _generate(folder, *words) == 0
  shown = capsys.readouterr().out
  assert shown.startswith("> ab\n")


def test_prompts_from_a_file(folder, tmp_path):
  file = tmp_path / "prompts.jsonl"
  turns = [
    {"role": "user", "content": "One"},
    {"role": "assistant", "content": "Two"},
    {"role": "user", "content": "Three"},
  ]
  rows = ["Hello", {"prompt": "Hello"}, {"messages": turns}, {"prompt": turns}]
  file.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
  lines = _generate(
    folder, "--prompt=Hello", f"--prompts={file}", out=tmp_path / "out.jsonl"
  )
  assert [line["prompt"] for line in lines] == ["Hello"] * 3 + [turns] * 2
  texts = _texts(lines)
  assert texts[0] == texts[1] == texts[2]
  assert texts[3] == texts[4] != texts[0]


_BAD = {
  "": "--prompt, --prompts: give one of them",
  "--prompt=x": "--model, --workdir: give one of them",
  "--model=MODEL": "--prompt, --prompts: give one of them",
  "--model=nowhere --prompt=x": "nowhere: no tokenizer there",
  "--model=MODEL --prompt=": "--prompt=: expected some text",
  "--model=MODEL --promt=x": "did you mean --prompt",
  "--model=MODEL --prompt=x --max_new_tokens=0": "of at least 1",
  "--model=MODEL --prompt=x --max_new_tokens=2000": "has 1024 positions",
  "--model=MODEL --prompt=x --temperature=-1": "of at least 0",
  "--model=MODEL --prompt=x --temperature=0 --top_k=4": "--top_k needs draws",
  "--model=MODEL --prompt=x --top_p=1.5": "at most 1",
  "--model=MODEL --prompt=x --raw --system=y": "--raw leaves out",
  "--model=MODEL --prompts=none.jsonl": "nothing is there",
  "--model=MODEL --prompts=empty.jsonl": "empty.jsonl: holds no prompt",
  "--model=MODEL --prompts=broken.jsonl": "broken.jsonl:2: is not JSON",
  "--model=MODEL --prompts=fields.jsonl": "fields.jsonl:1: has neither",
  "--model=MODEL --prompts=number.jsonl": "number.jsonl:1: the prompt",
  "--model=MODEL --prompts=turns.jsonl": "content: is not a string",
  "--model=MODEL --prompts=turns.jsonl --raw": "needs a chat template",
  "--model=MODEL --prompts=latin.jsonl": "latin.jsonl: is not UTF-8",
}


@pytest.mark.parametrize("line", _BAD)
def test_wrong_command_lines(line, folder, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "empty.jsonl").write_text("\n")
  (tmp_path / "broken.jsonl").write_text('"a"\n{"prompt": \n')
  (tmp_path / "fields.jsonl").write_text('{"text": "a"}\n')
  (tmp_path / "number.jsonl").write_text("3\n")
  turn = {"role": "user", "content": 3}
  (tmp_path / "turns.jsonl").write_text(json.dumps([turn]) + "\n")
  (tmp_path / "latin.jsonl").write_bytes(b'"\xe9"\n')
  words = line.replace("MODEL", str(folder)).split()
  before = sorted(tmp_path.iterdir())
  assert main.main(["generate", *words]) == 2
  captured = capsys.readouterr()
  assert captured.out == ""
  assert captured.err.count("\n") == 1
  assert _BAD[line] in captured.err
  assert sorted(tmp_path.iterdir()) == before


def test_system_needs_a_template(tmp_path, capsys):
  model = models.Model(models.preset("tiny", num_layers=1))
  params = jax.jit(model.init)(jax.random.key(0))
  models.save_pretrained(tmp_path, model, params, tokenizers.ByteTokenizer())
  words = ["generate", f"--model={tmp_path}", "--prompt=x", "--system=y"]
  assert main.main(words) == 2
  assert "name one with --template" in capsys.readouterr().err


# End tokens.


def test_a_template_ends_turns_with_its_own_token():
  class Marked(tokenizers.ByteTokenizer):
    """Bytes, but '}' is a control token."""

    special_ids = frozenset({256, 257, 258, ord("}")})

  source = Marked()
  template = (
    "{% for m in messages %}{{ m.role }}:{{ m.content }}{{ '}' }}"
    "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
  )
  assert prompting.end_ids(source) == (257,)
  assert prompting.end_ids(source, template=template) == (257, ord("}"))
  plain = prompting.end_ids(source, template=template, is_chat=False)
  assert plain == (257,)
  ids = prompting.encode_prompt(
    source, [{"role": "user", "content": "a"}], template=template
  )
  assert bytes(ids) == b"user:a}assistant:"


# Conversion.


def _tensors(path):
  return models.from_pretrained(path, dtype=None)[1]


def test_convert_keeps_every_bit(folder, tmp_path, capsys):
  target = tmp_path / "new" / "model"
  assert _run("convert", f"--from={folder}", f"--to={target}") == 0
  assert "llama" in capsys.readouterr().out
  jax.tree.map(
    np.testing.assert_array_equal, _tensors(target), _tensors(folder)
  )
  ours, theirs = tokenizers.load(target), tokenizers.load(folder)
  assert ours.fingerprint == theirs.fingerprint


def test_convert_rounds_and_shards(folder, tmp_path, capsys):
  target = tmp_path / "low"
  assert (
    _run(
      "convert",
      f"--from={folder}",
      f"--to={target}",
      "--dtype=bfloat16",
      "--max_shard_gb=0.00005",
    )
    == 0
  )
  assert "of bfloat16" in capsys.readouterr().out
  assert len(list(target.glob("*.safetensors"))) > 1
  jax.tree.map(
    lambda low, full: np.testing.assert_array_equal(
      low, full.astype("bfloat16")
    ),
    _tensors(target),
    _tensors(folder),
  )


def test_convert_merges_an_adapter(folder, tmp_path):
  model, params = models.from_pretrained(folder)
  spec = models.LoraSpec(rank=2, targets="attention/q|mlp/down")
  adapter = lora.init(jax.random.key(0), model.config, spec)
  adapter = jax.tree.map(lambda x: x + 0.1, adapter)
  models.save_adapter(tmp_path / "adapter", model.config, adapter, spec)
  words = [f"--from={folder}", f"--merge_lora={tmp_path / 'adapter'}"]
  assert _run("convert", *words, f"--to={tmp_path / 'merged'}") == 0
  jax.tree.map(
    np.testing.assert_array_equal,
    _tensors(tmp_path / "merged"),
    lora.merge(params, adapter, spec),
  )


@pytest.mark.parametrize(
  "words, message",
  [
    ("--to=x", "--from is missing"),
    ("--from=MODEL", "--to is missing"),
    ("--from=MODEL --to=MODEL", "holds files already"),
    ("--from=nowhere --to=x", "nowhere: no model there"),
    ("--from=MODEL --to=x --dtype=int8", "--dtype=int8: expected"),
    ("--from=MODEL --to=x --merge_lora=MODEL", "adapter_config.json"),
    ("--from=MODEL --to=x --max_shard_gb=0", "above 0"),
  ],
)
def test_wrong_conversions(
  words, message, folder, tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
  words = words.replace("MODEL", str(folder)).split()
  assert main.main(["convert", *words]) == 2
  captured = capsys.readouterr()
  assert message in captured.err and captured.err.count("\n") == 1
  assert not list(tmp_path.iterdir())
