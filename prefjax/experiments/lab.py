# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A small laboratory: train and measure little decoders through the library.

  lab = Lab(hidden=48)
  start = lab.train(lab.init(seed), "sft", demonstrations, steps=300, seed=seed)
  policy = lab.train(
    start, "rdpo", pairs, kwargs=dict(epsilon=0.2), steps=100, seed=seed
  )
  lab.pairs(policy, held_out, reference=start)
  lab.answers(policy, prompts, reference=start, seed=seed)

Methods come from the registry and are trained by the ordinary train step.
Compiled programs are kept for the life of a Lab, so make one a process: the
seeds, noise levels and arms that share a method share its program.
"""

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefjax import generation, methods, models
from prefjax.analysis import bootstrap
from prefjax.core import errors, prng, types
from prefjax.data import (
  chat,
  encoding,
  language,
  layouts,
  loading,
  pipeline,
  records,
  schema,
  tokenizers,
  views,
)
from prefjax.methods import language_model
from prefjax.methods import method as method_lib
from prefjax.models import base
from prefjax.runs import data as run_data
from prefjax.runs import held_out, scores, scoring
from prefjax.train import metrics as metrics_lib
from prefjax.train import optim
from prefjax.train import state as state_lib
from prefjax.train import step as step_lib

Params = Any
Rows = Sequence[Mapping[str, Any] | schema.Record]
_EVAL_ROWS = 64
_PIXELS = ("images", "frames")
_LATEST = 10  # updates that the metrics of a training are averaged over


@dataclasses.dataclass(frozen=True)
class Answers:
  """Sampled answers to N prompts.

  Attributes:
    texts: [N] lists of S answers.
    gold: float64 [N, S], gold rewards.
    lengths: float64 [N, S], tokens, the end included.
    finished: bool [N, S], whether the answer ended by itself.
    kl: float64 [N, S], log-prob under the policy minus that under the
      reference, nats; its mean estimates the KL. NaN without a reference.
  """

  texts: list[list[str]]
  gold: np.ndarray
  lengths: np.ndarray
  finished: np.ndarray
  kl: np.ndarray

  def numbers(self, before: "Answers | None" = None) -> dict[str, float]:
    """gold, length, finished, kl and, against other answers, win_rate."""
    out = {
      "gold": float(self.gold.mean()),
      "length": float(self.lengths.mean()),
      "finished": float(self.finished.mean()),
    }
    if np.isfinite(self.kl).all():
      out["kl"] = float(self.kl.mean())
    if before is not None:
      found = bootstrap.win_rate(
        0, before.gold.reshape(-1), self.gold.reshape(-1), num=1
      )
      out["win_rate"] = found["win_rate"]
    return out


class Lab:
  """Little byte-level decoders, their data, training and measurements.

  Args:
    hidden: width of the model.
    layers: its depth.
    heads: attention heads.
    prompt: prompt slots, in bytes.
    response: response slots, the end token included.
    gold: (prompt, response) -> reward of an answer.
    too_long: what becomes of longer records: "drop" or "cut".
    vision: encoder of images and frames, or None.
    images: most images and frames of a record.
  """

  def __init__(
    self,
    *,
    hidden: int = 64,
    layers: int = 2,
    heads: int = 4,
    prompt: int = 32,
    response: int = 26,
    gold: Callable[[str, str], float] = language.gold_reward,
    too_long: str = "drop",
    vision: models.Vision | None = None,
    images: int = 1,
  ):
    seen = 0 if vision is None else images * vision.tokens
    self.model = base.Model(
      models.preset(
        "tiny",
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=heads,
        head_dim=hidden // heads,
        query_scale=(hidden // heads) ** -0.5,
        max_positions=seen + prompt + response + 16,
        vision=vision,
      )
    )
    self.tokenizer = tokenizers.ByteTokenizer()
    self._slots = (prompt, response)
    self._lengths = encoding.Lengths(
      prompt=prompt, response=response, too_long=too_long
    )
    self._gold = gold
    compute = language_model.Compute(dtype=jnp.dtype("float32"))
    self._compute = compute
    self._scorer = scoring.scorer(self.model, compute)
    self._init = jax.jit(self.model.init)
    self._steps: dict[Any, Any] = {}

  def init(self, seed: int) -> Params:
    """Random weights."""
    return self._init(prng.step_key(seed, 0, "lab"))

  # --- data ------------------------------------------------------------------

  def source(
    self,
    rows: Rows,
    view: str | views.View,
    *,
    batch_size: int,
    seed: int = 0,
    shuffle: bool = True,
    num_responses: int | None = None,
  ) -> pipeline.Source:
    """Batches without end of rows in any layout the readers know.

    Args:
      rows: dicts, or records.
      view: what groups they become; a method's `record_kind` by default.
      batch_size: examples of a batch.
      seed: of the order.
      shuffle: whether there is another order than that of the rows.
      num_responses: responses of a group, where rows have fewer.
    """
    return pipeline.Source(
      self._store(rows, view),
      pipeline.Options(
        batch_size=batch_size,
        seed=seed,
        shuffle=shuffle,
        window=1,
        buckets=(self._slots,),
        num_responses=num_responses,
      ),
    )

  def _store(self, rows: Rows, view: str | views.View):
    if isinstance(view, str):
      view = views.view(view)
    encoder = encoding.Encoder(
      self.tokenizer,
      view,
      self._lengths,
      media=run_data.media_options(self.model),
    )
    return loading.open_store(encoder, as_records(rows))

  def batches(
    self, rows: Rows, view: str | views.View
  ) -> Iterator[tuple[types.Batch, int]]:
    """All rows once and in order: (batch, how many of its rows are new).

    Raises:
      DataError: a row does not fit.
    """
    store = self._store(rows, view)
    if store.report.dropped:
      raise errors.DataError(f"a row does not fit: {store.report.summary()}")
    options = pipeline.Options(
      batch_size=_EVAL_ROWS,
      shuffle=False,
      epochs=1,
      remainder="fill",
      window=1,
      buckets=(self._slots,),
    )
    source = pipeline.Source(store, options)
    left = source.num_examples
    for step in range(source.num_steps):
      batch = source.batch(step)
      yield batch, min(left, _EVAL_ROWS)
      left -= _EVAL_ROWS

  def log_probs(self, policy: Params, rows: Rows) -> np.ndarray:
    """Summed log-probs of every response, nats, float64 [N, K].

    Args:
      policy: weights.
      rows: with K responses each (two of a pair), all of which fit.
    """
    out = []
    for batch, number in self.batches(rows, scores.all_responses()):
      logps = np.asarray(self._scorer(policy, batch.main), np.float64)
      out.append(np.sum(logps * batch.main.token_weights, axis=-1)[:number])
    return np.concatenate(out)

  # --- training --------------------------------------------------------------

  def train(self, *args: Any, **options: Any) -> Params:
    """Trained weights; takes what `train_with_metrics` takes."""
    return self.train_with_metrics(*args, **options)[0]

  def train_with_metrics(
    self,
    start: Params,
    method: str | method_lib.Method,
    data: Rows | pipeline.Source,
    *,
    steps: int,
    seed: int,
    kwargs: Mapping[str, Any] | None = None,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    warmup: int = 10,
    schedule: str = "linear",
    clip_norm: float | None = 1.0,
    reference: Params | None = None,
    reference_mix: float = 0.0,
    view: str | views.View | None = None,
  ) -> tuple[Params, dict[str, float]]:
    """Trained weights and the metrics of the last updates.

    Args:
      start: weights to begin from.
      method: a registry name, or a Method.
      data: rows for the method's own view, or a source of batches.
      steps: updates.
      seed: of the order and of every draw.
      kwargs: hyper-parameters of a method given by name.
      batch_size: examples of an update.
      learning_rate: at the end of the warm-up.
      warmup: updates of linear warm-up.
      schedule: after it; see `optim.make_schedule`.
      clip_norm: of gradients, None for none.
      reference: frozen weights; None for `start`.
      reference_mix: share of the policy that moves into the reference every
        update (TR-DPO).
      view: another view of rows than the method's.

    Returns:
      (weights, numbers by name); `start` is left as it is.
    """
    built = method
    if isinstance(built, str):
      built = methods.get(built, **(kwargs or {}))
    elif kwargs:
      raise errors.ConfigError("kwargs: belong to a method given by name")
    uses_reference = "reference" in built.roles()
    source = data
    if not isinstance(source, pipeline.Source):
      source = self.source(
        data, view or built.record_kind, batch_size=batch_size, seed=seed
      )
    program = self._program(
      method,
      built,
      kwargs or {},
      uses_reference,
      (steps, learning_rate, warmup, schedule, clip_norm, reference_mix),
    )
    frozen = {}
    if uses_reference:
      frozen["reference"] = start if reference is None else reference
    # Copied: the step gives its buffers away.
    state = program.begin(
      jax.tree.map(jnp.copy, start), jax.tree.map(jnp.copy, frozen), seed
    )
    latest = []
    for step in range(steps):
      state, metrics = program.step(state, source.batch(step))
      if step >= steps - _LATEST:
        latest.append(metrics)
    total = functools.reduce(metrics_lib.add, latest, {})
    numbers = metrics_lib.finish(total)
    if numbers.get("train/skipped", 0.0) > 0:
      raise errors.TrainingError(
        f"{method if isinstance(method, str) else 'method'}, seed {seed}: the"
        " last updates were not finite; lower the learning rate"
      )
    return state.params["policy"], numbers

  def _program(self, name, method, kwargs, uses_reference, how) -> "_Program":
    """The compiled step; one for every method and set of hyper-parameters."""
    key = (
      name if isinstance(name, str) else id(name),
      json.dumps(dict(kwargs), sort_keys=True, default=str),
      how,
    )
    if key not in self._steps:
      objective = language_model.LanguageModelObjective(
        method,
        self.model,
        _no_init,
        compute=self._compute,
        reference="live" if uses_reference else "none",
        reference_mix=how[-1] if uses_reference else 0.0,
      )
      self._steps[key] = _Program(objective, how, name)
    return self._steps[key]

  # --- measuring -------------------------------------------------------------

  def pairs(
    self,
    policy: Params,
    rows: Rows,
    *,
    reference: Params | None = None,
  ) -> dict[str, float]:
    """How the policy ranks pairs of rows.

    Args:
      policy: weights.
      rows: with a chosen and a rejected response each; clean ones tell most.
      reference: weights that training began from.

    Returns:
      accuracy, accuracy_per_token, chosen_logps and rejected_logps (nats);
      with a reference also reward_accuracy, reward_margin (nats),
      chosen_drift and rejected_drift (nats).
    """
    source = pipeline.Source(
      self._store(rows, "pair"),
      pipeline.Options(
        batch_size=_EVAL_ROWS,
        shuffle=False,
        epochs=1,
        remainder="fill",
        window=1,
        buckets=(self._slots,),
      ),
    )

    def score(weights):
      return held_out.score_pairs(self._scorer, weights, source, _as_it_is)

    found = score(policy)
    before = None if reference is None else score(reference)
    result = held_out.summarise(found, before, beta=1.0)
    out = {
      "accuracy": result["ranking_accuracy"]["mean"],
      "accuracy_per_token": result["ranking_accuracy_per_token"]["mean"],
      "chosen_logps": result["logps/chosen"],
      "rejected_logps": result["logps/rejected"],
    }
    if reference is not None:
      more = result["reference"]
      out["reward_accuracy"] = more["reward_accuracy"]["mean"]
      for name in ("reward_margin", "chosen_drift", "rejected_drift"):
        out[name] = more[name]
    return out

  def answers(
    self,
    policy: Params,
    prompts: Sequence[str],
    *,
    seed: int,
    reference: Params | None = None,
    samples: int = 1,
    temperature: float = 1.0,
    max_new_tokens: int | None = None,
    gold: Callable[[str, str], float] | None = None,
    shown: Rows | None = None,
  ) -> Answers:
    """Samples answers and scores them.

    Args:
      policy: weights.
      prompts: N texts.
      seed: of the draws.
      reference: weights to measure the KL against, or None.
      samples: answers to a prompt, S.
      temperature: 0 takes the likeliest token; the KL is then no estimate.
      max_new_tokens: longest answer; None for the response slots.
      gold: another reward than the lab's.
      shown: N rows whose images and frames come before the prompts, or None.
    """
    media = None
    if shown is not None:
      media = run_data.media_of(self.model, as_records(shown))
    ids = [self._prompt_ids(prompt) for prompt in prompts]
    made = generation.generate(
      self.model,
      policy,
      ids,
      max_new_tokens=max_new_tokens or self._slots[1],
      num_samples=samples,
      temperature=temperature,
      eos_ids=(self.tokenizer.eos_id,),
      seed=seed,
      media=media,
    )
    texts = [
      [self.tokenizer.decode(row, skip_special=True) for row in rows]
      for rows in made.responses()
    ]
    score = gold or self._gold
    kl = np.full(made.lengths.shape, np.nan)
    if reference is not None:
      kl = self._log_ratios(policy, reference, ids, made, media)
    return Answers(
      texts=texts,
      gold=np.asarray(
        [
          [score(prompt, text) for text in row]
          for prompt, row in zip(prompts, texts, strict=True)
        ],
        np.float64,
      ),
      lengths=made.lengths.astype(np.float64),
      finished=made.finish == generation.FINISH_REASONS.index("eos"),
      kl=kl,
    )

  def _prompt_ids(self, prompt: str) -> list[int]:
    encoded = chat.encode_example(self.tokenizer, prompt, [""], add_eos=False)
    return list(encoded.prompt_ids)[-self._slots[0] :]

  def _log_ratios(self, policy, reference, ids, made, media) -> np.ndarray:
    """log pi(y) - log ref(y) of every sample, nats, float64 [N, S]."""
    prompt = np.zeros((len(ids), self._slots[0]), np.int32)
    mask = np.zeros(prompt.shape, bool)
    for row, tokens in enumerate(ids):
      prompt[row, -len(tokens) :] = tokens
      mask[row, -len(tokens) :] = True
    group = types.Group(
      prompt=prompt,
      prompt_mask=mask,
      response=made.tokens,
      token_mask=made.mask,
      token_weights=made.mask.astype(np.float32),
      response_mask=np.ones(made.lengths.shape, bool),
      **({} if media is None else media._asdict()),
    )
    ours, theirs = (
      np.asarray(self._scorer(w, group), np.float64)
      for w in (policy, reference)
    )
    return np.sum((ours - theirs) * made.mask, axis=-1)


class _Program:
  """The train step of one method, compiled once."""

  def __init__(self, objective, how, name):
    del name
    steps, learning_rate, warmup, schedule, clip_norm, _ = how
    tx = optim.make_optimizer("adamw", b2=0.98, clip_norm=clip_norm)
    rate = optim.make_schedule(
      schedule,
      learning_rate,
      total_steps=steps,
      warmup_steps=min(warmup, max(1, steps // 4)),
      final_fraction=0.05,
    )
    self._method = objective.method
    self._tx_init = jax.jit(tx.init)
    step = step_lib.make_train_step(objective, tx, rate)
    self.step = jax.jit(step, donate_argnums=0)

  def begin(self, policy, frozen, seed: int) -> state_lib.TrainState:
    key = prng.step_key(seed, 0, "method_state")
    params = {"policy": policy}
    return state_lib.TrainState(
      step=jnp.asarray(0, jnp.int32),
      params=params,
      frozen=frozen,
      opt_state=self._tx_init(params),
      method_state=self._method.init_state(key),
      seed=jnp.asarray(seed, jnp.uint32),
    )


def _no_init(key):
  raise AssertionError("a lab begins from given weights")


def _as_it_is(group: types.Group) -> types.Group:
  return group


def as_records(rows: Rows) -> list[schema.Record]:
  """Rows of any layout that the readers know, as records.

  Raises:
    DataError: no layout fits, or a row is wrong.
  """
  given = [row for row in rows if isinstance(row, schema.Record)]
  if len(given) == len(rows):
    return given
  layout, _ = layouts.recognise(list(rows[:64]), "rows")
  out = []
  for number, row in enumerate(rows):
    # Files name pictures by paths; here they may be arrays.
    pixels = {name: row[name] for name in _PIXELS if name in row}
    rest = {name: row[name] for name in row if name not in pixels}
    converted = layout.convert(rest)
    raw = {"id": f"row{number}", **converted.raw, **pixels}
    where = records.Where("rows", number, "row")
    out.append(records.validate(raw, where, names=converted.names))
  return out
