# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Interrupted runs: signals in every phase, order, devices, restarts."""

import dataclasses
import functools
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import statistics
import sys
import time

import jax
import numpy as np
import pipeline_test
import reliability_support
import trial_support

from prefjax import checkpoint
from prefjax.data import pipeline
from prefjax.train import events

Outcome = trial_support.Outcome

_PHASES = ("data", "evaluation", "save", "step")


# --- processes ---------------------------------------------------------------

_STEPS = 300


def _child(workdir: str, steps: int) -> None:
  """What a process does: trains, and exits as `prefjax train` does."""
  trial_support.train(steps, pathlib.Path(workdir), save_every=5, keep=2)
  if events.read(events.path_of(workdir))[-1].get("reason") == "signal":
    sys.exit(128 + signal.SIGTERM)


class Process:
  """A process that has imported everything and started no backend yet."""

  def __init__(self, workdir: pathlib.Path, steps: int):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["run_trials"])
    # The server looks for what it imports there, not where this process does.
    os.environ["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    self._process = context.Process(target=_child, args=(str(workdir), steps))
    self._process.start()

  def poll(self) -> int | None:
    return self._process.exitcode

  def send_signal(self, number: int) -> None:
    os.kill(self._process.pid, number)

  def communicate(self, timeout: float) -> tuple[str, str]:
    self._process.join(timeout)
    assert self.poll() is not None, "a process hangs"
    return "", ""

  @property
  def returncode(self) -> int | None:
    return self.poll()


def signals(
  number: int, count: int, seed: int, folder: pathlib.Path, steps: int = _STEPS
) -> Outcome:
  """Processes that get a signal at random moments, until the run is over."""
  out = Outcome()
  whole, run = folder / "whole", folder / "run"
  reliability_support.finish(Process(whole, steps))
  rng = random.Random(seed)
  found = []
  for wanted in trial_support.moments(count, 0, steps - 10, seed):
    process = Process(run, steps)
    trial = reliability_support.interrupt(
      process, run, number, wanted, rng.uniform(0, 0.3)
    )
    if trial is None:
      out.also(False, f"the run ended before the signal at {wanted}")
      break
    found.append(trial)
    out.expect(trial.after >= trial.before, f"a saved step went: {trial}")
    if trial.status == 128 + number:
      out.also(trial.after >= trial.logged, f"an update went: {trial}")
  reliability_support.finish(Process(run, steps))
  digests = [reliability_support.digest(place) for place in (run, whole)]
  same = digests[0] == digests[1]
  out.also(same, "another SHA-256 than the uninterrupted run")
  updates = [reliability_support.updates(place) for place in (run, whole)]
  out.also(updates[0] == updates[1], "other rows than the uninterrupted run")
  numbers = [row["step"] for row in updates[0]]
  out.also(numbers == list(range(1, steps + 1)), "an update twice or missing")
  starts = sum(
    row["event"] == "start" for row in events.read(events.path_of(run))
  )
  out.facts.append(
    f"SHA-256 {digests[0][:12]} after {starts} starts, {digests[1][:12]} alone"
  )
  if number == signal.SIGTERM and found:
    saved = [trial for trial in found if trial.status == 143]
    out.facts.append(
      f"{len(saved)} saved and exited 143, at most"
      f" {max(trial.seconds for trial in found):.1f} s after the signal; the"
      " others had not begun and died"
    )
  return out


def kills(count: int, seed: int, folder: pathlib.Path) -> Outcome:
  """SIGKILL at random moments."""
  return signals(signal.SIGKILL, count, seed, folder)


def terms(count: int, seed: int, folder: pathlib.Path) -> Outcome:
  """SIGTERM at random moments in processes, then inside every phase."""
  out = signals(signal.SIGTERM, count, seed, folder / "processes")
  inside = phases(2 * len(_PHASES), seed, folder / "phases")
  out.losses += inside.losses
  out.facts.append(f"{inside.count} more, two inside each phase")
  return out


def phases(count: int, seed: int, folder: pathlib.Path) -> Outcome:
  """SIGTERM inside each phase of the loop: nothing that was done is lost."""
  out = Outcome()
  steps = 12
  whole = trial_support.sha(trial_support.train(steps))
  rng = random.Random(seed)
  for number in range(count):
    phase, at = _PHASES[number % len(_PHASES)], rng.randrange(2, steps - 1)
    workdir = folder / f"{number}-{phase}"
    part = _terminated(workdir, phase, at, steps)
    reached = int(part.step)
    newest = checkpoint.latest_step(workdir / "checkpoints")
    what = f"{phase} at {at}"
    out.expect(newest == reached, f"{what}: saved {newest}, done {reached}")
    # Within one update of the one that was going on.
    out.also(at <= reached <= at + 1, f"{what}: stopped after {reached}")
    end = trial_support.train(steps, workdir, save_every=3)
    out.also(trial_support.sha(end) == whole, f"{what}: another SHA-256")
    shutil.rmtree(workdir)
  return out


def _terminated(workdir, phase, at, steps):
  """A run that gets SIGTERM in a phase of the update `at`."""
  told = []

  def tell():
    if not told:
      told.append(True)
      os.kill(os.getpid(), signal.SIGTERM)

  def before(step):
    if phase == "data" and step == at:
      tell()

  def evaluate(state):
    if phase == "evaluation" and int(state.step) >= at:
      tell()
    return {"eval/zero": 0.0}

  class Writer:
    """Rows are written between the step and what follows it."""

    def write(self, row):
      if phase == "step" and row["step"] >= at:
        tell()

    def flush(self):
      if phase == "save":  # what comes before every save
        tell()

    def close(self):
      pass

  return trial_support.train(
    steps,
    workdir,
    trial_support.Source(before=before),
    evaluate=evaluate,
    eval_every=1,
    save_every=at if phase == "save" else 3,
    writer=Writer(),
  )


def order(count: int, seed: int, folder: pathlib.Path) -> Outcome:
  """Example ids of three epochs, over restarts and other numbers of hosts."""
  del folder
  out = Outcome()
  rng = random.Random(seed)
  make = functools.partial(pipeline_test.source, epochs=3, seed=seed)
  whole = make()
  steps = range(whole.num_steps)
  clean = [i for step in steps for i in whole.example_ids(step).tolist()]
  out.also(len(clean) == 8 * whole.num_steps, "the clean stream has gaps")
  for number in range(count):
    stops = sorted(rng.sample(steps, min(4, len(steps) - 1)))
    seen: list[int] = []
    begin = 0
    for leg, stop in enumerate([*stops, whole.num_steps]):
      hosts = (1, 2, 4)[(leg + number) % 3]
      parts = [make(process=(host, hosts)) for host in range(hosts)]
      streams = [pipeline.prefetch(part, begin) for part in parts]
      for _ in range(begin, stop):
        for stream in streams:
          seen += next(stream)[1].example_id.tolist()
      for stream in streams:
        stream.close()  # with batches made ahead, which must not count
      begin = stop
    out.expect(seen == clean, f"stops {stops}: another sequence of ids")
  return out


def restart_cost(count: int, seed: int, folder: pathlib.Path) -> Outcome:
  """Seconds to the first new update at step 10 and at step 10,000."""
  del seed
  out = Outcome()
  taken: dict[int, list[float]] = {10: [], 10_000: []}
  places = {}
  for step in taken:
    places[step] = folder / str(step)
    trial_support.train(1, places[step])
    _pretend(places[step], step)
    path = places[step] / "metrics.jsonl"
    row = json.loads(path.read_text())
    rows = [json.dumps({**row, "step": s + 1}) for s in range(step)]
    path.write_text("\n".join(rows) + "\n")
  for number in range(count):
    for step in sorted(taken, reverse=bool(number % 2)):
      place = shutil.copytree(places[step], folder / "try")
      marks = []
      source = trial_support.Source(
        before=lambda _, marks=marks: marks.append(time.perf_counter())
      )
      begin = time.perf_counter()
      trial_support.train(step + 1, place, source)
      # To the first batch: what follows compiles, the same for both.
      taken[step].append(marks[0] - begin)
      wanted = [list(range(8 * step, 8 * step + 8))]
      out.expect(source.ids == wanted, f"step {step}: other ids")
      shutil.rmtree(place)
  early, late = (min(taken[step]) for step in (10, 10_000))
  medians = [statistics.median(taken[step]) for step in (10, 10_000)]
  out.also(late <= 1.2 * early, f"{late:.3f} s at 10,000, {early:.3f} s at 10")
  out.facts.append(
    f"fastest {early:.3f} s at step 10, {late:.3f} s at 10,000 (ratio"
    f" {late / early:.2f}; medians {medians[0]:.3f}, {medians[1]:.3f} s)"
  )
  return out


def _pretend(workdir: pathlib.Path, step: int) -> None:
  """Makes the checkpoint of a run that has done `step` updates."""
  folder = workdir / "checkpoints"
  [info] = checkpoint.describe(folder)
  state = trial_support.train(1, workdir)
  state = jax.tree.map(np.asarray, state)
  tree = dataclasses.replace(state, step=np.int32(step))
  metadata = {
    "config": info.manifest.config,
    "data_fingerprint": info.manifest.data_fingerprint,
  }
  with checkpoint.Checkpointer(folder, keep=1) as checkpointer:
    checkpointer.save(step, tree, metadata=metadata)


def devices(count: int, seed: int, folder: pathlib.Path) -> Outcome:
  """One run handed over between 8, 4, 2 and 1 devices, and back."""
  del seed
  out = Outcome()
  legs = [8, 4, 2, 1, 2, 4, 8][: max(2, count)]
  steps = 2 * len(legs)
  alone = trial_support.Source()
  trial_support.train(steps, folder / "one", alone)
  ids: list[list[int]] = []
  workdir = folder / "many"
  kept = ""
  for number, size in enumerate(legs):
    place = trial_support.mesh(size, fsdp=min(2, size))
    if number:
      held = trial_support.train(2 * number, workdir, mesh=place)
      found = trial_support.sha(held)
      out.expect(found == kept, f"leaves differ on {size} devices")
    source = trial_support.Source()
    state = trial_support.train(2 * (number + 1), workdir, source, mesh=place)
    kept = trial_support.sha(state)
    ids += source.ids
  losses = [
    [row["loss"] for row in trial_support.rows(place) if "loss" in row]
    for place in (workdir, folder / "one")
  ]
  # Later losses follow other parameters; reduction order moves those a bit.
  gap = max(abs(a - b) / abs(b) for a, b in zip(*losses, strict=True))
  out.also(gap <= 1e-5, f"losses differ by {gap:.1e}")
  out.also(ids == alone.ids, "other example ids")
  out.facts.append(f"leaves bit-equal, losses within {gap:.0e} of one device")
  return out
