# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The order of things around the step, without any mathematics."""

import json
import math
import time
import types as python_types

import jax.numpy as jnp
import numpy as np
import pytest

from prefjax.core import errors, types
from prefjax.train import loop, metrics, writers


def _mean(value):
  return types.WeightedSum(total=jnp.float32(value), weight=jnp.float32(1))


class _Log:
  """Everything that happens, in order; also writer, progress and signal."""

  def __init__(self, stop_at=None, loss=lambda step: 0.5, bad=()):
    self.events, self.rows, self.notes = [], [], []
    self.stop = python_types.SimpleNamespace(received=0)
    self._stop_at, self._loss, self._bad = stop_at, loss, bad

  def batches(self, start, end=99):
    for step in range(start, end):
      self.events.append(f"batch {step}")
      yield (
        step,
        {
          "example_id": np.arange(4) + 4 * step,
          "example_weight": np.ones(4, np.float32),
          "x": np.zeros((4, 2 + step // 5)),
        },
      )

  def step(self, state, batch):
    del batch
    self.events.append(f"step {state + 1}")
    if state + 1 == self._stop_at:
      self.stop.received = 15
    metrics = {
      "loss": _mean(self._loss(state + 1)),
      "train/skipped": _mean(state + 1 in self._bad),
    }
    return state + 1, metrics

  def save(self, state, step, row):
    assert state == step == row["step"]
    self.events.append(f"save {step}")

  def evaluate(self, state):
    self.events.append(f"evaluate {state}")
    return {"eval/loss": 0.25}

  def write(self, row):
    self.events.append(f"row {row['step']}")
    self.rows.append(row)

  def flush(self):
    self.events.append("flush")

  def close(self):
    pass

  def update(self, row):
    assert "loss" in row

  def note(self, text):
    self.notes.append(text)

  def run(self, start=0, stop=4, batches=None, evaluate=True, **plan):
    hooks = loop.Hooks(
      batch=self.batches(start) if batches is None else batches,
      step=self.step,
      save=self.save,
      evaluate=self.evaluate if evaluate else None,
      writer=self,
      progress=self,
      stop=self.stop,
      tag={"stage": "s"},
    )
    return loop.run(start, loop.Plan(start=start, stop=stop, **plan), hooks)


def test_order_of_events():
  log = _Log()
  result = log.run(save_every=2)
  assert (result.state, result.step, result.interrupted) == (4, 4, False)
  assert log.events == [
    *("batch 0", "step 1"),
    # Rows of a step come after the next step was dispatched, ...
    *("batch 1", "step 2", "row 1"),
    # ... but before a save that vouches for them.
    *("row 2", "flush", "save 2"),
    *("batch 2", "step 3"),
    *("batch 3", "step 4", "row 3", "row 4"),
    # At the end: evaluation, its row, then the save.
    *("evaluate 4", "row 4", "flush", "save 4"),
  ]


def test_rows():
  log = _Log(loss=lambda step: 1.0 / step)
  log.run(stop=7, eval_every=3)
  steps = [row["step"] for row in log.rows]
  assert steps == [1, 2, 3, 3, 4, 5, 6, 6, 7, 7]
  trained = [row for row in log.rows if "loss" in row]
  assert [row["loss"] for row in trained] == pytest.approx(
    [1 / step for step in range(1, 8)]
  )
  assert all(row["stage"] == "s" for row in log.rows)
  assert all(row["batch/effective"] == 4 and row["tokens"] == 4
             for row in trained)  # fmt: skip
  assert "ids" not in trained[0]
  # Another shape means another compilation, and no speed of that step.
  compiled = [row["step"] for row in trained if "time/compile_s" in row]
  assert compiled == [1, 6]
  assert all(
    ("time/tokens_per_s" in row) != ("time/compile_s" in row) for row in trained
  )


def test_a_step_lasts_until_its_metrics_are_there(monkeypatch):
  # Dispatching takes no time here, devices and input do; nor does what the
  # evaluation takes count.
  log, finish = _Log(), metrics.finish

  def slow_finish(values):
    time.sleep(0.05)
    return finish(values)

  def slow_batches():
    for item in log.batches(0):
      time.sleep(0.02)
      yield item

  def slow_evaluation(state):
    time.sleep(1.0)
    return {"eval/loss": 0.5}

  monkeypatch.setattr(metrics, "finish", slow_finish)
  monkeypatch.setattr(log, "evaluate", slow_evaluation)
  goodput = log.run(stop=3, batches=slow_batches(), eval_every=2).goodput
  rows = [row for row in log.rows if "time/step_s" in row]
  assert [row["step"] for row in rows] == [2, 3]
  for row in rows:
    assert 0.05 <= row["time/step_s"] < 1.0
    assert row["time/tokens_per_s"] == 4 / row["time/step_s"]
  assert goodput.step >= 2 * 0.05 and goodput.input >= 3 * 0.02
  assert goodput.eval >= 2.0


def test_goes_on_from_the_middle():
  log = _Log()
  result = log.run(start=2, stop=4)
  assert result.step == 4 and log.events[:2] == ["batch 2", "step 3"]


def test_nothing_is_left_to_do():
  log = _Log()
  result = log.run(start=4, stop=4)
  assert (result.step, log.events) == (4, [])


def test_a_signal_saves_and_leaves():
  log = _Log(stop_at=2)
  result = log.run(eval_every=2)
  assert (result.step, result.interrupted) == (2, True)
  assert log.events[-4:] == ["row 1", "row 2", "flush", "save 2"]


def test_a_signal_in_the_last_step_does_not_lose_the_evaluation():
  log = _Log(stop_at=4)
  result = log.run()
  assert result.interrupted and result.step == 4
  assert log.events[-3:] == ["row 4", "flush", "save 4"]
  assert "evaluate 4" in log.events


def test_batches_that_end_too_early_are_an_error():
  log = _Log()
  with pytest.raises(errors.TrainingError, match="after update 3, 5 were"):
    log.run(stop=5, batches=log.batches(0, 3))


def test_a_wrong_batch_is_a_bug():
  log = _Log()
  with pytest.raises(AssertionError, match="batch 1 came where 0 was due"):
    log.run(batches=log.batches(1))


def test_too_many_bad_updates_name_the_examples():
  log = _Log(bad=(2, 4, 5, 6), loss=lambda step: math.nan)
  with pytest.raises(errors.TrainingError) as caught:
    log.run(stop=9, max_bad_steps=3)
  message = str(caught.value)
  assert message.startswith("updates 4 to 6 were not finite")
  assert "examples [20, 21, 22, 23]" in message
  assert "opt.learning_rate" in message and "\n" not in message
  # Their rows were written, and nothing was saved.
  assert [row["step"] for row in log.rows] == [1, 2, 3, 4, 5, 6]
  assert not any(event.startswith("save") for event in log.events)


def test_bad_updates_apart_from_each_other_do_not_end_a_run():
  log = _Log(bad=(1, 2, 4, 5, 7, 8))
  assert log.run(stop=9, max_bad_steps=3).step == 9


def test_the_alarm_is_noted_once():
  log = _Log(loss=lambda step: math.log(2))
  log.run(stop=60, evaluate=False)
  (note,) = log.notes
  assert note.startswith("step 50: the loss has been log 2")


def test_goodput_adds_up():
  result = _Log().run(save_every=2)
  row = result.goodput.row()
  parts = [v for k, v in row.items() if k.endswith("_s")]
  assert len(parts) == 5 and all(v >= 0 for v in parts)
  assert row["goodput/step_share"] == pytest.approx(
    result.goodput.step / sum(parts)
  )


def test_tokens_of_language_batches_are_the_real_ones():
  mask = np.zeros((2, 2, 3), bool)
  mask[0, :, :2] = True
  group = types.Group(
    prompt=np.zeros((2, 4), np.int32),
    prompt_mask=np.array([[0, 0, 1, 1], [0, 1, 1, 1]], bool),
    response=np.zeros((2, 2, 3), np.int32),
    token_mask=mask,
    token_weights=mask.astype(np.float32),
    response_mask=np.ones((2, 2), bool),
  )
  batch = types.Batch(
    groups={"main": group, "other": group},
    example_id=np.arange(2),
    example_weight=np.ones(2),
  )
  assert loop.tokens(batch) == 2 * (5 + 4)
  assert loop.tokens({"example_id": np.arange(7)}) == 7


def test_rows_reach_the_disk_before_the_checkpoint(tmp_path):
  path = tmp_path / "metrics.jsonl"
  log = _Log()
  seen = []

  def save(state, step, row):
    del state, row
    lines = path.read_text().splitlines()
    seen.append((step, [json.loads(line)["step"] for line in lines]))

  hooks = loop.Hooks(
    batch=log.batches(0), step=log.step, save=save,
    writer=writers.JsonlWriter(path), stop=log.stop,
  )  # fmt: skip
  loop.run(0, loop.Plan(start=0, stop=5, save_every=2), hooks)
  assert seen == [(2, [1, 2]), (4, [1, 2, 3, 4]), (5, [1, 2, 3, 4, 5])]
