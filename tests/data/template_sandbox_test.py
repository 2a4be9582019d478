# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Templates are untrusted: escapes and bombs are refused, and quickly."""

import time

import pytest

from prefjax.core import errors
from prefjax.data import chat, template_budget, template_sandbox

MESSAGES = ({"role": "user", "content": "hi"}, {"role": "b", "content": "é<"})


def render(source, **variables):
  return template_sandbox.render(
    source,
    {
      "messages": [dict(m) for m in MESSAGES],
      "strftime_now": template_sandbox.dates(chat.TODAY),
      **variables,
    },
    seconds=5.0,
  )


ESCAPES = [
  "{{ ''.__class__.__mro__ }}",
  "{{ messages.__class__ }}",
  "{{ messages[0].__init__.__globals__ }}",
  "{{ messages['__class__'] }}",
  "{{ messages|attr('__class__') }}",
  "{{ messages|map(attribute='__class__')|list }}",
  "{{ messages|map('attr', '__class__')|list }}",
  "{{ messages|groupby('__class__') }}",
  "{{ '{0.__class__}'.format(messages) }}",
  "{{ '{m.__class__}'.format_map({'m': messages}) }}",
  "{{ 'x'.format.__self__ }}",
  "{{ self.__init__.__globals__ }}",
  "{{ self._TemplateReference__context }}",
  "{{ raise_exception.__globals__ }}",
  "{{ strftime_now.__closure__ }}",
  "{{ strftime_now.__wrapped__ }}",
  "{{ cycler.__init__.__globals__.os }}",
  "{{ namespace.__init__.__globals__ }}",
  "{{ range.__doc__ }}",
  "{{ joiner.__mro__ }}",
  "{% macro f() %}{% endmacro %}{{ f._func }}",
  "{% for m in messages %}{{ loop._iterable }}{% endfor %}",
  "{{ (1).__class__ }}",
  "{{ none.__class__ }}",
  "{% include '/etc/passwd' %}",
  "{% import 'os' as os %}",
  "{% from 'os' import system %}",
  "{% extends 'base' %}",
  "{% block x %}{% endblock %}",
  "{% autoescape true %}{% endautoescape %}",
  "{{ messages.append(1) }}",
  "{{ messages.clear() }}",
  "{{ messages[0].update(a=1) }}",
  "{{ messages[0].pop('role') }}",
  "{% set messages[0] = 1 %}",
  "{% set messages.x = 1 %}",
  "{{ messages|_emit }}",
  "{{ lipsum(5) }}",
  "{{ messages|pprint }}",
  "{{ messages|random }}",
]


@pytest.mark.parametrize("source", ESCAPES)
def test_escapes_are_refused(source):
  with pytest.raises((errors.ModelError, errors.DataError)) as caught:
    render(source)
  assert "\n" not in str(caught.value)


GROW = "{% set ns = namespace(x='aa') %}{% for i in range(90) %}"
BOMBS = [
  "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}"
  "{% endfor %}",
  "{% for i in range(100000000) %}{% endfor %}",
  "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
  "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}"
  "{% endmacro %}{{ f(50) }}",
  "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}",
  "{{ 'a' * 10 ** 10 }}",
  "{{ 10 ** 10 * 'a' }}",
  "{{ [0] * 100000000 }}",
  "{{ 7 ** (10 ** 6) }}",
  GROW + "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
  GROW + "{% set ns.x = ns.x + ns.x %}{% endfor %}",
  GROW + "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
  GROW + "{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ ns.x|tojson }}",
  GROW + "{% set ns.x = {'a': ns.x, 'b': ns.x} %}{% endfor %}",
  GROW + "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x == ns.x }}",
  GROW + "{% set ns.x = '%s%s' % (ns.x, ns.x) %}{% endfor %}",
  GROW + "{% set ns.x = '{}{}'.format(ns.x, ns.x) %}{% endfor %}",
  GROW + "{% set ns.x = ns.x|replace('a', 'aa') %}{% endfor %}",
  GROW + "{% set ns.x = ns.x.replace('a', 'aa') %}{% endfor %}",
  GROW + "{% set ns.x = [ns.x, ns.x]|join %}{% endfor %}",
  GROW + "{% set ns.x = ns.x.join([ns.x, ns.x, ns.x]) %}{% endfor %}",
  GROW + "{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}",
  "{% set x %}{% for i in range(99999) %}" + "y" * 5000 + "{% endfor %}"
  "{% endset %}",
  "{% for i in range(99999) %}" + "y" * 5000 + "{% endfor %}",
  "{{ '%999999999d' % 1 }}",
  "{{ '%*d' % (999999999, 1) }}",
  "{{ '%999999999d'|format(1) }}",
  "{{ '{:999999999}'.format(1) }}",
  "{{ '{:{w}}'.format(1, w=999999) }}",
  "{{ 'a'.ljust(999999999) }}",
  "{{ 'a'.zfill(999999999) }}",
  "{{ 'a'.expandtabs(999999999) }}",
  "{{ 'a'|center(999999999) }}",
  "{{ 'a'|indent(999999999, true) }}",
  "{{ messages|tojson(indent=999999999) }}",
  "{{ strftime_now('%999999999Y') }}",
  "{{ messages|slice(999999999)|list }}",
  "{{ messages|batch(999999999)|list }}",
  "{{ 1|round(999999999) }}",
  "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns.x }}",
  "{% set a = namespace() %}{% set b = namespace(x=a, y=a) %}{{ b }}",
  "{% macro f() %}{{ varargs }}{% endmacro %}"
  "{% set a = namespace() %}{{ f(a, a) }}",
  "{{ " + "(" * 4000 + "1" + ")" * 4000 + " }}",
  "{% set x = " + "[" * 3000 + "]" * 3000 + " %}",
  "{% if true %}" * 3000 + "{% endif %}" * 3000,
  "{{ 'a' " + "~ 'a'" * 30000 + " }}",
]


@pytest.mark.parametrize("source", BOMBS)
def test_bombs_are_refused_quickly(source):
  started = time.monotonic()
  with pytest.raises((errors.ModelError, errors.DataError)) as caught:
    render(source)
  assert time.monotonic() - started < 8.0
  assert "\n" not in str(caught.value)


def test_the_clock_stops_what_the_counters_allow(monkeypatch):
  monkeypatch.setattr(template_budget, "_MAX_STEPS", 10**9)
  loops = "{% for a in range(9999) %}" * 3 + "{% endfor %}" * 3
  started = time.monotonic()
  with pytest.raises(errors.DataError, match="more than 0.2 seconds"):
    template_sandbox.render(loops, {}, seconds=0.2)
  assert time.monotonic() - started < 5.0


@pytest.mark.parametrize("size", [1 << 17, (1 << 17) + 1])
def test_long_templates_are_not_parsed(size):
  if size > template_sandbox.MAX_TEMPLATE:
    with pytest.raises(errors.ModelError, match="over the limit"):
      render("x" * size)
  else:
    assert render("x" * size) == "x" * size


@pytest.mark.parametrize(
  "source, expected",
  [
    ("{{ messages[0]['content'] ~ 1 ~ none }}", "hi1None"),
    (
      "{% for m in messages %}{{ loop.index0 }}{{ m.role }}{% endfor %}",
      "0user1b",
    ),
    (
      "{% for m in messages %}{{ loop.last }}{{ loop.length }}{% endfor %}",
      "False2True2",
    ),
    (
      "{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}",
      "role=user;content=hi;",
    ),
    (
      "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}"
      "{{ m.role }}{% break %}{% endfor %}",
      "b",
    ),
    (
      "{% for m in messages if m.role == 'b' %}{{ m.content }}{% endfor %}",
      "é<",
    ),
    ("{% for m in messages[1:] %}{{ m.role }}{% else %}none{% endfor %}", "b"),
    ("{{ messages[1].content|tojson }}", '"é<"'),
    ("{{ messages|tojson(indent=1)|length > 20 }}", "True"),
    ("{{ {'b': 1, 'a': 2}|tojson(sort_keys=true) }}", '{"a": 2, "b": 1}'),
    ("{{ messages|map(attribute='role')|join(',') }}", "user,b"),
    ("{{ messages|join('-', attribute='role') }}", "user-b"),
    ("{{ messages|selectattr('role', 'equalto', 'b')|list|length }}", "1"),
    ("{{ ' a '|trim|upper ~ ' b'.strip() }}", "Ab"),
    ("{{ 'a<think>b'.split('<think>')[-1] }}", "b"),
    ("{{ 'x' if 'hi' in messages[0].content else 'y' }}", "x"),
    (
      "{% set ns = namespace(n=0) %}{% for m in messages %}"
      "{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
      "2",
    ),
    ("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f('a') + f('b') }}", "<a><b>"),
    ("{% set x %}a{{ 1 }}{% endset %}{{ x }}", "a1"),
    ("{% filter upper %}abc{% endfilter %}", "ABC"),
    ("{% generation %}{{ messages[0].content }}{% endgeneration %}", "hi"),
    ("{{ '%s-%d' % ('a', 2) }}{{ '{}'.format(3) }}", "a-23"),
    ("{{ tools is defined and tools is not none }}", "False"),
    ("{% if messages[0].tool_calls %}x{% endif %}", ""),
    ("{{ messages[0].get('name', 'z') }}", "z"),
    ("{{ messages[0].name|default('z') }}", "z"),
    ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),
    ("a\n  {% if true %}\nb\n  {% endif %}\nc", "a\nb\nc"),
    ("{{ 'a\nb'|indent(2) }}", "a\n  b"),
    ("{{ 7 % 4 }}{{ 2 ** 3 }}{{ 7 // 2 }}", "383"),
    ("{{ (messages[0].content == 'hi') and 1 < 2 <= 2 }}", "True"),
    ("{{ messages|length }}{{ 'abc'[::-1] }}{{ [3, 1]|sort|first }}", "2cba1"),
  ],
)
def test_what_published_templates_use_works(source, expected):
  assert render(source) == expected


@pytest.mark.parametrize(
  "source, message",
  [
    ("{{ missing }}", "'missing' is undefined"),
    ("{{ messages[0].missing }}", "missing"),
    ("{{ messages[0].missing ~ 'x' }}", "missing"),
    ("{{ raise_exception('roles must\nalternate') }}", "roles must alternate"),
    ("{{ 1 / 0 }}", "division by zero"),
    ("{% for x in 5 %}{% endfor %}", "not iterable"),
    ("{{ messages + 1 }}", "chat template"),
  ],
)
def test_messages_a_template_cannot_show_are_data_errors(source, message):
  with pytest.raises(errors.DataError, match=message) as caught:
    render(source)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  "source", ["{{ (( }}", "{% if %}", "{% endfor %}", "{{ x|nofilter }}"]
)
def test_malformed_templates_are_model_errors(source):
  with pytest.raises(errors.ModelError, match="line 1"):
    render(source)


def test_a_refused_rendering_leaves_the_next_one_alone():
  with pytest.raises(errors.DataError):
    render("{{ 'a' * 10 ** 10 }}")
  assert render("{{ 'a' * 3 }}") == "aaa"


def test_variables_are_not_changed():
  messages = [{"role": "user", "content": "hi"}]
  for source in ("{{ messages.pop() }}", "{% set messages = [] %}"):
    try:
      template_sandbox.render(source, {"messages": messages})
    except errors.PrefjaxError:
      pass
  assert messages == [{"role": "user", "content": "hi"}]
