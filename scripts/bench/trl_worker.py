# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""TRL's DPOTrainer, one step at a time; started by `vs_trl.py`."""

import argparse
import os
import pathlib
import sys
import tempfile
import time

import protocol

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "parity"))
import token_files  # noqa: E402
import torch  # noqa: E402
import torch_side  # noqa: E402
import transformers  # noqa: E402
import trl  # noqa: E402


class _TakesTurns(transformers.TrainerCallback):
  """Starts a step when told to and reports how long it took."""

  def __init__(self, channel: protocol.Channel):
    self._channel = channel
    self._start = 0.0

  def on_step_begin(self, args, state, control, **kwargs):
    del args, state, kwargs
    command = self._channel.wait()
    if command is None:  # the benchmark is over
      os._exit(0)
    if command.get("reset_peak"):
      protocol.reset_peak()
    self._start = time.perf_counter()
    return control

  def on_step_end(self, args, state, control, **kwargs):
    del args, state, kwargs
    self._channel.send(
      seconds=time.perf_counter() - self._start,
      peak_rss=protocol.peak_rss(),
    )
    return control


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--tokens", required=True)
  parser.add_argument("--model", required=True)
  parser.add_argument("--dtype", choices=("fp32", "bf16"), required=True)
  parser.add_argument("--reference", required=True)
  parser.add_argument("--batch_size", type=int, required=True)
  parser.add_argument("--batches", type=int, required=True)
  parser.add_argument("--rounds", type=int, required=True)
  parser.add_argument("--threads", type=int, required=True)
  parser.add_argument("--checkpointing", action="store_true")
  args = parser.parse_args(argv)
  channel = protocol.Channel()
  torch_side.quiet(args.threads)
  content = token_files.read_tokens(args.tokens)
  precomputed = args.reference == "precomputed"
  start = time.perf_counter()
  with tempfile.TemporaryDirectory() as folder:
    options = {
      **torch_side.TRAINING,
      # Weights and optimiser stay in float32; autocast computes in bfloat16.
      "bf16": args.dtype == "bf16",
      "gradient_checkpointing": args.checkpointing,
      "output_dir": folder,
      "per_device_train_batch_size": args.batch_size,
      # Round 0 warms up.
      "max_steps": args.batches * (args.rounds + 1),
      "learning_rate": 1e-6,
      "lr_scheduler_type": "constant",
      "precompute_ref_log_probs": precomputed,
      "logging_steps": 1000,
    }
    pairs = content["pairs"][: args.batch_size * args.batches]
    trainer = torch_side.DPO(
      model=torch_side.load_model(args.model),
      # Precomputed, the policy's own start gives the log-probs.
      ref_model=None if precomputed else torch_side.load_model(args.model),
      args=trl.DPOConfig(**options),
      train_dataset=torch_side.pair_rows(pairs),
      processing_class=torch_side.stand_in_tokenizer(
        content["vocab_size"], content["pad_id"]
      ),
      callbacks=[_TakesTurns(channel)],
    )
    channel.send(
      ready=True,
      setup_seconds=time.perf_counter() - start,
      versions=torch_side.versions(),
      threads=torch.get_num_threads(),
      optimiser=str(trainer.args.optim),
    )
    trainer.train()
    channel.wait()


if __name__ == "__main__":
  main(sys.argv[1:])
