# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The common ground of experiments: one small language, one small model.

A model of 90 thousand parameters learns the tasks once, for all experiments
and seeds (`skilled`); demonstrations of the seed, half of which chat, forget
the form or stop early, then set its manners (`start`). Preferences can teach
it better. What a seed changes is all data, orders and draws after that first
stage.
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
from typing import Any

import jax
import numpy as np

from prefjax.data import language
from prefjax.experiments import lab as lab_lib

# Short prompts (24 bytes) and short strings: learned in hundreds of updates.
LANGUAGE = dataclasses.replace(
  language.EASY,
  alphabet="abcdefghijkl",
  letters=(2, 3),
  word_letters=(2, 2),
  style_rate=0.3,
  second_style_rate=0.0,
)
# Right answers in any manner: what the first stage learns from.
SKILLS = dict(exact=0.6, verbose=0.2, format=0.2)
DEMONSTRATIONS = dict(exact=0.5, verbose=0.2, format=0.2, half=0.05, slip=0.05)
PAIRS = dict(exact=0.4, verbose=0.2, format=0.2, half=0.1, slip=0.1)
PROMPT, RESPONSE = 24, 26
STEPS, SFT_STEPS = 700, 60
_BATCH = 64
_SEED = 0  # of the first stage
_FOLDER = "~/.cache/prefjax/starts"


@functools.lru_cache(maxsize=4)
def lab(hidden: int = 48, heads: int = 4, layers: int = 2) -> lab_lib.Lab:
  """The one Lab of this process and size: its programs are shared."""
  return lab_lib.Lab(
    hidden=hidden,
    layers=layers,
    heads=heads,
    prompt=PROMPT,
    response=RESPONSE,
  )


@functools.lru_cache(maxsize=4)
def skilled(steps: int = STEPS, size: tuple[int, ...] = ()) -> Any:
  """Weights that know the tasks; made once, then kept on disk.

  Args:
    steps: updates.
    size: what `lab` takes, for another decoder than that of all experiments.
  """
  own = lab(*size)
  about = (_SEED, steps, SKILLS, LANGUAGE, own.model.config, jax.__version__)
  name = hashlib.sha256(repr(about).encode()).hexdigest()[:24]
  path = pathlib.Path(_FOLDER).expanduser() / f"{name}.npz"
  found = _read(path, own.init(_SEED))
  if found is not None:
    return found
  rows = language.sft_records(
    _SEED, min(steps, 400) * _BATCH, mixture=SKILLS, language=LANGUAGE
  )
  made = own.train(
    own.init(_SEED),
    "sft",
    rows,
    steps=steps,
    seed=_SEED,
    batch_size=_BATCH,
    learning_rate=8e-3,
    warmup=50,
    schedule="cosine",
  )
  _write(path, made)
  return made


def _read(path: pathlib.Path, like: Any) -> Any | None:
  """Weights that were kept, or None where there are none of these shapes."""
  leaves, tree = jax.tree.flatten(like)
  try:
    with np.load(path, allow_pickle=False) as file:
      found = [file[f"leaf{i}"] for i in range(len(leaves))]
  except (OSError, KeyError, ValueError):
    return None
  if any(a.shape != b.shape for a, b in zip(found, leaves, strict=True)):
    return None
  return jax.tree.unflatten(tree, [jax.numpy.asarray(x) for x in found])


def _write(path: pathlib.Path, params: Any) -> None:
  """Keeps weights; a folder that cannot be written is no error."""
  leaves = [np.asarray(x) for x in jax.tree.leaves(params)]
  scratch = path.with_name(f".{path.name}.{os.getpid()}.partial.npz")
  try:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    np.savez(scratch, **{f"leaf{i}": x for i, x in enumerate(leaves)})
    os.replace(scratch, path)
  except OSError:
    scratch.unlink(missing_ok=True)


@functools.lru_cache(maxsize=8)
def start(
  seed: int,
  steps: int = STEPS,
  sft_steps: int = SFT_STEPS,
  size: tuple[int, ...] = (),
) -> Any:
  """Weights after demonstrations of mixed quality: where every arm begins."""
  rows = language.sft_records(
    seed,
    sft_steps * _BATCH,
    mixture=DEMONSTRATIONS,
    language=LANGUAGE,
    # Other examples than those of the first stage.
    start=1_000_000,
  )
  return lab(*size).train(
    skilled(steps, size),
    "sft",
    rows,
    steps=sft_steps,
    seed=seed,
    batch_size=_BATCH,
    learning_rate=1e-3,
  )


def pairs(seed: int, number: int, **noise: Any) -> list[dict[str, Any]]:
  """Training pairs; `noise` is flip_rate, length_bias, ... of the annotator."""
  settings = {"flip_rate": 0.0, "mixture": PAIRS, "language": LANGUAGE, **noise}
  return language.pair_records(seed, number, "train", **settings)


def held_out_pairs(seed: int, number: int = 256) -> list[dict[str, Any]]:
  """Clean pairs of prompts that are never trained on."""
  return language.pair_records(
    seed, number, "heldout", flip_rate=0.0, mixture=PAIRS, language=LANGUAGE
  )


def prompts(seed: int, number: int = 256) -> list[str]:
  """Prompts that are never trained on."""
  rows = language.prompt_records(seed, number, "heldout", language=LANGUAGE)
  return [row["prompt"] for row in rows]


def measure(
  policy: Any,
  seed: int,
  *,
  reference: Any,
  before: lab_lib.Answers | None = None,
  number: int = 256,
  samples: int = 2,
) -> dict[str, float]:
  """What every arm is measured by, on held-out prompts and pairs.

  Args:
    policy: weights.
    seed: of the experiment.
    reference: weights that the arms began from.
    before: its answers to the same prompts (`answers`), for a win rate.
    number: prompts, and pairs.
    samples: answers to a prompt.

  Returns:
    gold, length (tokens), finished, kl (nats), win_rate, and the numbers of
    `Lab.pairs`.
  """
  own = lab()
  made = own.answers(
    policy,
    prompts(seed, number),
    seed=seed,
    reference=reference,
    samples=samples,
  )
  ranked = own.pairs(policy, held_out_pairs(seed, number), reference=reference)
  return {**made.numbers(before), **ranked}


def answers(
  policy: Any,
  seed: int,
  *,
  number: int = 256,
  samples: int = 2,
) -> lab_lib.Answers:
  """Answers to the prompts that `measure` uses."""
  return lab().answers(
    policy, prompts(seed, number), seed=seed, samples=samples
  )
