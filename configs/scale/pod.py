# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What the configs of this folder share: DPO at 4,096 tokens a pair."""

import ml_collections

from configs import base, common

_TARGETS = "attention/.*|mlp/.*"


def make(preset: str, arg: str | None) -> ml_collections.ConfigDict:
  """DPO with all weights, or an adapter, of a published shape.

  Weights and moments are float32 and spread over all chips, arithmetic is
  bfloat16, a layer's activations are computed again in the backward pass. A
  pair takes 2,048 prompt and twice 1,024 response tokens, its prompt once.

  Args:
    preset: name of the shape.
    arg: options of the config file: tiny; reference=live or precomputed;
      lora=RANK, 0 for all weights; pairs=N, of a batch; tensor=N chips that
      share each matrix.
  """
  options = common.parse_arg(
    arg, tiny=False, reference="precomputed", lora=0, pairs=512, tensor=1
  )
  c = base.get_config()
  c.method.name = "dpo"
  c.method.kwargs = dict(beta=0.1)
  c.model.source = f"preset:{preset}"
  c.model.compute_dtype = "bfloat16"
  c.model.remat = "full"
  c.model.lora.rank = options.lora
  c.model.lora.targets = _TARGETS
  c.data.train = "language:pairs"
  c.data.language = dict(n=64, eval_n=0)
  c.data.batch_size = options.pairs
  c.data.max_prompt = 2048
  c.data.max_response = 1024
  c.data.buckets = ((2048, 1024),)
  c.opt.learning_rate = 1e-4 if options.lora else 5e-7
  c.opt.warmup_steps = 100
  c.opt.schedule = "linear"
  c.train.reference = options.reference
  c.train.steps = 1000
  c.mesh.data = 1
  c.mesh.fsdp = -1
  c.mesh.tensor = options.tensor
  if options.tiny:
    base.make_tiny(c)
    c.data.train = "language:pairs"
    c.data.buckets = ()
    c.model.remat = "none"
    c.model.lora.rank = min(options.lora, 4)
    c.mesh.data = -1
    c.mesh.fsdp = 1
    c.mesh.tensor = 1
  return c
