# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Keys and private text stay where they are; folders are the owner's alone."""

import http.server
import json
import os
import stat
import threading

import pytest
import run_support

from prefjax.core import errors
from prefjax.generation import completion_server

_KEY = "sk-0123456789abcdef"


class _Server(http.server.BaseHTTPRequestHandler):
  """Says back what it was sent."""

  seen: list[str] = []
  broken = False

  def do_POST(self):  # noqa: N802 - the base class's name
    sent = self.headers.get("Authorization", "")
    self.seen.append(sent)
    data = f"no {sent}".encode()
    self.send_response(200 if self.broken else 401)
    self.send_header("Content-Length", str(len(data) + 50 * self.broken))
    self.end_headers()
    self.wfile.write(data)

  def log_message(self, *arguments):
    pass


@pytest.fixture
def server():
  made = http.server.HTTPServer(("127.0.0.1", 0), _Server)
  thread = threading.Thread(target=made.serve_forever, daemon=True)
  thread.start()
  yield f"http://127.0.0.1:{made.server_port}"
  made.shutdown()


def test_a_key_that_a_server_says_back_is_not_shown(server, monkeypatch):
  monkeypatch.setenv("OPENAI_API_KEY", _KEY)
  with pytest.raises(errors.TrainingError, match="401") as caught:
    completion_server.post(f"{server}/v1/completions", {}, 5.0)
  assert _KEY in _Server.seen[-1]
  assert _KEY not in str(caught.value) and "[key]" in str(caught.value)


def test_a_reply_that_breaks_off_is_one_line(server, monkeypatch):
  monkeypatch.setattr(_Server, "broken", True)
  monkeypatch.setattr(completion_server.time, "sleep", lambda seconds: None)
  with pytest.raises(errors.TrainingError, match="does not answer"):
    completion_server.post(f"{server}/v1/completions", {}, 5.0)


def test_a_key_never_travels_in_the_clear(monkeypatch):
  monkeypatch.setenv("OPENAI_API_KEY", _KEY)
  sent = []

  def refuse(request, timeout):
    sent.append(request.get_header("Authorization"))
    raise OSError("stop here")

  monkeypatch.setattr(completion_server.urllib.request, "urlopen", refuse)
  monkeypatch.setattr(completion_server.time, "sleep", lambda seconds: None)
  for url in ("http://203.0.113.7/v1", "https://203.0.113.7/v1"):
    with pytest.raises(errors.TrainingError):
      completion_server.post(url, {}, 1.0)
  assert sent == [None] * 3 + [f"Bearer {_KEY}"] * 3


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """A small run with a key in the environment and odd words in its data."""
  folder = tmp_path_factory.mktemp("private")
  data = folder / "pairs.jsonl"
  rows = [
    {"prompt": f"private {i}?", "chosen": f"yes {i}", "rejected": "zebra"}
    for i in range(16)
  ]
  data.write_text("".join(json.dumps(row) + "\n" for row in rows))
  with pytest.MonkeyPatch.context() as patch:
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"):
      patch.setenv(name, _KEY)
    config = run_support.config(
      data={"train": str(data), "language": {}},
      train={"steps": 2},
      log={"report": True},
    )
    before = os.umask(0o022)
    try:
      run_support.train(config, folder / "run")
    finally:
      os.umask(before)
  return folder / "run"


def _files(run):
  return [path for path in run.rglob("*") if path.is_file()]


def test_no_key_in_any_file(run):
  assert len(_files(run)) > 8
  assert not [p for p in _files(run) if _KEY.encode() in p.read_bytes()]


def test_logs_hold_no_text_of_records(run):
  for name in ("metrics.jsonl", "events.jsonl", "config.json"):
    text = (run / name).read_text()
    assert "private" not in text.replace(str(run.parent), ""), name
    assert "zebra" not in text, name


def test_only_the_owner_enters(run):
  assert stat.S_IMODE(run.stat().st_mode) == 0o700
  assert stat.S_IMODE((run / "checkpoints").stat().st_mode) == 0o700
  assert stat.S_IMODE((run / "events.jsonl").stat().st_mode) == 0o600
