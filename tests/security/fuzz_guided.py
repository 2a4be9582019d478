# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The fuzz targets under Atheris: mutations guided by coverage.

  bash scripts/fuzz.sh --atheris --target="judge reply" --runs=100000

Stops at the first crash, as libFuzzer does, and says what the input was.
"""

import argparse
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import atheris
import conftest  # noqa: F401 - paths and flags

# What is imported inside is watched; the large libraries are not.
with atheris.instrument_imports(include=["prefjax", "json"]):
  import fuzz_targets


def main() -> None:
  """Fuzzes one target."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--target", default="judge reply")
  parser.add_argument("--runs", type=int, default=100_000)
  parser.add_argument("--seed", type=int, default=1)
  given = parser.parse_args()
  folder = pathlib.Path(tempfile.mkdtemp())
  with atheris.instrument_imports(include=["prefjax", "json"]):
    target = fuzz_targets.make(given.target, folder)
  corpus = folder / "corpus"
  corpus.mkdir()
  for number, data in enumerate(target.corpus):
    (corpus / str(number)).write_bytes(data)

  def one(data: bytes) -> None:
    try:
      target.run(data)
    except target.raises:
      pass

  atheris.Setup(
    [
      sys.argv[0],
      str(corpus),
      f"-runs={given.runs}",
      f"-seed={given.seed}",
      "-max_len=65536",
      "-timeout=10",
      f"-artifact_prefix={folder}/",
    ],
    one,
  )
  atheris.Fuzz()


if __name__ == "__main__":
  main()
