# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The machine's own matrix product, measured when asked."""

import argparse
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import protocol

_SIZE = 2048
_TRIES = 3


def product(dtype: str):
  """(a jitted product, its arguments), accumulating in float32."""
  kind = {"fp32": jnp.float32, "bf16": jnp.bfloat16}[dtype]
  rng = np.random.default_rng(0)
  a, b = rng.standard_normal((2, _SIZE, _SIZE), np.float32)
  run = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type="float32"))
  return run, (jnp.asarray(a, kind), jnp.asarray(b, kind))


def flops_per_second(run, args) -> float:
  """The best of a few tries."""
  best = float("inf")
  for _ in range(_TRIES):
    begin = time.perf_counter()
    jax.block_until_ready(run(*args))
    best = min(best, time.perf_counter() - begin)
  return 2.0 * _SIZE**3 / best


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--dtype", choices=("fp32", "bf16"), required=True)
  args = parser.parse_args(argv)
  channel = protocol.Channel()
  run, operands = product(args.dtype)
  jax.block_until_ready(run(*operands))
  channel.send(ready=True)
  while channel.wait() is not None:
    channel.send(flops_per_second=flops_per_second(run, operands))


if __name__ == "__main__":
  main(sys.argv[1:])
