# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The JSON files that the two sides of a comparison exchange.

Imports neither JAX nor torch, so that each side may have its own environment.
"""

import json
import pathlib
from typing import Any

FORMAT = "prefjax-parity-tokens-1"


def write_json(path: str | pathlib.Path, value: Any) -> None:
  """Writes a value as JSON, making folders as needed."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def read_json(path: str | pathlib.Path) -> Any:
  """Reads a JSON file."""
  return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))


def read_tokens(path: str | pathlib.Path) -> dict[str, Any]:
  """A file of tokenised pairs, as `pairs.py` writes it.

  Returns:
    {"format", "vocab_size", "pad_id", "pairs": [{"id", "prompt", "chosen",
    "rejected"}, ...], ...}; the three are lists of token ids.

  Raises:
    ValueError: another kind of file.
  """
  content = read_json(path)
  if not isinstance(content, dict) or content.get("format") != FORMAT:
    raise ValueError(f"{path}: not a token file; make one with pairs.py")
  return content
