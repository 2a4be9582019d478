# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a decoder is made of: static, hashable facts and no arrays."""

import dataclasses

from prefjax.core import errors

ROPE_KINDS = ("default", "linear", "dynamic", "yarn", "llama3", "longrope")
NORMS = ("rms", "layer")
PLACEMENTS = ("pre", "post", "both")
ACTIVATIONS = ("silu", "gelu_tanh", "gelu", "relu")
QK_NORMS = ("none", "head", "projection")


def _choice(name: str, value: str, choices: tuple[str, ...]) -> None:
  if value not in choices:
    raise errors.ModelError(
      f"{name}={value!r} is not one of {', '.join(choices)}"
      f"{errors.nearest(value, choices)}"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rope:
  """Rotary position embedding (Su et al., arXiv 2104.09864) and its scaling.

  Attributes:
    theta: base of the frequencies.
    kind: "default", "linear", "dynamic" (NTK), "yarn" (arXiv 2309.00071),
      "llama3" or "longrope" (arXiv 2402.13753).
    partial: share of each head's dimensions that rotate.
    factor: how many times longer the context is than the original one.
    original_positions: context of pre-training, in tokens; None for the
      model's `max_positions`.
    low_freq_factor: llama3; wave lengths above original / low are scaled.
    high_freq_factor: llama3; wave lengths below original / high are kept.
    beta_fast: yarn; rotations above which a frequency is kept.
    beta_slow: yarn; rotations below which a frequency is interpolated.
    truncate: yarn; whether the ramp's bounds are rounded to integers.
    mscale: yarn; numerator of the attention factor, or None.
    mscale_all_dim: yarn; its denominator, or None.
    attention_factor: multiplies cos and sin; None derives it as published.
    short_factor: longrope; divisors up to the original context.
    long_factor: longrope; divisors past the original context.
  """

  theta: float = 10000.0
  kind: str = "default"
  partial: float = 1.0
  factor: float = 1.0
  original_positions: int | None = None
  low_freq_factor: float = 1.0
  high_freq_factor: float = 4.0
  beta_fast: float = 32.0
  beta_slow: float = 1.0
  truncate: bool = True
  mscale: float | None = None
  mscale_all_dim: float | None = None
  attention_factor: float | None = None
  short_factor: tuple[float, ...] = ()
  long_factor: tuple[float, ...] = ()

  def __post_init__(self):
    _choice("rope.kind", self.kind, ROPE_KINDS)
    if not self.theta > 0 or not self.factor > 0:
      raise errors.ModelError(
        f"rope: theta={self.theta} and factor={self.factor} must be positive"
      )

  @property
  def depends_on_length(self) -> bool:
    """Whether the frequencies change with the length of the sequence."""
    return self.kind in ("dynamic", "longrope")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slot:
  """What differs between the layers of the repeating pattern.

  Attributes:
    window: a query sees keys less than this many positions back; None for
      all of them.
    rope: the rotary embedding of these layers; None for learned positions.
  """

  window: int | None = None
  rope: Rope | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vision:
  """An encoder of images whose features are tokens before the prompt.

  Attributes:
    image_size: height and width of an image in pixels.
    channels: 3 for colours, 1 for grey.
    patch: height and width of a patch.
    pool: features of pool x pool patches are averaged into one token.
    width: of the encoder, W.
    layers: number of layers.
    heads: attention heads.
  """

  image_size: int
  channels: int = 3
  patch: int = 8
  pool: int = 1
  width: int = 64
  layers: int = 2
  heads: int = 4

  def __post_init__(self):
    for name, value in dataclasses.asdict(self).items():
      least = 0 if name == "layers" else 1
      if type(value) is not int or value < least:
        raise errors.ModelError(
          f"vision.{name}={value!r} is not a whole number of {least} or more"
        )
    if self.image_size % (self.patch * self.pool):
      raise errors.ModelError(
        f"vision.image_size={self.image_size} is not a multiple of patch x"
        f" pool = {self.patch} x {self.pool}"
      )
    if self.width % self.heads:
      raise errors.ModelError(
        f"vision.width={self.width} is not a multiple of heads={self.heads}"
      )

  @property
  def side(self) -> int:
    """Patches along one side."""
    return self.image_size // self.patch

  @property
  def tokens(self) -> int:
    """Tokens that an image becomes."""
    return (self.side // self.pool) ** 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderConfig:
  """A decoder-only language model.

  Attributes:
    family: name of the weights' naming scheme, e.g. "llama"; see
      `prefjax.models.families`.
    vocab_size: V.
    hidden_size: D.
    intermediate_size: width of the MLP.
    num_layers: number of layers, L.
    num_heads: query heads, H.
    num_kv_heads: key and value heads, G; divides H.
    head_dim: size of a head; need not be D / H.
    max_positions: longest sequence the model was made for, in tokens.
    pattern: the repeating block of layers; layer i is pattern[i % len].
    norm: "rms" or "layer".
    norm_eps: added to the mean square (or variance).
    norm_offset: 1.0 where a norm multiplies by 1 + weight (Gemma).
    placement: "pre" x + f(norm(x)), "post" x + norm(f(x)), or "both".
    activation: of the MLP.
    gated: down(act(gate(x)) * up(x)) rather than down(act(up(x))).
    qk_norm: "none", "head" (RMS norm in each head) or "projection".
    qkv_bias: bias on the query, key and value projections.
    out_bias: bias on the attention's output projection.
    mlp_bias: bias on the MLP's projections.
    attention_softcap: cap of the attention scores (Gemma 2) or None.
    final_softcap: cap of the logits or None.
    query_scale: scores are q . k times this.
    embedding_scale: token embeddings are multiplied by this.
    tied: the LM head is the token embedding.
    learned_positions: position embeddings are a table (GPT-2).
    init_std: standard deviation of randomly initialised embeddings; other
      matrices begin with 1 / sqrt(inputs).
    bos_id: id of the begin-of-sequence token or None.
    eos_id: id of the end-of-sequence token or None.
    pad_id: id of the padding token or None; masks never use it.
    vision: encoder of images and frames, or None.
  """

  family: str
  vocab_size: int
  hidden_size: int
  intermediate_size: int
  num_layers: int
  num_heads: int
  num_kv_heads: int
  head_dim: int
  max_positions: int
  pattern: tuple[Slot, ...] = (Slot(rope=Rope()),)
  norm: str = "rms"
  norm_eps: float = 1e-6
  norm_offset: float = 0.0
  placement: str = "pre"
  activation: str = "silu"
  gated: bool = True
  qk_norm: str = "none"
  qkv_bias: bool = False
  out_bias: bool = False
  mlp_bias: bool = False
  attention_softcap: float | None = None
  final_softcap: float | None = None
  query_scale: float = 1.0
  embedding_scale: float = 1.0
  tied: bool = True
  learned_positions: bool = False
  init_std: float = 0.02
  bos_id: int | None = None
  eos_id: int | None = None
  pad_id: int | None = None
  vision: Vision | None = None

  def __post_init__(self):
    _choice("norm", self.norm, NORMS)
    _choice("placement", self.placement, PLACEMENTS)
    _choice("activation", self.activation, ACTIVATIONS)
    _choice("qk_norm", self.qk_norm, QK_NORMS)
    for name in (
      "vocab_size",
      "hidden_size",
      "intermediate_size",
      "num_layers",
      "num_heads",
      "num_kv_heads",
      "head_dim",
      "max_positions",
    ):
      value = getattr(self, name)
      if not isinstance(value, int) or value < 1:
        raise errors.ModelError(f"{name}={value!r} is not a positive integer")
    if self.num_heads % self.num_kv_heads:
      raise errors.ModelError(
        f"num_heads={self.num_heads} is not a multiple of"
        f" num_kv_heads={self.num_kv_heads}"
      )
    if not self.pattern:
      raise errors.ModelError("pattern is empty; give one Slot a layer kind")
    object.__setattr__(self, "pattern", tuple(self.pattern[: self.num_layers]))
    for slot in self.pattern:
      if slot.window is not None and slot.window < 1:
        raise errors.ModelError(f"window={slot.window} is not positive")
      if (slot.rope is None) != self.learned_positions:
        raise errors.ModelError(
          "learned_positions and a rotary embedding exclude each other"
        )

  @property
  def num_blocks(self) -> int:
    """How often the pattern repeats in full; these layers are scanned."""
    return self.num_layers // len(self.pattern)

  @property
  def rest(self) -> tuple[Slot, ...]:
    """The layers after the last full block; these are unrolled."""
    return self.pattern[: self.num_layers % len(self.pattern)]


def shortest_pattern(slots: tuple[Slot, ...]) -> tuple[Slot, ...]:
  """The shortest block whose repetition gives these layers, cut at the end."""
  for size in range(1, len(slots) + 1):
    if all(slot == slots[i % size] for i, slot in enumerate(slots)):
      return slots[:size]
  return slots
