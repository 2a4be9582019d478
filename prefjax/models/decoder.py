# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The decoder as pure functions of a nested dict of arrays.

Layers are scanned over the repeating block of `config.pattern`, so that
windows and rotary bases are static; layers after the last full block are
unrolled. The parameters of slot s are stacked in params["blocks"][str(s)],
those of the remainder lie in params["rest"][str(s)].
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from prefjax.core import checks, prng
from prefjax.kernels import head as head_lib
from prefjax.models import config as config_lib
from prefjax.models import layer_scan, modules, unstacked
from prefjax.models import lora as lora_lib
from prefjax.models import spread as spread_lib

Params = dict[str, Any]
Config = config_lib.DecoderConfig

REMAT = ("none", "dots", "full")

# (q, k, v, cache of this layer or None) -> (out, what to keep).
SlotMix = Callable[..., tuple[jax.Array, Any]]


def _make(config: Config, part: str, dtype, rngs: nnx.Rngs) -> nnx.Module:
  if part == "embed":
    return modules.Embedding(config, dtype, rngs)
  if part == "final_norm":
    return modules.Norm(config.hidden_size, config, dtype)
  return modules.Layer(config, dtype, rngs)


@functools.lru_cache(maxsize=64)
def _graph(config: Config, part: str) -> nnx.GraphDef:
  """The static half of a module; its parameters are merged in at a call."""

  def make():
    return _make(config, part, jnp.float32, nnx.Rngs(params=0))

  return nnx.split(nnx.eval_shape(make))[0]


def _merge(config: Config, part: str, params: Params) -> nnx.Module:
  return nnx.merge(_graph(config, part), params)


def init(config: Config, key, dtype=jnp.float32) -> Params:
  """Random parameters; layer i depends on (key, i) only."""
  embed_key, layer_key, head_key = (
    jax.random.fold_in(key, prng.tag_id(tag))
    for tag in ("embed", "layers", "head")
  )

  def part(name: str, part_key) -> Params:
    module = _make(config, name, dtype, nnx.Rngs(params=part_key))
    return nnx.to_pure_dict(nnx.state(module, nnx.Param))

  def layer(index) -> Params:
    return part("layer", jax.random.fold_in(layer_key, index))

  size, blocks = len(config.pattern), config.num_blocks
  params = {
    "embed": part("embed", embed_key),
    "blocks": {
      str(s): jax.vmap(layer)(jnp.arange(blocks) * size + s)
      for s in range(size)
    },
    "final_norm": part("final_norm", embed_key),
  }
  if config.rest:
    params["rest"] = {
      str(s): layer(blocks * size + s) for s in range(len(config.rest))
    }
  if not config.tied:
    shape = (config.vocab_size, config.hidden_size)
    weight = config.init_std * jax.random.normal(head_key, shape)
    params["head"] = {"weight": weight.astype(dtype)}
  return params


def shapes(config: Config, dtype=jnp.float32) -> Params:
  """The parameter tree as ShapeDtypeStructs."""
  return jax.eval_shape(lambda: init(config, jax.random.key(0), dtype))


def embed(config: Config, params: Params, tokens, dtype) -> jax.Array:
  """Token embeddings [..., D], scaled but without positions."""
  return _merge(config, "embed", params["embed"])(tokens, dtype)


def place(config: Config, params: Params, x, positions) -> jax.Array:
  """Adds learned position embeddings, where the model has them."""
  return _merge(config, "embed", params["embed"]).place(x, positions)


def final_norm(config: Config, params: Params, x) -> jax.Array:
  return _merge(config, "final_norm", params["final_norm"])(x)


def head(config: Config, params: Params, dtype=None) -> head_lib.Head:
  """The LM head, as stored: [V, D]; multiplied in `dtype` if given."""
  weight = (
    params["embed"]["tokens"] if config.tied else params["head"]["weight"]
  )
  return head_lib.Head(
    weight,
    softcap=config.final_softcap,
    transposed=True,
    dtype=None if dtype is None else jnp.dtype(dtype),
  )


def _rematerialise(function, remat: str):
  checks.one_of("hidden", REMAT, remat=remat)
  if remat == "none":
    return function
  policy = None
  if remat == "dots":
    policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
  return jax.checkpoint(function, policy=policy, prevent_cse=False)


def run(
  config: Config,
  params: Params,
  x: jax.Array,
  mixes: Sequence[SlotMix],
  *,
  caches: Any = None,
  spec: lora_lib.LoraSpec | None = None,
  lora: Any = None,
  keys: jax.Array | None = None,
  remat: str = "none",
  spread: spread_lib.Spread | None = None,
) -> tuple[jax.Array, Any]:
  """All layers and the final norm.

  Args:
    config: the decoder.
    params: its parameters.
    x: [N, T, D], embedded rows.
    mixes: one attention function for each slot of the pattern.
    caches: {"blocks": {slot: stacked}, "rest": {slot: ...}} for `mixes`, or
      None. Where the parameters are unstacked, caches and adapters are too.
    spec: what the adapter tree means.
    lora: adapter tree or None.
    keys: [N] keys for adapter dropout, or None for no dropout.
    remat: "none", "dots" (keep the projections' outputs) or "full" (keep
      only each block's input).
    spread: how rows and weights lie on a mesh, None on one device.

  Returns:
    (hidden states [N, T, D], what the mixes kept, laid out like caches).
  """
  lora, caches = lora or {}, caches or {}
  size = len(config.pattern)
  is_unstacked = isinstance(params["blocks"], tuple)
  transposed = is_unstacked and unstacked.lie_transposed(params)

  def layer(slot, x, index, weights, adapter, cache):
    folded = None
    if keys is not None:
      folded = jax.vmap(lambda k: jax.random.fold_in(k, index))(keys)
    mix = functools.partial(mixes[slot], cache=cache)
    view = modules.View(
      lora_lib.Adapter(spec, adapter, folded), spread, transposed=transposed
    )
    x, kept = _merge(config, "layer", weights)(x, mix, view)
    return (x if spread is None else spread.pin(x)), kept

  def block(x, inputs):
    index, weights, adapters, cache = inputs
    kept = {}
    for slot in range(size):
      name = str(slot)
      x, kept[name] = layer(
        slot,
        x,
        index * size + slot,
        weights[name],
        adapters.get(name),
        cache.get(name),
      )
    return x, kept

  if spread is not None:
    x = spread.pin(x)
  blocks = config.num_blocks
  inputs = (
    jnp.arange(blocks),
    params["blocks"],
    lora.get("blocks", {}),
    caches.get("blocks", {}),
  )
  scan = jax.lax.scan
  if is_unstacked:
    scan = unstacked.run
    inputs = (tuple(range(blocks)), *inputs[1:])
  elif layer_scan.pays(x.dtype):
    scan = layer_scan.scan
  x, kept_blocks = scan(_rematerialise(block, remat), x, inputs)
  kept_rest = {}
  for slot in range(len(config.rest)):
    name = str(slot)
    one = _rematerialise(functools.partial(layer, slot), remat)
    x, kept_rest[name] = one(
      x,
      jnp.int32(blocks * size + slot),
      params["rest"][name],
      lora.get("rest", {}).get(name),
      caches.get("rest", {}).get(name),
    )
  return final_norm(config, params, x), {
    "blocks": kept_blocks,
    "rest": kept_rest,
  }
