# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints under their published names: import, export, round trip.

Our arrays are views of the published tensors (transposed, cut out of fused
ones, stacked over layers), described by `families.Tensor`; importing reads
exactly the slices that are wanted and exporting inverts the same table.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prefjax.core import errors
from prefjax.models import base, decoder, families
from prefjax.models import config as config_lib

Config = config_lib.DecoderConfig
Tensor = families.Tensor
GetTensor = Callable[[str], Any]  # -> something with .shape and [slices]

# Buffers that older checkpoints carry and that hold no parameters.
_BUFFERS = re.compile(
  r"(.*\.)?(rotary_emb\.inv_freq|h\.\d+\.attn\.(masked_)?bias)"
)
_HEAD = "lm_head.weight"

# Sizes in a config, under the names of all families: key -> largest value.
# Layers are counted one by one, so their number is bounded more tightly.
_LARGEST = 1 << 31
_SIZES = {
  **dict.fromkeys(
    (
      "vocab_size", "hidden_size", "intermediate_size", "num_attention_heads",
      "num_key_value_heads", "head_dim", "max_position_embeddings",
      "max_window_layers", "sliding_window", "sliding_window_pattern",
      "_sliding_window_pattern", "query_pre_attn_scalar", "n_embd", "n_head",
      "n_inner", "n_positions", "n_ctx",
    ),
    _LARGEST,
  ),
  "num_hidden_layers": 4096,
  "n_layer": 4096,
}  # fmt: skip


def config_from_hf(raw: Mapping[str, Any]) -> Config:
  """A DecoderConfig from the content of a `config.json`.

  Both forms are read: the newer (`rope_parameters`, `layer_types`) and the
  older (`rope_theta`, `rope_scaling`, `sliding_window_pattern`, ...).

  Raises:
    ModelError: unknown model type, or a key is missing, malformed or
      unsupported.
  """
  for key, most in _SIZES.items():
    value = raw.get(key)
    if value is None or (key == "query_pre_attn_scalar" and _is_float(value)):
      continue
    if type(value) is not int or not 0 <= value <= most:
      raise errors.ModelError(
        f"config key {key}={_short(value)} is not a whole number from 0 to"
        f" {most}"
      )
  try:
    return families.get(raw.get("model_type")).config_from_hf(raw)
  except errors.ModelError:
    raise
  except (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
  ) as error:
    raise errors.ModelError(
      "config: a key has a value of another kind than models of type"
      f" {_short(raw.get('model_type'))} have"
      f" ({type(error).__name__}: {_short(str(error))}); compare it with the"
      " published config.json"
    ) from error


def _is_float(value: Any) -> bool:
  return isinstance(value, float) and 0 < value <= _LARGEST


def _short(value: Any) -> str:
  text = ascii(value)
  return text if len(text) <= 80 else f"{text[:77]}..."


def config_to_hf(config: Config, dtype: Any = "float32") -> dict[str, Any]:
  """The `config.json` of a model, in the older form, which all can read."""
  family = families.get(config.family)
  return {
    "architectures": [family.architecture],
    **family.config_to_hf(config),
    "torch_dtype": jnp.dtype(dtype).name,
  }


class _Leaf:
  """One of our arrays and where its parts lie in the checkpoint."""

  def __init__(self, path, tensor: Tensor, layers: list[int] | None):
    self.path = path  # in the whole tree
    self.tensor = tensor
    self.layers = layers  # of the stacked axis; None: not stacked
    self.number: int | None = None  # layer of an unrolled layer

  def names(self) -> list[str]:
    if self.layers is not None:
      return [self.tensor.name.format(layer=i) for i in self.layers]
    return [self.tensor.name.format(layer=self.number)]


def _leaves(config: Config) -> list[_Leaf]:
  family = families.get(config.family)
  leaves = [
    _Leaf(tensor.path, tensor, None) for tensor in family.model_tensors(config)
  ]
  size, blocks = len(config.pattern), config.num_blocks
  for tensor in family.layer_tensors(config):
    for slot in range(size):
      layers = [block * size + slot for block in range(blocks)]
      path = ("blocks", str(slot), *tensor.path)
      leaves.append(_Leaf(path, tensor, layers))
    for slot in range(len(config.rest)):
      leaf = _Leaf(("rest", str(slot), *tensor.path), tensor, None)
      leaf.number = blocks * size + slot
      leaves.append(leaf)
  return leaves


def _at(tree: Any, path: tuple[str, ...]) -> Any:
  for key in path:
    tree = tree[key]
  return tree


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
  for key in path[:-1]:
    tree = tree.setdefault(key, {})
  tree[path[-1]] = value


def _stored_index(tensor: Tensor, index: tuple[slice, ...], shape):
  """Slices of the published tensor for slices of our array of `shape`."""
  index = [slice(*s.indices(n)[:2]) for s, n in zip(index, shape, strict=True)]
  start = tensor.start
  index[-1] = slice(index[-1].start + start, index[-1].stop + start)
  return tuple(index[::-1] if tensor.transposed else index)


def _stored_shape(tensor: Tensor, shape, fused: Mapping[str, int]):
  """The published tensor's shape, fused parts counted together."""
  shape = [*shape[:-1], fused.get(tensor.name, shape[-1])]
  return tuple(shape[::-1] if tensor.transposed else shape)


def _fused_sizes(leaves: Iterable[_Leaf]) -> dict[str, int]:
  """Outputs of each fused tensor, by its name template."""
  sizes: dict[str, int] = {}
  for leaf in leaves:
    tensor = leaf.tensor
    if tensor.outputs is not None:
      end = tensor.start + tensor.outputs
      sizes[tensor.name] = max(sizes.get(tensor.name, 0), end)
  return sizes


def _resolve(name: str, present: set[str]) -> str | None:
  """The name in the checkpoint; base models leave off the first part."""
  short = name.split(".", 1)[-1]
  return next((n for n in (name, short) if n in present), None)


def params_from_hf(
  config: Config,
  get_tensor: GetTensor,
  names: Iterable[str],
  *,
  dtype: Any = jnp.float32,
  shardings: Any = None,
  where: str = "checkpoint",
) -> base.Params:
  """Parameters from tensors under their published names.

  Args:
    config: the decoder.
    get_tensor: gives a tensor (NumPy, or anything with `.shape` that reads
      when it is sliced) by name.
    names: all names of the checkpoint.
    dtype: dtype of the parameters; None keeps the stored one.
    shardings: tree of shardings like the parameters, or None for the default
      device. With it every device reads its own slices.
    where: file or directory, for messages.

  Raises:
    ModelError: a tensor is missing, unknown or has another shape.
  """
  leaves = _leaves(config)
  fused = _fused_sizes(leaves)
  present = set(names)
  shapes = decoder.shapes(config)
  used: set[str] = set()
  plans = []
  for leaf in leaves:
    want = _at(shapes, leaf.path).shape
    each = want if leaf.layers is None else want[1:]
    stored = _stored_shape(leaf.tensor, each, fused)
    sources = []
    for name in leaf.names():
      found = _resolve(name, present)
      if found is None:
        raise errors.ModelError(
          f"{where}: tensor {name!r} is missing{errors.nearest(name, present)}"
        )
      source = get_tensor(found)
      if tuple(source.shape) != stored:
        raise errors.ModelError(
          f"{where}: tensor {found!r} has shape {tuple(source.shape)},"
          f" expected {stored} from config.json"
        )
      used.add(found)
      sources.append(source)
    plans.append((leaf, want, sources))
  unknown = sorted(n for n in present - used if not _BUFFERS.fullmatch(n))
  if config.tied and _HEAD in unknown:
    _check_tied(get_tensor, _resolve(_embedding(config), present), where)
    unknown.remove(_HEAD)
  if unknown:
    raise errors.ModelError(
      f"{where}: tensor {unknown[0]!r} does not belong to a"
      f" {config.family} model ({len(unknown)} unknown in total)"
    )
  params: base.Params = {}
  for leaf, shape, sources in plans:
    sharding = None if shardings is None else _at(shardings, leaf.path)
    _put(params, leaf.path, _load(leaf, shape, sources, dtype, sharding))
  return params


def _embedding(config: Config) -> str:
  family = families.get(config.family)
  table = {t.path: t.name for t in family.model_tensors(config)}
  return table["embed", "tokens"]


def _check_tied(get_tensor: GetTensor, embedding: str, where: str) -> None:
  """A tied model may carry its head too, if it is the same matrix."""
  head, table = get_tensor(_HEAD), get_tensor(embedding)
  if tuple(head.shape) != tuple(table.shape) or not np.array_equal(
    head[:], table[:]
  ):
    raise errors.ModelError(
      f"{where}: {_HEAD!r} differs from {embedding!r}, but config.json says"
      " tie_word_embeddings; set it to false"
    )


def _load(leaf: _Leaf, shape, sources, dtype, sharding) -> jax.Array:
  """One array; reads only the slices that `sharding` asks for here."""
  tensor, stacked = leaf.tensor, leaf.layers is not None

  def read(index) -> np.ndarray:
    index = tuple(index) + (slice(None),) * (len(shape) - len(index))
    inner = index[1:] if stacked else index
    where = _stored_index(tensor, inner, shape[1:] if stacked else shape)
    chosen = sources[index[0]] if stacked else sources
    parts = [np.asarray(source[where]) for source in chosen]
    if tensor.transposed:
      parts = [part.T for part in parts]
    value = np.stack(parts) if stacked else parts[0]
    return value if dtype is None else value.astype(jnp.dtype(dtype))

  if sharding is not None:
    return jax.make_array_from_callback(shape, sharding, read)
  return jnp.asarray(read((slice(None),) * len(shape)))


def exports(config: Config, params: base.Params):
  """What is to be written, one tensor at a time.

  Returns:
    (name -> bytes, function from a name to the published tensor).
  """
  parts: dict[str, list[Callable[[], np.ndarray]]] = {}
  sizes: dict[str, int] = {}
  transposed: dict[str, bool] = {}
  for leaf in sorted(_leaves(config), key=lambda leaf: leaf.tensor.start):
    array = _at(params, leaf.path)
    for i, name in enumerate(leaf.names()):

      def read(array=array, i=i, stacked=leaf.layers is not None):
        return np.asarray(array[i] if stacked else array)

      parts.setdefault(name, []).append(read)
      size = array.nbytes // (1 if leaf.layers is None else array.shape[0])
      sizes[name] = sizes.get(name, 0) + size
      transposed[name] = leaf.tensor.transposed

  def get(name: str) -> np.ndarray:
    value = np.concatenate([read() for read in parts[name]], axis=-1)
    return value.T if transposed[name] else value

  return sizes, get


def params_to_hf(config: Config, params: base.Params) -> dict[str, np.ndarray]:
  """All tensors under their published names and layouts, on the host."""
  sizes, get = exports(config, params)
  return {name: np.ascontiguousarray(get(name)) for name in sorted(sizes)}
