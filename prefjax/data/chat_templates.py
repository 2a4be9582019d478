# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Chat formats by name, for models that bring no template of their own."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from prefjax.core import errors

_CHATML = (
  "{% for m in messages %}"
  "{{ '<|im_start|>' ~ m.role ~ '\n' ~ m.content ~ '<|im_end|>\n' }}"
  "{% endfor %}"
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_LLAMA3 = (
  "{% macro head(role) %}"
  "{{ '<|start_header_id|>' ~ role ~ '<|end_header_id|>\n\n' }}"
  "{% endmacro %}"
  "{{ bos_token }}"
  "{% for m in messages %}"
  "{{ head(m.role) ~ (m.content | trim) ~ '<|eot_id|>' }}"
  "{% endfor %}"
  "{% if add_generation_prompt %}{{ head('assistant') }}{% endif %}"
)

# Gemma has no system role: it is put before the first user turn.
_GEMMA = (
  "{{ bos_token }}"
  "{% set ns = namespace(before='') %}"
  "{% for m in messages %}"
  "{% if m.role == 'system' %}"
  "{% if not loop.first %}"
  "{{ raise_exception('a system message may only come first') }}"
  "{% endif %}"
  "{% set ns.before = (m.content | trim) ~ '\n\n' %}"
  "{% else %}"
  "{% set role = 'model' if m.role == 'assistant' else m.role %}"
  "{{ '<start_of_turn>' ~ role ~ '\n' ~ ns.before ~ (m.content | trim)"
  " ~ '<end_of_turn>\n' }}"
  "{% set ns.before = '' %}"
  "{% endif %}"
  "{% endfor %}"
  "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)

_MISTRAL = (
  "{{ bos_token }}"
  "{% set ns = namespace(before='') %}"
  "{% for m in messages %}"
  "{% if m.role == 'system' and loop.first %}"
  "{% set ns.before = m.content ~ '\n\n' %}"
  "{% elif m.role == 'user' %}"
  "{{ '[INST] ' ~ ns.before ~ m.content ~ ' [/INST]' }}"
  "{% set ns.before = '' %}"
  "{% elif m.role == 'assistant' %}"
  "{{ ' ' ~ m.content ~ eos_token }}"
  "{% else %}"
  "{{ raise_exception('a ' ~ m.role ~ ' message has no place here') }}"
  "{% endif %}"
  "{% endfor %}"
)

# Turns on lines of their own, without role names.
_PLAIN = (
  "{% for m in messages %}"
  "{% if not loop.first %}{{ '\n' }}{% endif %}"
  "{{ m.content }}"
  "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}"
  "{% endfor %}"
  "{% if add_generation_prompt %}{{ '\n' }}{% endif %}"
)

# For text that brings its own separators.
_NONE = (
  "{% for m in messages %}"
  "{{ m.content }}"
  "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}"
  "{% endfor %}"
)

TEMPLATES: Mapping[str, str] = MappingProxyType(
  {
    "chatml": _CHATML,
    "llama3": _LLAMA3,
    "gemma": _GEMMA,
    "mistral": _MISTRAL,
    "plain": _PLAIN,
    "none": _NONE,
  }
)

_NAME = re.compile(r"[A-Za-z0-9_.-]{0,64}")
OWN = "own"


def source(template: str | None, own: str | None) -> str:
  """The Jinja source of a template.

  Args:
    template: a name in TEMPLATES, Jinja source, or OWN or None for the
      tokenizer's.
    own: the tokenizer's template or None.

  Raises:
    ConfigError: an unknown name, or None where the tokenizer has none.
  """
  if template in (None, OWN):
    if own is None:
      raise errors.ConfigError(
        "template: the tokenizer brings no chat template; set it"
        " (model.chat_template in a config) to one of"
        f" {', '.join(TEMPLATES)}"
      )
    return own
  if template in TEMPLATES:
    return TEMPLATES[template]
  if _NAME.fullmatch(template):
    raise errors.ConfigError(
      f"template={template!r} is not one of {', '.join(TEMPLATES)}"
      f"{errors.nearest(template, TEMPLATES)}, nor Jinja source"
    )
  return template


def starts_plainly(template: str | None) -> bool:
  """Whether a template leaves BOS to the tokenizer's own habit."""
  return template in ("plain", "none")
