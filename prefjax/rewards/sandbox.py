# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs code that a model wrote, in processes that can do nothing else.

The judged code and the tests that judge it are two processes. The tests call
the solution through this one, which passes plain data only; a solution can
therefore not touch the verdict, patch `assert`, compare equal to everything
or end the tests early. Both processes have given up files, network, other
processes and signals before any of this code runs; see `sandbox_child`. Every
doubt counts as a failed test: a timeout, a crash, too much output, an answer
that cannot be read.
"""

import dataclasses
import functools
import json
import os
import pathlib
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from prefjax.core import errors

_CHILD = pathlib.Path(__file__).with_name("sandbox_child.py")
_MOST = 1 << 20  # bytes of output of a process
_STARTUP = 20.0  # seconds a process may take to be ready, not counted


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
  """What code may use.

  Attributes:
    seconds: wall clock, for all tests together.
    memory: bytes of address space.
    output: bytes that may be printed.
  """

  seconds: float = 5.0
  memory: int = 512 << 20
  output: int = 1 << 16


class _Ended(Exception):  # noqa: N818 - caught in this module
  """A process ended, said too much, or took too long."""


class _Child:
  """One isolated process and its pipes."""

  def __init__(self, task: Mapping[str, Any], limits: Limits):
    self._process = subprocess.Popen(  # noqa: S603 - our own file
      [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(_CHILD)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
      env={},
      cwd="/",
      start_new_session=True,
      close_fds=True,
    )
    self._rest = b""
    self._seen = 0
    os.set_blocking(self._process.stdout.fileno(), False)
    whole = {
      **task,
      "memory": limits.memory,
      "seconds": int(limits.seconds) + 1,
    }
    self.send(whole)

  def send(self, value: Any) -> None:
    try:
      self._process.stdin.write(json.dumps(value).encode() + b"\n")
      self._process.stdin.flush()
    except OSError as error:
      raise _Ended(str(error)) from None

  def send_bytes(self, data: bytes) -> None:
    """Standard input of a program, to its end."""
    try:
      self._process.stdin.write(data)
      self._process.stdin.close()
    except OSError as error:
      raise _Ended(str(error)) from None

  def _more(self, deadline: float) -> bytes:
    """Some bytes, b"" at the end of the output."""
    with selectors.DefaultSelector() as waiting:
      waiting.register(self._process.stdout, selectors.EVENT_READ)
      if not waiting.select(max(deadline - time.monotonic(), 0)):
        raise _Ended("timeout")
    data = self._process.stdout.read(65536) or b""
    self._seen += len(data)
    if self._seen > _MOST:
      raise _Ended("too much output")
    return data

  def line(self, deadline: float) -> Any:
    """The next line as JSON."""
    while b"\n" not in self._rest:
      data = self._more(deadline)
      if not data:
        raise _Ended("ended")
      self._rest += data
    line, _, self._rest = self._rest.partition(b"\n")
    try:
      return json.loads(line)
    except (ValueError, RecursionError):
      raise _Ended("said something that cannot be read") from None

  def rest(self, deadline: float, most: int) -> bytes:
    """All output to the end, and at most `most` bytes of it."""
    while data := self._more(deadline):
      self._rest += data
      if len(self._rest) > most:
        raise _Ended("too much output")
    return self._rest

  def status(self, deadline: float) -> int:
    """Exit status."""
    try:
      return self._process.wait(max(deadline - time.monotonic(), 0.01))
    except subprocess.TimeoutExpired:
      raise _Ended("timeout") from None

  def __enter__(self) -> "_Child":
    return self

  def __exit__(self, *exception: object) -> None:
    try:
      os.killpg(self._process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
      self._process.kill()
    self._process.wait()
    for pipe in (self._process.stdin, self._process.stdout):
      try:
        pipe.close()
      except OSError:
        continue  # a broken pipe has nothing left to say


def _ready(child: _Child) -> list[str]:
  """Waits until a process has given up its rights; names the namespaces.

  Raises:
    ConfigError: it cannot.
  """
  try:
    said = child.line(time.monotonic() + _STARTUP)
  except _Ended as error:
    raise errors.ConfigError(
      f"code rewards: the isolated process did not start ({error})"
    ) from None
  if not isinstance(said, dict) or said.get("isolation") is None:
    reason = said.get("reason") if isinstance(said, dict) else said
    raise errors.ConfigError(
      "code rewards: this system cannot isolate code, so none is run"
      f" ({reason}); they need Linux with seccomp on x86-64 or arm64"
    )
  return list(said["isolation"])


@functools.cache
def check() -> tuple[str, ...]:
  """Makes sure that code can be isolated here; names the namespaces left.

  Raises:
    ConfigError: it cannot.
  """
  if not sys.platform.startswith("linux"):
    raise errors.ConfigError(
      "code rewards: this system cannot isolate code, so none is run; they"
      " need Linux"
    )
  with _Child({"role": "serve", "code": ""}, Limits()) as child:
    return tuple(_ready(child))


def run_tests(
  code: str,
  tests: Sequence[str],
  *,
  entry: str = "",
  limits: Limits = Limits(),  # noqa: B008 - frozen
) -> list[bool]:
  """Which tests a solution passes.

  Args:
    code: a module.
    tests: Python statements each; what the module defines can be called by
      its name with plain data (numbers, texts, bytes, lists, tuples, sets,
      dicts), and gives plain data back. A test passes if it ends without an
      exception.
    entry: name of the function under test; tests find it as `candidate`
      too, and where they define `check`, it is called with it.
    limits: what both may use together.

  Returns:
    One bool a test; all False where the module does not even run.

  Raises:
    ConfigError: the system cannot isolate code.
  """
  check()
  failed = [False] * len(tests)
  if not tests:
    return failed
  with _Child({"role": "serve", "code": code}, limits) as solution:
    _ready(solution)
    deadline = time.monotonic() + limits.seconds
    try:
      said = solution.line(deadline)
      names = [str(n) for n in said["names"] if str(n).isidentifier()][:1000]
    except (_Ended, KeyError, TypeError):
      return failed
    if entry and entry not in names:
      return failed
    task = {
      "role": "judge",
      "code": "",
      "tests": list(tests),
      "names": names,
      "entry": entry,
    }
    with _Child(task, limits) as judge:
      _ready(judge)
      deadline = time.monotonic() + limits.seconds
      return _mediate(solution, judge, deadline, len(tests))


def _mediate(
  solution: _Child, judge: _Child, deadline: float, number: int
) -> list[bool]:
  """Passes calls from the tests to the solution until the verdict."""
  passed: list[bool] = []
  try:
    while True:
      said = judge.line(deadline)
      if "passed" in said:
        break
      if "test" in said:
        passed.append(said["test"] is True)
        continue
      solution.send(said["call"])
      reply = solution.line(deadline)
      clean = isinstance(reply, dict) and (
        set(reply) == {"value"} or set(reply) == {"error", "text"}
      )
      if not clean:
        raise _Ended("an odd reply")
      judge.send(reply)
  except (_Ended, KeyError, TypeError):
    pass  # the tests that were not reached have failed
  return (passed + [False] * number)[:number]


def run_program(
  code: str,
  stdin: str,
  *,
  limits: Limits = Limits(),  # noqa: B008 - frozen
) -> str | None:
  """What a program prints for an input, or None where it fails.

  Args:
    code: a module that is run as a program.
    stdin: its standard input.
    limits: what it may use.

  Raises:
    ConfigError: the system cannot isolate code.
  """
  check()
  with _Child({"role": "script", "code": code}, limits) as child:
    _ready(child)
    deadline = time.monotonic() + limits.seconds
    try:
      child.send_bytes(stdin.encode())
      out = child.rest(deadline, limits.output)
      if child.status(deadline) != 0:
        return None
      return out.decode("utf-8", errors="replace")
    except _Ended:
      return None
