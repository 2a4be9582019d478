# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Two processes under jax.distributed save and restore together."""

import socket
import subprocess
import sys
import textwrap

import checkpoint_support
import numpy as np

from prefjax import checkpoint

_RUN = """
  import os, sys
  process, port, root = int(sys.argv[1]), sys.argv[2], sys.argv[3]
  import jax
  jax.config.update("jax_cpu_collectives_implementation", "gloo")
  jax.distributed.initialize(f"127.0.0.1:{port}", 2, process)
  import numpy as np
  from jax.experimental import multihost_utils
  from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
  from prefjax import checkpoint
  from prefjax.checkpoint import commit
  from prefjax.core import errors
  mesh = jax.sharding.Mesh(np.array(jax.devices()), ("d",), (AxisType.Auto,))
  rows, everywhere = NamedSharding(mesh, P("d")), NamedSharding(mesh, P())
  rng = np.random.default_rng(0)
  values = {"w": rng.standard_normal((64, 512)).astype(np.float32),
            "s": rng.standard_normal((8, 3)).astype(np.float32),
            "n": np.asarray(4, np.int32)}
  shardings = {"w": rows, "s": rows, "n": everywhere}
  tree = {k: jax.make_array_from_callback(v.shape, shardings[k],
                                          lambda i, v=v: v[i])
          for k, v in values.items()}
  frozen = {"r": {"w": tree["w"]}}
  with checkpoint.Checkpointer(root, keep=2, store_frozen=True) as c:
    for step in (1, 2, 3):
      c.save(step, tree, frozen=frozen, metadata={"config": {"a": 1}})
  shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)
  def check(**keywords):
    restored = checkpoint.restore(
        root, shapes, shardings=shardings, **keywords)
    assert checkpoint.tree_digest(restored.tree) == (
        checkpoint.tree_digest(values))
    for name, leaf in restored.tree.items():
      for shard in leaf.addressable_shards:
        assert np.array_equal(shard.data, values[name][shard.index])
    return restored
  assert check(frozen=frozen).step == 3
  stored = {"r": {"w": jax.ShapeDtypeStruct(
      tree["w"].shape, tree["w"].dtype, sharding=rows)}}
  assert check(frozen=stored).step == 3
  # Only one process sees the damage; both fall back.
  if process == 0:
    from prefjax.checkpoint import parsing
    intact = parsing.read
    def read(path):
      if path.name == "3":
        raise errors.CheckpointCorruptError("a bad disk")
      return intact(path)
    parsing.read = read
  restored = check()
  if process == 0:
    parsing.read = intact
  assert restored.step == 2 and restored.skipped[0].step == 3
  # Only process 0 can fail to commit; both hear of it.
  checkpointer = checkpoint.Checkpointer(root)
  for target in ("commit", "create"):
    if process == 0:
      original = getattr(commit.Workspace, target)
      def fail(*_): raise OSError(28, "No space left")
      setattr(commit.Workspace, target, fail)
    try:
      checkpointer.save(9, tree)
      checkpointer.wait()
      print("no error")
    except errors.CheckpointError as error:
      print("error:", error)
    if process == 0:
      setattr(commit.Workspace, target, original)
  checkpointer.save(10, tree)
  checkpointer.close()
  # Directories that differ are noticed.
  own = os.path.join(root, f"own-{process}", "5")
  os.makedirs(own)
  try:
    if process == 0:
      os.rename(own, own + "0")
    checkpoint.restore(os.path.dirname(own), shapes, shardings=shardings)
  except errors.CheckpointError as error:
    assert "shared filesystem" in str(error), error
    print("done")
"""


def test_two_processes(tmp_path):
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
  root = tmp_path / "run"
  children = [
    subprocess.Popen(
      [sys.executable, "-c", textwrap.dedent(_RUN), str(i), str(port), root],
      env=checkpoint_support.environment(devices=2),
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for i in range(2)
  ]
  outputs = [child.communicate(timeout=200) for child in children]
  for child, (_, log) in zip(children, outputs, strict=True):
    assert child.returncode == 0, log[-4000:]
  lines = [
    [x for x in out.splitlines() if not x.startswith("[Gloo]")]
    for out, _ in outputs
  ]
  assert all(len(x) == 3 and x[2] == "done" for x in lines), lines
  assert all("No space left" in x for x in lines[0][:2]), lines
  assert "failed on process 0" in lines[1][0], lines
  assert "process 0 cannot make" in lines[1][1], lines
  # One process with one device reads what two with four wrote.
  template = {
    "w": np.zeros((64, 512), np.float32),
    "s": np.zeros((8, 3), np.float32),
    "n": np.zeros((), np.int32),
  }
  restored = checkpoint.restore(root, template)
  assert restored.step == 10 and int(restored.tree["n"]) == 4
