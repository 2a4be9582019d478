# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`generate` of transformers, one batch at a time; see `generation.py`."""

import argparse
import json
import logging
import os
import pathlib
import sys
import time

import protocol
import torch
import transformers


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--prompts", required=True)
  parser.add_argument("--model", required=True)
  parser.add_argument("--dtype", choices=("fp32", "bf16"), required=True)
  parser.add_argument("--new_tokens", type=int, required=True)
  parser.add_argument("--threads", type=int, required=True)
  args = parser.parse_args(argv)
  channel = protocol.Channel()
  os.environ["HF_HUB_OFFLINE"] = "1"
  logging.disable(logging.WARNING)
  transformers.utils.logging.set_verbosity_error()
  torch.set_num_threads(args.threads)
  prompts = json.loads(pathlib.Path(args.prompts).read_text())
  model = transformers.AutoModelForCausalLM.from_pretrained(
    args.model,
    dtype=torch.bfloat16 if args.dtype == "bf16" else torch.float32,
  ).eval()
  channel.send(
    ready=True,
    versions={
      "torch": torch.__version__,
      "transformers": transformers.__version__,
    },
    attention=model.config._attn_implementation,
  )
  while (command := channel.wait()) is not None:
    rows = prompts[: command["batch"]]
    width = max(map(len, rows))
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
      ids[i, width - len(row) :] = torch.tensor(row)
      mask[i, width - len(row) :] = 1
    begin = time.perf_counter()
    made = model.generate(
      input_ids=ids,
      attention_mask=mask,
      do_sample=False,
      max_new_tokens=args.new_tokens,
      eos_token_id=None,  # both sides make every token that is asked for
      pad_token_id=0,
    )
    seconds = time.perf_counter() - begin
    channel.send(seconds=seconds, tokens=made[:, width:].tolist())


if __name__ == "__main__":
  main(sys.argv[1:])
