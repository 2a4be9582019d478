# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""From a wrong chain of reasoning to pairs about its first wrong step.

Steps are marked in the text as "Step 1:", "Step 2:" and so on. The
method is Step-DPO (Lai et al., arXiv:2406.18629).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefjax.core import checks, errors

DEFAULT_MARKER = "Step {k}:"


def first_error_step(
  step_labels, step_mask, *, neutral_is_error: bool = True
) -> np.ndarray:
  """Index of the first step that is not correct.

  Args:
    step_labels: [B, S], 1 correct, 0 neutral, -1 incorrect.
    step_mask: [B, S], which steps exist.
    neutral_is_error: whether a neutral step ends the correct prefix.

  Returns:
    int32 [B], 0-based; -1 where every step is correct.

  Raises:
    ValueError: shapes differ.
  """
  checks.same_shape(
    "first_error_step", step_labels=step_labels, step_mask=step_mask
  )
  labels = np.asarray(step_labels)
  is_error = labels <= 0 if neutral_is_error else labels < 0
  is_error &= np.asarray(step_mask).astype(bool)
  # Behind the last step an end that always counts: there may be no step.
  after = np.ones((*is_error.shape[:-1], 1), bool)
  first = np.concatenate([is_error, after], axis=-1).argmax(axis=-1)
  return np.where(first < labels.shape[-1], first, -1).astype(np.int32)


def step_token_mask(step_ids, target_step) -> np.ndarray:
  """Which tokens belong to one step of each row.

  Args:
    step_ids: [B, T], 0-based step of each token, -1 on prompt and padding.
    target_step: [B], the step wanted; -1 for none.

  Returns:
    int32 [B, T], 1 on the tokens of the target step.

  Raises:
    ValueError: the batch sizes differ.
  """
  ids, target = np.asarray(step_ids), np.asarray(target_step)
  if ids.ndim != 2 or target.shape != ids.shape[:1]:
    raise ValueError(
      f"step_token_mask: target_step has shape {target.shape}, expected [B]"
      f" for step_ids of shape {ids.shape}"
    )
  target = target[:, None]
  return ((ids == target) & (target >= 0)).astype(np.int32)


def _marker_positions(text: str, marker: str) -> list[tuple[int, int]]:
  """(start, end) of markers 1, 2, ... each after the previous one."""
  spans, at = [], 0
  while True:
    mark = marker.replace("{k}", str(len(spans) + 1))
    start = text.find(mark, at)
    if start < 0:
      return spans
    at = start + len(mark)
    spans.append((start, at))


def split_steps(text: str, *, marker: str = DEFAULT_MARKER) -> list[str]:
  """Cuts a text in front of its step markers.

  Markers are searched in order from 1, each after the previous one; a gap
  in the numbering ends the search. Text before the first marker stays with
  the first piece.

  Args:
    text: a response in steps.
    marker: how step k is announced; holds "{k}".

  Returns:
    Pieces that join to the text; [text] when there is no first marker.

  Raises:
    ValueError: the marker has no "{k}".
  """
  if "{k}" not in marker:
    raise ValueError(f"split_steps: marker={marker!r} holds no '{{k}}'")
  starts = [start for start, _ in _marker_positions(text, marker)[1:]]
  edges = [0, *starts, len(text)]
  return [text[a:b] for a, b in zip(edges, edges[1:], strict=False)]


def make_step_pairs(
  record: Mapping[str, Any],
  error_step: int,
  continuations: Sequence[str],
  correct: Sequence[int],
  *,
  max_pairs: int | None = None,
  marker: str = DEFAULT_MARKER,
) -> list[dict[str, Any]]:
  """Pairs of a right and a wrong next step after the same correct prefix.

  Args:
    record: has prompt, response (the wrong answer, in steps) and answer.
    error_step: 0-based first wrong step of the response; -1 for none.
    continuations: texts sampled after the prefix.
    correct: for each continuation, whether its final answer is right.
    max_pairs: keep the first so many; None keeps all.
    marker: how step k is announced; holds "{k}".

  Returns:
    Records with prompt, initial_reason_steps (all text up to and including
    the wrong step's marker), chosen (a continuation's first step), rejected
    (the wrong step) and answer. Steps keep leading and lose trailing white
    space. Wrong continuations, repeats and steps equal to the rejected one
    are left out.

  Raises:
    DataError: the record lacks a field, the step does not exist, or correct
      has another length than continuations.
  """
  for field in ("prompt", "response", "answer"):
    if field not in record:
      raise errors.DataError(f"make_step_pairs: record has no field {field!r}")
  if len(correct) != len(continuations):
    raise errors.DataError(
      f"make_step_pairs: {len(correct)} values in correct, expected"
      f" {len(continuations)}, one a continuation"
    )
  if error_step < 0:
    return []
  response = record["response"]
  pieces = split_steps(response, marker=marker)
  if error_step >= len(pieces):
    raise errors.DataError(
      f"make_step_pairs: error_step={error_step}, but the response has"
      f" {len(pieces)} steps"
    )
  spans = _marker_positions(response, marker)
  prefix_end = spans[error_step][1] if spans else 0
  piece_end = sum(len(piece) for piece in pieces[: error_step + 1])
  rejected = response[prefix_end:piece_end].rstrip()
  next_mark = marker.replace("{k}", str(error_step + 2))
  pairs, seen = [], {rejected}
  for text, is_right in zip(continuations, correct, strict=True):
    chosen = text.split(next_mark, 1)[0].rstrip()
    if not is_right or chosen in seen:
      continue
    seen.add(chosen)
    pairs.append(
      {
        "prompt": record["prompt"],
        "initial_reason_steps": response[:prefix_end],
        "chosen": chosen,
        "rejected": rejected,
        "answer": record["answer"],
      }
    )
  return pairs if max_pairs is None else pairs[:max_pairs]
