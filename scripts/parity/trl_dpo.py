# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs TRL's DPOTrainer on a token file and writes what it saw each step.

Needs the extra `parity` (torch, trl); float32 on the CPU:

  python scripts/parity/trl_dpo.py --tokens=tokens.json --model=smollm2 \
    --out=trl.json
"""

import argparse
import sys
import tempfile
import time

import token_files
import torch
import torch_side
import transformers
import trl

METRICS = (
  "rewards/chosen",
  "rewards/rejected",
  "rewards/margins",
  "rewards/accuracies",
  "logps/chosen",
  "logps/rejected",
)


class _Recorder(transformers.TrainerCallback):
  """Keeps the metrics of every step, unrounded."""

  def __init__(self):
    self.rows = []

  def on_log(self, args, state, control, logs=None, **kwargs):
    del args, state, control, kwargs
    if logs and "grad_norm" in logs:
      self.rows.append(dict(logs))


class _Trainer(torch_side.DPO):
  """Also keeps the losses, which the log rounds."""

  losses: list[float]

  def compute_loss(self, *args, **kwargs):
    loss = super().compute_loss(*args, **kwargs)
    self.losses.append(float(loss.detach()))
    return loss


def run(content: dict, model_path: str, settings: dict) -> list[dict]:
  """One record a step.

  Args:
    content: of the token file.
    model_path: directory of the policy's start, which is the reference too.
    settings: see `main`; the other side reads them from the result.
  """
  number = settings["steps"] * settings["batch_size"]
  if number > len(content["pairs"]):
    raise SystemExit(f"--tokens: {number} pairs needed, make a longer file")
  with tempfile.TemporaryDirectory() as folder:
    config = trl.DPOConfig(
      output_dir=folder,
      per_device_train_batch_size=settings["batch_size"],
      max_steps=settings["steps"],
      learning_rate=settings["learning_rate"],
      lr_scheduler_type="constant",
      optim="adamw_torch",
      adam_beta1=settings["b1"],
      adam_beta2=settings["b2"],
      adam_epsilon=settings["eps"],
      weight_decay=0.0,
      # Large enough to do nothing; 0 would leave the norm out of the log.
      max_grad_norm=1e9,
      beta=settings["beta"],
      loss_type=[settings["loss_type"]],
      seed=0,
      **torch_side.TRAINING,
    )
    recorder = _Recorder()
    trainer = _Trainer(
      model=torch_side.load_model(
        model_path, pad_gradient=settings["pad_gradient"]
      ),
      ref_model=torch_side.load_model(model_path),
      args=config,
      train_dataset=torch_side.pair_rows(content["pairs"][:number]),
      processing_class=torch_side.stand_in_tokenizer(
        content["vocab_size"], content["pad_id"]
      ),
      callbacks=[recorder],
    )
    trainer.losses = []
    trainer.train()
  if len(recorder.rows) != settings["steps"]:
    raise SystemExit(f"{len(recorder.rows)} steps were logged")
  return [
    {"step": i, "loss": loss, "grad_norm": float(row["grad_norm"])}
    | {name: float(row[name]) for name in METRICS}
    for i, (loss, row) in enumerate(
      zip(trainer.losses, recorder.rows, strict=True)
    )
  ]


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--tokens", required=True)
  parser.add_argument("--model", required=True, help="model directory")
  parser.add_argument("--out", required=True)
  parser.add_argument("--steps", type=int, default=8)
  parser.add_argument("--batch_size", type=int, default=2)
  parser.add_argument("--learning_rate", type=float, default=1e-5)
  parser.add_argument("--beta", type=float, default=0.1)
  parser.add_argument("--threads", type=int)
  parser.add_argument(
    "--pad_gradient",
    action="store_true",
    help="give the pad token's embedding its gradient",
  )
  args = parser.parse_args(argv)
  torch_side.quiet(args.threads)
  settings = {
    "steps": args.steps,
    "batch_size": args.batch_size,
    "learning_rate": args.learning_rate,
    "b1": 0.9,
    "b2": 0.999,
    "eps": 1e-8,
    "beta": args.beta,
    "loss_type": "sigmoid",
    "pad_gradient": args.pad_gradient,
  }
  start = time.perf_counter()
  rows = run(token_files.read_tokens(args.tokens), args.model, settings)
  token_files.write_json(
    args.out,
    {
      "settings": settings,
      "versions": torch_side.versions(),
      "threads": torch.get_num_threads(),
      "seconds": time.perf_counter() - start,
      "steps": rows,
    },
  )
  for row in rows:
    print(f"step {row['step']}  loss {row['loss']:.6f}")


if __name__ == "__main__":
  main(sys.argv[1:])
