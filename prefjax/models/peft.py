# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Adapters in the published layout: adapter_config.json and safetensors.

Published adapters are named after the checkpoint's modules. Where a
checkpoint fuses projections that are separate here (GPT-2's c_attn, Phi-3's
qkv_proj), the adapters of its parts become one of their summed rank, with B
block-diagonal; that form is taken apart again when it is read.
"""

import dataclasses
import itertools
import math
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from prefjax.core import errors
from prefjax.models import config as config_lib
from prefjax.models import families, safetensors_io
from prefjax.models import lora as lora_lib

Config = config_lib.DecoderConfig
LoraSpec = lora_lib.LoraSpec

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_TENSOR = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])\.weight")


class _Part(NamedTuple):
  """A projection of ours within a module of the checkpoint."""

  projection: str  # e.g. "attention/q"
  start: int  # its first output in the module
  outputs: int


def _modules(config: Config) -> dict[str, list[_Part]]:
  """Module name template -> its parts, in the order of their outputs."""
  sizes = lora_lib.projections(config)
  modules: dict[str, list[_Part]] = {}
  for tensor in families.get(config.family).layer_tensors(config):
    name = "/".join(tensor.path[:-1])
    if tensor.path[-1] == "kernel":
      module = tensor.name.removesuffix(".weight")
      part = _Part(name, tensor.start, sizes[name][1])
      modules.setdefault(module, []).append(part)
  return {
    m: sorted(parts, key=lambda p: p.start) for m, parts in modules.items()
  }


def _place(config: Config, layer: int) -> tuple[str, str, int | None]:
  """(part, slot, index in the stack or None) of a layer."""
  size = len(config.pattern)
  block, slot = divmod(layer, size)
  if block < config.num_blocks:
    return "blocks", str(slot), block
  return "rest", str(slot), None


def _pair(adapter: Any, config: Config, layer: int, projection: str):
  """(a [inputs, rank], b [rank, outputs]) of a layer, or None."""
  part, slot, index = _place(config, layer)
  node = adapter[part][slot]
  for key in projection.split("/"):
    node = node.get(key)
    if node is None:
      return None
  a, b = np.asarray(node["a"]), np.asarray(node["b"])
  return (a, b) if index is None else (a[index], b[index])


def _short(module: str, unadapted: list[str]) -> str:
  """The shortest ending that names a module and none of `unadapted`."""
  parts = module.split(".")
  for count in (1, 2):
    ending = ".".join(parts[-count:])
    if not any(f".{other}".endswith(f".{ending}") for other in unadapted):
      return ending
  return module


def save_adapter(
  path: str | os.PathLike,
  config: Config,
  adapter: Any,
  spec: LoraSpec,
  *,
  base_model: str = "",
) -> None:
  """Writes an adapter that other libraries can load.

  Args:
    path: directory, made if missing.
    config: the decoder.
    adapter: of `lora.init` or a checkpoint.
    spec: what it means.
    base_model: name of the base model, written for the reader's use.

  Raises:
    ModelError: the directory cannot be written.
  """
  tensors: dict[str, np.ndarray] = {}
  ranks: dict[str, int] = {}
  unadapted = []
  for module, parts in _modules(config).items():
    for layer in range(config.num_layers):
      pairs = [_pair(adapter, config, layer, p.projection) for p in parts]
      if all(pair is None for pair in pairs):
        unadapted.append(module)
        break
      name = _PREFIX + module.format(layer=layer)
      a, b = _fuse(parts, pairs)
      ranks[module] = a.shape[1]
      tensors[f"{name}.lora_A.weight"] = np.ascontiguousarray(a.T)
      tensors[f"{name}.lora_B.weight"] = np.ascontiguousarray(b.T)
  names = {module: _short(module, unadapted) for module in ranks}
  wide = {names[m]: rank for m, rank in ranks.items() if rank != spec.rank}
  content = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": base_model,
    "r": spec.rank,
    "lora_alpha": spec.alpha,
    "lora_dropout": spec.dropout,
    "use_rslora": spec.rank_stabilised,
    "target_modules": sorted(names.values()),
    "rank_pattern": wide,
    # The scale stays that of the parts.
    "alpha_pattern": {
      name: spec.scale * (rank**0.5 if spec.rank_stabilised else rank)
      for name, rank in wide.items()
    },
    "bias": "none",
    "fan_in_fan_out": config.family == "gpt2",
    "inference_mode": True,
    "init_lora_weights": True,
    "modules_to_save": None,
    "layers_to_transform": None,
    "layers_pattern": None,
    "use_dora": False,
  }
  directory = pathlib.Path(path)
  try:
    directory.mkdir(parents=True, exist_ok=True)
    safetensors_io.write_file(directory / WEIGHTS, tensors)
    safetensors_io.write_json(directory / CONFIG, content)
  except OSError as error:
    raise errors.ModelError(
      f"{directory}: cannot be written: {error}"
    ) from error


def _fuse(parts: list[_Part], pairs: list[Any]):
  """One (a [inputs, R], b [R, outputs]) for a module of several parts."""
  if len(parts) == 1:
    return pairs[0]
  kept = [pair for pair in pairs if pair is not None]
  total = sum(a.shape[1] for a, _ in kept)
  outputs = parts[-1].start + parts[-1].outputs
  b = np.zeros((total, outputs), kept[0][1].dtype)
  row = 0
  for part, pair in zip(parts, pairs, strict=True):
    if pair is not None:
      rank = pair[1].shape[0]
      b[row : row + rank, part.start : part.start + part.outputs] = pair[1]
      row += rank
  return np.concatenate([a for a, _ in kept], axis=1), b


def _split(parts: list[_Part], a: np.ndarray, b: np.ndarray, rank: int):
  """The parts' own (a, b); None for a part that has none.

  A module that `_fuse` made of m adapters has m times the rank and zeros
  outside the blocks. Any other module's A serves all of its parts.
  """
  if len(parts) == 1:
    return [(a, b)]
  columns = [slice(p.start, p.start + p.outputs) for p in parts]
  count, rest = divmod(a.shape[1], rank)
  combinations = itertools.combinations(range(len(parts)), count)
  for chosen in combinations if count and not rest else ():
    outside = b.copy()
    pairs: list[Any] = [None] * len(parts)
    for i, at in enumerate(chosen):
      rows = slice(i * rank, (i + 1) * rank)
      pairs[at] = (a[:, rows], b[rows, columns[at]])
      outside[rows, columns[at]] = 0
    if not outside.any():
      return pairs
  return [(a, b[:, column]) for column in columns]


def load_adapter(
  path: str | os.PathLike, config: Config, *, dtype: Any = jnp.float32
) -> tuple[Any, LoraSpec]:
  """An adapter in the published layout.

  Args:
    path: directory with adapter_config.json and adapter_model.safetensors.
    config: the decoder that it belongs to.
    dtype: of the adapter.

  Returns:
    (adapter tree, LoraSpec). Modules of another rank or alpha than the
    adapter's general one keep their rank, and their scale is put into B.

  Raises:
    ModelError: a file is missing or damaged, the adapter is of another kind,
      or a tensor does not fit the model.
  """
  directory = pathlib.Path(path)
  where = directory / CONFIG
  content = safetensors_io.read_json(where)
  spec = _spec(content, str(where))
  tensors = safetensors_io.open_file(directory / WEIGHTS)
  modules = _modules(config)
  known = {
    module.format(layer=i): (module, i)
    for module in modules
    for i in range(config.num_layers)
  }
  halves: dict[tuple[str, int], dict[str, np.ndarray]] = {}
  for name, tensor in tensors.items():
    match = _TENSOR.fullmatch(name)
    if match is None or match[1] not in known:
      raise errors.ModelError(
        f"{directory / WEIGHTS}: tensor {name!r} does not belong to an adapter"
        f" of a {config.family} model with {config.num_layers} layers"
      )
    value = np.asarray(tensor[:]).T.astype(jnp.dtype(dtype))
    halves.setdefault(known[match[1]], {})[match[2]] = value
  pairs: dict[str, dict[int, Any]] = {}  # projection -> layer -> (a, b)
  sizes = lora_lib.projections(config)
  for (module, layer), pair in halves.items():
    parts, name = modules[module], module.format(layer=layer)
    a, b = _checked(pair, parts, sizes, f"{directory / WEIGHTS}: {name}")
    scale = _scale(content, spec, name, a.shape[1], str(where))
    if not math.isclose(scale, spec.scale, rel_tol=1e-9):
      b = (b * (scale / spec.scale)).astype(b.dtype)
    for part, own in zip(parts, _split(parts, a, b, spec.rank), strict=True):
      if own is not None:
        pairs.setdefault(part.projection, {})[layer] = own
  if not pairs:
    raise errors.ModelError(f"{directory / WEIGHTS}: holds no adapter")
  tree: dict[str, Any] = {}
  for projection, layers in pairs.items():
    _stack(tree, config, projection, layers)
  targets = "|".join(name for name in sizes if name in pairs)
  return tree, dataclasses.replace(spec, targets=targets)


def _spec(content: Mapping[str, Any], where: str) -> LoraSpec:
  """The general settings of an adapter_config.json."""
  if content.get("peft_type") != "LORA":
    raise errors.ModelError(
      f"{where}: peft_type={content.get('peft_type')!r} is not 'LORA'"
    )
  for key in ("use_dora", "modules_to_save", "trainable_token_indices"):
    if content.get(key):
      raise errors.ModelError(f"{where}: {key} is not supported")
  if content.get("bias", "none") != "none":
    raise errors.ModelError(f"{where}: bias={content['bias']!r} is not 'none'")
  try:
    return LoraSpec(
      rank=content["r"],
      alpha=float(content["lora_alpha"]),
      dropout=float(content.get("lora_dropout") or 0.0),
      rank_stabilised=bool(content.get("use_rslora", False)),
    )
  except (KeyError, TypeError, ValueError) as error:
    raise errors.ModelError(
      f"{where}: r, lora_alpha or lora_dropout is missing or wrong: {error}"
    ) from error


def _scale(
  content: Mapping[str, Any], spec: LoraSpec, name: str, rank: int, where: str
) -> float:
  """The scale of one module: its own alpha over its own rank."""
  alpha = spec.alpha
  for key, value in (content.get("alpha_pattern") or {}).items():
    # Keys may be regular expressions; as in other readers, an ending fits.
    try:
      if re.fullmatch(rf"(.*\.)?({key})", name):
        alpha = float(value)
        break
    except (re.error, TypeError, ValueError) as error:
      raise errors.ModelError(
        f"{where}: alpha_pattern[{key!r}]={value!r}: {error}"
      ) from error
  return alpha / (rank**0.5 if spec.rank_stabilised else rank)


def _checked(pair, parts: list[_Part], sizes, where: str):
  """(a [inputs, rank], b [rank, outputs]) of the right shapes."""
  if set(pair) != {"A", "B"}:
    missing = "B" if "A" in pair else "A"
    raise errors.ModelError(f"{where}.lora_{missing}.weight is missing")
  a, b = pair["A"], pair["B"]
  inputs = sizes[parts[0].projection][0]
  outputs = parts[-1].start + parts[-1].outputs
  fits = a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0]
  if not fits or (a.shape[0], b.shape[1]) != (inputs, outputs):
    raise errors.ModelError(
      f"{where}: lora_A {a.shape[::-1]} and lora_B {b.shape[::-1]} do not fit"
      f" a module of {inputs} inputs and {outputs} outputs"
    )
  return a, b


def _stack(
  tree: dict[str, Any],
  config: Config,
  projection: str,
  layers: Mapping[int, Any],
) -> None:
  """Puts a projection's layers into the tree; absent ones add nothing."""
  rank = max(a.shape[1] for a, _ in layers.values())
  some_a, some_b = next(iter(layers.values()))

  def at(layer: int):
    a, b = layers.get(layer, (some_a[:, :0], some_b[:0]))
    short = rank - a.shape[1]
    return np.pad(a, ((0, 0), (0, short))), np.pad(b, ((0, short), (0, 0)))

  places: dict[tuple[str, str], list[int]] = {}
  for layer in range(config.num_layers):
    places.setdefault(_place(config, layer)[:2], []).append(layer)
  for (part, slot), numbers in places.items():
    a, b = zip(*map(at, numbers), strict=True)
    join = np.stack if part == "blocks" else lambda rows: rows[0]
    node = tree.setdefault(part, {}).setdefault(slot, {})
    kind, name = projection.split("/")
    node.setdefault(kind, {})[name] = {
      "a": jnp.asarray(join(a)),
      "b": jnp.asarray(join(b)),
    }
