# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Flags of commands that several processes may run together."""

import contextlib
import os
from typing import Any

from prefjax.cli import arguments
from prefjax.launching import places


def declare(flags: arguments.Arguments) -> None:
  """Declares the flags; a launcher sets them, or nobody has to."""
  flags.choice(
    "distributed",
    "auto",
    "how several processes find each other",
    places.METHODS,
  )
  flags.string("coordinator", help="HOST:PORT of process 0")
  flags.integer("processes", help="how many processes there are", low=1)
  flags.integer("process_id", help="which of them this is, from 0", low=0)
  flags.number(
    "peer_timeout",
    30.0,
    "seconds without a sign of life after which a process is lost",
    low=3,
  )


def started(args: Any, who: str) -> contextlib.AbstractContextManager[None]:
  """Connects the processes that the flags, or the machine, speak of."""
  from prefjax.runs import distributed

  place = places.find(
    os.environ,
    coordinator=args.coordinator,
    processes=args.processes,
    process_id=args.process_id,
    method=args.distributed,
  )
  return distributed.started(place, timeout=args.peer_timeout, who=who)
