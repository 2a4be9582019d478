# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""SteerLM 2.0 (Wang et al., arXiv:2406.08673).

Claim: matching the posterior of responses given wanted attributes steers a
policy better than imitating annotated responses.

  prefjax train --config=configs/steerlm2.py --workdir=runs/steerlm2 \
    --config.data.train=steered.jsonl

A record has a prompt with attributes, samples, log P(attributes | sample) as
scores, and under metadata.groups.prior the prompt without attributes.
`configs/steerlm2.py:tiny` needs no file and no download.
"""

import ml_collections

from configs import base


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny."""
  c = base.for_method("steerlm2", records="steered")
  return base.finish(c, arg, tiny_prompt=104)
