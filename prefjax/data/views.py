# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Views: which groups of a batch a record becomes, still as text.

A view maps a record to named groups. `view` gives the built-in ones; a method
that needs other groups makes its own `View` from one function, or writes the
texts of its groups under metadata['groups'] and takes the view 'groups'.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefjax.core import errors
from prefjax.data import (
  fields,
  group_texts,
  paired_views,
  regroup,
  schema,
  tool_traces,
)

Record = schema.Record
GroupText = group_texts.GroupText
Groups = group_texts.Groups
PAIR_MODES = ("all", "adjacent", "best_worst", "best_rest")


def _no_extras(record: Record) -> dict[str, Any]:
  del record
  return {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
  """How records become groups.

  Attributes:
    name: identifies the view, with its options, in the key of a store.
    groups: record -> groups by name; raises Problem to leave a record out.
    extras: record -> arrays or numbers that travel with the example.
    prepare: records -> records, before anything else.
    mismatched: name of a group to make in every batch from 'main', with each
      prompt followed by the responses of another example; None for none.
  """

  name: str
  groups: Callable[[Record], Groups]
  extras: Callable[[Record], dict[str, Any]] = _no_extras
  prepare: Callable[[Sequence[Record]], list[Record]] = list
  mismatched: str | None = None


def _scored(record: Record) -> list[int]:
  return [i for i, s in enumerate(record.scores or ()) if s is not None]


def _ranked(record: Record, *, pairs: str, eos: bool) -> Groups:
  """All responses that are ranked, and pairs from scores or as given."""
  group_texts.need(record, 2, "ranked")
  if record.scores is None:
    if not record.pairs:
      raise fields.Problem("scores", "are missing, and so are pairs")
    return {
      "main": GroupText(
        prompt=record.prompt,
        responses=record.responses,
        pairs=record.pairs,
        eos=eos,
      )
    }
  kept = _scored(record)
  if len(kept) < 2:
    raise fields.Problem("scores", "are missing for all but one response")
  scores = tuple(float(record.scores[i]) for i in kept)
  if record.kind == "pair" and record.pairs:
    place = {index: new for new, index in enumerate(kept)}
    found = tuple(
      (place[a], place[b]) for a, b in record.pairs if a in place and b in place
    )
  else:
    found = regroup.pairs_from_scores(scores, pairs)
  return {
    "main": GroupText(
      prompt=record.prompt,
      responses=tuple(record.responses[i] for i in kept),
      scores=scores,
      pairs=found,
      eos=eos,
    )
  }


def _unpaired(record: Record, *, pairs: str, eos: bool) -> Groups:
  del pairs
  if record.labels is None or len(record.labels) != 1:
    raise fields.Problem("labels", "are not one label for one response")
  return {
    "main": GroupText(
      prompt=record.prompt,
      responses=record.responses,
      scores=(float(record.labels[0]),),
      eos=eos,
    )
  }


def best_response(record: Record) -> schema.Text:
  """The response to imitate: the chosen, the best scored, or the only one.

  Raises:
    Problem: there is none.
  """
  group_texts.need(record, 1, "sft")
  if record.pairs:
    return record.responses[record.pairs[0][0]]
  kept = _scored(record)
  if kept:
    return record.responses[max(kept, key=lambda i: (record.scores[i], -i))]
  if record.labels is not None:
    liked = [i for i, label in enumerate(record.labels) if label]
    if not liked:
      raise fields.Problem("labels", "like no response")
    return record.responses[liked[0]]
  return record.responses[0]


def _sft(record: Record, *, pairs: str, eos: bool) -> Groups:
  del pairs
  return {
    "main": GroupText(
      prompt=record.prompt, responses=(best_response(record),), eos=eos
    )
  }


def _text(record: Record, *, pairs: str, eos: bool) -> Groups:
  del pairs
  if record.kind != "text":
    raise fields.Problem("kind", f"is {record.kind}, view text needs text")
  return {"main": GroupText(prompt="", responses=record.responses, eos=eos)}


def _steps(record: Record, *, pairs: str, eos: bool) -> Groups:
  del pairs
  if record.steps is None:
    raise fields.Problem("steps", "are missing")
  return {
    "main": GroupText(
      prompt=record.prompt,
      responses=record.responses,
      pieces=(record.steps,),
      eos=eos,
    )
  }


def _step_extras(record: Record) -> dict[str, Any]:
  """step_labels [S]: 1 right, 0 wrong, -1 unknown; first_error, -2 unknown."""
  labels = record.step_labels or (None,) * len(record.steps or ())
  first = record.first_error
  return {
    "step_labels": [-1 if label is None else int(label) for label in labels],
    "first_error": -2 if first is None else first,
  }


def _rated(record: Record, *, pairs: str, eos: bool) -> Groups:
  """All responses; pairs from scores where there are scores."""
  group_texts.need(record, 1, "rated")
  scores = record.scores
  full = scores is not None and None not in scores
  found = regroup.pairs_from_scores(scores, pairs) if full else ()
  return {
    "main": GroupText(
      prompt=record.prompt,
      responses=record.responses,
      scores=tuple(map(float, scores)) if full else None,
      pairs=found,
      eos=eos,
    )
  }


def _rating_extras(names: tuple[str, ...], record: Record) -> dict[str, Any]:
  """ratings [K, A] and rating_mask [K, A]; a missing rating counts 0."""
  if record.attributes is None:
    raise fields.Problem("attributes", "are missing")
  table = [[a.get(name) for name in names] for a in record.attributes]
  if not any(value is not None for row in table for value in row):
    raise fields.Problem("attributes", f"rate none of {', '.join(names)}")
  return {
    "ratings": [[float(v or 0.0) for v in row] for row in table],
    "rating_mask": [[float(v is not None) for v in row] for row in table],
  }


def _prompt(record: Record, *, pairs: str, eos: bool) -> Groups:
  del pairs
  if record.kind == "text" or not record.prompt:
    raise fields.Problem("prompt", "is empty")
  return {"main": GroupText(prompt=record.prompt, responses=(), eos=eos)}


def _joint(record: Record, *, pairs: str, eos: bool) -> Groups:
  """Groups 'chosen' and 'rejected' of whole (instruction, answer) texts."""
  del pairs
  group_texts.need(record, 2, "joint")
  better, worse = (record.pairs or ((0, 1),))[0]
  out = {}
  for name, index in (("chosen", better), ("rejected", worse)):
    response = record.responses[index]
    if record.prompt:
      prompt, answer = record.prompt, response
    else:
      prompt, answer = response[:-1], response[-1:]
    out[name] = GroupText(
      prompt=prompt, responses=(answer,), joint=True, eos=eos
    )
  return out


def _given(record: Record, *, pairs: str, eos: bool) -> Groups:
  """'main' as in the pair or ranked view, and metadata['groups'] by name."""
  main = group_texts.pair if record.kind == "pair" else _ranked
  out = dict(main(record, pairs=pairs, eos=eos))
  value = record.metadata.get("groups")
  if not isinstance(value, Mapping) or not value:
    raise fields.Problem(
      "metadata.groups", "is missing, expected texts by name"
    )
  for name, item in value.items():
    where = f"metadata.groups.{name}"
    if not isinstance(item, Mapping):
      raise fields.Problem(where, f"is {fields.shown(item)}, not a mapping")
    answers = fields.sequence(
      item.get("responses"), f"{where}.responses", most=64, what="responses"
    )
    scores = item.get("scores")
    out[name] = GroupText(
      prompt=fields.text(item.get("prompt"), f"{where}.prompt"),
      responses=tuple(
        fields.text(a, f"{where}.responses[{i}]") for i, a in enumerate(answers)
      ),
      scores=None
      if scores is None
      else tuple(fields.number(s, f"{where}.scores") for s in scores),
      eos=eos,
    )
  return out


_VIEWS: dict[str, tuple[Callable[..., Groups], dict[str, Any]]] = {
  "pair": (group_texts.pair, {}),
  "ranked": (_ranked, {}),
  "unpaired": (_unpaired, {"prepare": regroup.unpair}),
  "kto": (
    _unpaired,
    {"prepare": regroup.unpair, "mismatched": "mismatched"},
  ),
  "sft": (_sft, {}),
  "text": (_text, {}),
  "steps": (_steps, {"extras": _step_extras}),
  "rated": (_rated, {}),
  "prompt": (_prompt, {}),
  "joint": (_joint, {}),
  "blind": (paired_views.blind, {}),
  "rationale": (paired_views.rationale, {}),
  "orders": (paired_views.orders, {}),
  "mapl": (paired_views.mapl, {"extras": paired_views.mapl_extras}),
  "traced": (tool_traces.traced, {}),
  "groups": (_given, {}),
}
NAMES = tuple(_VIEWS)


def view(
  name: str,
  *,
  pairs: str = "all",
  attributes: Sequence[str] = (),
  extras: Sequence[str] = (),
  eos: bool = True,
) -> View:
  """A built-in view.

  Args:
    name: 'pair' (main: chosen, rejected), 'ranked' (main: K responses, scores,
      pairs), 'unpaired' (main: one response, its label as score; pairs are
      split), 'kto' (the same and a group 'mismatched'), 'sft' (main: the best
      response), 'text', 'steps' (main with segments; extras step_labels and
      first_error), 'rated' (main; extras ratings and rating_mask), 'prompt',
      'joint' (groups chosen, rejected), 'blind' (main: a pair and a blind
      response), 'rationale' (main, and a group rationale), 'orders' (main:
      both responses in one text, the better one first, then last), 'mapl'
      (main, and groups augmented, better, worse), 'traced' (main: a pair with
      its tool traces, and segments), or 'groups' (main and those under
      metadata['groups']).
    pairs: which pairs the scores of a 'ranked' or 'rated' record give; see
      `regroup.pairs_from_scores`.
    attributes: attribute names and their order, for 'rated'.
    extras: numeric fields of a record, or of its metadata, that travel along
      as float32 [B]; a record without one is left out.
    eos: whether responses end with the end-of-sequence token.

  Raises:
    ConfigError: an unknown view or pair mode, or 'rated' without attributes.
  """
  if name not in _VIEWS:
    raise errors.ConfigError(
      f"data.view: {name!r} is unknown{errors.nearest(name, NAMES)}; views are"
      f" {', '.join(NAMES)}"
    )
  if pairs not in PAIR_MODES:
    raise errors.ConfigError(
      f"data.pairs: {pairs!r} is not one of {', '.join(PAIR_MODES)}"
    )
  function, settings = _VIEWS[name]
  settings = dict(settings)
  if name == "rated":
    if not attributes:
      raise errors.ConfigError(
        "data.attributes: view 'rated' needs the names of the attributes"
      )
    settings["extras"] = functools.partial(_rating_extras, tuple(attributes))
  elif attributes:
    raise errors.ConfigError(f"data.attributes: view {name!r} has none")
  if extras:
    settings["extras"] = functools.partial(
      _with_numbers, tuple(extras), settings.get("extras", _no_extras)
    )
  options = f"pairs={pairs},eos={eos}"
  options += f",attributes={'|'.join(attributes)},extras={'|'.join(extras)}"
  return View(
    name=f"{name}({options})",
    groups=functools.partial(function, pairs=pairs, eos=eos),
    **settings,
  )


def _with_numbers(
  names: tuple[str, ...],
  before: Callable[[Record], dict[str, Any]],
  record: Record,
) -> dict[str, Any]:
  out = dict(before(record))
  for name in names:
    value = getattr(record, name, None)
    if not isinstance(value, (int, float)):
      value = record.metadata.get(name)
    if value is None:
      raise fields.Problem(name, "is missing, but wanted among the extras")
    out[name] = fields.number(value, name)
  return out
