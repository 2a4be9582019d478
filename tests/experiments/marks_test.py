# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Made parts of pages."""

import pytest

from prefjax.experiments import marks


def test_only_what_is_between_the_marks_changes():
  page = "before\n<a>\nold\n</a>\nafter\n"
  made = marks.replace(page, "<a>", "</a>", "new")
  assert made == "before\n<a>\nnew\n</a>\nafter\n"
  assert marks.replace(made, "<a>", "</a>", "new") == made


@pytest.mark.parametrize("page", ["", "<a>", "</a>", "</a><a>", "<a><a></a>"])
def test_a_page_without_its_marks_is_refused(page):
  with pytest.raises(ValueError, match="<a>"):
    marks.replace(page, "<a>", "</a>", "new")
