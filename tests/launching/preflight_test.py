# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A worker that is unfit is named, with what is wrong with it."""

import os
import re

import jax
import pytest

from prefjax.launching import preflight


def test_a_fit_worker(tmp_path):
  lock = tmp_path / "lock.txt"
  lock.write_text("\n".join(preflight.packages()))
  number = len(jax.local_devices())
  for given in (str(lock), preflight.lock_hash(preflight.packages())):
    report = preflight.examine(
      devices=number, lock=given, workdir=str(tmp_path / "work")
    )
    assert report["faults"] == []
  assert list((tmp_path / "work").iterdir()) == []


def test_other_packages(tmp_path):
  own = preflight.packages()
  lock = tmp_path / "lock.txt"
  lock.write_text("\n".join(["jax==0.0.1", *own[1:]]))
  found = preflight.check_packages(str(lock))
  assert "wants jax==0.0.1" in found and f"no {own[0]}" in found
  assert "hash" in preflight.check_packages("0" * 64)
  assert "cannot be read" in preflight.check_packages(str(tmp_path / "gone"))


def test_devices():
  number = len(jax.local_devices())
  assert preflight.check_devices(number) is None
  found = preflight.check_devices(number + 1)
  assert found == f"it has {number} devices, not {number + 1}"


def test_folders(tmp_path):
  (tmp_path / "file").write_text("")
  found = preflight.check_workdir(str(tmp_path / "file" / "below"))
  assert "cannot be written" in found and "\n" not in found


@pytest.mark.parametrize("off", [-100.0, 100.0])
def test_a_clock_that_is_off(tmp_path, monkeypatch, off):
  real = preflight.time.time
  monkeypatch.setattr(preflight.time, "time", lambda: real() + off)
  found = preflight.check_workdir(str(tmp_path))
  seconds = int(re.match(r"its clock is ([0-9]+) s off", found)[1])
  assert 98 <= seconds <= 110


def test_the_command(tmp_path, capfd):
  assert preflight.main([f"--workdir={tmp_path}"]) == 0
  out, err = capfd.readouterr()
  assert '"faults": []' in out and not err
  (tmp_path / "file").write_text("")
  assert preflight.main([f"--workdir={tmp_path / 'file' / 'below'}"]) == 1
  _, err = capfd.readouterr()
  assert err.startswith(f"preflight: {os.uname().nodename}")
  assert err.count("\n") == 1


def _report(worker, lock="a" * 64, faults=()):
  return {"worker": worker, "lock": lock, "faults": list(faults)}


def test_judging_all():
  good = [_report(f"w{i}") for i in range(4)]
  assert preflight.judge(good, 4) == []
  assert preflight.judge(good[:3], 4) == [
    "1 of 4 workers did not answer; those that did: w0, w1, w2"
  ]
  odd = [*good[:3], _report("w3", "b" * 64)]
  assert preflight.judge(odd, 4) == [
    "w3: has other packages (bbbbbbbbbbbb) than the others"
  ]
  bad = [*good[:3], _report("w3", faults=["it has 3 devices, not 4"])]
  assert preflight.judge(bad, 4) == ["w3: it has 3 devices, not 4"]
