# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`generation.generate`, one batch at a time; see `generation.py`."""

import argparse
import json
import pathlib
import sys
import time

import jax
import jax.numpy as jnp
import protocol

from prefjax import generation, models


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--prompts", required=True)
  parser.add_argument("--model", required=True)
  parser.add_argument("--dtype", choices=("fp32", "bf16"), required=True)
  parser.add_argument("--new_tokens", type=int, required=True)
  args = parser.parse_args(argv)
  channel = protocol.Channel()
  prompts = json.loads(pathlib.Path(args.prompts).read_text())
  model, params = models.from_pretrained(
    args.model,
    dtype=jnp.bfloat16 if args.dtype == "bf16" else jnp.float32,
  )
  jax.block_until_ready(params)
  channel.send(ready=True, versions={"jax": jax.__version__})
  while (command := channel.wait()) is not None:
    begin = time.perf_counter()
    made = generation.generate(
      model,
      params,
      prompts[: command["batch"]],
      max_new_tokens=args.new_tokens,
      greedy=True,
      eos_ids=(),
    )
    seconds = time.perf_counter() - begin
    channel.send(seconds=seconds, tokens=made.tokens[:, 0].tolist())


if __name__ == "__main__":
  main(sys.argv[1:])
