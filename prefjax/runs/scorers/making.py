# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scorers by name, from what the command line says."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from prefjax import rewards
from prefjax.core import errors
from prefjax.feedback import http_judge, judges
from prefjax.methods import language_model
from prefjax.runs import loading, reward_files, sentences
from prefjax.runs.online import scores as reward_scores
from prefjax.runs.scorers import base, models, texts, trained

Settings = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sources:
  """What a scorer may be made of.

  Attributes:
    model: directory or run of the (strong, reward, judging) model.
    weak: of the weaker model of "density".
    encoder: of "relevance".
    tokenizer, template, step: of the model, "" and None for its own.
    batch_size: records, or prompts, of a batch.
    max_prompt, max_response: limits in tokens.
    compute: how models are run.
  """

  model: str = ""
  weak: str = ""
  encoder: str = ""
  tokenizer: str = ""
  template: str = ""
  step: int | None = None
  batch_size: int = 8
  max_prompt: int = 1024
  max_response: int = 1024
  compute: language_model.Compute = language_model.Compute()

  def need(self, flag: str, scorer: str) -> str:
    """The path of a flag.

    Raises:
      ConfigError: it is missing.
    """
    value = getattr(self, flag)
    if not value:
      raise errors.ConfigError(f"--{flag}: the scorer {scorer!r} needs it")
    return value

  def reader(self, flag: str, scorer: str) -> models.Reader:
    """A language model that reads continuations."""
    own = flag == "model"
    policy = loading.open_policy(
      self.need(flag, scorer),
      tokenizer=self.tokenizer if own else "",
      template=self.template if own else "",
      step=self.step if own else None,
    )
    return models.Reader(
      policy,
      max_prompt=self.max_prompt,
      batch_size=self.batch_size,
      compute=self.compute,
    )


def _take(scorer: str, settings: Settings, function: Callable) -> Settings:
  """Settings that a function takes by keyword, names checked.

  Raises:
    ConfigError: an unknown one; lists near matches.
  """
  known = [
    name
    for name, parameter in inspect.signature(function).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
  ]
  for key in settings:
    if key not in known:
      raise errors.ConfigError(
        f"--options.{key}: the scorer {scorer!r} has no such setting"
        f"{errors.nearest(key, known)}; it has {', '.join(known) or 'none'}"
      )
  return {
    key: tuple(value) if isinstance(value, list) else value
    for key, value in settings.items()
  }


def _model(sources: Sources, settings: Settings) -> base.Scorer:
  taken = _take("model", settings, trained.Settings)
  limits = {
    "max_prompt": sources.max_prompt,
    "max_response": sources.max_response,
  }
  read = trained.Settings(**{**limits, **taken})
  model = reward_files.open_reward(
    sources.need("model", "model"),
    tokenizer=sources.tokenizer,
    template=sources.template,
    step=sources.step,
  )
  return trained.ModelScorer(
    model,
    read,
    batch_size=sources.batch_size,
    compute=sources.compute,
  )


def _density(sources: Sources, settings: Settings) -> base.Scorer:
  taken = _take("density", settings, models.DensityScorer)
  return models.DensityScorer(
    sources.reader("model", "density"),
    sources.reader("weak", "density"),
    **taken,
  )


def _followups(sources: Sources, settings: Settings) -> base.Scorer:
  taken = _take("followups", settings, models.FollowupScorer)
  return models.FollowupScorer(sources.reader("model", "followups"), **taken)


def _relevance(sources: Sources, settings: Settings) -> base.Scorer:
  encoder = sentences.SentenceEncoder(sources.need("encoder", "relevance"))
  options = {
    key: tuple(value) if isinstance(value, list) else value
    for key, value in settings.items()
  }
  return texts.RelevanceScorer(encoder, options)


def _judge(sources: Sources, settings: Settings) -> base.Scorer:
  """A server, where options name a url, else the model's option tokens."""
  if "url" in settings:
    taken = _take("judge", settings, http_judge.Options)
    if "model" not in taken:
      raise errors.ConfigError(
        "--options.model: the name of the model on the judge's server"
      )
    options = http_judge.Options(**taken)
    return texts.JudgeScorer(
      http_judge.HttpJudge(options), texts.key_of_http(options)
    )
  taken = _take("judge", settings, _local_judge)
  reader = sources.reader("model", "judge")
  key = {"policy": base.digest_of_policy(reader.policy), **taken}
  return texts.JudgeScorer(_local_judge(reader, **taken), key)


def _local_judge(
  reader: models.Reader,
  *,
  template: str = rewards.judge_tokens.TEMPLATE,
  options: tuple[str, ...] = ("1", "2"),
  least: float = 1e-6,
) -> judges.Judge:
  def probabilities(prompts, first, second):
    return rewards.judge_probabilities(
      reader.apply,
      reader.policy.weights,
      models.judge_encoder(reader),
      prompts,
      first,
      second,
      template=template,
      options=options,
    )

  return judges.ProbabilityJudge(reader.policy.name, probabilities, least=least)


_TABLE: dict[str, Callable[[Sources, Settings], base.Scorer]] = {
  "density": _density,
  "followups": _followups,
  "judge": _judge,
  "model": _model,
  "relevance": _relevance,
}
NAMES = tuple(sorted(_TABLE))


def make(
  name: str, sources: Sources, settings: Mapping[str, Any]
) -> base.Scorer:
  """A scorer by its name.

  Args:
    name: one of NAMES, a name of `prefjax.rewards`, "gold", or
      "FILE.py:FUNCTION".
    sources: models and limits.
    settings: of the scorer.

  Raises:
    ConfigError: an unknown name or setting, or a missing model.
  """
  if name in _TABLE:
    return _TABLE[name](sources, dict(settings))
  known = (*NAMES, reward_scores.GOLD, *rewards.names())
  if name not in known and ".py:" not in name:
    raise errors.ConfigError(
      f"--scorer: unknown scorer {name!r}{errors.nearest(name, known)};"
      f" scorers are logps, {', '.join(known)}, or FILE.py:FUNCTION"
    )
  return texts.FunctionScorer(name, settings)
