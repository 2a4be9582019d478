# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The data section of a config as records and sources of batches."""

import dataclasses
import functools
import inspect
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from prefjax import config as config_lib
from prefjax.checkpoint import processes
from prefjax.core import errors, storage
from prefjax.data import (
  batches,
  curriculum_records,
  encoding,
  examples,
  language,
  loading,
  media,
  pipeline,
  readers,
  scenes,
  schema,
  store,
  views,
)
from prefjax.models import base, vision
from prefjax.runs import models as run_models

LANGUAGE = "language:"
# Kind of records after 'language:' -> what makes them.
PRODUCERS: dict[str, Callable[..., list]] = {
  "pairs": language.pair_records,
  "sft": language.sft_records,
  "prompts": language.prompt_records,
  "unpaired": language.unpaired_records,
  "ranked": language.ranked_records,
  "rated": language.rated_records,
  "steps": language.step_records,
  "step_pairs": language.step_pair_records,
  "joint": language.joint_records,
  "rationale": language.rationale_records,
  "labelled": language.labelled_records,
  "steered": language.steered_records,
  "scenes": scenes.scene_records,
  "clips": scenes.clip_records,
}
_LANGUAGES = {
  "easy": language.EASY,
  "quick": language.QUICK,
  "full": language.FULL,
}
# Of `data.language`; everything else goes to the producer.
_OWN = {"n": 4000, "eval_n": 400, "seed": 0, "language": "quick"}


@dataclasses.dataclass(frozen=True)
class Records:
  """Training and held-out records.

  Attributes:
    train: to learn from.
    held_out: never trained on; may be empty.
    notes: one line each about what was read.
    is_language: they are of the built-in instruction language, whose gold
      reward is known.
  """

  train: tuple[schema.Record, ...]
  held_out: tuple[schema.Record, ...]
  notes: tuple[str, ...]
  is_language: bool


def _producer(name: str):
  kind = name[len(LANGUAGE) :]
  if kind not in PRODUCERS:
    raise errors.ConfigError(
      f"data.train: the instruction language has no {kind!r}"
      f"{errors.nearest(kind, PRODUCERS)}; it has {', '.join(PRODUCERS)}"
    )
  return kind, PRODUCERS[kind]


def _language_arguments(settings: dict[str, Any], kind: str, producer):
  """(own settings, arguments of the producer), all names checked."""
  known = {
    name
    for name, parameter in inspect.signature(producer).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
  } - {"language", "start"}
  for name in settings:
    if name not in _OWN and name not in known:
      raise errors.ConfigError(
        f"data.language.{name}: {LANGUAGE}{kind} has no such setting"
        f"{errors.nearest(name, {*known, *_OWN})}; it has"
        f" {', '.join(sorted({*known, *_OWN}))}"
      )
  own = {**_OWN, **{k: v for k, v in settings.items() if k in _OWN}}
  for name, least in (("n", 1), ("eval_n", 0), ("seed", 0)):
    if type(own[name]) is not int or own[name] < least:
      raise errors.ConfigError(
        f"data.language.{name}: {own[name]!r} is not a whole number of"
        f" {least} or more"
      )
  if own["language"] not in _LANGUAGES:
    raise errors.ConfigError(
      f"data.language.language: {own['language']!r} is not one of"
      f" {', '.join(_LANGUAGES)}"
    )
  return own, {k: v for k, v in settings.items() if k not in _OWN}


def _language_records(
  config: config_lib.DataConfig, folder: pathlib.Path
) -> Records:
  """Writes the records as files, then reads them like any others."""
  kind, producer = _producer(config.train)
  own, arguments = _language_arguments(config.language, kind, producer)
  drawn = _LANGUAGES[own["language"]]
  out, notes = [], []
  for split, number in (("train", own["n"]), ("heldout", own["eval_n"])):
    if not number:
      out.append(())
      continue
    try:
      rows = producer(own["seed"], number, split, language=drawn, **arguments)
    except TypeError as error:
      raise errors.ConfigError(f"data.language: {error}") from None
    path = folder / f"{kind}-{split}.jsonl"
    processes.first(functools.partial(_write, path, rows))
    read = readers.read(path)
    out.append(read.records)
    notes.append(f"{split}: {read.report.summary()}")
  train = tuple(out[0])[: config.limit or None]
  # The gold reward knows the instruction language alone.
  is_language = kind not in ("scenes", "clips")
  return Records(train, tuple(out[1]), tuple(notes), is_language)


def _write(path: pathlib.Path, rows: Sequence[Any]) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  language.write_jsonl(path, rows)


def load_records(
  config: config_lib.DataConfig, folder: pathlib.Path
) -> Records:
  """Reads (or makes) the records of a stage of a run.

  Args:
    config: the data section.
    folder: where records of the built-in language are written.

  Raises:
    ConfigError, DataError: one line with the key, or file and row.
  """
  curriculum_records.check(config.curriculum)
  found = _all_records(config, folder)
  if not config.curriculum:
    return found
  return dataclasses.replace(
    found,
    train=tuple(curriculum_records.take(found.train, config.curriculum)),
    held_out=tuple(
      curriculum_records.held_out(found.held_out, config.curriculum)
    ),
  )


def _all_records(
  config: config_lib.DataConfig, folder: pathlib.Path
) -> Records:
  """The records before a curriculum takes its part of them."""
  if config.train.startswith(LANGUAGE):
    if config.eval:
      raise errors.ConfigError(
        f"data.eval: {config.eval!r}, but {config.train} brings held-out"
        " records of its own; leave it empty"
      )
    return _language_records(config, folder)
  is_split = not (config.eval or config.eval_split)
  found = loading.read_files(
    loading.Files(
      paths=(storage.local(config.train, "data.train"),),
      eval_paths=(storage.local(config.eval, "data.eval"),)
      if config.eval
      else (),
      eval_fraction=config.eval_fraction if is_split else 0.0,
      split=config.split or None,
      eval_split=config.eval_split or None,
      layout=config.layout,
      columns=config.columns or None,
      on_bad=config.on_bad,
      max_bad_fraction=config.max_bad_fraction,
      limit=config.limit or None,
    )
  )
  notes = [report.summary() for report in found.reports]
  if is_split:
    notes.append(f"{len(found.held)} records held out by their prompts")
  return Records(tuple(found.train), tuple(found.held), tuple(notes), False)


def make_view(
  config: config_lib.DataConfig, kind: str, extras: Sequence[str] = ()
) -> views.View:
  """The view that the config names, else the one the method needs.

  Args:
    config: the data section.
    kind: of record that the method trains on.
    extras: numeric fields of records that the method needs besides.
  """
  name = config.view or kind
  return views.view(
    name,
    pairs=config.pairs,
    attributes=config.attributes,
    extras=tuple(dict.fromkeys((*config.extras, *extras))),
  )


def _encoder(config, source: run_models.Source, view) -> encoding.Encoder:
  lengths = encoding.Lengths(
    prompt=config.max_prompt,
    response=config.max_response,
    too_long=config.too_long,
    keep=config.keep,
  )
  return encoding.Encoder(
    source.tokenizer,
    view,
    lengths,
    template=source.template,
    media=media_options(source.model, config),
  )


def media_options(
  model: base.Model, config: config_lib.DataConfig | None = None
) -> media.Options:
  """What images and frames become for a model.

  Args:
    model: with a vision encoder or without.
    config: the data section, None for its defaults.
  """
  config = config_lib.DataConfig() if config is None else config
  encoder, sizes = model.config.vision, {}
  if encoder is not None:
    sizes = dict(size=encoder.image_size, channels=encoder.channels)
  return media.Options(
    use=config.media,
    max_images=config.max_images,
    max_frames=config.max_frames,
    **sizes,
  )


def media_of(
  model: base.Model,
  records: Sequence[schema.Record],
  config: config_lib.DataConfig | None = None,
) -> vision.Media | None:
  """What the records show, for `generation.generate`; None where nothing."""
  options = media_options(model, config)
  found = [media.load(record, options) for record in records]
  largest = {}
  for name in examples.MEDIA:
    shapes = [own[name].shape for own in found if name in own]
    if shapes:
      largest[name] = (max(shape[0] for shape in shapes), *shapes[0][1:])
  if not largest:
    return None
  parts = [vision.Media(**own) for own in found]
  return vision.Media(**batches.padded_media(parts, largest))


def make_store(
  config: config_lib.DataConfig,
  source: run_models.Source,
  records: Sequence[schema.Record],
  view: views.View,
) -> store.Store:
  """Tokenises records, in memory or in the cache folder.

  Processes of one run that see the same folder do a part of the work each.
  """
  if storage.is_remote(config.cache_dir):
    raise errors.ConfigError(
      f"data.cache_dir: {config.cache_dir} is a URL; give a local folder"
    )
  encoder = _encoder(config, source, view)
  return loading.open_store(
    encoder, records, config.cache_dir or None, team=processes.Team()
  )


def train_source(
  config: config_lib.DataConfig, tokens: store.Store, seed: int
) -> pipeline.Source:
  """Batches of training records, this process's rows of each."""
  return pipeline.Source(
    tokens,
    pipeline.Options(
      batch_size=config.batch_size,
      seed=seed,
      shuffle=config.shuffle,
      epochs=None,
      remainder=config.remainder,
      window=config.window,
      buckets=config.buckets or None,
    ),
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )


def check_lengths(model: base.Model, source: pipeline.Source, keys: str):
  """Checks that every bucket of a source fits the model's positions.

  Raises:
    ConfigError: it does not; names the keys to lower.
  """
  seen = {
    name: sum(
      vision.prefix_tokens(model.config, shape[0]) for shape in own.values()
    )
    for name, own in source.media().items()
  }
  for shapes in source.batch_shapes():
    for name, (_, _, prompt, response) in shapes.items():
      try:
        model.check_length(seen.get(name, 0) + prompt, response)
      except errors.ModelError as error:
        raise errors.ConfigError(f"{keys}: {error}") from None


def eval_source(
  tokens: store.Store, batch_size: int, limit: int = 0
) -> pipeline.Source:
  """Every held-out record once, in order; the last batch is filled.

  Every process makes all rows: `mesh.spread` and `mesh.gather` share the work
  among them, and each then has all results.
  """
  ids = tokens.index.example_id
  select = None
  if limit and limit < len(ids):
    # Evenly over the file: its order may mean something.
    rows = np.linspace(0, len(ids) - 1, limit).round().astype(int)
    select = [int(i) for i in ids[np.unique(rows)]]
  return pipeline.Source(
    tokens,
    pipeline.Options(
      batch_size=batch_size,
      shuffle=False,
      epochs=1,
      remainder="fill",
      window=1,
    ),
    select=select,
  )
