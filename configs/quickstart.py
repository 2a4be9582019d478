# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""From nothing to an aligned model in minutes: SFT, then DPO, on a laptop.

A small byte-level decoder learns the built-in
instruction language from demonstrations of mixed quality, then from
preference pairs with 10% wrong labels. The gold reward of the language is
known, so the report can say how much better the answers became.

  prefjax train --config=configs/quickstart.py --workdir=runs/quickstart
"""

import ml_collections

from configs import base, common

# Half of the demonstrations are right; the others chat, forget the form, or
# stop early: what preferences can teach a model that knows the tasks.
_DEMONSTRATIONS = dict(exact=0.5, verbose=0.2, format=0.2, half=0.1)
_PAIRS = dict(exact=0.5, verbose=0.15, format=0.15, half=0.1, slip=0.1)


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
  """Options: tiny, seed."""
  options = common.parse_arg(arg, tiny=False, seed=0)
  c = base.get_config()
  c.seed = options.seed
  c.model.source = "preset:tiny"
  c.model.overrides = dict(
    hidden_size=64,
    intermediate_size=192,
    num_layers=2,
    num_heads=4,
    num_kv_heads=4,
    head_dim=16,
    query_scale=0.25,
    max_positions=128,
  )
  c.data.max_prompt = 32
  c.data.max_response = 26
  c.data.buckets = ((32, 26),)
  c.data.eval_limit = 256
  drawn = dict(seed=options.seed, eval_n=256, language="easy")
  c.data.language = dict(drawn)
  c.opt.b2 = 0.98
  c.opt.clip_norm = 1.0
  c.opt.schedule = "cosine"
  c.opt.final_fraction = 0.05
  c.eval.samples = 256
  c.eval.temperature = 1.0  # what the policies say, not only their modes
  c.eval.max_new_tokens = 32
  c.checkpoint.every = 100
  c.stages = {
    "1_sft": dict(
      method=dict(name="sft", kwargs={}),
      data=dict(
        train="language:sft",
        batch_size=64,
        language=dict(drawn, n=40000, mixture=_DEMONSTRATIONS),
      ),
      opt=dict(learning_rate=6e-3, warmup_steps=50),
      train=dict(steps=600),
    ),
    "2_dpo": dict(
      method=dict(name="dpo", kwargs=dict(beta=0.1)),
      data=dict(
        train="language:pairs",
        batch_size=32,
        language=dict(seed=options.seed, eval_n=256, n=9600, flip_rate=0.1),
      ),
      opt=dict(learning_rate=5e-4, warmup_steps=10),
      train=dict(steps=300, reference_from="previous"),
    ),
  }
  if options.tiny:
    base.make_tiny(c)
    c.stages["1_sft"].train.steps = 10
    c.stages["2_dpo"].train.steps = 10
    for stage in c.stages.values():
      stage.data.batch_size = 8
      stage.data.language.update(n=96, eval_n=16)
  return c
