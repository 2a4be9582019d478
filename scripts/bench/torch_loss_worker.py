# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Torch's cross-entropy of a linear head, forward and backward, when told."""

import argparse
import sys
import time

import protocol
import torch


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  for name in ("rows", "hidden", "vocab"):
    parser.add_argument(f"--{name}", type=int, required=True)
  parser.add_argument("--cpu", action="store_true")
  args = parser.parse_args(argv)
  channel = protocol.Channel()
  device = "cpu" if args.cpu else "cuda"
  options = dict(device=device, dtype=torch.bfloat16, requires_grad=True)
  x = torch.randn(args.rows, args.hidden, **options)
  w = torch.randn(args.vocab, args.hidden, **options)
  targets = torch.randint(args.vocab, (args.rows,), device=device)
  channel.send(ready=True, version=torch.__version__)
  while channel.wait() is not None:
    x.grad = w.grad = None
    if not args.cpu:
      torch.cuda.synchronize()
      torch.cuda.reset_peak_memory_stats()
    begin = time.perf_counter()
    logits = torch.nn.functional.linear(x, w)
    torch.nn.functional.cross_entropy(logits, targets).backward()
    if not args.cpu:
      torch.cuda.synchronize()
    seconds = time.perf_counter() - begin
    most = 0 if args.cpu else torch.cuda.max_memory_allocated()
    channel.send(seconds=seconds, peak_bytes=most)


if __name__ == "__main__":
  main(sys.argv[1:])
