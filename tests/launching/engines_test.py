# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What engines are asked: the right thing, and nothing else by accident."""

import json
import os
import pathlib
import shlex
import subprocess
import sys

import pytest

from prefjax.core import errors
from prefjax.launching import engines, places

_ROOT = pathlib.Path(__file__).resolve().parents[2]
# Nothing here may be seen by a shell.
HOSTILE = (
  "--config.data.train=a b.jsonl",
  "--config.note='; touch pwned; '",
  "$(touch pwned)",
  "`touch pwned`",
  '"quoted" \\ back',
  "line\nbreak",
  "&& false",
  "*",
  "~",
  "é",
  "",
)
_PRINT = (
  "import json, os, sys; print(json.dumps([sys.argv[1:], os.getcwd(),"
  " os.environ.get('SECRET_SETTING')]))"
)
OPTIONS = {
  "local": {"processes": "1"},
  "tpu-vm": {"tpu": "pod", "zone": "us-west4-a"},
  "queued": {
    "accelerator": "v5litepod-16",
    "runtime": "v2-alpha-tpuv5-lite",
    "zone": "us-west4-a",
  },
  "slurm": {"nodes": "2"},
  "jobset": {"image": "gcr.io/p/i:1", "hosts": "4"},
  "xpk": {"cluster": "c", "tpu_type": "v5litepod-16", "image": "gcr.io/p/i:1"},
  "sky": {"accelerators": "tpu-v5e-16"},
}


def _job(folder="", words=HOSTILE, **more):
  return engines.Job(
    name="run-1",
    words=(sys.executable, "-c", _PRINT, *words),
    environment={"SECRET_SETTING": "a 'b' $c"},
    folder=str(folder),
    **more,
  )


def _on_worker(name, plan, tmp_path) -> list[str]:
  """The words with which a worker begins."""
  files = {p.path.suffix: p.text for p in plan if isinstance(p, engines.File)}
  command = [p for p in plan if isinstance(p, engines.Command)][-1].words
  if name == "local":
    return list(command)
  if name in ("tpu-vm", "xpk"):
    found = [w for w in command if w.startswith("--command=")]
    # ssh and xpk hand the line to a shell of the worker.
    return ["sh", "-c", found[0].partition("=")[2]]
  if name == "queued":
    return ["sh", "-c", files[".sh"]]
  if name == "jobset":
    spec = json.loads(files[".json"])["spec"]["replicatedJobs"][0]
    pod = spec["template"]["spec"]["template"]["spec"]
    return pod["containers"][0]["command"]
  if name == "sky":
    return ["sh", "-c", json.loads(files[".yaml"])["run"]]
  # A stand-in for srun that runs one task.
  srun = tmp_path / "bin" / "srun"
  srun.parent.mkdir()
  srun.write_text('#!/bin/sh\nwhile [ "${1#--}" != "$1" ]; do shift; done\n'
                  'exec "$@"\n')  # fmt: skip
  srun.chmod(0o755)
  return ["sh", "-c", files[".sbatch"]]


@pytest.mark.parametrize("name", engines.ENGINES)
def test_every_word_arrives_as_it_was(name, tmp_path):
  folder = tmp_path / "a folder; false"
  folder.mkdir()
  plan = engines.engine(name, OPTIONS[name]).plan(_job(folder), tmp_path)
  words = _on_worker(name, plan, tmp_path)
  path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
  done = subprocess.run(
    words,
    capture_output=True,
    text=True,
    cwd=tmp_path,
    env={**os.environ, "PATH": path},
    check=True,
  )
  found, where, setting = json.loads(done.stdout)
  more = ["--distributed=tpu"] if name in ("tpu-vm", "queued", "xpk") else []
  assert found == [*HOSTILE, *more]
  assert (where, setting) == (str(folder), "a 'b' $c")
  assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize("name", engines.ENGINES)
def test_what_is_shown_is_what_would_be_done(name, tmp_path):
  plan = engines.engine(name, OPTIONS[name]).plan(_job(), tmp_path)
  shown = engines.show(plan)
  for part in plan:
    if isinstance(part, engines.Command):
      assert shlex.join(part.words) in shown
    else:
      assert part.text.rstrip() in shown and str(part.path) in shown


@pytest.mark.parametrize("name", engines.ENGINES)
def test_a_worker_that_fails_its_check_runs_nothing(name, tmp_path):
  job = _job(check=("sh", "-c", "echo unfit >&2; exit 3"))
  plan = engines.engine(name, OPTIONS[name]).plan(job, tmp_path)
  words = _on_worker(name, plan, tmp_path)
  path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
  done = subprocess.run(
    words, capture_output=True, text=True, env={**os.environ, "PATH": path}
  )
  assert (done.returncode, done.stdout, done.stderr) == (3, "", "unfit\n")


def test_local_processes_get_their_places(tmp_path):
  plan = engines.Local(processes=2, port=99).plan(_job(words=()), tmp_path)
  found = [
    subprocess.run(p.words, capture_output=True, text=True, check=True).stdout
    for p in plan
  ]
  for i, text in enumerate(found):
    assert json.loads(text)[0] == [
      "--coordinator=127.0.0.1:99",
      "--processes=2",
      f"--process_id={i}",
    ]


def test_the_batch_script():
  engine = engines.Slurm(nodes=4, gpus_per_task=8, partition="a", time="2:00")
  lines = engine.script(_job()).splitlines()
  assert lines[:8] == [
    "#!/bin/sh",
    "#SBATCH --job-name=run-1",
    "#SBATCH --nodes=4",
    "#SBATCH --ntasks-per-node=1",
    "#SBATCH --gpus-per-task=8",
    "#SBATCH --partition=a",
    "#SBATCH --time=2:00",
    "#SBATCH --signal=TERM@120",
  ]
  assert lines[8].startswith("srun --kill-on-bad-exit=1 sh -c ")


def test_pods_of_a_job_set_find_their_places():
  engine = engines.JobSet(image="i", hosts=4, slices=2, gpus=8)
  manifest = engine.manifest(_job())
  job = manifest["spec"]["replicatedJobs"][0]
  assert (job["replicas"], job["template"]["spec"]["completions"]) == (2, 4)
  container = job["template"]["spec"]["template"]["spec"]["containers"][0]
  assert container["resources"] == {"limits": {"nvidia.com/gpu": 8}}
  given = {e["name"]: e.get("value", "1") for e in container["env"]}
  # The annotation says job 1; Kubernetes itself says pod 3.
  place = places.find({**given, "JOB_COMPLETION_INDEX": "3"})
  assert (place.processes, place.process_id) == (8, 7)
  assert place.coordinator == "run-1-w-0-0.run-1:8476"


def test_tpu_pods_ask_their_machine():
  engine = engines.JobSet(
    image="i", hosts=4, accelerator="tpu-v5-lite-podslice", topology="4x4"
  )
  job = engine.manifest(_job())["spec"]["replicatedJobs"][0]
  pod = job["template"]["spec"]["template"]["spec"]
  assert pod["containers"][0]["resources"] == {"limits": {"google.com/tpu": 4}}
  assert pod["containers"][0]["env"] == []
  assert pod["containers"][0]["command"][-1].endswith(" --distributed=tpu")
  assert pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"] == "4x4"


def test_nodes_of_a_sky_task_find_their_places(tmp_path):
  plan = engines.SkyPilot(nodes=3).plan(_job(words=()), tmp_path)
  run = json.loads(plan[0].text)["run"].splitlines()[0]
  environment = {
    "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2\n10.0.0.3",
    "SKYPILOT_NUM_NODES": "3",
    "SKYPILOT_NODE_RANK": "2",
    "PATH": os.environ["PATH"],
  }
  done = subprocess.run(
    ["sh", "-c", f"{run}\nenv"],
    capture_output=True,
    text=True,
    env=environment,
    check=True,
  )
  found = dict(x.partition("=")[::2] for x in done.stdout.splitlines() if x)
  place = places.find(found)
  assert (place.coordinator, place.processes, place.process_id) == (
    "10.0.0.1:8476",
    3,
    2,
  )


@pytest.mark.parametrize(
  "name, options, named",
  [
    ("slum", {}, "did you mean 'slurm'?"),
    ("slurm", {"nods": "2"}, "did you mean 'nodes'?"),
    ("slurm", {"nodes": "two"}, "expected a whole number"),
    ("slurm", {"partition": "a\n#SBATCH --uid=0"}, "partition="),
    ("slurm", {"partition": "a b"}, "partition="),
    ("queued", {**OPTIONS["queued"], "spot": "yes"}, "expected true or false"),
    ("tpu-vm", {"tpu": "pod"}, "needs the option zone"),
    ("tpu-vm", {"tpu": "--flags-file=x", "zone": "z"}, "tpu="),
    ("xpk", {"cluster": "c", "tpu_type": "$(id)", "image": "i"}, "tpu_type="),
  ],
)
def test_bad_options_are_refused(name, options, named):
  with pytest.raises(errors.ConfigError) as error:
    engines.engine(name, options)
  assert named in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
  "change",
  [
    {"name": "A"},
    {"name": "a b"},
    {"name": "-a"},
    {"name": "a" * 41},
    {"environment": {"A B": "1"}},
    {"words": ()},
  ],
)
def test_bad_jobs_are_refused(change):
  with pytest.raises(errors.ConfigError):
    engines.Job(**{"name": "a", "words": ("true",), **change})


def test_files_are_written_and_commands_run(tmp_path):
  path = tmp_path / "new" / "file"
  plan = [
    engines.File(path, "text\n"),
    engines.Command(("sh", "-c", f"cp {path} {tmp_path}/copy")),
    engines.Command(("sh", "-c", "exit 4")),
  ]
  assert engines.carry_out(plan) == 4
  assert (tmp_path / "copy").read_text() == "text\n"
  with pytest.raises(errors.ConfigError, match="is not installed"):
    engines.carry_out([engines.Command(("no-such-engine",))])


def _launch(*words, **environment):
  return subprocess.run(
    [sys.executable, str(_ROOT / "scripts" / "launch.py"), *words],
    capture_output=True,
    text=True,
    env={**os.environ, "PYTHONPATH": str(_ROOT), **environment},
  )


def test_the_script_shows_and_starts(tmp_path):
  words = ("--set=tpu=pod", "--set=zone=z", "--", "prefjax", "train", "a b")
  shown = _launch("tpu-vm", "--dry_run", *words)
  assert shown.returncode == 0, shown.stderr
  inner = shlex.join(
    ["exec", "env", "prefjax", "train", "a b", "--distributed=tpu"]
  )
  assert shown.stdout == shlex.join(
    ["gcloud", "compute", "tpus", "tpu-vm", "ssh", "pod", "--zone=z",
     "--worker=all", f"--command={inner}"]
  ) + "\n"  # fmt: skip
  wrong = _launch("tpu-vm", "--set=tpu=pod", "--dry_run", "--", "x")
  assert wrong.returncode == 2
  assert wrong.stderr == "launch: tpu-vm: needs the option zone\n"


def test_the_script_names_workers_that_are_unfit(tmp_path):
  """A stand-in for gcloud runs the line for two workers, which cannot write
  the folder; a third does not answer."""
  gcloud = tmp_path / "gcloud"
  gcloud.write_text(
    "#!/bin/sh\n"
    'for word in "$@"; do case "$word" in --command=*)'
    ' line="${word#--command=}";; esac; done\n'
    "for i in 0 1; do\n"
    '  TPU_WORKER_ID=$i sh -c "$line"\n'
    "done\n"
  )
  gcloud.chmod(0o755)
  (tmp_path / "file").write_text("")
  done = _launch(
    "tpu-vm",
    *("--set=tpu=pod", "--set=zone=z", "--check", "--workers=3"),
    f"--check_workdir={tmp_path / 'file' / 'below'}",
    "--",
    PATH=f"{tmp_path}:{pathlib.Path(sys.executable).parent}:"
    + os.environ["PATH"],
  )
  assert done.returncode == 1, done.stderr
  lines = done.stdout.splitlines()
  assert len(lines) == 3
  for i in range(2):
    assert f"(worker {i}): " in lines[i] and "cannot be written" in lines[i]
  assert "1 of 3 workers did not answer" in lines[2]
