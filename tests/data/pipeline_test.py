# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The batch of a step: a pure function, the same over any processes."""

import threading
import time

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import strategies as st

from prefjax.core import errors
from prefjax.data import encoding, pipeline, records, store, tokenizers, views

LENGTHS = encoding.Lengths(prompt=48, response=48)


def make_records(number, prompts=None):
  rng = np.random.default_rng(0)
  return [
    records.validate(
      {
        "id": f"r{i}",
        "kind": "pair",
        "prompt": f"prompt {i % (prompts or number)}"
        + "?" * int(rng.integers(1, 30)) * (prompts is None),
        "responses": [
          "y" * int(rng.integers(1, 40)) + str(i),
          "n" * int(rng.integers(1, 40)) + str(i),
        ],
        "weight": 1 + i % 3,
      },
      "test",
    )
    for i in range(number)
  ]


def make_store(number=37, view="pair", **options):
  encoder = encoding.Encoder(
    tokenizers.ByteTokenizer(), views.view(view), LENGTHS
  )
  return store.MemoryStore(encoder, make_records(number, **options))


STORE = make_store()
KTO = make_store(20, "kto")


def source(made=STORE, batch_size=8, process=(0, 1), select=None, **options):
  index, count = process
  return pipeline.Source(
    made,
    pipeline.Options(batch_size=batch_size, **options),
    process_index=index,
    process_count=count,
    select=select,
  )


def flat(batch):
  leaves, tree = jax.tree.flatten(batch)
  return [np.asarray(leaf) for leaf in leaves], tree


def assert_equal(a, b):
  (left, tree), (right, other) = flat(a), flat(b)
  assert tree == other
  for x, y in zip(left, right, strict=True):
    assert x.dtype == y.dtype and np.array_equal(x, y)


def test_a_batch_depends_on_the_step_alone():
  one = source()
  ahead = [one.batch(step) for step in (0, 1, 12, 400)]
  other = source()
  for step in (400, 3, 12, 0):
    other.batch(step)
  for step, batch in zip((0, 1, 12, 400), ahead, strict=True):
    assert_equal(other.batch(step), batch)
    assert_equal(source().batch(step), batch)


def test_a_resumed_run_sees_what_the_whole_run_sees():
  whole = [b.example_id.tolist() for _, b in
           zip(range(30), (source().batch(s) for s in range(30)),
               strict=False)]  # fmt: skip
  resumed = source()
  assert [resumed.batch(s).example_id.tolist() for s in range(17, 30)] == (
    whole[17:]
  )


def test_resuming_late_costs_what_starting_costs():
  def cost(step):
    best = 9.0
    for _ in range(3):
      made = source()
      start = time.perf_counter()
      made.batch(step)
      best = min(best, time.perf_counter() - start)
    return best

  assert cost(10**8) < 20 * cost(1) + 0.02


def concatenated(parts):
  return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


@pytest.mark.parametrize("made", [STORE, KTO], ids=["pair", "kto"])
@pytest.mark.parametrize("remainder", ["wrap", "drop", "fill"])
@pytest.mark.parametrize("count", [2, 4])
def test_processes_make_the_parts_of_the_same_batch(made, remainder, count):
  one = source(made, remainder=remainder)
  many = [
    source(made, remainder=remainder, process=(i, count)) for i in range(count)
  ]
  for step in (0, 4, 5, 11, 1000):
    assert_equal(concatenated([s.batch(step) for s in many]), one.batch(step))
    assert {s.level(step) for s in many} == {one.level(step)}
  assert {s.fingerprint for s in many} == {one.fingerprint}


def test_a_batch_holds_what_its_ids_say():
  one = source()
  for step in range(10):
    batch = one.batch(step)
    assert batch.example_id.dtype == np.int32
    assert batch.example_id.tolist() == one.example_ids(step).tolist()
    main = batch.main
    for row, number in enumerate(batch.example_id):
      (example,) = STORE.get([number])
      mine = main.prompt[row][main.prompt_mask[row]]
      assert mine.tolist() == example.groups["main"].prompt.tolist()
      for k, ids in enumerate(example.groups["main"].responses()):
        got = main.response[row, k][main.token_mask[row, k]]
        assert got.tolist() == ids.tolist()
      assert batch.example_weight[row] == 1 + number % 3


def test_shapes_come_from_a_short_list():
  one = source(batch_size=4, window=8)
  shapes = one.batch_shapes()
  assert 1 < len(shapes) <= 3
  levels = set()
  for step in range(30):
    level = one.level(step)
    levels.add(level)
    assert one.batch(step).main.shape == (
      shapes[level]["main"][0],
      *shapes[level]["main"][1:],
    )
  assert len(levels) > 1


def test_windows_waste_less_padding():
  made = make_store(400)

  def share(window):
    one = source(made, batch_size=4, window=window, epochs=1)
    real = slots = 0
    for step in range(one.num_steps):
      main = one.batch(step).main
      real += main.prompt_mask.sum() + main.token_mask.sum()
      slots += main.prompt_mask.size + main.token_mask.size
    return real / slots

  assert share(32) > share(1) + 0.03


def test_given_buckets_are_used():
  one = source(buckets=((16, 16), (48, 48)))
  assert [s["main"][2:] for s in one.batch_shapes()] == [(16, 16), (48, 48)]
  wide = source(num_responses=4)
  assert wide.batch(0).main.shape[1] == 4
  assert not wide.batch(0).main.response_mask[:, 2:].any()


@pytest.mark.parametrize("number,size", [(37, 8), (16, 8), (5, 8), (3, 10)])
def test_fill_ends_an_epoch_with_rows_of_no_weight(number, size):
  made = make_store(number)
  one = source(made, size, remainder="fill", epochs=2)
  for epoch in range(2):
    seen = []
    for step in range(one.steps_per_epoch):
      batch = one.batch(epoch * one.steps_per_epoch + step)
      assert batch.example_id.shape == (size,)
      counted = batch.example_weight > 0
      seen += batch.example_id[counted].tolist()
      assert set(batch.example_id) == set(batch.example_id[counted])
    assert sorted(seen) == list(range(number))
  with pytest.raises(ValueError, match="outside"):
    one.batch(one.num_steps)


def test_drop_and_wrap():
  drop = source(remainder="drop", epochs=1)
  assert (drop.steps_per_epoch, drop.num_steps) == (4, 4)
  wrap = source(epochs=2)
  assert (wrap.steps_per_epoch, wrap.num_steps) == (5, 10)
  ids = np.concatenate([wrap.example_ids(s) for s in range(9)])
  assert sorted(ids[:37]) == list(range(37))
  last = wrap.batch(9)
  assert (last.example_weight > 0).sum() == 74 - 72


def test_the_order_of_the_file_is_kept_without_shuffling():
  one = source(shuffle=False, epochs=1, remainder="fill")
  ids = np.concatenate([one.example_ids(s) for s in range(5)])
  assert ids[:37].tolist() == list(range(37))


def test_chosen_examples_come_in_their_order():
  chosen = [30, 2, 17, 5, 9]
  one = source(batch_size=5, select=chosen, shuffle=False)
  assert one.batch(0).example_id.tolist() == chosen
  assert one.num_examples == 5
  mixed = source(batch_size=5, select=chosen)
  assert sorted(mixed.batch(0).example_id) == sorted(chosen)
  # Shapes stay those of the whole store, so stages share compiled steps.
  assert mixed.batch_shapes()[-1] == source(batch_size=5).batch_shapes()[-1]
  for wrong, message in (([1, 99], "example 99"), ([], "no example id")):
    with pytest.raises(errors.DataError, match=message):
      source(select=wrong)


def prompts_of(group):
  return [
    bytes(row[mask].astype(np.uint8))
    for row, mask in zip(group.prompt, group.prompt_mask, strict=True)
  ]


def responses_of(group):
  return [
    row[mask].tolist()
    for row, mask in zip(
      group.response[:, 0], group.token_mask[:, 0], strict=True
    )
  ]


def test_mismatched_answers_belong_to_other_prompts():
  owners = {
    tuple(e.groups["main"].responses()[0]): bytes(
      e.groups["main"].prompt.astype(np.uint8)
    )
    for e in KTO.get(range(len(KTO.index)))
  }
  one = source(KTO)
  assert set(one.batch_shapes()[0]) == {"main", "mismatched"}
  for step in range(12):
    batch = one.batch(step)
    main, other = batch.groups["main"], batch.groups["mismatched"]
    assert other.shape == main.shape
    assert prompts_of(other) == prompts_of(main)
    for prompt, answer in zip(
      prompts_of(main), responses_of(other), strict=True
    ):
      assert owners[tuple(answer)] != prompt
    assert set(main.scores[:, 0]) <= {0.0, 1.0}


def test_mismatched_answers_come_from_afar_if_the_batch_has_none():
  # Pairs split into two responses: a batch of 2 may hold one prompt twice.
  one = source(KTO, batch_size=2, shuffle=False)
  batch = one.batch(0)
  main, other = batch.groups["main"], batch.groups["mismatched"]
  assert len(set(prompts_of(main))) == 1
  own = responses_of(main)
  assert all(answer not in own for answer in responses_of(other))
  same = source(make_store(4, "kto", prompts=1), batch_size=2)
  batch = same.batch(0)  # no other prompt exists: at least another answer
  for mine, theirs in zip(
    responses_of(batch.main), responses_of(batch.groups["mismatched"]),
    strict=True,
  ):  # fmt: skip
    assert mine != theirs
  with pytest.raises(errors.DataError, match="needs two examples"):
    source(KTO, batch_size=2, select=[3, 3]).batch(0)


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True)
@hypothesis.given(
  seed=st.integers(0, 2**40),
  step=st.integers(0, 10**6),
  size=st.sampled_from([1, 2, 6, 12]),
  window=st.integers(1, 9),
)
def test_every_row_is_whole(seed, step, size, window):
  one = source(batch_size=size, seed=seed, window=window)
  main = one.batch(step).main
  assert main.prompt_mask.any(-1).all()
  assert (main.token_weights.sum(-1) > 0).all()
  assert (main.prompt_mask[:, 1:] >= main.prompt_mask[:, :-1]).all()
  assert (main.token_mask[..., 1:] <= main.token_mask[..., :-1]).all()
  assert (main.prompt[~main.prompt_mask] == 0).all()


def test_the_fingerprint_follows_data_and_options():
  prints = [
    source().fingerprint,
    source(seed=1).fingerprint,
    source(batch_size=4).fingerprint,
    source(shuffle=False).fingerprint,
    source(remainder="drop").fingerprint,
    source(window=2).fingerprint,
    source(epochs=3).fingerprint,
    source(select=[1, 2]).fingerprint,
    source(make_store(36)).fingerprint,
    source(KTO).fingerprint,
  ]
  assert len(set(prints)) == len(prints)
  assert source().fingerprint == prints[0]


@pytest.mark.parametrize(
  "options,message",
  [
    ({"batch_size": 0}, "data.batch_size"),
    ({"batch_size": 6, "process": (0, 4)}, "data.batch_size.*4 processes"),
    ({"process": (2, 2)}, "process_index=2"),
    ({"remainder": "keep"}, "data.remainder"),
    ({"buckets": ((8, 8),)}, "data.buckets"),
  ],
)
def test_bad_options_name_the_key(options, message):
  with pytest.raises(errors.ConfigError, match=message):
    source(**options)


@pytest.mark.parametrize("threads", [1, 3])
def test_prefetching_changes_nothing(threads):
  one = source(epochs=2)
  with pipeline.prefetch(one, 3, depth=4, threads=threads) as ahead:
    got = list(ahead)
  assert [step for step, _ in got] == list(range(3, one.num_steps))
  for step, batch in got:
    assert_equal(batch, one.batch(step))
  with pipeline.prefetch(one, one.num_steps) as ahead:
    assert list(ahead) == []


def test_prefetching_works_in_threads_and_stops():
  names = []

  class Slow:
    num_steps = None

    def batch(self, step):
      names.append(threading.current_thread().name)
      return step

  before = threading.active_count()
  ahead = pipeline.prefetch(Slow(), 5)
  assert [next(ahead) for _ in range(4)] == [(s, s) for s in range(5, 9)]
  assert threading.main_thread().name not in names
  ahead.close()
  ahead.close()
  with pytest.raises(StopIteration):
    next(ahead)
  made = len(names)
  deadline = time.monotonic() + 10
  while threading.active_count() > before and time.monotonic() < deadline:
    time.sleep(0.01)
  assert threading.active_count() <= before
  assert len(names) <= made + 4


def test_errors_in_threads_are_raised_here():
  class Broken:
    num_steps = 10

    def batch(self, step):
      if step == 2:
        raise errors.DataError("the disk is gone")
      return step

  with pipeline.prefetch(Broken()) as ahead:
    assert next(ahead) == (0, 0) and next(ahead) == (1, 1)
    with pytest.raises(errors.DataError, match="the disk is gone"):
      next(ahead)
  with pytest.raises(errors.ConfigError, match="data.prefetch"):
    pipeline.prefetch(source(), depth=0)
