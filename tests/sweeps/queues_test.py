# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sweeps through a cluster: each run once, whatever is killed."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import sweep_support as support

from prefjax.core import errors
from prefjax.launching import engines
from prefjax.sweeps import driver, queues, runner

_ROOT = pathlib.Path(support.__file__).resolve().parents[2]


class _Cluster:
  """A queue in memory; jobs end when told."""

  def __init__(self):
    self.jobs, self.submitted, self.asked = {}, [], 0
    self.down = False

  def submit(self, job, folder):
    self.submitted.append(job.name)
    self.jobs[job.name] = folder

  def alive(self):
    self.asked += 1
    if self.down:
      raise errors.ConfigError("squeue failed: no controller")
    return set(self.jobs)

  def stop(self, name):
    self.end(name, 143)

  def end(self, name, status=None):
    folder = self.jobs.pop(name)
    if status is not None:
      text = json.dumps({"status": status, "seconds": 1.0})
      (folder / runner.STATUS).write_text(text)


def _runner(cluster, now):
  return queues.QueueRunner(cluster, pause=10, clock=lambda: now[0])


def _job(folder):
  return runner.Job("a", ("true",), folder)


def test_a_job_is_submitted_once(tmp_path):
  cluster, now = _Cluster(), [0.0]
  using = _runner(cluster, now)
  handle = using.start(_job(tmp_path / "a"))
  assert handle.poll() is None
  # A sweep that begins anew finds it by its name.
  assert _runner(cluster, now).start(_job(tmp_path / "a")) is None
  assert len(cluster.submitted) == 1
  cluster.end(cluster.submitted[0], 0)
  now[0] += 10
  assert handle.poll() == 0


def test_a_job_that_is_gone_without_a_word_is_submitted_again(tmp_path):
  cluster, now = _Cluster(), [0.0]
  using = _runner(cluster, now)
  handle = using.start(_job(tmp_path / "a"))
  now[0] += 10
  assert handle.poll() is None
  cluster.end(cluster.submitted[0])
  now[0] += 10
  assert handle.poll() == 1
  assert using.start(_job(tmp_path / "a")) is not None
  assert len(cluster.submitted) == 2


def test_a_job_that_is_not_listed_yet_runs(tmp_path):
  """Clusters list jobs a moment after they took them."""
  cluster, now = _Cluster(), [0.0]
  using = _runner(cluster, now)
  handle = using.start(_job(tmp_path / "a"))
  hidden, cluster.jobs = cluster.jobs, {}
  now[0] += 10
  assert handle.poll() is None
  cluster.jobs = hidden
  now[0] += 10
  assert handle.poll() is None


def test_a_cluster_that_does_not_answer_ends_nothing(tmp_path, caplog):
  cluster, now = _Cluster(), [0.0]
  using = _runner(cluster, now)
  handle = using.start(_job(tmp_path / "a"))
  now[0] += 10
  assert handle.poll() is None
  cluster.down = True
  now[0] += 100
  assert handle.poll() is None and "no controller" in caplog.text
  with pytest.raises(errors.ConfigError):
    _runner(cluster, now).is_running(tmp_path / "a")


def test_the_cluster_is_asked_now_and_then(tmp_path):
  cluster, now = _Cluster(), [0.0]
  using = _runner(cluster, now)
  handle = using.start(_job(tmp_path / "a"))
  asked = cluster.asked
  for _ in range(100):
    handle.poll()
    now[0] += 0.2
  assert cluster.asked - asked <= 3


def test_names_follow_from_folders(tmp_path):
  name = queues.name_of(tmp_path / "jobs" / "beta=0.1+seed=3-8A")
  assert name == queues.name_of(tmp_path / "jobs" / "." / "beta=0.1+seed=3-8A")
  assert name != queues.name_of(tmp_path / "other" / "beta=0.1+seed=3-8A")
  engines.Job(name=name, words=("true",))  # engines take it
  assert name.startswith("r-beta-0-1-seed-3-8a-")


class _Calls(list):
  """Notes what is called; answers from a table."""

  def __init__(self, **answers):
    super().__init__()
    self.answers = answers

  def __call__(self, words):
    self.append(tuple(words))
    return self.answers.get(words[1] if len(words) > 1 else "", "")


def test_slurm_is_asked_the_right_things(tmp_path):
  calls = _Calls(**{"--me": "a\nb\n"})
  queue = queues.Slurm(engines.Slurm(nodes=2), calls)
  queue.submit(engines.Job(name="r-1", words=("x", "y z")), tmp_path)
  text = (tmp_path / "job.sbatch").read_text()
  assert "#SBATCH --job-name=r-1\n" in text and "--nodes=2\n" in text
  assert f"-m prefjax.sweeps.once {tmp_path}/status.json srun" in text
  assert queue.alive() == {"a", "b"}
  queue.stop("r-1")
  assert [c[0] for c in calls] == ["sbatch", "squeue", "scancel"]
  assert calls[0][-1] == f"{tmp_path}/job.sbatch"
  assert calls[2] == ("scancel", "--me", "--signal=TERM", "--name=r-1")


def test_job_sets_are_asked_the_right_things(tmp_path):
  def item(name, *conditions):
    listed = [{"type": kind, "status": on} for kind, on in conditions]
    return {"metadata": {"name": name}, "status": {"conditions": listed}}

  items = [
    item("runs"),
    item("starts", ("StartupPolicyCompleted", "True")),
    item("done", ("Completed", "True")),
    item("lost", ("Failed", "True")),
    item("back", ("Failed", "False")),
    {"metadata": {"name": "new"}},
  ]
  calls = _Calls(get=json.dumps({"items": items}))
  queue = queues.JobSets(engines.JobSet(image="i", namespace="n"), calls)
  queue.submit(engines.Job(name="r-1", words=("x",)), tmp_path)
  manifest = json.loads((tmp_path / "job.json").read_text())
  assert manifest["metadata"] == {"name": "r-1", "namespace": "n"}
  assert queue.alive() == {"runs", "starts", "back", "new"}
  queue.stop("r-1")
  assert [c[1] for c in calls] == ["delete", "create", "get", "delete"]
  assert all(c[0] == "kubectl" for c in calls)


def test_only_the_first_pod_says_how_a_job_ended(tmp_path):
  for name, value, told in (
    ("JOB_COMPLETION_INDEX", "1", False),
    ("PREFJAX_JOB_INDEX", "1", False),
    ("JOB_COMPLETION_INDEX", "0", True),
  ):
    status = tmp_path / f"{name}-{value}.json"
    subprocess.run(
      [sys.executable, "-m", "prefjax.sweeps.once", str(status), "true"],
      env={**os.environ, "PYTHONPATH": str(_ROOT), name: value},
      check=True,
    )
    assert status.exists() == told


def test_engines_that_tell_nothing_are_refused():
  with pytest.raises(errors.ConfigError, match="cannot ask it"):
    queues.make("sky", {})
  with pytest.raises(errors.ConfigError, match="did you mean"):
    queues.make("slum", {})


def test_an_engine_that_runs_as_long_as_its_jobs(tmp_path):
  using = queues.make("local", {}, environment={"A": "b c"})
  script = "import os, sys; sys.exit(len(os.environ['A']))"
  job = runner.Job("a", (sys.executable, "-c", script), tmp_path / "a")
  handle = using.start(job)
  while handle.poll() is None:
    time.sleep(0.05)
  assert runner.status_of(tmp_path / "a")["status"] == 3


# --- for real ----------------------------------------------------------------

_SBATCH = """#!/bin/sh
# Starts the script in a session of its own; notes its process by its name.
for word in "$@"; do
  case "$word" in
    --output=*) log="${word#--output=}";;
    *.sbatch) job="$word";;
  esac
done
name=$(sed -n 's/^#SBATCH --job-name=//p' "$job")
echo "$name" >>"$CLUSTER/submitted"
setsid sh "$job" >>"$log" 2>&1 &
echo $! >"$CLUSTER/jobs/$name"
echo 1
"""
_SQUEUE = """#!/bin/sh
for file in "$CLUSTER"/jobs/*; do
  [ -e "$file" ] && kill -0 "$(cat "$file")" 2>/dev/null && basename "$file"
done
exit 0
"""
_SRUN = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do shift; done
exec "$@"
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
  """Programs that behave like SLURM's, on PATH; returns their folder."""
  folder = tmp_path / "cluster"
  (folder / "jobs").mkdir(parents=True)
  for name, text in (("sbatch", _SBATCH), ("squeue", _SQUEUE),
                     ("srun", _SRUN)):  # fmt: skip
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
  monkeypatch.setenv("CLUSTER", str(folder))
  monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
  monkeypatch.setenv("PYTHONPATH", str(_ROOT))
  return folder


def _drive(workdir, number, *engine):
  return subprocess.Popen(
    [sys.executable, support.__file__, str(workdir), str(number), *engine],
    stdout=subprocess.DEVNULL,
  )


def _started(workdir, runs) -> int:
  return sum(bool(support.events(workdir, run)) for run in runs)


def _killed_three_times(workdir, number, *engine) -> list[int]:
  """Drives a sweep; returns how many runs had begun at each kill."""
  runs, found = support.runs(number), []
  for share in (0.25, 0.5, 0.75):
    process = _drive(workdir, number, *engine)
    end = time.monotonic() + 300
    while _started(workdir, runs) < share * number:
      assert process.poll() is None and time.monotonic() < end
      time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found.append(_started(workdir, runs))
  assert _drive(workdir, number, *engine).wait(300) == 0
  return found


@pytest.mark.slow
@pytest.mark.parametrize("engine", [(), ("slurm",)])
def test_twelve_runs_killed_three_times_are_each_done_once(
  tmp_path, cluster, engine
):
  workdir = tmp_path / "sweep"
  at = _killed_three_times(workdir, 12, *engine)
  print(f"killed after {at} of 12 runs had begun")
  state = json.loads((workdir / driver.STATE).read_text())
  assert [row["status"] for row in state["runs"]] == ["done"] * 12
  for run in support.runs(12):
    assert support.events(workdir, run) == ["start", "done"]
  if engine:
    submitted = (cluster / "submitted").read_text().split()
    assert len(submitted) == len(set(submitted)) == 12


@pytest.mark.slow
def test_twelve_trainings_killed_three_times_are_each_done_once(tmp_path):
  """The command itself, with its jobs killed as well the second time."""
  listed = tmp_path / "list.py"
  listed.write_text(
    "def get_sweep(arg=''):\n"
    "  return [{'opt.learning_rate': rate, 'seed': seed}\n"
    "          for rate in (1e-3, 3e-3, 1e-2) for seed in range(4)]\n"
  )
  workdir = tmp_path / "sweep"
  settings = (
    "model.overrides={'hidden_size': 16, 'intermediate_size': 32,"
    " 'num_layers': 1, 'num_heads': 2, 'num_kv_heads': 1, 'head_dim': 8,"
    " 'query_scale': 0.35}",
    "data.buckets=((48,40),)",
    "data.language={'n': 96, 'eval_n': 0}",
    "train.steps=10",
    "checkpoint.every=2",
    "eval.every=0",
    "log.report=false",
    "log.export=false",
  )
  words = [sys.executable, "-m", "prefjax", "sweep", f"--sweep={listed}"]
  words += ["--config=configs/dpo.py:tiny", f"--workdir={workdir}"]
  words += ["--parallel=2", *(f"--config.{one}" for one in settings)]
  environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
  environment["XLA_FLAGS"] = " ".join(
    flag
    for flag in os.environ.get("XLA_FLAGS", "").split()
    if not flag.startswith("--xla_force_host_platform_device_count")
  )

  def sweep():
    return subprocess.Popen(
      words, cwd=_ROOT, env=environment, stdout=subprocess.DEVNULL
    )

  def done() -> int:
    found = workdir.glob("jobs/*/status.json")
    return sum('"status": 0' in path.read_text() for path in found)

  for kill, number in enumerate((2, 5, 8)):
    process = sweep()
    end = time.monotonic() + 800
    while done() < number:
      assert process.poll() is None and time.monotonic() < end
      time.sleep(0.1)
    process.kill()
    process.wait()
    if kill == 1:
      for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
          line = path.read_bytes()
        except OSError:
          continue
        if str(workdir).encode() in line:
          os.kill(int(path.parent.name), signal.SIGKILL)
  assert sweep().wait(800) == 0
  runs = sorted((workdir / "runs").iterdir())
  assert len(runs) == 12
  for run in runs:
    rows = [json.loads(x) for x in (run / "metrics.jsonl").open()]
    steps = [row["step"] for row in rows if "loss" in row]
    assert steps == list(range(1, 11))
    ends = [json.loads(x) for x in (run / "events.jsonl").open()]
    reasons = [row["reason"] for row in ends if row["event"] == "stop"]
    assert reasons == ["done"]
  table = json.loads((workdir / "table.json").read_text())
  assert [row["done"] for row in table["settings"]] == [4, 4, 4]
