# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Splits a file of pairs, and flips a share of the training labels.

  python scripts/noisy_pairs.py pairs.jsonl.gz --out=data --rate=0.3

writes data/train.jsonl, data/train_flipped.jsonl (the same pairs, of which
the share `rate` has chosen and rejected swapped; metadata.flipped says which)
and data/held_out.jsonl, whose prompts are in neither and whose labels stay.
Any layout is read that `prefjax train` reads.
"""

import argparse
import dataclasses
import pathlib
import sys

from prefjax import data
from prefjax.core import errors
from prefjax.data import label_noise, language, readers, table_rows


def flipped(record: data.Record) -> data.Record:
  """The pair with the other side preferred."""
  better, worse = record.pairs[0]
  metadata = {**record.metadata, "flipped": True}
  return dataclasses.replace(
    record, pairs=((worse, better),), metadata=metadata
  )


def split(
  records: list[data.Record], rate: float, fraction: float, seed: int
) -> dict[str, list[data.Record]]:
  """File name -> records."""
  for record in records:
    if record.kind != "pair":
      raise errors.DataError(
        f"record {record.id}: is of kind {record.kind}, not a pair"
      )
  train, held = data.held_out(records, fraction, seed=seed)
  flips = label_noise.flip_preferences(seed, len(train), rate=rate)
  noisy = [
    flipped(record) if flip else record
    for record, flip in zip(train, flips, strict=True)
  ]
  return {"train": train, "train_flipped": noisy, "held_out": held}


def main(argv: list[str] | None = None) -> int:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("pairs", help="a file that prefjax can read")
  parser.add_argument("--out", required=True, help="folder of the three files")
  parser.add_argument("--rate", type=float, default=0.3)
  parser.add_argument("--eval_fraction", type=float, default=0.1)
  parser.add_argument("--seed", type=int, default=0)
  args = parser.parse_args(argv)
  try:
    read = readers.read(args.pairs, on_bad="skip")
    print(read.report.summary())
    parts = split(list(read.records), args.rate, args.eval_fraction, args.seed)
    for name, records in parts.items():
      path = pathlib.Path(args.out) / f"{name}.jsonl"
      language.write_jsonl(path, map(table_rows.to_row, records))
      print(f"{path}: {len(records)} pairs")
  except (errors.PrefjaxError, ValueError) as error:
    print(f"noisy_pairs: {error}", file=sys.stderr)
    return 2
  return 0


if __name__ == "__main__":
  sys.exit(main())
