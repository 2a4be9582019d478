# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A group as token ids, and how it is cut to fixed lengths or dropped."""

import dataclasses
from typing import NamedTuple

from prefjax.core import errors

Offsets = list[tuple[int, int]]

# Why a group is dropped; the pipeline counts by these.
EMPTY_PROMPT = "empty_prompt"
EMPTY_RESPONSE = "empty_response"
NO_WEIGHT = "no_weighted_token"
LONG_PROMPT = "long_prompt"
LONG_RESPONSE = "long_response"
EQUAL_RESPONSES = "responses_equal_after_cut"
REASONS = (
  EMPTY_PROMPT,
  EMPTY_RESPONSE,
  NO_WEIGHT,
  LONG_PROMPT,
  LONG_RESPONSE,
  EQUAL_RESPONSES,
)

_KEEP = ("tail", "head")
_POLICIES = ("cut", "drop")


@dataclasses.dataclass(frozen=True)
class Encoded:
  """A prompt and its K responses.

  Attributes:
    prompt_ids: ids that all responses share; at least one.
    responses: [K] lists of ids that follow the prompt.
    weights: [K] lists, a response token's weight: 1, or 0 where it is not
      the model's to say (user and tool turns, leftovers of the prompt).
    offsets: [K] lists, the [start, end) characters of the response's first
      turn that each token covers; tokens of the turn's frame lie outside it,
      before 0 or past its length.
    merges: prompt tokens given up because, in some response's text, the
      token at the seam merges characters of both sides.
  """

  prompt_ids: list[int]
  responses: list[list[int]]
  weights: list[list[float]]
  offsets: list[Offsets]
  merges: int


class Truncation(NamedTuple):
  """What became of a group.

  Attributes:
    encoded: the group within its limits; None where it is to be dropped.
    reason: one of REASONS where it is to be dropped, else None.
    cut_prompt: prompt tokens cut off.
    cut_responses: [K] response tokens cut off.
  """

  encoded: Encoded | None
  reason: str | None
  cut_prompt: int
  cut_responses: tuple[int, ...]


def truncate(
  encoded: Encoded,
  max_prompt: int,
  max_response: int,
  *,
  keep: str = "tail",
  policy: str = "cut",
  bos_id: int | None = None,
) -> Truncation:
  """Fits a group into its slots; every response is held to the same rule.

  A prompt keeps its end, where the question is; a response keeps its start,
  for the rest depends on it. A group that would be left without a prompt,
  with an empty response, with a response of no weight, or with nothing to
  choose between is not returned but named.

  Args:
    encoded: of `chat.encode_example`.
    max_prompt: most prompt tokens, at least 1.
    max_response: most tokens of a response, at least 1.
    keep: "tail" or "head" of a prompt that is too long.
    policy: "cut", or "drop" groups that would have to be cut.
    bos_id: if the prompt starts with this id, it still does after cutting.

  Raises:
    ConfigError: a limit below 1 (or below 2 with BOS to keep), or an unknown
      option.
  """
  _check(max_prompt, max_response, keep, policy)
  prompt = encoded.prompt_ids
  long_prompt = len(prompt) > max_prompt
  long_response = max(map(len, encoded.responses)) > max_response
  if policy == "drop" and (long_prompt or long_response):
    reason = LONG_PROMPT if long_prompt else LONG_RESPONSE
    return _dropped(reason, encoded)
  if long_prompt:
    prompt = _cut_prompt(prompt, max_prompt, keep, bos_id)
  result = dataclasses.replace(
    encoded,
    prompt_ids=prompt,
    responses=[ids[:max_response] for ids in encoded.responses],
    weights=[weights[:max_response] for weights in encoded.weights],
    offsets=[offsets[:max_response] for offsets in encoded.offsets],
  )
  reason = _unusable(encoded, result)
  if reason:
    return _dropped(reason, encoded)
  return Truncation(
    result,
    None,
    len(encoded.prompt_ids) - len(prompt),
    tuple(max(0, len(ids) - max_response) for ids in encoded.responses),
  )


def _cut_prompt(
  prompt: list[int], limit: int, keep: str, bos_id: int | None
) -> list[int]:
  if keep == "head":
    return prompt[:limit]
  if bos_id is None or prompt[0] != bos_id:
    return prompt[-limit:]
  if limit < 2:
    raise errors.ConfigError(
      "max_prompt=1 leaves no room for a prompt after BOS; raise it"
    )
  return [bos_id, *prompt[1 - limit :]]


def _unusable(before: Encoded, after: Encoded) -> str | None:
  """Why the group must be dropped, or None."""
  if not after.prompt_ids:
    return EMPTY_PROMPT
  if not all(after.responses):
    return EMPTY_RESPONSE
  if not all(map(any, after.weights)):
    return NO_WEIGHT
  first = after.responses[0]
  if (
    len(after.responses) > 1
    and all(ids == first for ids in after.responses)
    and any(ids != before.responses[0] for ids in before.responses)
  ):
    return EQUAL_RESPONSES
  return None


def _dropped(reason: str, encoded: Encoded) -> Truncation:
  return Truncation(None, reason, 0, (0,) * len(encoded.responses))


def _check(max_prompt: int, max_response: int, keep: str, policy: str) -> None:
  for name, limit in (
    ("max_prompt", max_prompt),
    ("max_response", max_response),
  ):
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
      raise errors.ConfigError(f"{name}={limit!r} is not a positive integer")
  for name, value, known in (
    ("keep", keep, _KEEP),
    ("policy", policy, _POLICIES),
  ):
    if value not in known:
      raise errors.ConfigError(
        f"{name}={value!r} is not one of {', '.join(known)}"
        f"{errors.nearest(value, known)}"
      )
