# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""How the processes of one run begin together, and how they end."""

import contextlib
import sys
import traceback
from collections.abc import Iterator
from typing import Any

from prefjax.core import errors
from prefjax.launching import places
from prefjax.runs import peers

_START_SECONDS = 300

_watch: peers.Watch | None = None


def note(step: int, what: str) -> None:
  """Says where this process is, if it is one of several."""
  if _watch is not None:
    _watch.note(step, what)


@contextlib.contextmanager
def started(
  place: places.Place | None, *, timeout: float = 30.0, who: str = "prefjax"
) -> Iterator[None]:
  """Connects the processes, and ends them together.

  An error on one process is told to the others, which end too; a process that
  dies without a word is named after `timeout` seconds. On an error this does
  not return: Python's exit would wait for processes that may be gone.

  Args:
    place: of this process; None does nothing.
    timeout: seconds.
    who: begins the line of an error.

  Raises:
    TrainingError: the processes do not find each other.
  """
  global _watch
  if place is None:
    yield
    return
  client = _connect(place, timeout)
  import jax

  number, count = jax.process_index(), jax.process_count()
  with peers.Watch(client, number, count, timeout) as watch:
    _watch = watch
    try:
      yield
      watch.together()
    except BaseException as error:
      _end(watch, error, who)
      raise
    finally:
      _watch = None
  jax.distributed.shutdown()


def _end(watch: peers.Watch, error: BaseException, who: str) -> None:
  """Says what happened and ends this process and, by that, all."""
  status, reason = 1, f"{type(error).__name__}"
  if _is_of_xla(error):
    # A save or a step that needed a process which may be gone: who it is
    # matters more than what needed it.
    watch.explain()
  if isinstance(error, errors.PrefjaxError):
    reason = str(error)
    mild = isinstance(error, (errors.CheckpointError, errors.TrainingError))
    status = 1 if mild else 2
    print(f"{who}: {reason}", file=sys.stderr, flush=True)
  elif isinstance(error, SystemExit):
    status = error.code if isinstance(error.code, int) else 1
    reason = f"left with status {status}"
  else:
    traceback.print_exception(error)
  sys.stdout.flush()
  watch.failed(reason, status)


def _is_of_xla(error: BaseException | None) -> bool:
  """Whether an error, or what caused it, came from a running program."""
  import jax

  while error is not None:
    if isinstance(error, jax.errors.JaxRuntimeError):
      return True
    if isinstance(error, ValueError) and "Gloo" in str(error):
      return True  # the same, where an array was waited for
    error = error.__cause__ or error.__context__
  return False


def _connect(place: places.Place, timeout: float) -> Any:
  """Starts `jax.distributed`; returns its client."""
  import jax

  # Ours is in charge: it saves before it stops.
  jax.config.update("jax_enable_preemption_service", False)
  try:
    if "cpu" in (jax.config.jax_platforms or ""):
      jax.config.update("jax_cpu_collectives_implementation", "gloo")
  except (AttributeError, ValueError):
    pass  # the default of a later JAX
  given: dict[str, Any] = {}
  if place.coordinator:
    given = dict(
      coordinator_address=place.coordinator,
      num_processes=place.processes,
      process_id=place.process_id,
    )
  try:
    jax.distributed.initialize(
      **given,
      initialization_timeout=_START_SECONDS,
      # Behind ours, which knows more; the last resort.
      heartbeat_timeout_seconds=int(2 * timeout) + 10,
      shutdown_timeout_seconds=60,
    )
  except (RuntimeError, ValueError) as error:
    lines = str(error).strip().splitlines() or [""]
    raise errors.TrainingError(
      f"process {place.process_id} of {place.processes} ({place.found}) cannot"
      f" reach the coordinator {place.coordinator or 'of the TPU'}:"
      f" {lines[0][:200]}; start all processes, and open that port"
    ) from error
  return _client()


def _client() -> Any:
  # Not public, but what Orbax and others build on; signs of life need it.
  from jax._src import distributed

  return distributed.global_state.client
