# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Malformed records and settings: refused on one line, nothing good lost."""

import contextlib
import dataclasses
import io
import json
import pathlib
import random
import string
import typing

import malformed_test
import trial_support

from prefjax import config as config_lib
from prefjax.cli import main
from prefjax.core import errors
from prefjax.data import readers

Outcome = trial_support.Outcome
_ROOT = pathlib.Path(__file__).resolve().parents[2]

# --- records -----------------------------------------------------------------

# More good rows than bad ones: a layout is recognised by most of them.
_GOOD, _PER_FILE = 12, 8


def _mutated(rng: random.Random, layout: str) -> bytes:
  """A line of a data file with something wrong, now and then by luck right."""
  row, required = malformed_test.GOOD[layout]
  kind = rng.randrange(8)
  if kind == 0:
    field, wrong = (
      rng.choice(required),
      rng.choice(sorted(malformed_test.WRONG)),
    )
    return malformed_test.with_wrong_field(layout, field, wrong).encode()
  text = bytearray(json.dumps({"id": f"odd{rng.random()}", **row}).encode())
  if kind == 1:  # a field too few
    rest = {k: v for k, v in row.items() if k != rng.choice(required)}
    return json.dumps(rest).encode()
  if kind == 2:  # cut
    return bytes(text[: rng.randrange(1, len(text))])
  if kind == 3:  # equal sides, or an id twice
    same = {"prompt": "p", "chosen": "c", "rejected": "c"}
    return json.dumps(rng.choice([same, {**row, "id": "good0"}])).encode()
  if kind == 4:  # bytes at random places
    for _ in range(rng.randrange(1, 6)):
      text[rng.randrange(len(text))] = rng.randrange(256)
    return bytes(text.replace(b"\n", b" "))
  if kind == 5:  # anything
    size = rng.randrange(1, 80)
    return bytes(rng.randrange(256) for _ in range(size)).replace(b"\n", b"?")
  if kind == 6:  # a value of another type somewhere
    value = rng.choice(
      [None, 3, -1.5, True, [], {}, "", [[]], "\ud800", "x" * 9]
    )
    return json.dumps({**row, rng.choice([*required, "weight"]): value}).encode(
      "utf-8"
    )
  letters = "".join(rng.choice(string.printable) for _ in range(30))
  return letters.replace("\n", " ").replace("\r", " ").encode()


def records(count: int, seed: int, folder: pathlib.Path) -> Outcome:
  """Bad rows between good ones: each is named, no good one is dropped."""
  out = Outcome()
  rng = random.Random(seed)
  bad = done = 0
  while done < count:
    layout = rng.choice(sorted(malformed_test.GOOD))
    good = malformed_test.good_rows(layout, _GOOD)
    size = min(_PER_FILE, count - done)
    odd = [_mutated(rng, layout) for _ in range(size)]
    path = malformed_test.write(folder / "rows.jsonl", [*good, *odd])
    what = f"records {done} to {done + size} of seed {seed} ({layout})"
    done += size
    out.count += size
    try:
      found = readers.read(path, on_bad="skip", max_bad_fraction=1)
    except errors.DataError as error:
      out.also(False, f"{what}: gave up, {error}")
      continue
    except Exception as error:
      out.also(False, f"{what}: raw {type(error).__name__}: {error}")
      continue
    report = found.report
    bad += report.bad
    ids = {record.id for record in found}
    wanted = {f"good{i}" for i in range(_GOOD)}
    out.also(wanted <= ids, f"{what}: lost {wanted - ids}")
    counted = report.kept + report.bad + report.duplicates + report.equal_sides
    out.also(report.seen == counted, f"{what}: rows unaccounted for")
    for row in report.bad_rows:
      named = str(path) in row.place and row.field and row.reason
      out.also(named, f"{what}: {row}")
    if report.bad:
      _stops(out, path, what)
  out.facts.append(f"{bad} refused, each with file, line, field and reason")
  return out


def _stops(out: Outcome, path: pathlib.Path, what: str) -> None:
  """Without skipping, the first bad row ends the reading on one line."""
  try:
    readers.read(path)
    out.also(False, f"{what}: a bad row was read")
  except errors.DataError as error:
    text = str(error)
    good = "\n" not in text and str(path) in text and "line " in text
    out.also(good, f"{what}: {text!r}")
  except Exception as error:
    out.also(False, f"{what}: raw {type(error).__name__}: {error}")


# --- settings ---------------------------------------------------------------

_WORDS = (
  "ten",
  "",
  "None",
  "[1",
  "{'a': 2}",
  "nan",
  "1e999",
  "--",
  "\x00",
  "é",
)


def _keys(kind: typing.Any, prefix: str = "") -> list[tuple[str, typing.Any]]:
  """(dotted key, type) of every setting but the open sections."""
  found = []
  hints = typing.get_type_hints(kind)
  for field in dataclasses.fields(kind):
    name, own = f"{prefix}{field.name}", hints[field.name]
    if dataclasses.is_dataclass(own):
      found += _keys(own, f"{name}.")
    elif own in (int, float, bool):
      found.append((name, own))
  return found


def _misspelt(rng: random.Random, key: str) -> str:
  *sections, name = key.split(".")
  at = rng.randrange(len(name))
  other = rng.choice("qzxj")
  return ".".join([*sections, name[:at] + other + other + name[at + 1 :]])


def bad_settings(rng: random.Random, count: int) -> list[str]:
  """Words after `prefjax train` that a run cannot mean."""
  keys = _keys(config_lib.Config)
  words = []
  while len(words) < count:
    key, kind = rng.choice(keys)
    draw = rng.randrange(3)
    if draw == 0:
      words.append(f"--config.{_misspelt(rng, key)}=1")
    elif draw == 1:
      wrong = rng.choice(_WORDS)
      words.append(f"--config.{key}={wrong}")
    elif kind in (int, float):
      words.append(f"--config.{key}={rng.choice([-(10**9), -(2**70)])}")
  return words


def settings(count: int, seed: int, folder: pathlib.Path) -> Outcome:
  """Keys and values that are wrong: status 2, one line, the key, no file."""
  out = Outcome()
  rng = random.Random(seed)
  workdir = folder / "run"
  for word in bad_settings(rng, count):
    said, shown = io.StringIO(), io.StringIO()
    argv = ["train", f"--config={_ROOT}/configs/dpo.py:tiny"]
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(shown):
      try:
        status = main.main([*argv, f"--workdir={workdir}", word])
      except Exception as error:
        out.expect(False, f"{word!r}: raw {type(error).__name__}: {error}")
        continue
    text = said.getvalue()
    key = word.removeprefix("--config.").partition("=")[0]
    named = key in text or key.rpartition(".")[2] in text
    good = status == 2 and text.count("\n") == 1 and named
    out.expect(good and "Traceback" not in text, f"{word!r}: {status} {text!r}")
    out.also(not workdir.exists(), f"{word!r}: something was written")
    out.also(shown.getvalue() == "", f"{word!r}: printed {shown.getvalue()!r}")
    if workdir.exists():
      break
  return out
