# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Pairs with a written reason, and the prompt that asks for it."""

import dataclasses
import re
from typing import Any

from prefjax.core import errors

KINDS = ("general", "detailed")
DEFAULT_TEMPLATE = (
  "Two answers to one request follow.\n\n"
  "Request:\n{prompt}\n\n"
  "Answer above:\n{above}\n\n"
  "Answer below:\n{below}\n\n"
  "Which answer is better, the one above or the one below, and why?"
)
_SLOT = re.compile(r"\{(prompt|above|below)\}")


def format_rationale_prompt(
  prompt: str,
  chosen: str,
  rejected: str,
  *,
  template: str | None = None,
  swap: bool = False,
) -> str:
  """The text after which the rationale comes: a request and both answers.

  Args:
    prompt: the request.
    chosen: the better answer, shown above.
    rejected: the worse answer, shown below.
    template: text with the slots {prompt}, {above} and {below}; None takes
      `DEFAULT_TEMPLATE`. Other braces are left alone.
    swap: shows the chosen answer below, the rejected one above.

  Returns:
    The filled template. Filling is one pass of plain replacement, so the
    texts may hold braces or slot names.

  Raises:
    ConfigError: the template does not show both answers.

  Reference:
    Just et al., "Data-Centric Human Preference with Rationales for Direct
    Preference Alignment", arXiv:2407.14477.
  """
  template = DEFAULT_TEMPLATE if template is None else template
  for slot in ("above", "below"):
    if f"{{{slot}}}" not in template:
      raise errors.ConfigError(
        f"format_rationale_prompt: template holds no {{{slot}}}"
      )
  above, below = (rejected, chosen) if swap else (chosen, rejected)
  texts = {"prompt": prompt, "above": above, "below": below}
  return _SLOT.sub(lambda match: texts[match[1]], template)


@dataclasses.dataclass(frozen=True)
class RationaleRecord:
  """A preference with the reason for it.

  Attributes:
    prompt: the request.
    chosen: the better answer.
    rejected: the worse answer.
    rationale: why the chosen answer is better.
    kind: "general" (in broad terms) or "detailed" (points at parts).
  """

  prompt: str
  chosen: str
  rejected: str
  rationale: str
  kind: str

  def __post_init__(self):
    for field in ("prompt", "chosen", "rejected", "rationale"):
      value = getattr(self, field)
      if not isinstance(value, str):
        raise errors.DataError(
          f"RationaleRecord: {field} is {type(value).__name__}, expected text"
        )
    if not self.rationale.strip():
      raise errors.DataError("RationaleRecord: rationale is empty")
    if self.kind not in KINDS:
      raise errors.DataError(
        f"RationaleRecord: kind is {self.kind!r}, expected one of"
        f" {', '.join(KINDS)}"
      )

  def rationale_prompt(
    self, *, template: str | None = None, swap: bool = False
  ) -> str:
    """`format_rationale_prompt` of this record."""
    return format_rationale_prompt(
      self.prompt, self.chosen, self.rejected, template=template, swap=swap
    )

  def fields(
    self, identity: str, *, template: str | None = None, swap: bool = False
  ) -> dict[str, Any]:
    """Fields of a record of kind 'pair' with a group 'rationale'.

    Args:
      identity: id of the record.
      template: as in `format_rationale_prompt`.
      swap: as in `format_rationale_prompt`.

    Returns:
      A mapping for `records.validate`; the view 'groups' makes 'main' (the
      pair) and 'rationale' (one response) of it.
    """
    asked = self.rationale_prompt(template=template, swap=swap)
    group = {"prompt": asked, "responses": [self.rationale]}
    return {
      "id": identity,
      "kind": "pair",
      "prompt": self.prompt,
      "responses": [self.chosen, self.rejected],
      "metadata": {
        "rationale_kind": self.kind,
        "groups": {"rationale": group},
      },
    }
