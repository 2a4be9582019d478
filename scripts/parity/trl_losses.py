# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every TRL loss type for a few steps on one tiny model and batch.

Needs the extra `parity`. Then `compare_losses.py` does the same with PrefJAX:

  python scripts/parity/trl_losses.py --work=DIR
  python scripts/parity/compare_losses.py --work=DIR
"""

import argparse
import dataclasses
import pathlib
import re
import sys
import tempfile

import datasets
import loss_cases
import token_files
import torch
import torch_side
import trl


def _trainer(case: loss_cases.Case, work: pathlib.Path, folder: str):
  """A trainer set up for the case, with its rows."""
  options = {
    "output_dir": folder,
    "per_device_train_batch_size": case.micro,
    "max_steps": 1,
    **torch_side.TRAINING,
    **case.trl,
  }
  policy, reference = case.roles
  common = {
    "model": torch_side.load_model(work / policy),
    "processing_class": torch_side.stand_in_tokenizer(
      loss_cases.VOCAB, loss_cases.PAD
    ),
  }
  if case.trainer == "dpo":
    return torch_side.DPO(
      ref_model=torch_side.load_model(work / reference),
      args=trl.DPOConfig(**options),
      train_dataset=torch_side.pair_rows(loss_cases.pairs()),
      **common,
    )
  if case.trainer == "kto":
    rows = loss_cases.labelled()
    options["per_device_train_batch_size"] = len(rows)
    return torch_side.KTO(
      ref_model=torch_side.load_model(work / reference),
      args=trl.KTOConfig(**options),
      train_dataset=datasets.Dataset.from_dict(
        {
          "prompt_ids": [row["prompt"] for row in rows],
          "completion_ids": [row["response"] for row in rows],
          "KL_completion_ids": [row["other"] for row in rows],
          "label": [row["label"] for row in rows],
        }
      ),
      **common,
    )
  trainer, config = torch_side.row_trainers()[case.trainer]
  options["max_length"] = 64
  return trainer(
    args=config(**options),
    train_dataset=torch_side.pair_rows(loss_cases.pairs(), text=True),
    **common,
  )


def measure(case: loss_cases.Case, work: pathlib.Path) -> list[dict]:
  """{"loss", "grad_norm"} of each step: means over the micro-batches."""
  rows = []
  with tempfile.TemporaryDirectory() as folder:
    trainer = _trainer(case, work, folder)
    model = trainer.model.train()
    loader = list(trainer.get_train_dataloader())
    for _ in range(loss_cases.STEPS):
      losses = []
      for batch in loader:
        loss = trainer.compute_loss(model, dict(batch)) / len(loader)
        loss.backward()
        losses.append(float(loss.detach()))
      norm = torch_side.gradient_norm(model)
      rows.append({"loss": sum(losses), "grad_norm": norm})
      with torch.no_grad():
        for parameter in model.parameters():
          parameter -= loss_cases.STEP_LENGTH / norm * parameter.grad
      model.zero_grad()
  return rows


def not_covered() -> list[str]:
  """Loss types that the installed TRL offers and no case compares."""
  covered = set()
  for case in loss_cases.CASES:
    names = case.trl.get("loss_type", [])
    covered |= {names} if isinstance(names, str) else set(names)
  fields = dataclasses.fields(trl.DPOConfig)
  (field,) = (f for f in fields if f.name == "loss_type")
  offered = re.findall(r"'(\w+)'", field.metadata["help"].split("If multi")[0])
  return sorted(set(offered) - covered)


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--work", required=True, help="folder of results")
  parser.add_argument("--model", default="tests/data/tiny-models/llama")
  args = parser.parse_args(argv)
  torch_side.quiet()
  work = pathlib.Path(args.work)
  loss_cases.make_models(args.model, work)
  results = {}
  for case in loss_cases.CASES:
    results[case.name] = measure(case, work)
    losses = "  ".join(f"{row['loss']:.6f}" for row in results[case.name])
    print(f"{case.name:34} {losses}", flush=True)
  print(f"DPO loss types left out: {', '.join(not_covered()) or 'none'}")
  token_files.write_json(
    work / "trl_losses.json",
    {"versions": torch_side.versions(), "cases": results},
  )


if __name__ == "__main__":
  main(sys.argv[1:])
