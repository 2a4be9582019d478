# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Code in isolation: what passes, what fails, and what tries to get out."""

import os
import pathlib
import socket
import threading
import time
import types

import pytest

from prefjax import rewards
from prefjax.core import errors
from prefjax.rewards import executed, sandbox

QUICK = sandbox.Limits(seconds=1.5)


def _has_isolation() -> bool:
  try:
    sandbox.check()
  except errors.ConfigError:
    return False
  return True


needs_isolation = pytest.mark.skipif(
  not _has_isolation(), reason="this system cannot isolate code"
)


@needs_isolation
def test_tests_pass_and_fail():
  code = "def add(a, b):\n  return a + b\n\ndef crash():\n  raise KeyError('k')"
  tests = [
    "assert add(1, 2) == 3",
    "assert add(1, 2) == 4",
    "assert add([1], [2]) == [1, 2]",
    "assert add((1,), (2.5,)) == (1, 2.5)",
    "assert add({1: 'a'}.get(1), 'b') == 'ab'",
    "assert add(b'x', b'y') == b'xy'",
    "assert add(float('inf'), 1) == float('inf')",
    "def check(candidate):\n  assert candidate(2, 2) == 4",
    "def check(candidate):\n  assert candidate(2, 2) == 5",
    "try:\n  crash()\nexcept KeyError:\n  pass",
    "crash()",
    "import math\nassert math.isclose(add(0.1, 0.2), 0.3)",
    "assert missing() == 1",
    "assert add.__name__",
    "syntax error here",
  ]
  want = [True, False, True, True, True, True, True, True, False, True, False,
          True, False, False, False]  # fmt: skip
  assert sandbox.run_tests(code, tests, entry="add") == want


@needs_isolation
@pytest.mark.parametrize(
  "code",
  [
    "def f(:",
    "raise ValueError",
    "import sys; sys.exit(0)",
    "import os; os._exit(0)",
    "while True: pass",
    "x = [0] * 10**10",
    "def g(): return 1",
  ],
)
def test_a_module_that_does_not_run_fails_every_test(code):
  found = sandbox.run_tests(code, ["pass", "assert f() == 1"], entry="f",
                            limits=QUICK)  # fmt: skip
  assert found == [False, False]


# Each wants to be counted as right without being so.
CHEATS = {
  "equal to everything": (
    "class E:\n  def __eq__(self, o): return True\ndef f(x): return E()"
  ),
  "an int that is equal to everything": (
    "class E(int):\n  def __eq__(self, o): return True\ndef f(x): return E(0)"
  ),
  "a list that is equal to everything": (
    "class E(list):\n  def __eq__(self, o): return True\ndef f(x): return E()"
  ),
  "an early exit": "import sys\ndef f(x): sys.exit(0)",
  "a hard exit": "import os\ndef f(x): os._exit(0)",
  "printing the verdict": (
    "import os\ndef f(x):\n  os.write(1, b'{\"passed\": [true]}\\n')\n"
    "  return 0"
  ),
  "printing a reply and the verdict": (
    "import os\ndef f(x):\n"
    '  os.write(1, b\'{"value": 0}\\n{"test": true}\\n\')\n  return 0'
  ),
  "patching builtins": (
    "import builtins\nbuiltins.AssertionError = Warning\n"
    "builtins.compile = None\ndef f(x): return 0"
  ),
  "reading the tests out of the frames": (
    "import sys\ndef f(x):\n  g = sys._getframe()\n"
    "  while g:\n    for v in list(g.f_locals.values()):\n"
    "      if isinstance(v, str) and 'f(' + '42)' in v: return 43\n"
    "    g = g.f_back\n  return 0"
  ),
  "reading the tests out of the memory": (
    "import gc\ndef f(x):\n  for o in gc.get_objects():\n"
    "    if isinstance(o, dict) and o.get('role') == 'judge': return 43\n"
    "  return 0"
  ),
  "replacing the packer": (
    "import __main__\n__main__.pack = lambda v, d=0: {'f': 'nan'}\n"
    "def f(x): return 0"
  ),
  "a reply of its own tag": (
    "import __main__\n__main__.pack = lambda v, d=0: {'zz': 1}\n"
    "def f(x): return 0"
  ),
  "an endless answer": "def f(x): return 'x' * 10**9",
  "a deep answer": (
    "def f(x):\n  y = []\n  for _ in range(10**5): y = [y]\n  return y"
  ),
  "a slow answer": "import time\ndef f(x):\n  time.sleep(60)\n  return 43",
}


@needs_isolation
@pytest.mark.parametrize("name", CHEATS)
def test_no_verdict_can_be_forged(name):
  tests = ["assert f(42) == 43"]
  assert sandbox.run_tests(CHEATS[name], tests, limits=QUICK) == [False]


# Each does something outside of its process, and says so by printing "out".
ESCAPES = {
  "read a file": "print('out', open('/etc/hostname').read())",
  "read by descriptor": "import os; os.open('/etc/hostname', 0); print('out')",
  "read its own memory map": "open('/proc/self/maps').read(); print('out')",
  "list a folder": "import os; os.listdir('/'); print('out')",
  "stat a file": "import os; os.stat('/etc/passwd'); print('out')",
  "write a file": "open('{tmp}/a', 'w').write('x'); print('out')",
  "write by descriptor": (
    "import os; os.open('{tmp}/b', os.O_CREAT | os.O_WRONLY); print('out')"
  ),
  "make a folder": "import os; os.mkdir('{tmp}/c'); print('out')",
  "remove a file": "import os; os.remove('{tmp}/kept'); print('out')",
  "rename a file": (
    "import os; os.rename('{tmp}/kept', '{tmp}/gone'); print('out')"
  ),
  "link a file": "import os; os.symlink('/', '{tmp}/d'); print('out')",
  "change rights": "import os; os.chmod('{tmp}/kept', 0); print('out')",
  "change the folder": "import os; os.chdir('/tmp'); print('out')",
  "a shell": "import os; os.system('touch {tmp}/e'); "
  "print('out' if os.path.exists('{tmp}/e') else 'no')",
  "a subprocess": (
    "import subprocess; subprocess.run(['/bin/true']); print('out')"
  ),
  "exec": "import os; os.execv('/bin/echo', ['echo', 'out'])",
  "fork": "import os; os.fork(); print('out')",
  "a fork bomb": "import os\nwhile True: os.fork()\nprint('out')",
  "a thread": (
    "import _thread, time\n"
    "_thread.start_new_thread(lambda: print('out', flush=True), ())\n"
    "time.sleep(1)"
  ),
  "a socket": "import _socket; _socket.socket(); print('out')",
  "a connection": (
    "import socket; socket.create_connection(('127.0.0.1', {port})); "
    "print('out')"
  ),
  "a lookup": "import socket; socket.gethostbyname('localhost'); print('out')",
  "kill the parent": "import os; os.kill(os.getppid(), 9); print('out')",
  "a signal to all": "import os; os.kill(-1, 9); print('out')",
  "trace the parent": (
    "import ctypes; l = ctypes.CDLL(None); "
    "print('out' if l.ptrace(16, {pid}, 0, 0) == 0 else 'no')"
  ),
  "a raw system call": (
    "import ctypes; l = ctypes.CDLL(None); "
    "print('out' if l.syscall(2, b'/etc/hostname', 0) >= 0 else 'no')"
  ),
  "lift the filter": (
    "import ctypes; l = ctypes.CDLL(None); "
    "print('out' if l.prctl(22, 0, 0, 0, 0) == 0 else 'no')"
  ),
  "lift the limits": (
    "import resource; resource.setrlimit(resource.RLIMIT_CPU, (99, 99)); "
    "print('out')"
  ),
  "an import from a file": "import antigravity; print('out')",
  "the environment": (
    "import os; print('out' if set(os.environ) - {'LC_CTYPE'} else 'no')"
  ),
  "memory": "x = bytearray(10**10); print('out')",
  "write to another descriptor": (
    "import os\nfor fd in range(3, 64):\n"
    "  try:\n    os.write(fd, b'x'); print('out')\n  except OSError: pass"
  ),
  "mount": (
    "import ctypes; l = ctypes.CDLL(None); "
    "print('out' if l.mount(b'none', b'/tmp', b'tmpfs', 0, 0) == 0 else 'no')"
  ),
  "new namespaces": (
    "import ctypes; l = ctypes.CDLL(None); "
    "print('out' if l.unshare(0x10000000) == 0 else 'no')"
  ),
  "shared memory": (
    "from multiprocessing import shared_memory\n"
    "shared_memory.SharedMemory(create=True, size=8); print('out')"
  ),
}


def test_there_are_thirty_escapes():
  assert len(ESCAPES) >= 30


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
  """A folder, a listening port and the seen connections."""
  folder = tmp_path_factory.mktemp("outside")
  (folder / "kept").write_text("x")
  seen = []
  with socket.create_server(("127.0.0.1", 0)) as server:
    server.settimeout(0.2)

    def listen():
      while True:
        try:
          connection, _ = server.accept()
        except TimeoutError:
          continue
        except OSError:
          return
        seen.append(connection)
        connection.close()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    yield folder, server.getsockname()[1], seen


@needs_isolation
@pytest.mark.parametrize("name", ESCAPES)
def test_no_escape(name, outside, monkeypatch):
  folder, port, seen = outside
  monkeypatch.setenv("PREFJAX_SECRET", "do not tell")
  code = (
    ESCAPES[name]
    .replace("{tmp}", str(folder))
    .replace("{port}", str(port))
    .replace("{pid}", str(os.getpid()))
  )
  said = sandbox.run_program(code, "", limits=QUICK)
  assert said is None or "out" not in said
  assert [p.name for p in folder.iterdir()] == ["kept"]
  assert (folder / "kept").read_text() == "x"
  assert not seen


@needs_isolation
def test_time_is_bounded_and_nothing_is_left_behind():
  before = {p.name for p in pathlib.Path("/proc").iterdir() if p.name.isdigit()}
  start = time.monotonic()
  assert sandbox.run_program("while True: pass", "", limits=QUICK) is None
  loud = "while True: print('x' * 1000)"
  assert sandbox.run_program(loud, "", limits=QUICK) is None
  assert time.monotonic() - start < 6
  ours = {
    name
    for name in {
      p.name for p in pathlib.Path("/proc").iterdir() if p.name.isdigit()
    }
    - before
    if "sandbox_child" in _command(name)
  }
  assert not ours


def _command(pid: str) -> str:
  try:
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode()
  except (OSError, ValueError):
    return ""


@needs_isolation
def test_programs():
  code = "import sys\nfor line in sys.stdin:\n  print(int(line) * 2)"
  assert sandbox.run_program(code, "1\n2\n") == "2\n4\n"
  assert sandbox.run_program("1 / 0", "") is None
  assert sandbox.run_program("print(input())", "a\n") == "a\n"
  many = "import collections, itertools, re, json, random, heapq, decimal"
  assert sandbox.run_program(many + "\nprint(1)", "") == "1\n"


def test_without_isolation_nothing_runs(tmp_path, monkeypatch):
  """Fails closed: not a weaker way of running, but none."""
  child = tmp_path / "child.py"
  source = sandbox._CHILD.read_text()
  changed = source.replace('"x86_64": (0', '"none": (0').replace(
    '"aarch64": (1', '"neither": (1'
  )
  assert changed != source
  child.write_text(changed)
  monkeypatch.setattr(sandbox, "_CHILD", child)
  sandbox.check.cache_clear()
  try:
    for call in (
      lambda: sandbox.run_tests("x = 1", ["pass"]),
      lambda: sandbox.run_program("print(1)", ""),
      lambda: rewards.get("python_tests"),
    ):
      with pytest.raises(errors.ConfigError, match="cannot isolate code"):
        call()
  finally:
    sandbox.check.cache_clear()


@needs_isolation
def test_the_reward():
  reward = rewards.get("python_tests", seconds=2.0)
  prompt = 'def twice(x):\n  """Twice x."""\n'
  check = "def check(candidate):\n  assert candidate(4) == 8"
  human = types.SimpleNamespace(
    id="h", metadata={"test": check, "entry_point": "twice"}
  )
  assert reward(prompt, "  return 2 * x\n", human) == 1.0
  assert reward(prompt, "  return 3 * x\n", human) == 0.0
  fenced = "Sure:\n```python\ndef twice(x):\n  return x + x\n```\nDone."
  assert reward(prompt, fenced, human) == 1.0
  asserts = types.SimpleNamespace(
    id="m",
    metadata={"test_list": ["assert f(1) == 1", "assert f(2) == 3"]},
  )
  partial = rewards.get("python_tests", field="test_list", partial=True)
  assert partial("", "def f(x): return x", asserts) == 0.5
  programs = types.SimpleNamespace(
    id="s", metadata={"test": [{"input": "3", "output": "9"}]}
  )
  assert reward("", "print(int(input()) ** 2)", programs) == 1.0
  assert reward("", "print(int(input()) + 2)", programs) == 0.0
  bare = types.SimpleNamespace(id="b", metadata={})
  with pytest.raises(errors.DataError, match="'b': 'test' holds no tests"):
    reward("", "x", bare)
  assert executed.extract_code("no fence") == "no fence"
