# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A judge behind an OpenAI-compatible address: vLLM, SGLang, or a provider.

Questions are asked at the same time, up to a limit and a rate; faults are
asked again after growing waits, replies without a verdict a few times too,
and then left out by name. Replies are kept on disk; tokens and their price
are counted, and a budget ends the asking, never the run.
"""

import asyncio
import collections
import concurrent.futures
import dataclasses
import hashlib
import time
from collections.abc import Sequence
from typing import Any

from prefjax.core import errors
from prefjax.feedback import chat_server, judges, reply_cache

_MAX_WAIT = 60.0  # seconds between two tries
_HOPELESS_AFTER = 3  # refusals in a row, before anything was answered


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """How a server is asked.

  Attributes:
    url: base address, such as "http://localhost:8000/v1".
    model: name of the model there.
    api_key_env: environment variable with the key; "" for none.
    template: question, with {prompt}, {first} and {second}.
    temperature: of the judge's sampling.
    max_tokens: of a reply.
    seed: sent along; a reply that cannot be read is asked with another one.
    timeout: seconds for one try.
    tries: most tries after faults.
    readings: most replies looked at for a verdict.
    concurrency: questions at a time.
    rate: most questions a second; 0 for no limit.
    backoff: seconds of the first wait, which doubles.
    prompt_price: of a million prompt tokens, in any currency.
    completion_price: of a million tokens of replies.
    budget: no question is begun once so much was spent; 0 for no limit.
    cache: file of replies; "" keeps them in memory.
  """

  url: str
  model: str
  api_key_env: str = ""
  template: str = judges.PAIR_TEMPLATE
  temperature: float = 0.0
  max_tokens: int = 512
  seed: int = 0
  timeout: float = 60.0
  tries: int = 6
  readings: int = 2
  concurrency: int = 16
  rate: float = 0.0
  backoff: float = 1.0
  prompt_price: float = 0.0
  completion_price: float = 0.0
  budget: float = 0.0
  cache: str = ""

  def __post_init__(self):
    """Checks the numbers."""
    for name, low in (
      ("max_tokens", 1),
      ("tries", 1),
      ("readings", 1),
      ("concurrency", 1),
      ("timeout", 1e-3),
      ("temperature", 0),
      ("rate", 0),
      ("backoff", 0),
      ("prompt_price", 0),
      ("completion_price", 0),
      ("budget", 0),
    ):
      if not getattr(self, name) >= low:
        raise errors.ConfigError(
          f"judge.{name}: {getattr(self, name)} is below {low}"
        )


@dataclasses.dataclass
class Account:
  """What asking has cost so far.

  Attributes:
    asked: requests sent.
    cached: verdicts that needed none.
    faults: kind -> how many replies were faults.
    unreadable: replies without a verdict.
    prompt_tokens, completion_tokens: as the server counted them.
    cost: in the currency of the prices.
    left_out: id -> why.
  """

  asked: int = 0
  cached: int = 0
  faults: collections.Counter = dataclasses.field(
    default_factory=collections.Counter
  )
  unreadable: int = 0
  prompt_tokens: int = 0
  completion_tokens: int = 0
  cost: float = 0.0
  left_out: dict[str, str] = dataclasses.field(default_factory=dict)

  def summary(self) -> str:
    """One line."""
    faults = ", ".join(f"{n} {kind}" for kind, n in self.faults.most_common())
    return (
      f"{self.asked} requests, {self.cached} from the cache,"
      f" {self.prompt_tokens:,} + {self.completion_tokens:,} tokens, cost"
      f" {self.cost:.4g}; faults: {faults or 'none'}; {self.unreadable} replies"
      f" without a verdict; {len(self.left_out)} left out"
    )


class _Pace:
  """Spaces the starts of requests evenly."""

  def __init__(self, rate: float):
    self._gap = 1.0 / rate if rate else 0.0
    self._next = 0.0

  async def wait(self) -> None:
    if not self._gap:
      return
    now = time.monotonic()
    start = max(now, self._next)
    self._next = start + self._gap
    await asyncio.sleep(start - now)


def _jitter(name: str, attempt: int) -> float:
  """Between 0.5 and 1.5, the same in every run."""
  digest = hashlib.sha256(f"{name}/{attempt}".encode()).digest()
  return 0.5 + digest[0] / 255


class HttpJudge:
  """A judge behind an address; see `Options`.

  Args:
    options: how it is asked.

  Raises:
    ConfigError: the address or the key cannot be used.
  """

  def __init__(self, options: Options):
    self.name = options.model
    self.options = options
    self._key = chat_server.read_key(options.api_key_env)
    self._where = chat_server.address(
      options.url, with_key=self._key is not None
    )
    self._cache = reply_cache.ReplyCache(options.cache or ":memory:")
    self._pace = _Pace(options.rate)
    self._refused = 0
    self._pool = concurrent.futures.ThreadPoolExecutor(
      options.concurrency, thread_name_prefix="judge"
    )
    self._said: collections.Counter = collections.Counter()
    self.account = Account()

  def __repr__(self) -> str:
    return f"HttpJudge({self.name!r} at {self._where.host})"

  def compare(self, items: Sequence[judges.Comparison]) -> list[judges.Verdict]:
    """See `Judge.compare`.

    Raises:
      ConfigError: the server refuses everything: a wrong key, model or path.
    """
    return asyncio.run(self._each(self._verdict, items))

  def write(self, questions: Sequence[str]) -> list[str | None]:
    """Replies to questions in words; None where none came.

    The same question gets another reply every time it is asked, so that
    who cannot read one may ask again.

    Raises:
      ConfigError: the server refuses everything.
    """
    return asyncio.run(self._each(self._reply, questions))

  def __call__(self, question: str) -> str:
    """One reply, "" where none came: a judge for `annotate`."""
    return self.write([question])[0] or ""

  async def _reply(self, text: str) -> str | None:
    question = self._question(text, self._said[text])
    self._said[text] += 1
    name = reply_cache.key({"path": self._where.path, **question})
    known = self._cache.get(name)
    if known is not None:
      self.account.cached += 1
      return known
    reply, status, reason = await self._answer(question, name)
    if reply is None:
      self.account.left_out[name[:12]] = f"{status}: {reason}"
    else:
      self._cache.put(name, reply)
    return reply

  async def _each(self, what, items):
    gate = asyncio.Semaphore(self.options.concurrency)

    async def one(item):
      async with gate:
        return await what(item)

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
      return list(await asyncio.gather(*tasks))
    finally:
      for task in tasks:
        task.cancel()

  def _question(self, text: str, reading: int) -> dict[str, Any]:
    options = self.options
    return {
      "model": options.model,
      "messages": [{"role": "user", "content": text}],
      "temperature": options.temperature,
      "max_tokens": options.max_tokens,
      "seed": options.seed + reading,
      "stream": False,
    }

  async def _verdict(self, item: judges.Comparison) -> judges.Verdict:
    status, reason = judges.UNPARSED, "no verdict in the reply"
    for reading in range(self.options.readings):
      text = judges.fill(self.options.template, item)
      question = self._question(text, reading)
      name = reply_cache.key({"path": self._where.path, **question})
      text = self._cache.get(name)
      known = text is not None
      if not known:
        text, status, reason = await self._answer(question, name)
        if text is None:
          break
      found = judges.read_verdict(text)
      if found is None:
        self.account.unreadable += 1
        status, reason = judges.UNPARSED, "no verdict in the reply"
        continue
      if known:
        self.account.cached += 1
      else:
        self._cache.put(name, text)
      return judges.Verdict(first=found, reply=text)
    self.account.left_out[item.id] = f"{status}: {reason}"
    return judges.Verdict(first=None, status=status, reason=reason)

  async def _answer(self, question, name: str) -> tuple[str | None, str, str]:
    """(reply or None, status, reason)."""
    options, account = self.options, self.account
    reason = ""
    for attempt in range(options.tries):
      if options.budget and account.cost >= options.budget:
        return (
          None,
          judges.SKIPPED,
          f"the budget of {options.budget:g} is spent",
        )
      await self._pace.wait()
      account.asked += 1
      try:
        reply = await asyncio.get_running_loop().run_in_executor(
          self._pool,
          chat_server.ask,
          self._where,
          question,
          self._key,
          options.timeout,
        )
      except chat_server.Fault as fault:
        account.faults[fault.kind] += 1
        reason = str(fault)
        self._give_up_if_hopeless(fault)
        if not fault.again:
          break
        if attempt + 1 < options.tries:
          wait = options.backoff * 2**attempt * _jitter(name, attempt)
          await asyncio.sleep(min(max(wait, fault.wait or 0.0), _MAX_WAIT))
        continue
      self._refused = -1  # it answers
      account.prompt_tokens += reply.prompt_tokens
      account.completion_tokens += reply.completion_tokens
      account.cost += (
        options.prompt_price * reply.prompt_tokens
        + options.completion_price * reply.completion_tokens
      ) / 1e6
      return reply.text, judges.OK, ""
    return None, judges.FAILED, reason

  def _give_up_if_hopeless(self, fault: chat_server.Fault) -> None:
    """Ends a run that cannot begin; one that has begun goes on.

    Raises:
      ConfigError: the server has refused everything so far.
    """
    if not fault.hopeless or self._refused < 0:
      return
    self._refused += 1
    if self._refused >= _HOPELESS_AFTER:
      raise errors.ConfigError(
        f"judge {self.name!r} at {self._where.host}: {fault}; check the"
        " address, the model and the key"
      )
