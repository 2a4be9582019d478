# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Images with questions about them, as preference pairs with blind answers.

A question is about the colour, shape, place or number of what is shown. The
chosen answer is right; the rejected one is a wrong answer of the same sort;
the blind one is what the question's wording alone suggests. A hint in the
prompt names the right answer as often as `hint_right` says, so that a model
can lean on the text instead of the image.
"""

from typing import Any

from prefjax.core import errors
from prefjax.data.language import randomness
from prefjax.data.scenes import drawing

QUESTIONS = ("color", "shape", "place", "count")
ROWS, COLUMNS = ("top", "bottom"), ("left", "right")
_GRID = 2
_COUNTS = ("1", "2", "3", "4")
Record = dict[str, Any]


def _place(item: drawing.Item) -> str:
  return f"{ROWS[item.row]} {COLUMNS[item.column]}"


PLACES = tuple(f"{row} {column}" for row in ROWS for column in COLUMNS)


def _items(draw: randomness.Draws, number: int) -> list[drawing.Item]:
  """Shapes in different cells, no two of one shape or colour."""
  cells = draw.shuffle([(r, c) for r in range(_GRID) for c in range(_GRID)])
  shapes = draw.shuffle(drawing.SHAPES)
  colors = draw.shuffle(tuple(drawing.COLORS))
  return [drawing.Item(shapes[i], colors[i], *cells[i]) for i in range(number)]


def _counted(draw: randomness.Draws) -> tuple[list[drawing.Item], str, str]:
  """(items, shape that is counted, how many of it)."""
  shape, other = draw.shuffle(drawing.SHAPES)[:2]
  number = draw.between(1, _GRID * _GRID)
  cells = draw.shuffle([(r, c) for r in range(_GRID) for c in range(_GRID)])
  colors = tuple(drawing.COLORS)
  rest = draw.between(0, _GRID * _GRID - number)
  items = [
    drawing.Item(shape if i < number else other, draw.pick(colors), *cells[i])
    for i in range(number + rest)
  ]
  return items, shape, str(number)


def _question(
  draw: randomness.Draws, kind: str
) -> tuple[list[drawing.Item], str, str, tuple[str, ...]]:
  """(items, question, right answer, answers of its sort)."""
  if kind == "count":
    items, shape, number = _counted(draw)
    return items, f"how many: {shape}?", number, _COUNTS
  items = _items(draw, draw.between(1, 3))
  item = items[0]
  if kind == "color":
    return (
      items,
      f"colour of the {item.shape}?",
      item.color,
      tuple(drawing.COLORS),
    )
  if kind == "shape":
    return items, f"what is {item.color}?", item.shape, drawing.SHAPES
  return items, f"where is the {item.shape}?", _place(item), PLACES


def scene_records(
  seed: int,
  n: int,
  split: str = "train",
  *,
  size: int = 32,
  questions: tuple[str, ...] | list[str] = QUESTIONS,
  hint_right: float = 0.9,
  hints: float = 1.0,
  flip_rate: float = 0.0,
  language: Any = None,
  start: int = 0,
) -> list[Record]:
  """{prompt, images, chosen, rejected, blind}: questions about images.

  Args:
    seed: data seed.
    n: number of records.
    split: another name gives other images.
    size: height and width of images, a multiple of 2.
    questions: kinds, of QUESTIONS.
    hint_right: probability that a hint names the right answer; otherwise it
      names the rejected one.
    hints: share of prompts with a hint.
    flip_rate: probability that chosen and rejected are swapped.
    language: taken like other producers take it, and not used.
    start: index of the first record.

  Returns:
    n records with one uint8 array [size, size, 3] under 'images'. The blind
    answer follows the hint, or is any answer of the right sort where there is
    none; a record whose blind answer is the chosen one has none.

  Raises:
    ConfigError: an argument is out of range.
  """
  del language
  for name, value in (
    ("hint_right", hint_right),
    ("hints", hints),
    ("flip_rate", flip_rate),
  ):
    if not 0 <= value <= 1:
      raise errors.ConfigError(f"{name}={value} is outside [0, 1]")
  for kind in questions:
    if kind not in QUESTIONS:
      raise errors.ConfigError(
        f"questions: {kind!r} is not one of {', '.join(QUESTIONS)}"
      )
  out = []
  for offset, draw in enumerate(
    randomness.stream(seed, start, n, "scenes", split)
  ):
    kind = draw.pick(tuple(questions))
    items, question, right, answers = _question(draw, kind)
    wrong = draw.pick([a for a in answers if a != right])
    hint, blind = None, draw.pick(answers)
    if draw.chance(hints):
      hint = right if draw.chance(hint_right) else wrong
      blind = hint
    sides = [right, wrong]
    flipped = draw.chance(flip_rate)
    if flipped:
      sides.reverse()
    prompt = f"<image>\n{question}"
    if hint is not None:
      prompt += f" maybe {hint}."
    record = {
      "id": f"scenes-{seed}-{split}-{start + offset}",
      "prompt": prompt,
      "images": [drawing.draw(items, size=size, grid=_GRID)],
      "chosen": f" {sides[0]}",
      "rejected": f" {sides[1]}",
      "flip_rate": flip_rate,
      "metadata": {
        "question": kind,
        "right": right,
        "hint": hint,
        "answers": list(answers),
        "flipped": flipped,
      },
    }
    if blind != sides[0]:
      record["blind"] = f" {blind}"
    out.append(record)
  return out
