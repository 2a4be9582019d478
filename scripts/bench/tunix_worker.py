# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tunix's DPOTrainer, one step at a time; started by `vs_tunix.py`."""

import argparse
import itertools
import json
import pathlib
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import protocol
from tunix.models.llama3 import model as llama
from tunix.models.llama3 import params as llama_params
from tunix.sft.dpo import dpo_trainer

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "parity"))
import token_files  # noqa: E402

_MULTIPLE = 32


def config_of(folder: str) -> llama.ModelConfig:
  """The shape of a Llama model in a Hugging Face directory."""
  c = json.loads((pathlib.Path(folder) / "config.json").read_text())
  heads = c["num_attention_heads"]
  theta = c.get("rope_theta") or c["rope_parameters"]["rope_theta"]
  return llama.ModelConfig(
    num_layers=c["num_hidden_layers"],
    vocab_size=c["vocab_size"],
    embed_dim=c["hidden_size"],
    hidden_dim=c["intermediate_size"],
    num_heads=heads,
    head_dim=c.get("head_dim") or c["hidden_size"] // heads,
    num_kv_heads=c["num_key_value_heads"],
    norm_eps=c["rms_norm_eps"],
    rope_theta=int(theta),
    weight_tying=c["tie_word_embeddings"],
  )


def _padded(rows, left: bool):
  """(ids, mask) padded to the next multiple on one side."""
  width = -(-max(map(len, rows)) // _MULTIPLE) * _MULTIPLE
  ids = np.zeros((len(rows), width), np.int32)
  mask = np.zeros((len(rows), width), bool)
  for i, row in enumerate(rows):
    at = slice(width - len(row), width) if left else slice(0, len(row))
    ids[i, at], mask[i, at] = row, True
  return ids, mask


def inputs_of(pairs) -> dpo_trainer.TrainingInput:
  """One batch, its responses padded alike."""
  prompt, prompt_mask = _padded([p["prompt"] for p in pairs], left=True)
  both = [p[side] for side in ("chosen", "rejected") for p in pairs]
  response, mask = _padded(both, left=False)
  n = len(pairs)
  return dpo_trainer.TrainingInput(
    prompt_ids=prompt,
    prompt_mask=prompt_mask,
    chosen_ids=response[:n],
    chosen_mask=mask[:n],
    rejected_ids=response[n:],
    rejected_mask=mask[n:],
  )


class _Turns:
  """Batches that are handed out one by one, when told to."""

  def __init__(self, channel, batches):
    self._channel = channel
    self._batches = itertools.cycle(batches)
    self.start = 0.0

  def __iter__(self):
    return self

  def __next__(self):
    command = self._channel.wait()
    if command is None:
      raise StopIteration
    if command.get("reset_peak"):
      protocol.reset_peak()
    self.start = time.perf_counter()
    return next(self._batches)


class _Trainer(dpo_trainer.DPOTrainer):
  """Reports every step once it is done."""

  def report_to(self, channel, turns) -> None:
    self._report = channel, turns

  def _post_process_train_step(self, aux) -> None:
    channel, turns = self._report
    jax.block_until_ready((aux, jax.tree.leaves(self.model)))
    seconds = time.perf_counter() - turns.start
    channel.send(seconds=seconds, peak_rss=protocol.peak_rss())
    super()._post_process_train_step(aux)


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--tokens", required=True)
  parser.add_argument("--model", required=True)
  parser.add_argument("--batch_size", type=int, required=True)
  parser.add_argument("--batches", type=int, required=True)
  args = parser.parse_args(argv)
  channel = protocol.Channel()
  content = token_files.read_tokens(args.tokens)
  start = time.perf_counter()
  config = config_of(args.model)
  mesh = jax.make_mesh(
    (1, 1),
    ("fsdp", "tp"),
    devices=jax.devices()[:1],
    axis_types=(jax.sharding.AxisType.Auto,) * 2,
  )
  with mesh:
    policy, reference = (
      llama_params.create_model_from_safe_tensors(
        args.model, config, mesh, dtype=jnp.float32
      )
      for _ in range(2)
    )
    trainer = _Trainer(
      policy,
      reference,
      optax.adamw(1e-6, weight_decay=0.0),
      dpo_trainer.DPOTrainingConfig(
        eval_every_n_steps=10**9, beta=0.1, max_inflight_computations=1
      ),
    )
    size = args.batch_size
    turns = _Turns(
      channel,
      [
        inputs_of(content["pairs"][i * size : (i + 1) * size])
        for i in range(args.batches)
      ],
    )
    trainer.report_to(channel, turns)
    channel.send(
      ready=True,
      setup_seconds=time.perf_counter() - start,
      versions={"jax": jax.__version__},
    )
    trainer.train(turns)


if __name__ == "__main__":
  main(sys.argv[1:])
