# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""One round: sample, score, measure, and work out what it teaches."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from prefjax import generation, rewards, rl
from prefjax.core import errors, types
from prefjax.generation import engine as engine_lib
from prefjax.methods import adapters, language_model, online
from prefjax.methods import method as method_lib
from prefjax.runs import samples as samples_lib
from prefjax.runs.online import sampling, scores, telemetry
from prefjax.train import mesh as mesh_lib

_STREAMS = 4  # kinds of draws for one batch of prompts
_OWN, _OTHER, _GREEDY = range(3)


@dataclasses.dataclass(frozen=True)
class Round:
  """What a round left behind, all on the host.

  Attributes:
    index: number of the round in its stage.
    batch: all rows, ready to be cut into updates.
    metrics: numbers about it.
    table: rows {prompt, response, reward, ...}, one a response.
    cursor: batches of prompts that were looked at, up to its end.
    kl_coef: price of the divergence for the next round.
  """

  index: int
  batch: types.Batch
  metrics: dict[str, float]
  table: list[dict[str, Any]]
  cursor: int
  kl_coef: float


@dataclasses.dataclass
class _Drawn:
  """Prompts with their responses and scores, before they are measured."""

  prompts: types.Batch
  made: generation.Generations
  texts: list[list[str]]
  scores: scores.Scores
  greedy: np.ndarray | None


def scoring_method(
  uses_reference: bool, uses_values: bool
) -> method_lib.Method:
  """What must be known of rollouts, as needs of a method without a loss."""
  needs = {adapters.POLICY: ("token_logps", "entropy")}
  if uses_reference:
    needs[adapters.REFERENCE] = ("token_logps",)
  if uses_values:
    needs[online.VALUE] = ("state_values",)

  def no_loss(*arguments):
    raise TypeError("rollouts are only measured")

  return method_lib.Method(
    inputs=("main",), needs=needs, loss=no_loss, record_kind="prompt"
  )


def blank_batch(
  prompts: types.Batch, method: method_lib.Method, rl_config: Any
) -> types.Batch:
  """A batch of the right shapes and no content, to trace a loss with."""
  group = prompts.main
  b, p = group.prompt.shape
  own = method.online
  k, r = own.samples or rl_config.samples, rl_config.max_new_tokens
  main = types.Group(
    prompt=np.zeros((b, p), np.int32),
    prompt_mask=np.ones((b, p), bool),
    response=np.zeros((b, k, r), np.int32),
    token_mask=np.ones((b, k, r), bool),
    token_weights=np.ones((b, k, r), np.float32),
    response_mask=np.ones((b, k), bool),
  )
  zeros = np.zeros((b, k, r), np.float32)
  rollouts = rl.Rollouts(
    mask=main.token_mask,
    logps=zeros,
    scores=np.zeros((b, k), np.float32),
    ended=np.ones((b, k), bool),
    ref_logps=zeros if own.uses_reference else None,
    values=zeros if own.uses_values else None,
    baseline=np.zeros(b, np.float32) if own.uses_greedy else None,
    sampler_logps=zeros,
    kept=np.ones(b, bool),
  )
  prepared = jax.eval_shape(own.prepare, rollouts, np.float32(0))
  filled = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), prepared)
  return types.Batch(
    groups={"main": dataclasses.replace(main, **filled.group)},
    example_id=np.zeros(b, np.int32),
    example_weight=np.ones(b, np.float32),
    extras={**filled.extras, "max_length": np.full(b, r, np.float32)},
  )


class Collector:
  """Makes rounds for one stage.

  Args:
    run: the run.
    stage: the stage, whose source gives prompts.
    engine: samples; None for our own decoder.
  """

  def __init__(
    self, run: Any, stage: Any, engine: engine_lib.RolloutEngine | None = None
  ):
    self._run, self._stage = run, stage
    config, own = stage.config, stage.method.online
    self._rl, self._online = config.rl, own
    self._rewards = scores.Rewards(config.rl.rewards)
    first = stage.records.train[0]
    self._settings = sampling.settings(
      config, run.source, not isinstance(first.prompt, str)
    )
    if own.samples:
      self._settings = dataclasses.replace(
        self._settings, num_samples=own.samples
      )
    if self._settings.num_samples < own.least:
      raise errors.ConfigError(
        f"rl.samples: {config.method.name} needs {own.least} responses to a"
        " prompt or more"
      )
    self._engine = engine or engine_lib.OwnEngine(
      run.source.model, dtype=run.compute.dtype, place=self._place
    )
    if own.source != "policy" and not isinstance(
      self._engine, engine_lib.OwnEngine
    ):
      raise errors.ConfigError(
        f"rl.engine: {config.method.name} samples from two models, which only"
        " our own decoder does"
      )
    live = own.uses_reference and config.rl.reference == "initial"
    self._objective = language_model.LanguageModelObjective(
      scoring_method(live, own.uses_values),
      run.source.model,
      lambda key: None,
      compute=dataclasses.replace(
        run.compute, temperature=config.rl.train_temperature
      ),
      reference="live",
    )
    # An engine holds the weights it was given last. With overlap a round is
    # sampled in a thread, and an evaluation must not come in between.
    self._engine_lock = threading.Lock()
    self._measure = jax.jit(
      lambda params, frozen, batch: self._objective.outputs(
        params, frozen, batch, {}, None
      )
    )
    self._prepare = jax.jit(own.prepare)

  @contextlib.contextmanager
  def engine(self) -> Iterator[engine_lib.RolloutEngine]:
    """The engine, for one caller at a time: load weights, then sample."""
    with self._engine_lock:
      yield self._engine

  @property
  def rewards(self) -> scores.Rewards:
    return self._rewards

  @property
  def settings(self) -> engine_lib.Settings:
    return self._settings

  def _place(self, rows: Mapping[str, Any]) -> Mapping[str, Any]:
    """Rows spread over the mesh, where they divide."""
    mesh = self._run.place.mesh
    if len(rows["real"]) % mesh_lib.batch_ways(mesh):
      return rows
    return jax.device_put(rows, mesh_lib.batch_sharding(mesh))

  # --- sampling --------------------------------------------------------------

  def _reference(self, frozen: Mapping[str, Any]) -> Any:
    return frozen[language_model.BASE if self._run.has_adapter else "reference"]

  def _sample(self, engine, prompts, ids, cursor, params, frozen):
    """(responses, greedy ones or None) of the policy and who else answers."""
    weights, adapter = self._weights(params, frozen)
    engine.load(weights, adapter)

    def draw(stream, number, *, settings=self._settings, **more):
      return engine.sample(
        prompts,
        dataclasses.replace(settings, num_samples=number),
        step=cursor * _STREAMS + stream,
        prompt_ids=ids,
        **more,
      )

    source, number = self._online.source, self._settings.num_samples
    if source == "policy":
      made = draw(_OWN, number)
      if not self._online.uses_greedy:
        return made, None
      greedy = dataclasses.replace(self._settings, temperature=0.0)
      return made, draw(_GREEDY, 1, settings=greedy)
    own = draw(_OWN, 1)
    if source == "mixture":
      partner = generation.Partner(
        self._reference(frozen), None, np.float32(self._online.mixture)
      )
      return sampling.beside(own, draw(_OTHER, 1, partner=partner)), None
    engine.load(self._reference(frozen), None)
    return sampling.beside(own, draw(_OTHER, 1)), None

  def _weights(self, params, frozen):
    if self._run.has_adapter:
      return frozen[language_model.BASE], params["policy"]
    return params["policy"], None

  def _records(self, prompts: types.Batch) -> list[Any]:
    train = self._stage.records.train
    return [train[int(i)] for i in np.asarray(prompts.example_id)]

  def score(self, records, texts, lengths) -> scores.Scores:
    """Scores of responses, with the penalty on overlong ones.

    Args:
      records: B records.
      texts: [B][K].
      lengths: int [B, K], tokens.
    """
    asked = [samples_lib.text_of(record.prompt) for record in records]
    found = self._rewards.score(asked, texts, records)
    if not self._online.overlong:
      return found
    limit = self._settings.max_new_tokens
    penalty = np.asarray(
      rewards.overlong_penalty(
        lengths, max_length=limit, cache=min(self._online.overlong, limit)
      )
    )
    return scores.Scores(
      found.total + penalty, {**found.parts, "overlong": penalty}
    )

  def _draw(self, cursor: int, params, frozen) -> _Drawn:
    prompts = self._stage.source.batch(cursor)
    ids = sampling.draw_ids(prompts.example_id)
    asked = sampling.prompts_of(prompts.main)
    with self.engine() as engine:
      made, best = self._sample(engine, asked, ids, cursor, params, frozen)
    records = self._records(prompts)
    tokenizer = self._run.source.tokenizer
    texts = sampling.texts_of(tokenizer, made)
    greedy = None
    if best is not None:
      greedy = self.score(
        records, sampling.texts_of(tokenizer, best), best.lengths
      ).total[:, 0]
    return _Drawn(
      prompts,
      made,
      texts,
      self.score(records, texts, made.lengths),
      greedy,
    )

  def _fill(self, cursor: int, params, frozen):
    """(draws, row -> (draw, place), kept bool [B], next cursor)."""
    wanted = self._stage.source.global_batch_size
    draws, good, spare = [], [], []
    while True:
      drawn = self._draw(cursor, params, frozen)
      cursor += 1
      place = len(draws)
      draws.append(drawn)
      teaches = np.ones(wanted, bool)
      if self._online.dynamic:
        teaches = np.asarray(rl.dynamic_sampling_mask(drawn.scores.total)) > 0
      for i in range(wanted):
        (good if teaches[i] else spare).append((place, i))
      if len(good) >= wanted or len(draws) >= self._rl.resample:
        break
      if not self._online.dynamic:
        break
    rows = (good + spare)[:wanted]
    kept = np.arange(wanted) < min(len(good), wanted)
    return draws, rows, kept, cursor

  # --- measuring -------------------------------------------------------------

  def _forward(self, params, frozen, batch: types.Batch):
    """Outputs of all rows, in parts of the size of a micro-batch."""
    config = self._stage.config
    size = config.data.batch_size // config.train.micro_batches
    rows = batch.example_id.shape[0]
    parts = []
    for start in range(0, rows, size):
      part = jax.tree.map(lambda x, at=start: x[at : at + size], batch)
      placed = mesh_lib.to_global(self._run.place.mesh, part)
      parts.append(jax.device_get(self._measure(params, frozen, placed)))
    return jax.tree.map(lambda *xs: np.concatenate(xs), *parts)

  def _group(self, prompts: types.Group, made, slots: int) -> types.Group:
    tokens = made.tokens[..., :slots]
    mask = np.arange(slots) < made.lengths[..., None]
    return types.Group(
      prompt=prompts.prompt,
      prompt_mask=prompts.prompt_mask,
      response=tokens,
      token_mask=mask,
      token_weights=mask.astype(np.float32),
      response_mask=np.ones(tokens.shape[:2], bool),
    )

  def collect(
    self, index: int, cursor: int, kl_coef: float, params, frozen
  ) -> Round:
    """Samples and measures a round.

    Args:
      index: its number.
      cursor: batches of prompts that earlier rounds looked at.
      kl_coef: price of the divergence.
      params: trained roles.
      frozen: frozen roles.

    Raises:
      TrainingError: a reward failed.
    """
    begin = time.perf_counter()
    draws, rows, kept, cursor = self._fill(cursor, params, frozen)
    places = [
      np.asarray([i for place, i in rows if place == d], int)
      for d in range(len(draws))
    ]
    # Rows of one draw stay together: an order that follows from the draws.
    order = np.argsort([place for place, _ in rows], kind="stable")
    kept = kept[order]
    made = sampling.stack(
      [sampling.take(d.made, p) for d, p in zip(draws, places, strict=True)]
    )
    chosen = _chosen_prompts(draws, places)
    total = np.concatenate(
      [d.scores.total[p] for d, p in zip(draws, places, strict=True)]
    )
    slots = min(
      generation.bucket(int(made.lengths.max())), self._settings.max_new_tokens
    )
    group = self._group(chosen.main, made, slots)
    batch = types.Batch(
      groups={"main": group},
      example_id=chosen.example_id,
      example_weight=np.where(kept, chosen.example_weight, 0).astype(
        np.float32
      ),
    )
    found = self._forward(params, frozen, batch)
    rollouts = self._rollouts(found, made, group, total, draws, places, kept)
    prepared = jax.device_get(self._prepare(rollouts, np.float32(kl_coef)))
    whole = dataclasses.replace(
      batch,
      groups={"main": dataclasses.replace(group, **prepared.group)},
      extras={
        **prepared.extras,
        "max_length": np.full(
          len(kept), self._settings.max_new_tokens, np.float32
        ),
      },
    )
    metrics = self._metrics(draws, rollouts, prepared, found, made, kl_coef)
    metrics["time/rollout_s"] = time.perf_counter() - begin
    return Round(
      index,
      whole,
      metrics,
      self._table(draws, places, made, rollouts, prepared),
      cursor,
      self._next_price(kl_coef, prepared, total.size),
    )

  def _sampler_logps(self, made) -> np.ndarray:
    """The sampler's word for the log-probs that are trained."""
    own = self._rl.train_temperature == 1.0
    return made.policy_logps if own else made.logps

  def _rollouts(self, found, made, group, total, draws, places, kept):
    policy = found[adapters.POLICY]
    slots = group.response.shape[-1]
    logps = policy["token_logps"]
    if self._rl.logps == "sampler":
      logps = self._sampler_logps(made)[..., :slots]
      if np.isnan(logps[group.token_mask]).any():
        raise errors.TrainingError(
          "rl.logps: the sampler does not know all log-probs; use trainer"
        )
    reference = None
    if self._online.uses_reference:
      reference = logps
      if adapters.REFERENCE in found:
        reference = found[adapters.REFERENCE]["token_logps"]
    values = None
    if self._online.uses_values:
      values = found[online.VALUE]["state_values"]
    greedy = None
    if self._online.uses_greedy:
      greedy = np.concatenate(
        [d.greedy[p] for d, p in zip(draws, places, strict=True)]
      )
    return rl.Rollouts(
      mask=group.token_mask,
      logps=logps,
      scores=total,
      ended=made.finish != 0,
      ref_logps=reference,
      values=values,
      baseline=greedy,
      sampler_logps=self._sampler_logps(made)[..., :slots],
      kept=kept,
    )

  def _next_price(self, kl_coef: float, prepared, number: int) -> float:
    if not self._online.kl_target:
      return kl_coef
    return float(
      rl.adaptive_kl(
        kl_coef=kl_coef,
        observed=float(prepared.statistics["kl"].mean()),
        target=self._online.kl_target,
        horizon=self._online.kl_horizon,
        num_samples=number,
      )
    )

  # --- telling ---------------------------------------------------------------

  def _metrics(self, draws, rollouts, prepared, found, made, kl_coef):
    totals = np.concatenate([d.scores.total for d in draws])
    parts = {
      name: np.concatenate([d.scores.parts[name] for d in draws])
      for name in draws[0].scores.parts
      if all(name in d.scores.parts for d in draws)
    }
    mask, logps = rollouts.mask, found[adapters.POLICY]["token_logps"]
    slots = mask.shape[-1]
    out = telemetry.reward_metrics(totals, parts)
    out |= telemetry.length_metrics(
      np.concatenate([d.made.lengths for d in draws]),
      np.concatenate([d.made.finish for d in draws]) != 0,
    )
    out["entropy"] = float(found[adapters.POLICY]["entropy"][mask].mean())
    own = mask.copy()
    if self._online.source != "policy":
      own[:, 1:] = False  # not of the policy
    sampler = self._sampler_logps(made)[..., :slots]
    out |= telemetry.sampler_metrics(own, logps, sampler)
    out |= telemetry.ratio_metrics(own, logps, sampler)
    statistics = prepared.statistics
    if self._online.uses_reference:
      out |= telemetry.objective_metrics(
        statistics["scores"], statistics["kl"], kl_coef
      )
    if self._online.uses_values:
      out |= telemetry.value_metrics(
        mask, rollouts.values, prepared.extras["returns"]
      )
    if "advantage" in statistics:
      out["advantages/mean"] = float(statistics["advantage"].mean())
      out["advantages/std"] = float(statistics["advantage"].std())
    if self._online.dynamic:
      out["dynamic_sampling/prompts"] = float(len(totals))
      out["dynamic_sampling/kept"] = float(rollouts.kept.mean())
    out["rollout/tokens"] = float(sum(int(d.made.lengths.sum()) for d in draws))
    return out

  def _table(self, draws, places, made, rollouts, prepared):
    """One row a response that is trained on."""
    rows, at = [], 0
    reasons = made.finish_reasons()
    tokenizer = self._run.source.tokenizer
    for drawn, own in zip(draws, places, strict=True):
      records = self._records(drawn.prompts)
      for i in own:
        for k in range(made.tokens.shape[1]):
          row = {
            "id": records[i].id,
            "prompt": samples_lib.text_of(records[i].prompt),
            "response": drawn.texts[i][k],
            "reward": float(drawn.scores.total[i, k]),
            "length": int(made.lengths[at, k]),
            "finish": reasons[at][k],
            "kept": bool(rollouts.kept[at]),
          }
          for name, values in drawn.scores.parts.items():
            if np.isfinite(values[i, k]):
              row[f"rewards/{name}"] = float(values[i, k])
          for name, values in prepared.statistics.items():
            row[name] = float(values[at, k])
          if at < _SHOWN:
            row["tokens"] = _tokens(tokenizer, made, rollouts, prepared, at, k)
          rows.append(row)
        at += 1
    return rows


_SHOWN = 2  # prompts of a round whose tokens are listed


def _tokens(tokenizer, made, rollouts, prepared, row, k) -> list[list[Any]]:
  """[text, log-prob, advantage] of each token."""
  advantages = prepared.group.get("advantages")
  out = []
  for t in range(int(made.lengths[row, k])):
    logp = float(rollouts.logps[row, k, t])
    gain = 0.0 if advantages is None else float(advantages[row, k, t])
    text = tokenizer.decode([int(made.tokens[row, k, t])])
    out.append([text, round(logp, 4), round(gain, 4)])
  return out


def _chosen_prompts(draws: list[_Drawn], places) -> types.Batch:
  """The prompts of the rows that are kept, padded alike."""
  width = max(d.prompts.main.prompt.shape[1] for d in draws)

  def wide(x):
    missing = width - x.shape[1]
    return np.pad(x, ((0, 0), (missing, 0)))  # prompts are right-aligned

  def join(get):
    return np.concatenate(
      [get(d.prompts)[p] for d, p in zip(draws, places, strict=True)]
    )

  main = draws[0].prompts.main
  return types.Batch(
    groups={
      "main": dataclasses.replace(
        main,
        prompt=join(lambda b: wide(np.asarray(b.main.prompt))),
        prompt_mask=join(lambda b: wide(np.asarray(b.main.prompt_mask))),
      )
    },
    example_id=join(lambda b: np.asarray(b.example_id)),
    example_weight=join(lambda b: np.asarray(b.example_weight)),
  )
