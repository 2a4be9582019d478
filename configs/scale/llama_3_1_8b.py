# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""DPO of the shape of Llama 3.1 8B on a TPU slice, from random weights.

Compiled for a slice that need not be there (pip install 'jax[tpu]'):

  python scripts/compile_tpu.py --config=configs/scale/llama_3_1_8b.py \
    --topology=v5e:4x4

On the slice, give --config.model.source=DIR, a Hugging Face directory with
the published weights, and your pairs:

  prefjax train --config=configs/scale/llama_3_1_8b.py --workdir=runs/dpo \
    --config.data.train=pairs.jsonl --config.model.source=DIR
"""

import ml_collections

from configs.scale import pod


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny, reference, lora, pairs, tensor."""
  return pod.make("llama-3.1-8b", arg)
