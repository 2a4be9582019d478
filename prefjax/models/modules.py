# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The decoder's layers as Flax NNX modules.

They hold parameters and nothing else: no RNG state, no caches, no mode.
What differs between training, packed trees and decoding is passed in as
`mix`, the function that turns queries, keys and values into attention
outputs. Only `decoder.py` sees these classes.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from prefjax.models import config as config_lib
from prefjax.models import dots, recompute
from prefjax.models import lora as lora_lib
from prefjax.models import spread as spread_lib

# (q [N, T, H, h], k [N, T, G, h], v) -> (out [N, T, H, h], what to keep).
Mix = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, Any]]

_ACTIVATIONS = {
  "silu": jax.nn.silu,
  "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
  "gelu": lambda x: jax.nn.gelu(x, approximate=False),
  "relu": jax.nn.relu,
}


class Linear(nnx.Module):
  """x [..., inputs] -> [..., outputs]; the kernel is [inputs, outputs]."""

  def __init__(self, inputs, outputs, *, bias, dtype, rngs, gain=1.0):
    std = gain / math.sqrt(inputs)
    kernel = std * jax.random.normal(rngs.params(), (inputs, outputs))
    self.kernel = nnx.Param(kernel.astype(dtype))
    self.bias = nnx.Param(jnp.zeros(outputs, dtype)) if bias else None


class View(NamedTuple):
  """What a layer is given besides its input and its attention.

  Attributes:
    adapter: the adapter's tree at this place.
    spread: how weights lie on a mesh, None on one device.
    path: of this place in a layer, '' or 'attention/'.
    transposed: kernels are [outputs, inputs], see `unstacked`.
  """

  adapter: lora_lib.Adapter
  spread: spread_lib.Spread | None = None
  path: str = ""
  transposed: bool = False

  def child(self, name: str) -> "View":
    """The view one level down."""
    path = f"{self.path}{name}/"
    return self._replace(adapter=self.adapter.child(name), path=path)


def project(x, linears: dict[str, Linear], view: View):
  """Applies several projections to one input: a list of [..., outputs]."""
  kernels = {name: linear.kernel[...] for name, linear in linears.items()}
  gathers = None
  if view.spread is not None:
    gathers = tuple(
      view.spread.gather(f"{view.path}{name}/kernel", kernel.shape)
      for name, kernel in kernels.items()
    )
  outputs = dots.project(
    x, *kernels.values(), gathers=gathers, transposed=view.transposed
  )
  results = []
  for (name, linear), y in zip(linears.items(), outputs, strict=True):
    if linear.bias is not None:
      y = y + linear.bias[...].astype(y.dtype)
    results.append(view.adapter.child(name).add(x, y))
  return results


def project_after(before, inputs, linears: dict[str, Linear], view: View):
  """`project` of before(*inputs), which is not kept where it is cheap.

  Args:
    before: arrays -> [..., D].
    inputs: of `before`.
    linears: name -> projection.
    view: of the layer.
  """
  if recompute.feeds_product(inputs[0].dtype):
    run = recompute.cheap(lambda *a: project(before(*a), linears, view))
    return run(*inputs)
  return project(recompute.cheap(before)(*inputs), linears, view)


def _normed(norm: "Norm | None", x, linears: dict[str, Linear], view: View):
  """`project` of x after its norm, where it has one."""
  if norm is None:
    return project(x, linears, view)
  return project_after(norm.normalise, (x,), linears, view)


class Norm(nnx.Module):
  """RMS or layer norm over the last axis, computed in float32."""

  def __init__(self, size, config: config_lib.DecoderConfig, dtype, kind=None):
    self.kind = kind or config.norm
    self.eps = config.norm_eps
    self.offset = config.norm_offset
    self.scale = nnx.Param(jnp.full(size, 1.0 - self.offset, dtype))
    has_bias = self.kind == "layer"
    self.bias = nnx.Param(jnp.zeros(size, dtype)) if has_bias else None

  def __call__(self, x: jax.Array) -> jax.Array:
    return recompute.cheap(self.normalise)(x)

  def normalise(self, x: jax.Array) -> jax.Array:
    """The norm of x, whatever is kept of it."""
    scale = self.scale[...]
    bias = None if self.bias is None else self.bias[...]
    high = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if self.kind == "layer":
      high = high - jnp.mean(high, axis=-1, keepdims=True)
    square = jnp.mean(high * high, axis=-1, keepdims=True)
    high = high * jax.lax.rsqrt(square + self.eps)
    high = high * (self.offset + scale.astype(high.dtype))
    if bias is not None:
      high = high + bias.astype(high.dtype)
    return high.astype(x.dtype)


class Attention(nnx.Module):
  """Grouped-query projections around whatever `mix` does with them."""

  def __init__(self, config: config_lib.DecoderConfig, dtype, rngs):
    c = config
    self.heads, self.kv_heads = c.num_heads, c.num_kv_heads
    self.qk_norm = c.qk_norm
    wide, narrow = c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim
    options = dict(bias=c.qkv_bias, dtype=dtype, rngs=rngs)
    self.q = Linear(c.hidden_size, wide, **options)
    self.k = Linear(c.hidden_size, narrow, **options)
    self.v = Linear(c.hidden_size, narrow, **options)
    self.o = Linear(
      wide,
      c.hidden_size,
      bias=c.out_bias,
      dtype=dtype,
      rngs=rngs,
      gain=1 / math.sqrt(2 * c.num_layers),
    )
    if c.qk_norm != "none":
      sizes = (wide, narrow) if c.qk_norm == "projection" else (c.head_dim,) * 2
      self.q_norm = Norm(sizes[0], c, dtype, "rms")
      self.k_norm = Norm(sizes[1], c, dtype, "rms")

  def __call__(self, x, mix: Mix, view: View, norm: Norm | None = None):
    linears = {"q": self.q, "k": self.k, "v": self.v}
    q, k, v = _normed(norm, x, linears, view)
    if self.qk_norm == "projection":
      q, k = self.q_norm(q), self.k_norm(k)
    q = q.reshape(*q.shape[:-1], self.heads, -1)  # [N, T, H, h]
    k = k.reshape(*k.shape[:-1], self.kv_heads, -1)  # [N, T, G, h]
    v = v.reshape(*v.shape[:-1], self.kv_heads, -1)
    if self.qk_norm == "head":
      q, k = self.q_norm(q), self.k_norm(k)
    out, kept = mix(q, k, v)
    out = out.reshape(*out.shape[:-2], -1)
    return project(out, {"o": self.o}, view)[0], kept


class Mlp(nnx.Module):
  """down(act(gate(x)) * up(x)), or down(act(up(x))) without a gate.

  x is normalised first where a norm is given.
  """

  def __init__(self, config: config_lib.DecoderConfig, dtype, rngs):
    c = config
    self.activation = c.activation
    options = dict(bias=c.mlp_bias, dtype=dtype, rngs=rngs)
    sizes = (c.hidden_size, c.intermediate_size)
    self.gate = Linear(*sizes, **options) if c.gated else None
    self.up = Linear(*sizes, **options)
    gain = 1 / math.sqrt(2 * c.num_layers)
    self.down = Linear(*sizes[::-1], **options, gain=gain)

  def __call__(
    self, x: jax.Array, view: View, norm: Norm | None = None
  ) -> jax.Array:
    act = _ACTIVATIONS[self.activation]
    linears = {"up": self.up}
    if self.gate is not None:
      linears = {"gate": self.gate, **linears}

    def inner(first, *up):
      return act(first) * up[0] if up else act(first)

    wide = _normed(norm, x, linears, view)
    return project_after(inner, wide, {"down": self.down}, view)[0]


class Layer(nnx.Module):
  """Attention and MLP with residuals; norms before, after, or both."""

  def __init__(self, config: config_lib.DecoderConfig, dtype, rngs):
    self.attention = Attention(config, dtype, rngs)
    self.mlp = Mlp(config, dtype, rngs)

    def norm(wanted: bool) -> Norm | None:
      return Norm(config.hidden_size, config, dtype) if wanted else None

    before, after = config.placement != "post", config.placement != "pre"
    self.attention_norm, self.mlp_norm = norm(before), norm(before)
    self.attention_out_norm, self.mlp_out_norm = norm(after), norm(after)

  def __call__(self, x, mix: Mix, view: View):
    def apply(norm, value):
      return value if norm is None else norm(value)

    y, kept = self.attention(
      x, mix, view.child("attention"), self.attention_norm
    )
    x = x + apply(self.attention_out_norm, y)
    y = self.mlp(x, view.child("mlp"), self.mlp_norm)
    return x + apply(self.mlp_out_norm, y), kept


class Embedding(nnx.Module):
  """The token table [V, D] and, for GPT-2, the position table."""

  def __init__(self, config: config_lib.DecoderConfig, dtype, rngs):
    def table(rows: int) -> nnx.Param:
      shape = (rows, config.hidden_size)
      values = config.init_std * jax.random.normal(rngs.params(), shape)
      return nnx.Param(values.astype(dtype))

    self.scale = config.embedding_scale
    self.tokens = table(config.vocab_size)
    learned = config.learned_positions
    self.positions = table(config.max_positions) if learned else None

  def __call__(self, tokens: jax.Array, dtype) -> jax.Array:
    # An id outside the vocabulary gives NaN, not some other token's vector.
    x = jnp.take(self.tokens[...], tokens, axis=0, mode="fill")
    x = x.astype(dtype)
    return x if self.scale == 1.0 else x * jnp.asarray(self.scale, dtype)

  def place(self, x: jax.Array, positions: jax.Array) -> jax.Array:
    """Adds the learned positions, where the model has them."""
    if self.positions is None:
      return x
    rows = jnp.take(self.positions[...], positions, axis=0, mode="fill")
    return x + rows.astype(x.dtype)
