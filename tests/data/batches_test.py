# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Examples as bytes, what the index knows, padding and buckets."""

import dataclasses

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from prefjax.core import errors
from prefjax.data import batches, examples, indexes


def make_group(prompt, responses, **fields):
  flat = [token for ids in responses for token in ids]
  return examples.EncodedGroup(
    prompt=np.asarray(prompt, np.int32),
    tokens=np.asarray(flat, np.int32),
    weights=np.asarray(fields.pop("weights", [1.0] * len(flat)), np.float32),
    lengths=np.asarray([len(ids) for ids in responses], np.int32),
    **{
      name: np.asarray(value, np.float32 if name == "scores" else np.int32)
      for name, value in fields.items()
    },
  )


def make_example(example_id, groups, weight=1.0, extras=None, prompt_hash=0):
  return examples.Example(
    example_id=example_id,
    weight=weight,
    groups=groups,
    extras=extras or {},
    prompt_hash=prompt_hash,
  )


def make_index(made):
  builder = indexes.Builder()
  for example in made:
    builder.add(example)
  return builder.finish()


def same(a, b):
  """Whether two examples hold equal arrays."""
  return examples.to_bytes(a) == examples.to_bytes(b)


INTS = st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=9)


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(
  prompt=INTS,
  responses=st.lists(INTS, min_size=1, max_size=4),
  weight=st.floats(0, 10),
  extra=st.floats(-5, 5, width=32),
  number=st.integers(0, 2**31 - 1),
)
def test_bytes_give_the_example_back(prompt, responses, weight, extra, number):
  group = make_group(
    prompt, responses, scores=range(len(responses)), pairs=[[0, 0]]
  )
  made = make_example(
    number,
    {"main": group, "other": make_group([1], [[2]])},
    weight,
    {"x": np.float32([[extra]]), "n": np.int32(number)},
    prompt_hash=2**62 + number,
  )
  back = examples.from_bytes(examples.to_bytes(made))
  assert same(back, made)
  assert (back.example_id, back.weight) == (number, weight)
  assert back.prompt_hash == made.prompt_hash
  assert list(back.groups) == ["main", "other"]
  for ids, mine in zip(responses, back.groups["main"].responses(), strict=True):
    assert mine.tolist() == ids
  assert back.groups["other"].scores is None
  assert back.extras["n"].shape == () and back.extras["x"].shape == (1, 1)


def test_damaged_bytes_are_one_line_errors():
  data = examples.to_bytes(
    make_example(3, {"main": make_group([1, 2], [[3], [4]])})
  )
  damaged = [b"", data[:4], data[:9], data[:-1], data + b"x", b"X" + data[1:]]
  damaged.append(data[:4] + b"\xff\xff\xff\xff" + data[8:])
  damaged.append(data.replace(b'"i4"', b'"i8"'))
  for item in damaged:
    with pytest.raises(errors.DataError, match="damaged") as error:
      examples.from_bytes(item)
    assert "\n" not in str(error.value)


def pair(n, p, r, **fields):
  """An example with a prompt of p tokens, responses of r and 1."""
  group = make_group(range(1, p + 1), [range(1, r + 1), [7]], **fields)
  return make_example(n, {"main": group}, prompt_hash=p)


def test_the_index_knows_sizes_and_comes_back_from_bytes():
  made = [pair(2, 5, 3), pair(4, 2, 9), pair(9, 6, 1)]
  index = make_index(made)
  assert index.sizes[:, 0].tolist() == [
    [5, 3, 2, -1, 3 + 1],
    [2, 9, 2, -1, 9 + 1],
    [6, 1, 2, -1, 1 + 1],
  ]
  assert index.largest("main") == (6, 9, 2, -1)
  back = indexes.from_parts(index.to_bytes(), index.describe())
  for field in dataclasses.fields(index):
    a, b = getattr(index, field.name), getattr(back, field.name)
    assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
  some = indexes.select(index, [2, 0])
  assert some.example_id.tolist() == [9, 2] and len(some) == 2
  with pytest.raises(ValueError, match="not an npz"):
    indexes.from_parts(index.to_bytes()[:-40], index.describe())


def test_a_field_that_some_examples_lack_is_left_out():
  both = [pair(0, 2, 2, scores=[1, 0]), pair(1, 2, 2, scores=[3, 2])]
  assert make_index(both).has == {"main": ("scores",)}
  mixed = [*both, pair(2, 2, 2)]
  assert make_index(mixed).has == {"main": ()}
  assert make_index(mixed[::-1]).has == {"main": ()}


def test_examples_must_have_the_same_groups_and_extras():
  first = pair(0, 2, 2)
  other = make_example(1, {"twin": first.groups["main"]})
  with pytest.raises(errors.DataError, match="example 1 has the groups twin"):
    make_index([first, other])
  extra = dataclasses.replace(first, example_id=1, extras={"x": np.float32(1)})
  with pytest.raises(errors.DataError, match=r"example 1 has the extras.*'x'"):
    make_index([first, extra])
  wide = dataclasses.replace(extra, extras={"x": np.float32([1])})
  with pytest.raises(errors.DataError, match="'x' has another type"):
    make_index([extra, wide])


def test_padding_goes_left_of_prompts_and_right_of_responses():
  parts = [
    make_group([1, 2, 3], [[4, 5], [6]], weights=[1, 0.5, 0],
               segments=[0, 1, 0], scores=[2, 1]),
    make_group([7], [[8, 9, 10]], segments=[0, 0, 1], scores=[5]),
  ]  # fmt: skip
  shape = batches.Shape(k=2, p=4, r=3, m=None)
  made = batches.group(parts, shape, ("scores", "segments"))
  assert made.prompt.tolist() == [[0, 1, 2, 3], [0, 0, 0, 7]]
  assert made.prompt_mask.tolist() == [[False, True, True, True],
                                       [False, False, False, True]]  # fmt: skip
  assert made.response.tolist() == [[[4, 5, 0], [6, 0, 0]],
                                    [[8, 9, 10], [0, 0, 0]]]  # fmt: skip
  assert made.token_mask.sum(-1).tolist() == [[2, 1], [3, 0]]
  assert made.token_weights.tolist() == [[[1, 0.5, 0], [0, 0, 0]],
                                         [[1, 1, 1], [0, 0, 0]]]  # fmt: skip
  assert made.response_mask.tolist() == [[True, True], [True, False]]
  assert made.segments.tolist() == [[[0, 1, 0], [0, 0, 0]],
                                    [[0, 0, 1], [0, 0, 0]]]  # fmt: skip
  assert made.scores.tolist() == [[2, 1], [5, 0]]
  assert made.pairs is None and made.shape == (2, 2, 4, 3)
  bare = batches.group(parts, shape)
  assert bare.scores is None and bare.segments is None


def test_unused_pairs_are_not_valid():
  parts = [
    make_group([1], [[2], [3], [4]], pairs=[[0, 1], [2, 1]]),
    make_group([1], [[2], [3]]),
    make_group([1], [[2]]),
  ]
  made = batches.group(parts, batches.Shape(k=3, p=1, r=1, m=2))
  assert made.pairs.tolist() == [[[0, 1], [2, 1]], [[0, 1], [0, 0]],
                                 [[0, 0], [0, 0]]]  # fmt: skip
  assert made.pair_valid.tolist() == [[True, True], [True, False],
                                      [False, False]]  # fmt: skip


def test_extras_are_padded_to_their_largest_shape():
  made = [
    make_example(
      i,
      {"main": make_group([1], [[2]])},
      extras={"s": np.arange(n, dtype=np.int32), "f": np.float32(n)},
    )
    for i, n in enumerate((1, 3, 0))
  ]
  out = batches.extras(make_index(made), made)
  assert out["s"].tolist() == [[0, -1, -1], [0, 1, 2], [-1, -1, -1]]
  assert out["f"].tolist() == [1, 3, 0] and out["f"].dtype == np.float32


def spread(number=200):
  rng = np.random.default_rng(0)
  sizes = rng.integers(1, 60, (number, 2))
  return [pair(i, int(p), int(r)) for i, (p, r) in enumerate(sizes)]


def test_automatic_buckets_grow_and_hold_every_example():
  index = make_index(spread())
  shapes = batches.levels(index)
  assert len(shapes) == 3
  for shape in shapes:
    assert shape["main"].p % 8 == 0 and shape["main"].r % 8 == 0
  needed = batches.needed(index, shapes)
  for number, level in enumerate(needed):
    p, r = index.sizes[number, 0, :2]
    assert p <= shapes[level]["main"].p and r <= shapes[level]["main"].r
    if level:
      small = shapes[level - 1]["main"]
      assert p > small.p or r > small.r
  assert set(needed) == {0, 1, 2}
  flat = make_index([pair(i, 3, 3) for i in range(5)])
  assert len(batches.levels(flat)) == 1


def test_automatic_buckets_waste_less_than_one():
  """Long prompts with short answers and the other way round."""
  made = [pair(i, 100, 4) for i in range(50)]
  made += [pair(50 + i, 8, 90) for i in range(50)]
  made += [pair(100, 200, 200)]
  index = make_index(made)
  shapes = batches.levels(index)
  needed = batches.needed(index, shapes)
  slots = sum(shapes[n]["main"].p + 2 * shapes[n]["main"].r for n in needed)
  assert slots < 0.5 * 101 * (200 + 2 * 200)
  # Sizes that hardly differ are not worth another compilation.
  alike = make_index([pair(i, 96 + i % 8, 97 + i % 7) for i in range(50)])
  assert len(batches.levels(alike)) == 1


def test_given_buckets_are_kept_and_other_groups_scaled():
  made = [
    make_example(
      i,
      {
        "main": make_group(range(1, p + 1), [[1] * r, [2]]),
        "twin": make_group([1], [[3] * (2 * r)]),
      },
    )
    for i, (p, r) in enumerate(((4, 5), (10, 12)))
  ]
  index = make_index(made)
  shapes = batches.levels(index, [(5, 8), (10, 16)])
  assert [(s["main"].p, s["main"].r) for s in shapes] == [(5, 8), (10, 16)]
  assert (shapes[0]["twin"].p, shapes[0]["twin"].r) == (1, 16)
  assert (shapes[1]["twin"].p, shapes[1]["twin"].r) == (1, 24)
  assert batches.needed(index, shapes).tolist() == [0, 1]


def test_the_number_of_responses_may_be_raised():
  index = make_index(spread(5))
  assert batches.levels(index, num_responses=5)[0]["main"].k == 5
  with pytest.raises(errors.ConfigError, match="data.num_responses: 1"):
    batches.levels(index, num_responses=1)


@pytest.mark.parametrize(
  "buckets,message",
  [
    ([], "expected"),
    ([(0, 5), (99, 99)], "1 or more"),
    ([(20, 20), (10, 99)], "does not contain"),
    ([(99, 99), (99, 99)], "does not contain"),
    ([(8, 8), (16, 99)], "59 prompt and 59 response tokens"),
  ],
)
def test_bad_buckets_name_the_key(buckets, message):
  with pytest.raises(errors.ConfigError, match=f"data.buckets.*{message}"):
    batches.levels(make_index(spread()), buckets)


def test_a_mismatched_group_keeps_prompts_and_borrows_responses():
  a, b = make_group([1, 2], [[3]]), make_group([4], [[5] * 9])
  shape = batches.Shape(k=1, p=2, r=4, m=None)
  first = batches.group([a, b], shape)
  made = batches.mismatch(first, [b, a], shape)
  assert made.prompt.tolist() == first.prompt.tolist()
  assert made.response.tolist() == [[[5, 5, 5, 5]], [[3, 0, 0, 0]]]
