# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A judge behind an address, against a server that does everything wrong."""

import contextlib
import pathlib
import subprocess
import sys
import time

import pytest

from prefjax.core import errors
from prefjax.feedback import chat_server, http_judge, judges, reply_cache

_SERVER = pathlib.Path(__file__).with_name("judge_server.py")
FAULTS = (
  "timeout drip 429 500 503 malformed html error shape list no_choices empty"
  " length unread both quoted cut stream reset"
).split()


@contextlib.contextmanager
def _server(tmp_path, faults=()):
  """Base address of a server in a process of its own."""
  port = tmp_path / f"port-{time.monotonic_ns()}"
  process = subprocess.Popen(
    [sys.executable, str(_SERVER), str(port), ",".join(faults)]
  )
  try:
    end = time.monotonic() + 30
    while not port.exists():
      assert process.poll() is None and time.monotonic() < end
      time.sleep(0.02)
    yield f"http://127.0.0.1:{port.read_text()}/v1"
  finally:
    process.kill()
    process.wait()


def _items(number, faults="2"):
  """Comparisons; the longer answer is the better one."""
  out = []
  for i in range(number):
    first, second = "a" * (3 + i % 5), "b" * (3 + i % 3)
    out.append(
      judges.Comparison(
        id=f"item{i}",
        prompt=f"Question {i}, faults={faults}",
        first=first,
        second=second,
      )
    )
  return out


def _right(item):
  a, b = len(item.first), len(item.second)
  return 0.5 if a == b else float(a > b)


def _judge(url, **options):
  settings = dict(
    url=url, model="m", timeout=0.4, backoff=0.002, concurrency=48, tries=30
  )
  return http_judge.HttpJudge(http_judge.Options(**{**settings, **options}))


def test_a_thousand_faulty_replies(tmp_path):
  """None crashes the run, none is scored wrong, none is lost unnamed."""
  items = [*_items(190, "5"), *_items(230, "always")[190:]]
  with _server(tmp_path, FAULTS) as url:
    judge = _judge(url, tries=8, readings=6)
    said = judge.compare(items)
  account = judge.account
  faulty = sum(account.faults.values()) + account.unreadable
  assert faulty >= 1000
  assert {"timeout", "status", "malformed", "cut", "empty", "connection"} <= (
    set(account.faults)
  )
  assert account.unreadable > 50
  left_out = set()
  for item, verdict in zip(items, said, strict=True):
    if verdict.first is None:
      left_out.add(item.id)
      assert verdict.status in (judges.UNPARSED, judges.FAILED)
      assert verdict.reason
    else:
      assert verdict.first == _right(item), item.id
  assert set(account.left_out) == left_out
  # Those that are always answered wrongly, and no great part of the others.
  assert left_out >= {item.id for item in items[190:]}
  assert len(left_out) < 60


def test_both_orders_and_the_report(tmp_path):
  with _server(tmp_path, ["500", "unread"]) as url:
    items = [*_items(6, "1"), *_items(8, "always")[6:]]
    judge = _judge(url, tries=3, readings=3)
    found = judges.compare_both_orders(judge, items)
  assert set(found.ids) == {f"item{i}" for i in range(6)}
  assert found.first.tolist() == [_right(item) for item in items[:6]]
  assert set(found.left_out) == {"item6", "item7"}
  assert "6 judged" in found.summary()


def test_replies_are_kept_and_paid_once(tmp_path):
  items = _items(10, "0")
  cache = str(tmp_path / "replies.sqlite")
  with _server(tmp_path) as url:
    prices = dict(prompt_price=2.0, completion_price=10.0)
    first = _judge(url, cache=cache, **prices)
    said = first.compare(items)
    assert first.account.asked == 10 and first.account.prompt_tokens == 1000
    # 10 questions of 100 + 10 tokens.
    assert first.account.cost == pytest.approx(10 * (200 + 100) / 1e6)
    again = _judge(url, cache=cache)
    assert again.compare(items) == said
    assert again.account.asked == 0 and again.account.cached == 10
    other = _judge(url, cache=cache, temperature=0.5)
    other.compare(items[:2])
    assert other.account.asked == 2  # another question
  # Without any server, from the file alone.
  offline = _judge(url, cache=cache)
  assert offline.compare(items) == said


def test_a_budget_ends_the_asking_not_the_run(tmp_path):
  with _server(tmp_path) as url:
    judge = _judge(
      url, prompt_price=1e4, budget=3.0, concurrency=1
    )  # a question costs 1
    said = judge.compare(_items(6, "0"))
  assert [v.status for v in said] == ["ok"] * 3 + ["skipped"] * 3
  assert "budget" in said[-1].reason and judge.account.asked == 3


def test_a_rate_limit_spaces_requests(tmp_path):
  with _server(tmp_path) as url:
    start = time.monotonic()
    _judge(url, rate=20.0).compare(_items(9, "0"))
    assert time.monotonic() - start >= 8 / 20


def test_a_server_that_refuses_everything_ends_the_run(tmp_path):
  with _server(tmp_path, ["401"]) as url:
    with pytest.raises(errors.ConfigError, match="HTTP 401.*the key"):
      _judge(url).compare(_items(5, "always"))


def test_refusals_after_answers_are_left_out(tmp_path):
  with _server(tmp_path, ["404"]) as url:
    judge = _judge(url, concurrency=1)
    said = judge.compare([*_items(1, "0"), *_items(7, "always")[1:]])
  assert said[0].status == "ok"
  assert [v.status for v in said[1:]] == ["failed"] * 6
  assert judge.account.asked == 7  # a 404 is not asked again


def test_the_key_stays_secret(tmp_path, monkeypatch, caplog, capsys):
  monkeypatch.setenv("JUDGE_KEY", "sk-very-secret")
  with _server(tmp_path, ["500"]) as url:
    judge = _judge(url, api_key_env="JUDGE_KEY", tries=2)
    said = judge.compare(_items(3, "always"))
    with pytest.raises(errors.ConfigError) as caught:
      with _server(tmp_path, ["401"]) as other:
        _judge(other, api_key_env="JUDGE_KEY").compare(_items(4, "always"))
  shown = [
    repr(judge),
    repr(judge.options),
    repr(judge.account),
    judge.account.summary(),
    str(caught.value),
    caplog.text,
    *(str(v) for v in said),
    *capsys.readouterr(),
  ]
  assert "Bearer [key]" in said[0].reason  # the server said it
  assert not any("very-secret" in text for text in shown)


def test_a_judge_of_words(tmp_path):
  with _server(tmp_path, ["500"]) as url:
    judge = _judge(url, tries=2)
    assert "[[tie]]" in judge("Say something, faults=1")
    assert judge("Say something, faults=always") == ""
    assert judge.write(["a", "b"]) == [judge("a"), judge("b")]
  assert len(judge.account.left_out) == 1


@pytest.mark.parametrize(
  "url, message",
  [
    ("localhost:8000", "is no address"),
    ("ftp://x/v1", "is no address"),
    ("http://u:p@localhost/v1", "user or password"),
    ("http://example.com/v1", "unencrypted"),
    ("http://localhost:99999/v1", "no valid port"),
  ],
)
def test_addresses_that_are_refused(url, message, monkeypatch):
  monkeypatch.setenv("JUDGE_KEY", "k")
  with pytest.raises(errors.ConfigError, match=message):
    _judge(url, api_key_env="JUDGE_KEY")


def test_addresses():
  def path(url):
    return chat_server.address(url, with_key=False).path

  for url in ("http://h", "http://h/", "http://h/v1", "http://h/v1/"):
    assert path(url) == "/v1/chat/completions"
  assert path("http://h/a/v2/chat/completions") == "/a/v2/chat/completions"
  assert chat_server.address("https://h", with_key=True).port == 443


def test_a_missing_key_is_named(monkeypatch):
  monkeypatch.delenv("JUDGE_KEY", raising=False)
  for value in (None, " ", "a\nb"):
    if value is not None:
      monkeypatch.setenv("JUDGE_KEY", value)
    with pytest.raises(errors.ConfigError, match="variable JUDGE_KEY holds no"):
      chat_server.read_key("JUDGE_KEY")
  assert chat_server.read_key("") is None


def test_damaged_replies_in_the_cache_count_as_missing(tmp_path):
  path = tmp_path / "replies.sqlite"
  cache = reply_cache.ReplyCache(path)
  cache.put("k", "[[1]]")
  assert cache.get("k") == "[[1]]" and cache.get("other") is None
  cache._db.execute("UPDATE replies SET reply = '[[2]]'")
  assert cache.get("k") is None
  cache.close()
  path.write_bytes(b"no database at all, but long enough to be one" * 100)
  with pytest.raises(errors.DataError, match="cache of replies"):
    reply_cache.ReplyCache(path)


@pytest.mark.parametrize("name", ["tries", "timeout", "readings", "rate"])
def test_numbers_that_are_refused(name):
  with pytest.raises(errors.ConfigError, match=f"judge.{name}: -1"):
    http_judge.Options(url="http://h", model="m", **{name: -1})
