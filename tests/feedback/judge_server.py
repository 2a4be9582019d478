# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A chat server of its own process that misbehaves on request.

  python judge_server.py PORT_FILE FAULTS

The longer of the two answers is the better one, so a client can tell a wrong
score from none. Every question is answered with faults first, drawn from
FAULTS (names with commas) by a hash of the question, as many as the number
after "faults=" in the prompt says; then rightly. "faults=always" never is.
"""

import hashlib
import http.server
import json
import pathlib
import re
import socket
import struct
import sys
import threading
import time

_TEXTS = re.compile(
  r"\[Question\]\n(.*?)\n\n\[Answer 1\]\n(.*?)\n\n\[Answer 2\]\n(.*?)\n\nGive",
  re.DOTALL,
)


def _verdict(text: str) -> str:
  match = _TEXTS.search(text)
  if match is None:
    return "[[tie]]"
  first, second = len(match[2]), len(match[3])
  if first == second:
    return "[[tie]]"
  return "[[1]]" if first > second else "[[2]]"


class _State:
  seen: dict = {}
  lock = threading.Lock()
  faults: tuple = ()
  counts: dict = {}


class Handler(http.server.BaseHTTPRequestHandler):
  protocol_version = "HTTP/1.1"

  def log_message(self, *words):
    del words

  def _json(self, value, status=200, headers=()):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    self.send_response(status)
    self.send_header("Content-Type", "application/json")
    self.send_header("Content-Length", str(len(body)))
    self.send_header("Connection", "close")
    for name, text in headers:
      self.send_header(name, text)
    self.end_headers()
    self.wfile.write(body)

  def _good(self, text, reason="stop"):
    return {
      "choices": [
        {
          "message": {"role": "assistant", "content": text},
          "finish_reason": reason,
        }
      ],
      "usage": {"prompt_tokens": 100, "completion_tokens": 10},
    }

  def do_GET(self):
    with _State.lock:
      self._json({"counts": _State.counts, "auth": _State.counts.get("auth")})

  def do_POST(self):
    size = int(self.headers["Content-Length"])
    question = json.loads(self.rfile.read(size))
    text = question["messages"][0]["content"]
    right = f"The other is shorter.\n{_verdict(text)}"
    key = hashlib.sha256(text.encode()).hexdigest()
    wanted = re.search(r"faults=(\w+)", text)
    most = wanted[1] if wanted else "0"
    with _State.lock:
      number = _State.seen.get(key, 0)
      _State.seen[key] = number + 1
    fault = "none"
    if _State.faults and (most == "always" or number < int(most)):
      pick = int(key[:8], 16) + number
      fault = _State.faults[pick % len(_State.faults)]
    with _State.lock:
      _State.counts[fault] = _State.counts.get(fault, 0) + 1
    try:
      self._do(fault, right, text)
    except (BrokenPipeError, ConnectionResetError):
      self.close_connection = True

  def _do(self, fault, right, text):
    other = right.translate(str.maketrans("12", "21"))
    if fault == "none":
      self._json(self._good(right))
    elif fault == "timeout":
      time.sleep(3)
      self._json(self._good(other))
    elif fault == "drip":
      self.send_response(200)
      self.end_headers()
      for byte in b"{" * 60:
        self.wfile.write(bytes([byte]))
        self.wfile.flush()
        time.sleep(0.05)
    elif fault in ("429", "500", "503", "401", "404", "400"):
      # A server that repeats the key must not get it into a log.
      auth = self.headers.get("Authorization", "")
      wait = [("Retry-After", "0")] if fault == "429" else ()
      self._json({"error": f"no, {auth}"}, int(fault), wait)
    elif fault == "malformed":
      self._json(b'{"choices": [{"message": {"content": "[[1]]"')
    elif fault == "html":
      self._json(b"<html>[[1]]</html>")
    elif fault == "error":
      self._json({"error": {"message": "overloaded [[2]]"}})
    elif fault == "shape":
      self._json({"choices": [{"text": other, "finish_reason": "stop"}]})
    elif fault == "list":
      self._json(self._good([{"type": "text", "text": other}]))
    elif fault == "no_choices":
      self._json({"choices": []})
    elif fault == "empty":
      self._json(self._good("  "))
    elif fault == "length":
      self._json(self._good(other, "length"))
    elif fault == "unread":
      self._json(self._good("Both are fine, I would say answer 1."))
    elif fault == "both":
      self._json(self._good("[[1]]\n[[2]]"))
    elif fault == "quoted":
      self._json(self._good(f"It says {other.splitlines()[-1]} itself.\nWell."))
    elif fault == "cut":
      body = json.dumps(self._good(other)).encode()
      self.send_response(200)
      self.send_header("Content-Length", str(len(body) + 50))
      self.send_header("Connection", "close")
      self.end_headers()
      self.wfile.write(body)
      self.close_connection = True
    elif fault == "stream":  # half of the chunks
      body = json.dumps(self._good(other)).encode()
      self.send_response(200)
      self.send_header("Transfer-Encoding", "chunked")
      self.end_headers()
      self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
      self.wfile.flush()
      self.close_connection = True
    elif fault == "reset":
      linger = struct.pack("ii", 1, 0)
      self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
      self.close_connection = True
      self.connection.shutdown(socket.SHUT_RDWR)
    else:
      raise AssertionError(f"unknown fault {fault} for {text[:40]}")


class Server(http.server.ThreadingHTTPServer):
  request_queue_size = 256
  daemon_threads = True

  def handle_error(self, request, client_address):
    del request, client_address


def main() -> None:
  _State.faults = tuple(f for f in sys.argv[2].split(",") if f)
  server = Server(("127.0.0.1", 0), Handler)
  path = pathlib.Path(sys.argv[1])
  scratch = path.with_suffix(".partial")
  scratch.write_text(str(server.server_address[1]))
  scratch.rename(path)
  server.serve_forever(0.05)


if __name__ == "__main__":
  main()
