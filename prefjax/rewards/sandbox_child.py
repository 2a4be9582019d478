# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The process that runs code nobody trusts; `sandbox` starts it.

It is never imported. It reads one JSON line from standard input, gives up
every right it has, and only then runs the code. What it gives up: all system
calls but those for memory, time and its own pipes (a seccomp filter that
allows by list), hence files, network, processes and signals; memory, time and
output by resource limits; the network and mount namespace where the system
lets it. If any of the first two cannot be had, it ends before the code begins.

It imports nothing but the standard library, because it runs with `-I -S`.
"""

import ctypes
import json
import os
import platform
import resource
import struct
import sys

UNAVAILABLE = 97  # exit status: isolation cannot be had
IN, OUT = 0, 1  # requests come, replies go

# Loaded before the file system is given up.
PRELOADED = (
  "abc array ast base64 binascii bisect calendar cmath collections"
  " collections.abc contextlib copy csv dataclasses datetime decimal difflib"
  " enum fractions functools hashlib heapq hmac html io itertools json"
  " keyword linecache math numbers operator pprint queue random re"
  " reprlib secrets statistics string struct sys textwrap time timeit token"
  " tokenize traceback types typing unicodedata urllib.parse uuid warnings"
  " weakref zlib encodings.ascii encodings.latin_1 encodings.utf_16"
  " encodings.utf_32 encodings.cp1252 encodings.hex_codec encodings.rot_13"
).split()

# --- system calls ------------------------------------------------------------

# By name: (x86_64, aarch64); None where an architecture has none.
_CALLS = {
  "read": (0, 63),
  "close": (3, 57),
  "mmap": (9, 222),
  "mprotect": (10, 226),
  "munmap": (11, 215),
  "brk": (12, 214),
  "rt_sigaction": (13, 134),
  "rt_sigprocmask": (14, 135),
  "rt_sigreturn": (15, 139),
  "sched_yield": (24, 124),
  "mremap": (25, 216),
  "madvise": (28, 233),
  "nanosleep": (35, 101),
  "getpid": (39, 172),
  "exit": (60, 93),
  "gettimeofday": (96, 169),
  "getrusage": (98, 165),
  "times": (100, 153),
  "sigaltstack": (131, 132),
  "gettid": (186, 178),
  "time": (201, None),
  "futex": (202, 98),
  "clock_gettime": (228, 113),
  "clock_getres": (229, 114),
  "clock_nanosleep": (230, 115),
  "exit_group": (231, 94),
  "getrandom": (318, 278),
}
_WRITE = (1, 64)
_MACHINES = {
  "x86_64": (0, 0xC000003E),
  "aarch64": (1, 0xC00000B7),
}
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | 1  # EPERM
_X32 = 0x40000000


def _filter() -> bytes:
  """The program of the filter: allow by list, refuse everything else."""
  place, arch = _MACHINES[platform.machine()]
  numbers = sorted(c[place] for c in _CALLS.values() if c[place] is not None)
  code: list[tuple[int, int, int, int]] = [
    (_LOAD, 0, 0, 4),  # the architecture
    (_EQUAL, 1, 0, arch),
    (_RETURN, 0, 0, _KILL),
    (_LOAD, 0, 0, 0),  # the number of the call
    (_AT_LEAST, 0, 1, _X32),
    (_RETURN, 0, 0, _KILL),
  ]
  for number in numbers:
    code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
  # Writes go to two pipes only: replies, and what is said on standard error.
  code += [
    (_EQUAL, 1, 0, _WRITE[place]),
    (_RETURN, 0, 0, _REFUSE),
    (_LOAD, 0, 0, 16),  # the descriptor
    (_EQUAL, 1, 0, 1),
    (_EQUAL, 0, 1, 2),
    (_RETURN, 0, 0, _ALLOW),
    (_RETURN, 0, 0, _REFUSE),
  ]
  return b"".join(struct.pack("HBBI", *line) for line in code)


class _Program(ctypes.Structure):
  _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


_SET_DEATH_SIGNAL, _SET_DUMPABLE, _SET_SECCOMP, _NO_NEW_PRIVILEGES = (
  1,
  4,
  22,
  38,
)
_NAMESPACES = {
  "user": 0x10000000,
  "network": 0x40000000,
  "mount": 0x00020000,
  "ipc": 0x08000000,
  "uts": 0x04000000,
}


def _namespaces(libc) -> list[str]:
  """Leaves the namespaces that the system lets it leave."""
  left = []
  # A user namespace first: in one of its own it may leave the others.
  for name, flag in _NAMESPACES.items():
    if libc.unshare(flag) == 0:
      left.append(name)
  return left


def _limits(memory: int, seconds: int) -> None:
  for name, value in (
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_FSIZE, 0),
    (resource.RLIMIT_NOFILE, 16),
    (resource.RLIMIT_NPROC, 0),
    (resource.RLIMIT_CPU, seconds),
    (resource.RLIMIT_STACK, 64 << 20),
    (resource.RLIMIT_AS, memory),
  ):
    resource.setrlimit(name, (value, value))


def isolate(memory: int, seconds: int) -> list[str]:
  """Gives up all rights; returns the namespaces left.

  Raises:
    OSError, KeyError: a right cannot be given up.
  """
  libc = ctypes.CDLL(None, use_errno=True)
  libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
  os.closerange(3, 4096)
  os.chdir("/")
  left = _namespaces(libc)
  _limits(memory, seconds)
  code = _filter()
  buffer = ctypes.create_string_buffer(code, len(code))
  program = _Program(len(code) // 8, ctypes.addressof(buffer))
  for call in (
    (_SET_DEATH_SIGNAL, 9, 0, 0, 0),
    (_SET_DUMPABLE, 0, 0, 0, 0),
    (_NO_NEW_PRIVILEGES, 1, 0, 0, 0),
    (_SET_SECCOMP, 2, ctypes.addressof(program), 0, 0),
  ):
    if libc.prctl(*call) != 0:
      raise OSError(ctypes.get_errno(), f"prctl({call[0]})")
  return left


# --- values ------------------------------------------------------------------


class Unsendable(TypeError):
  """A value is not plain data."""


def pack(value, depth=0):
  """Plain data as JSON values; exact types only.

  A subclass could compare as it likes, so it is not plain data.
  """
  kind = type(value)
  if depth > 50:
    raise Unsendable("nested too deeply")
  if value is None or kind in (bool, int, str):
    return value
  if kind is float:
    return {"f": repr(value)}
  if kind is complex:
    return {"c": [repr(value.real), repr(value.imag)]}
  if kind is bytes:
    return {"b": value.hex()}
  if kind is list:
    return [pack(item, depth + 1) for item in value]
  if kind in (tuple, set, frozenset):
    tag = {tuple: "t", set: "s", frozenset: "z"}[kind]
    return {tag: [pack(item, depth + 1) for item in value]}
  if kind is dict:
    return {
      "d": [[pack(k, depth + 1), pack(v, depth + 1)] for k, v in value.items()]
    }
  raise Unsendable(kind.__name__)


def unpack(value):
  """Undoes `pack`; what comes out is plain data whatever was sent."""
  if isinstance(value, list):
    return [unpack(item) for item in value]
  if not isinstance(value, dict):
    return value
  ((tag, inner),) = value.items()
  if tag == "f":
    return float(inner)
  if tag == "c":
    return complex(float(inner[0]), float(inner[1]))
  if tag == "b":
    return bytes.fromhex(inner)
  if tag == "d":
    return {unpack(k): unpack(v) for k, v in inner}
  kind = {"t": tuple, "s": set, "z": frozenset}[tag]
  return kind(unpack(item) for item in inner)


# --- talking -----------------------------------------------------------------

_most = 1 << 20
_rest = b""


def receive():
  """The next request, or None at the end."""
  global _rest
  while b"\n" not in _rest:
    data = os.read(IN, 65536)
    if not data or len(_rest) > _most:
      return None
    _rest += data
  line, _, _rest = _rest.partition(b"\n")
  return json.loads(line)


def send(value) -> None:
  data = json.dumps(value).encode() + b"\n"
  while data:
    data = data[os.write(OUT, data) :]


def _said(error: BaseException) -> dict:
  return {"error": type(error).__name__, "text": str(error)[:200]}


# --- roles -------------------------------------------------------------------


def serve(code: str) -> None:
  """Runs a module, then answers calls of what it defines."""
  scope = {"__name__": "solution", "__builtins__": __builtins__}
  try:
    exec(compile(code, "solution.py", "exec"), scope)  # noqa: S102
  except BaseException as error:  # noqa: B036 - SystemExit too
    send(_said(error))
    return
  send({"names": [str(n) for n, v in scope.items() if callable(v)]})
  while (request := receive()) is not None:
    try:
      function = scope[request["name"]]
      arguments = unpack(request["args"])
      named = unpack(request["named"])
      send({"value": pack(function(*arguments, **named))})
    except BaseException as error:  # noqa: B036
      send(_said(error))


class Remote:
  """Stands for a function in the other process."""

  def __init__(self, name):
    self._name = name

  def __call__(self, *args, **named):
    send(
      {
        "call": {
          "name": self._name,
          "args": pack(list(args)),
          "named": pack(named),
        }
      }
    )
    reply = receive()
    if reply is None:
      raise RuntimeError("the solution ended")
    if "error" in reply:
      known = getattr(__builtins__, reply["error"], None)
      is_error = isinstance(known, type) and issubclass(known, Exception)
      raise (known if is_error else RuntimeError)(reply["text"])
    return unpack(reply["value"])


def judge(tests: list, names: list, entry: str) -> None:
  """Runs tests against functions that live in the other process."""
  passed = []
  for source in tests:
    scope = {"__name__": "tests", "__builtins__": __builtins__}
    scope.update({name: Remote(name) for name in names})
    if entry:
      scope["candidate"] = Remote(entry)
    try:
      exec(compile(source, "tests.py", "exec"), scope)  # noqa: S102
      check = scope.get("check")
      if entry and callable(check) and not isinstance(check, Remote):
        check(Remote(entry))
      passed.append(True)
    except BaseException:  # noqa: B036 - a failed test, however it fails
      passed.append(False)
    send({"test": passed[-1]})
  send({"passed": passed})


def script(code: str) -> None:
  """Runs a program that reads standard input and prints."""
  scope = {"__name__": "__main__", "__builtins__": __builtins__}
  exec(compile(code, "solution.py", "exec"), scope)  # noqa: S102
  sys.stdout.flush()


def main() -> None:
  task = receive()
  for name in PRELOADED:
    try:
      __import__(name)
    except ImportError:
      continue
  try:
    left = isolate(int(task["memory"]), int(task["seconds"]))
  except (OSError, KeyError, ValueError, AttributeError) as error:
    send({"isolation": None, "reason": f"{type(error).__name__}: {error}"})
    os._exit(UNAVAILABLE)
  for name in ("ctypes", "_ctypes", "resource"):
    sys.modules.pop(name, None)
  if task["role"] == "script":
    send({"isolation": left})
    script(task["code"])
  elif task["role"] == "serve":
    send({"isolation": left})
    serve(task["code"])
  else:
    send({"isolation": left})
    judge(task["tests"], task["names"], task["entry"])


if __name__ == "__main__":
  main()
