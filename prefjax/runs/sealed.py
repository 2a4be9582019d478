# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Arrays in one file with their SHA-256: whole and undamaged, or refused.

A file is a line of JSON (a header of the caller's and the digest of the
rest), then an npz. It is written under a temporary name and renamed.
"""

import hashlib
import io
import json
import os
import pathlib
import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np

_DIGEST = "sha256"


def write(
  path: str | os.PathLike,
  header: Mapping[str, Any],
  arrays: Mapping[str, np.ndarray],
) -> str:
  """Writes a file; returns the SHA-256 of its arrays in hex.

  Raises:
    OSError: it cannot be written.
  """
  path = pathlib.Path(path)
  buffer = io.BytesIO()
  np.savez(buffer, **arrays)
  data = buffer.getvalue()
  digest = hashlib.sha256(data).hexdigest()
  line = json.dumps({**header, _DIGEST: digest}).encode()
  scratch = path.with_name(f".partial-{os.getpid()}-{secrets.token_hex(8)}")
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch.open("wb") as file:
      file.write(line + b"\n" + data)
      file.flush()
      os.fsync(file.fileno())
    os.replace(scratch, path)
  except OSError:
    scratch.unlink(missing_ok=True)
    raise
  return digest


def read(
  path: str | os.PathLike,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """(header, arrays) of a file.

  Raises:
    OSError: it cannot be read.
    ValueError: it is damaged.
  """
  head, _, data = pathlib.Path(path).read_bytes().partition(b"\n")
  try:
    header = json.loads(head)
    if header[_DIGEST] != hashlib.sha256(data).hexdigest():
      raise ValueError("it disagrees with its SHA-256")
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
      return header, {name: file[name] for name in file.files}
  except (KeyError, TypeError) as error:
    raise ValueError(f"its header is damaged ({error})") from None
