# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""One question to a server with OpenAI's chat interface, whatever it does.

Every way in which a reply can be wrong has a name (`Fault`), and says whether
asking again may help. Nothing here guesses: a reply is whole, or it is a
fault. A key comes from the environment, goes into one header and nowhere
else: what a server says is cleared of it before anybody sees it.
"""

import dataclasses
import http.client
import json
import os
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

from prefjax.core import errors

_MAX_REPLY = 8 << 20  # bytes
_CHUNK = 65536
_LOCAL = ("localhost", "127.0.0.1", "::1")
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
# The server says that no question will ever be answered like this.
_HOPELESS = frozenset({401, 403, 404, 405})


class Fault(Exception):  # noqa: N818 - a reply, not an error of ours
  """A reply that is none.

  Attributes:
    kind: "timeout", "connection", "status", "malformed", "cut" or "empty".
    again: whether asking again may help.
    wait: seconds that the server asks to wait, or None.
    hopeless: whether it will be so for every question.
  """

  def __init__(
    self,
    kind: str,
    text: str,
    *,
    again: bool = True,
    wait: float | None = None,
    hopeless: bool = False,
  ):
    super().__init__(text)
    self.kind, self.again, self.wait = kind, again, wait
    self.hopeless = hopeless


@dataclasses.dataclass(frozen=True)
class Reply:
  """A whole reply.

  Attributes:
    text: what the model said.
    prompt_tokens: as the server counts, 0 where it does not say.
    completion_tokens: the same of the reply.
  """

  text: str
  prompt_tokens: int
  completion_tokens: int


@dataclasses.dataclass(frozen=True)
class Address:
  """Where a server is.

  Attributes:
    host, port, path: of the interface.
    secure: whether it is https.
  """

  host: str
  port: int
  path: str
  secure: bool


def address(url: str, *, with_key: bool) -> Address:
  """The chat interface under a base address such as https://host/v1.

  Raises:
    ConfigError: it is no http address, holds a password, or a key would
      travel in the clear.
  """
  parts = urllib.parse.urlsplit(url)
  if parts.scheme not in ("http", "https") or not parts.hostname:
    raise errors.ConfigError(
      f"judge: {url[:80]!r} is no address such as http://localhost:8000/v1"
    )
  if parts.username or parts.password:
    raise errors.ConfigError(
      "judge: the address holds a user or password; keys come from the"
      " environment"
    )
  secure = parts.scheme == "https"
  if with_key and not secure and parts.hostname not in _LOCAL:
    raise errors.ConfigError(
      f"judge: the key would travel unencrypted to {parts.hostname}; use https"
    )
  try:
    port = parts.port or (443 if secure else 80)
  except ValueError:
    raise errors.ConfigError(f"judge: {url[:80]!r} has no valid port") from None
  path = parts.path.rstrip("/").removesuffix("/chat/completions")
  return Address(
    parts.hostname, port, f"{path or '/v1'}/chat/completions", secure
  )


def read_key(variable: str) -> str | None:
  """The key in an environment variable; None for no variable.

  Raises:
    ConfigError: the variable is empty or holds a line break.
  """
  if not variable:
    return None
  value = os.environ.get(variable, "").strip()
  if not value or any(c in value for c in "\r\n\0"):
    raise errors.ConfigError(
      f"judge: the environment variable {variable} holds no key; export it, or"
      " set api_key_env to '' for a server without keys"
    )
  return value


def _clean(text: str, secret: str | None) -> str:
  """A server's words on one line, short, and without the key."""
  if secret:
    text = text.replace(secret, "[key]")
  return " ".join(text.split())[:200]


def _wait(headers: Mapping[str, str]) -> float | None:
  try:
    wait = float(headers.get("retry-after", ""))
  except ValueError:
    return None
  return wait if 0 <= wait < float("inf") else None


def _body(response, deadline: float) -> bytes:
  """The whole body, within the time left."""
  parts, size = [], 0
  while True:
    if time.monotonic() > deadline:
      raise Fault("timeout", "the reply took too long")
    part = response.read1(_CHUNK)
    if not part:
      break
    parts.append(part)
    size += len(part)
    if size > _MAX_REPLY:
      raise Fault("malformed", f"the reply is over {_MAX_REPLY >> 20} MiB")
  declared = response.getheader("content-length")
  if declared is not None and declared.isdigit() and size != int(declared):
    raise Fault("cut", f"{size} of {declared} bytes came")
  return b"".join(parts)


def _send(
  where: Address, body: bytes, secret: str | None, timeout: float
) -> tuple[int, dict[str, str], bytes]:
  """(status, headers, body) of one request.

  Raises:
    Fault: no whole reply came.
  """
  deadline = time.monotonic() + timeout
  if where.secure:
    connection: http.client.HTTPConnection = http.client.HTTPSConnection(
      where.host,
      where.port,
      timeout=timeout,
      context=ssl.create_default_context(),
    )
  else:
    connection = http.client.HTTPConnection(
      where.host, where.port, timeout=timeout
    )
  headers = {"Content-Type": "application/json", "Accept": "application/json"}
  if secret:
    headers["Authorization"] = f"Bearer {secret}"
  alarm = None
  try:
    connection.connect()
    # A server that drips would outlast the timeout of every single read.
    alarm = threading.Timer(
      max(deadline - time.monotonic(), 0.0), _hang_up, [connection.sock]
    )
    alarm.daemon = True
    alarm.start()
    connection.request("POST", where.path, body, headers)
    response = connection.getresponse()
    named = {k.lower(): v for k, v in response.getheaders()}
    return response.status, named, _body(response, deadline)
  except TimeoutError:
    raise Fault("timeout", f"no reply within {timeout:g} s") from None
  except Exception as error:
    if time.monotonic() >= deadline:
      raise Fault("timeout", f"no reply within {timeout:g} s") from None
    if isinstance(error, Fault):
      raise
    raise _fault_of(error) from None
  finally:
    if alarm is not None:
      alarm.cancel()
    connection.close()


def _hang_up(sock: socket.socket) -> None:
  try:
    sock.shutdown(socket.SHUT_RDWR)
  except OSError:
    return  # it is closed already


def _fault_of(error: Exception) -> Exception:
  """The fault that an error of the connection is; a bug stays itself."""
  if isinstance(error, http.client.IncompleteRead):
    return Fault("cut", "the reply broke off")
  known = (http.client.HTTPException, OSError, ValueError)
  if isinstance(error, known):
    kind = type(error).__name__
    return Fault("connection", f"the connection failed ({kind})")
  return error


def _count(usage: Any, name: str) -> int:
  value = usage.get(name) if isinstance(usage, Mapping) else None
  return value if type(value) is int and 0 <= value < 1 << 40 else 0


def parse(body: bytes, secret: str | None = None) -> Reply:
  """A reply out of the JSON of a server.

  Raises:
    Fault: it is no JSON, not whole, or says nothing.
  """
  try:
    value = json.loads(body)
  except (ValueError, RecursionError):
    raise Fault("malformed", "the reply is no JSON") from None
  if isinstance(value, Mapping) and value.get("error") is not None:
    raise Fault("malformed", _clean(f"error: {value['error']}", secret))
  try:
    choice = value["choices"][0]
    text = choice["message"]["content"]
    reason = choice.get("finish_reason")
  except (KeyError, IndexError, TypeError, AttributeError):
    raise Fault("malformed", "the reply has no choices[0].message") from None
  if not isinstance(text, str) or not text.strip():
    raise Fault("empty", "the model said nothing")
  if reason != "stop":
    raise Fault("cut", f"the model ended with {_clean(str(reason), secret)!r}")
  usage = value.get("usage")
  return Reply(
    text, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
  )


def ask(
  where: Address,
  question: Mapping[str, Any],
  secret: str | None,
  timeout: float,
) -> Reply:
  """Asks once.

  Raises:
    Fault: no whole reply came.
  """
  body = json.dumps(question, ensure_ascii=False).encode()
  status, headers, data = _send(where, body, secret, timeout)
  if status != 200:
    words = _clean(data[:1000].decode("utf-8", "replace"), secret)
    raise Fault(
      "status",
      f"HTTP {status}: {words}" if words else f"HTTP {status}",
      again=status in _AGAIN,
      wait=_wait(headers),
      hopeless=status in _HOPELESS,
    )
  return parse(data, secret)
