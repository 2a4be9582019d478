# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rationale prompts and records."""

import pytest

from prefjax import data
from prefjax.core import errors
from prefjax.data import records, views


def test_texts_go_where_the_slots_are():
  template = "{below}|{prompt}|{above}|{other}|{}"
  filled = data.format_rationale_prompt("p", "c", "r", template=template)
  assert filled == "r|p|c|{other}|{}"
  swapped = data.format_rationale_prompt(
    "p", "c", "r", template=template, swap=True
  )
  assert swapped == "c|p|r|{other}|{}"


def test_filling_is_one_pass():
  filled = data.format_rationale_prompt(
    "{above}", "{below} {", "{prompt}}", template="{prompt}-{above}-{below}"
  )
  assert filled == "{above}-{below} {-{prompt}}"


def test_default_template_shows_the_chosen_answer_first():
  text = data.format_rationale_prompt("QQQ", "CCC", "RRR")
  assert text.index("QQQ") < text.index("CCC") < text.index("RRR")
  text = data.format_rationale_prompt("QQQ", "CCC", "RRR", swap=True)
  assert text.index("RRR") < text.index("CCC")


def test_a_record_becomes_a_pair_with_a_rationale_group():
  record = data.RationaleRecord("p", "good", "bad", "it is good", "general")
  raw = record.fields("7", template="{above}/{below}", swap=True)
  checked = records.validate(raw, "memory")
  groups = views.view("groups").groups(checked)
  assert groups["main"].responses == ("good", "bad")
  assert groups["rationale"].prompt == "bad/good"
  assert groups["rationale"].responses == ("it is good",)
  assert checked.metadata["rationale_kind"] == "general"


def test_errors():
  with pytest.raises(errors.ConfigError, match="template holds no {below}"):
    data.format_rationale_prompt("p", "c", "r", template="{above}")
  with pytest.raises(errors.DataError, match="kind is 'broad'"):
    data.RationaleRecord("p", "c", "r", "why", "broad")
  with pytest.raises(errors.DataError, match="rationale is empty"):
    data.RationaleRecord("p", "c", "r", " ", "general")
  with pytest.raises(errors.DataError, match="chosen is NoneType"):
    data.RationaleRecord("p", None, "r", "why", "general")
