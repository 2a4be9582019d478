# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Rollouts from a server with OpenAI's completion interface.

vLLM, SGLang and others serve it. Prompts are sent as token ids and tokens
come back as ids, where the server can say them ("token_ids", or tokens
written "token_id:N"); where it cannot, the text is tokenised again, which may
cut it in other places than the model did. Log-probs are those that the server
reports, by default those of the model before temperature and truncation.
"""

import concurrent.futures
import http.client
import json
import math
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from prefjax.core import errors
from prefjax.generation import decoding, engine, sampling

_TOKEN = "token_id:"
_LENGTH, _EOS, _STOP = range(3)  # places in decoding.FINISH_REASONS
_TRIES = 3
_MAX_ID = 1 << 31
_LOCAL = ("localhost", "127.0.0.1", "::1")
_MAX_REPLY = 64 << 20  # bytes


def _seed(settings: engine.Settings, step: int, prompt_id: int) -> int:
  """A number of 31 bits for one prompt's draws."""
  words = np.random.SeedSequence([settings.seed, step, prompt_id])
  return int(words.generate_state(1)[0] >> 1)


class CompletionEngine:
  """A `RolloutEngine` on a server.

  Args:
    url: of the server, e.g. "http://localhost:8000"; "/v1/completions" is
      added.
    model: name of the model on the server.
    encode: text -> token ids, for servers that do not tell ids.
    reload: called with the folder that new weights were written to, before
      the next samples; None leaves the server's weights alone. See
      `reload_from_disk`.
    export: (weights, lora) -> that folder.
    concurrency: requests at a time.
    timeout: seconds a request may take.
    logprobs: "raw" where the server reports the model's own log-probs,
      "processed" where those of the sampling distribution.

  Raises:
    ConfigError: the address is none.
  """

  def __init__(
    self,
    url: str,
    model: str,
    encode: Callable[[str], Sequence[int]],
    *,
    reload: Callable[[str], None] | None = None,
    export: Callable[[Any, Any], str] | None = None,
    concurrency: int = 16,
    timeout: float = 600.0,
    logprobs: str = "raw",
  ):
    if not url.startswith(("http://", "https://")):
      raise errors.ConfigError(
        f"rl.engine: {url!r} is neither 'own' nor an address such as"
        " http://localhost:8000"
      )
    if logprobs not in ("raw", "processed"):
      raise errors.ConfigError(
        f"logprobs={logprobs!r} is neither 'raw' nor 'processed'"
      )
    self._url = url.rstrip("/").removesuffix("/v1") + "/v1/completions"
    self._model, self._encode = model, encode
    self._reload, self._export = reload, export
    self._concurrency, self._timeout = concurrency, timeout
    self._logprobs = logprobs

  def load(self, weights: Any, lora: Any = None) -> None:
    """Writes the weights and has the server read them, where it can."""
    if self._reload is not None and self._export is not None:
      self._reload(self._export(weights, lora))

  def sample(
    self,
    prompts: Sequence[Sequence[int]],
    settings: engine.Settings,
    *,
    step: int = 0,
    prompt_ids: Sequence[int] | None = None,
    partner: decoding.Partner | None = None,
  ) -> sampling.Generations:
    """See `RolloutEngine.sample`; a server mixes in no second model.

    Raises:
      ConfigError: a partner is asked for.
      TrainingError: the server does not answer, or not as it should.
    """
    if partner is not None:
      raise errors.ConfigError("rl.engine: a server cannot mix two models")
    ids = range(len(prompts)) if prompt_ids is None else prompt_ids
    bodies = [
      self._body(prompt, settings, _seed(settings, step, int(i)))
      for prompt, i in zip(prompts, ids, strict=True)
    ]
    with concurrent.futures.ThreadPoolExecutor(self._concurrency) as pool:
      replies = list(
        pool.map(lambda b: post(self._url, b, self._timeout), bodies)
      )
    return self.read(replies, settings)

  def read(
    self, replies: Sequence[dict], settings: engine.Settings
  ) -> sampling.Generations:
    """The samples in the server's replies, one a prompt.

    Raises:
      TrainingError: a reply is not as it should be.
    """
    shape = (len(replies), settings.num_samples, settings.max_new_tokens)
    out = sampling.Generations(
      tokens=np.zeros(shape, np.int32),
      lengths=np.zeros(shape[:2], np.int32),
      logps=np.zeros(shape, np.float32),
      policy_logps=np.zeros(shape, np.float32),
      finish=np.zeros(shape[:2], np.int32),
    )
    for row, reply in enumerate(replies):
      choices = reply.get("choices")
      if not isinstance(choices, list) or len(choices) != shape[1]:
        raise self._odd(f"has not {shape[1]} choices")
      for place, choice in enumerate(choices):
        self._put(out, row, place, choice, settings)
    return out

  def _odd(self, reason: str) -> errors.TrainingError:
    return errors.TrainingError(f"{self._url}: the reply {reason}")

  def _body(self, prompt, settings: engine.Settings, seed: int) -> dict:
    body = {
      "model": self._model,
      "prompt": [int(token) for token in prompt],
      "max_tokens": settings.max_new_tokens,
      "n": settings.num_samples,
      "temperature": settings.temperature,
      "top_p": settings.top_p,
      "seed": seed,
      "logprobs": 1,
      # What follows is not OpenAI's; engines that know it do as asked.
      "stop_token_ids": list(settings.eos_ids),
      "skip_special_tokens": False,
      "include_stop_str_in_output": True,
      "return_token_ids": True,
      "return_tokens_as_token_ids": True,
    }
    if settings.top_k:
      body["top_k"] = settings.top_k
    if settings.min_p:
      body["min_p"] = settings.min_p
    if settings.repetition_penalty != 1.0:
      body["repetition_penalty"] = settings.repetition_penalty
    if settings.stop_texts:
      body["stop"] = list(settings.stop_texts)
    return body

  def _tokens(self, choice: dict) -> tuple[list[int], list[float]]:
    """(ids, log-probs) of a choice, NaN where there is none."""
    found = choice.get("logprobs") or {}
    names, logps = found.get("tokens"), found.get("token_logprobs") or []
    ids = choice.get("token_ids")
    if ids is None and names and all(n.startswith(_TOKEN) for n in names):
      ids = [int(name[len(_TOKEN) :]) for name in names]
    if ids is None:
      ids = list(self._encode(choice.get("text", "")))
    ids = [int(i) for i in ids]
    if not all(0 <= i < _MAX_ID for i in ids):
      raise ValueError("a token id is out of range")
    values = [math.nan if value is None else float(value) for value in logps]
    if len(values) != len(ids):
      values = [math.nan] * len(ids)
    return ids, values

  def _put(self, out, row, place, choice, settings: engine.Settings) -> None:
    try:
      ids, logps = self._tokens(choice)
      reason = choice["finish_reason"]
    except (
      ArithmeticError,
      AttributeError,
      LookupError,
      TypeError,
      ValueError,
    ) as error:
      said = f"{type(error).__name__}: {error}"[:200]
      raise self._odd(f"cannot be understood ({said!r})") from None
    finish = _LENGTH
    if reason == "stop":
      ended = bool(ids) and ids[-1] in settings.eos_ids
      finish = _EOS if ended or not settings.stop_texts else _STOP
      if finish == _EOS and not ended and settings.eos_ids:
        # The server left the token out that the model ended with.
        ids, logps = [*ids, settings.eos_ids[0]], [*logps, math.nan]
    elif reason != "length":
      raise self._odd(f"ended with {reason!r}")
    ids = ids[: settings.max_new_tokens]
    if not ids:
      raise self._odd("holds an empty response")
    number = len(ids)
    own = np.asarray(logps[:number], np.float32)
    out.tokens[row, place, :number] = ids
    out.lengths[row, place] = number
    out.finish[row, place] = finish
    plain = settings.temperature == 1.0 and not (
      settings.top_k
      or settings.top_p < 1
      or settings.min_p
      or settings.repetition_penalty != 1.0
    )
    unknown = np.full(number, np.nan, np.float32)
    is_raw = self._logprobs == "raw"
    out.policy_logps[row, place, :number] = own if is_raw or plain else unknown
    out.logps[row, place, :number] = own if not is_raw or plain else unknown


def post(url: str, body: dict, timeout: float) -> dict:
  """The JSON object that a server answers with.

  A server that is busy or starting is asked again, twice.

  Raises:
    TrainingError: it refuses, is not there, or answers something else.
  """
  headers = {"Content-Type": "application/json"}
  key = os.environ.get("OPENAI_API_KEY")
  where = urllib.parse.urlsplit(url)
  # Never in the clear, but to this machine.
  if key and (where.scheme == "https" or where.hostname in _LOCAL):
    headers["Authorization"] = f"Bearer {key}"
  request = urllib.request.Request(  # noqa: S310 - http(s) by the caller
    url, json.dumps(body).encode(), headers
  )
  reason = ""
  for attempt in range(_TRIES):
    if attempt:
      time.sleep(2.0 ** (attempt - 1))
    try:
      with urllib.request.urlopen(request, timeout=timeout) as reply:  # noqa: S310
        data = json.loads(reply.read(_MAX_REPLY))
      if not isinstance(data, dict):
        raise ValueError("not an object")
      return data
    except urllib.error.HTTPError as error:
      reason = f"{error.code} {error.read(300).decode(errors='replace')}"
      if error.code < 500 and error.code != 429:
        break
    except (
      OSError,
      ValueError,
      RecursionError,
      http.client.HTTPException,
    ) as error:
      reason = str(error) or type(error).__name__
  reason = " ".join(reason.split())[:300]
  if key:  # a server may give back what it was sent
    reason = reason.replace(key, "[key]")
  raise errors.TrainingError(f"{url}: the server does not answer ({reason})")


def reload_from_disk(url: str, timeout: float = 600.0) -> Callable[[str], None]:
  """Has an SGLang server read weights from a folder that both can see.

  Args:
    url: of the server.
    timeout: seconds it may take.
  """
  address = url.rstrip("/").removesuffix("/v1") + "/update_weights_from_disk"

  def reload(folder: str) -> None:
    reply = post(address, {"model_path": folder}, timeout)
    if reply.get("success") is False:
      raise errors.TrainingError(
        f"{address}: refused the weights in {folder}: {reply.get('message')}"
      )

  return reload
