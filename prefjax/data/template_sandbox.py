# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Chat templates come with models, so they run as untrusted text.

A template is parsed, refused if it uses a statement that conversations do
not need, rewritten so that loops, output and every value it builds go
through `template_budget`, and compiled in Jinja's immutable sandbox with a
closed list of filters and methods.
"""

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jinja2
from jinja2 import ext, filters, nodes, runtime, sandbox, utils, visitor

from prefjax.core import errors
from prefjax.data import template_budget as budget

MAX_TEMPLATE = 1 << 17  # characters; published ones have some thousands
MAX_OUTPUT = budget.MAX_VALUE  # characters
SECONDS = 10.0

_ALLOWED = {
  name
  for group in (
    "Add And Assign AssignBlock Break Call CallBlock Compare Concat CondExpr",
    "Const Continue Dict Div Filter FilterBlock FloorDiv For Getattr Getitem",
    "If Keyword List Macro Mod Mul NSRef Name Neg Not Operand Or Output Pair",
    "Pos Pow Scope Slice Sub Template TemplateData Test Tuple With",
  )
  for name in group.split()
}

_METHODS = {
  str: set(
    "capitalize count endswith find format index isalnum isalpha isdigit"
    " islower isspace isupper join lower lstrip partition removeprefix"
    " removesuffix replace rfind rpartition rsplit rstrip split splitlines"
    " startswith strip title upper".split()
  ),
  dict: {"copy", "get", "items", "keys", "values"},
  list: {"copy", "count", "index"},
  tuple: {"count", "index"},
}
_OPEN = (
  utils.Namespace,
  utils.Cycler,
  utils.Joiner,
  runtime.LoopContext,
  runtime.Macro,
)

_KEPT_FILTERS = (
  "abs capitalize count d default dictsort e escape first float int items"
  " last length lower map max min reject rejectattr reverse safe select"
  " selectattr sort title trim unique upper"
).split()

_DATE = re.compile(r"(%-?[A-Za-z%]|[^%]){0,64}")


class _Undefined(jinja2.Undefined):
  """False, empty and comparable, as published templates expect of a missing
  key, but never written into a conversation."""

  def __str__(self) -> str:
    self._fail_with_undefined_error()


class _Generation(ext.Extension):
  """Accepts {% generation %}: the body is rendered, the mark is ignored."""

  tags = {"generation"}

  def parse(self, parser: Any) -> list[nodes.Node]:
    next(parser.stream)
    return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Environment(sandbox.ImmutableSandboxedEnvironment):
  """Jinja's immutable sandbox with budgets and closed lists."""

  intercepted_binops = frozenset({"+", "*", "**", "%"})

  def __init__(self):
    super().__init__(
      trim_blocks=True,
      lstrip_blocks=True,
      undefined=_Undefined,
      extensions=[ext.LoopControlExtension, _Generation],
      optimized=False,  # nothing runs before a budget counts it
    )
    self.filters = {name: self.filters[name] for name in _KEPT_FILTERS} | {
      "format": lambda value, *args: budget.modulo(str(value), args),
      "indent": _indent,
      "join": _join,
      "list": lambda values: list(budget.each(values)),
      "replace": budget.replace,
      "string": budget.text,
      "tojson": _tojson,
      **_HIDDEN,
    }
    self.globals = {
      "cycler": utils.Cycler,
      "dict": dict,
      "joiner": utils.Joiner,
      "namespace": utils.Namespace,
      "range": sandbox.safe_range,
      "raise_exception": _raise_exception,
    }
    self.binop_table |= {
      "+": budget.add,
      "*": budget.multiply,
      "**": budget.power,
      "%": budget.modulo,
    }

  def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
    if not super().is_safe_attribute(obj, attr, value):
      return False
    for kind, methods in _METHODS.items():
      if isinstance(obj, kind):
        return attr in methods
    return isinstance(obj, _OPEN)

  def unsafe_undefined(self, obj: Any, attribute: str) -> jinja2.Undefined:
    raise sandbox.SecurityError(
      f"attribute {attribute!r} of {type(obj).__name__}"
    )

  def call_binop(
    self, context: runtime.Context, operator: str, left: Any, right: Any
  ) -> Any:
    budget.current().step()
    return super().call_binop(context, operator, left, right)

  def call(
    __self,  # noqa: B902, N805 (as in the base class)
    __context: runtime.Context,
    __obj: Any,
    *args: Any,
    **kwargs: Any,
  ) -> Any:
    budget.current().step()
    budget.check_arguments([*args, *kwargs.values()])
    # Jinja wraps str.format; the method itself is what it wrapped.
    method = getattr(__obj, "__wrapped__", __obj)
    owner = getattr(method, "__self__", None)
    if isinstance(owner, str):
      if method.__name__ == "replace":
        return budget.replace(owner, *args, **kwargs)
      if method.__name__ == "join":
        return budget.join(*args, owner)
      if method.__name__ == "format":
        budget.check_format(owner)
    for value in (*args, *kwargs.values()):
      budget.checked(value)
    return budget.made(super().call(__context, __obj, *args, **kwargs))


class _Rewriter(visitor.NodeTransformer):
  """Sends loops, output and values through the budget."""

  def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
    name = type(node).__name__
    if name not in _ALLOWED:
      raise sandbox.SecurityError(f"the statement or expression {name}")
    return super().visit(node, *args, **kwargs)

  def visit_For(self, node: nodes.For) -> nodes.Node:
    if node.recursive:
      raise sandbox.SecurityError("a recursive loop")
    node = self.generic_visit(node)
    node.iter = _through("_each", node.iter)
    return node

  def visit_Output(self, node: nodes.Output) -> nodes.Node:
    node.nodes = [
      _through(
        "_emit",
        nodes.Const(part.data, lineno=part.lineno)
        if isinstance(part, nodes.TemplateData)
        else self.visit(part),
      )
      for part in node.nodes
    ]
    return node

  def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
    node.nodes = [_through("_text", self.visit(part)) for part in node.nodes]
    return _through("_made", node)

  def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
    node.expr = _through("_checked", self.visit(node.expr))
    for operand in node.ops:
      operand.expr = _through("_checked", self.visit(operand.expr))
    return node

  def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
    if node.name.startswith("_"):
      raise sandbox.SecurityError(f"the filter {node.name}")
    node = self.generic_visit(node)
    if node.node is None:  # {% filter %} blocks
      return node
    node.node = _through("_checked", node.node)
    return _through("_made", node)

  def visit_Test(self, node: nodes.Test) -> nodes.Node:
    node = self.generic_visit(node)
    node.node = _through("_checked", node.node)
    node.args = [_through("_checked", part) for part in node.args or ()]
    return node

  def visit_List(self, node: nodes.List) -> nodes.Node:
    return _through("_made", self.generic_visit(node))

  def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
    return _through("_made", self.generic_visit(node))

  def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
    node = self.generic_visit(node)
    return _through("_made", node) if node.ctx == "load" else node


def _through(name: str, node: nodes.Expr) -> nodes.Filter:
  return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _emit(value: Any) -> str:
  written = budget.text(value)
  budget.current().make(len(written))
  return written


def _never_folded(function: Callable[[Any], Any]) -> Callable[..., Any]:
  """A filter that runs at every rendering, never once while compiling."""

  @jinja2.pass_context
  def run(context: runtime.Context, value: Any) -> Any:
    del context
    return function(value)

  return run


_HIDDEN = {
  "_each": _never_folded(budget.each),
  "_emit": _never_folded(_emit),
  "_text": _never_folded(budget.text),
  "_made": _never_folded(budget.made),
  "_checked": _never_folded(budget.checked),
}


@jinja2.pass_environment
def _join(
  environment: _Environment,
  values: Iterable[Any],
  d: str = "",
  attribute: str | int | None = None,
) -> str:
  if attribute is not None:
    get = filters.make_attrgetter(environment, attribute)
    values = (get(value) for value in values)
  return budget.join(values, d)


def _indent(
  value: Any, width: int | str = 4, first: bool = False, blank: bool = False
) -> str:
  value = budget.text(value)
  step = len(width) if isinstance(width, str) else width
  budget.current().make(len(value) + max(step, 1) * (value.count("\n") + 1))
  return filters.do_indent(value, width, first, blank)


def _tojson(
  value: Any,
  ensure_ascii: bool = False,
  indent: int | None = None,
  separators: tuple[str, str] | None = None,
  sort_keys: bool = False,
) -> str:
  """Plain JSON: no HTML escapes, non-ASCII kept, as published templates want.

  JSON has no room for a namespace or a missing value.
  """
  step = indent if isinstance(indent, int) else len(indent or "")
  budget.current().make(budget.size(value) * max(1, step))
  return json.dumps(
    value,
    ensure_ascii=ensure_ascii,
    indent=indent,
    separators=separators,
    sort_keys=sort_keys,
  )


def _raise_exception(message: Any) -> None:
  raise jinja2.TemplateError(budget.text(message))


def dates(today: Any) -> Callable[[str], str]:
  """strftime_now for templates: a fixed date, and no wide formats."""

  def strftime_now(pattern: str) -> str:
    if not _DATE.fullmatch(pattern):
      raise budget.LimitError("a long or wide date format")
    return today.strftime(pattern)

  return strftime_now


@functools.lru_cache(maxsize=1)
def _environment() -> _Environment:
  return _Environment()


@functools.lru_cache(maxsize=64)
def _compile(source: str) -> jinja2.Template:
  environment = _environment()
  tree = _Rewriter().visit(environment.parse(source))
  return environment.template_class.from_code(
    environment, environment.compile(tree), environment.make_globals(None)
  )


def render(
  source: str, variables: Mapping[str, Any], seconds: float = SECONDS
) -> str:
  """Renders an untrusted template.

  Args:
    source: Jinja source.
    variables: what it may read; JSON-like values and callables.
    seconds: longest time it may take.

  Returns:
    The text, at most MAX_OUTPUT characters.

  Raises:
    ModelError: the template cannot be parsed or reaches for what the sandbox
      keeps from it.
    DataError: it cannot be rendered with these variables: it refused them,
      read a missing one, or spent too much.
  """
  if len(source) > MAX_TEMPLATE:
    raise errors.ModelError(
      f"chat template of {len(source)} characters is over the limit of"
      f" {MAX_TEMPLATE}"
    )
  token = budget.start(seconds)
  try:
    parts, total = [], 0
    for part in _compile(source).generate(**variables):
      parts.append(part)
      total += len(part)
      if total > MAX_OUTPUT:
        raise budget.LimitError(f"more than {MAX_OUTPUT} characters of output")
    return "".join(parts)
  except sandbox.SecurityError as e:
    raise errors.ModelError(
      f"chat template refused: it uses {_line(e)}, which the sandbox keeps"
      " from it"
    ) from e
  except jinja2.TemplateSyntaxError as e:
    raise errors.ModelError(
      f"chat template, line {e.lineno}: {_line(e.message or e)}"
    ) from e
  except budget.LimitError as e:
    raise errors.DataError(f"chat template spends too much: {_line(e)}") from e
  except jinja2.TemplateError as e:
    raise errors.DataError(f"chat template: {_line(e)}") from e
  except (RecursionError, MemoryError) as e:
    raise errors.DataError("chat template spends too much: stack") from e
  except (ArithmeticError, AttributeError, LookupError) as e:
    raise errors.DataError(f"chat template: {_line(e)}") from e
  except (SyntaxError, TypeError, ValueError) as e:
    raise errors.DataError(f"chat template: {_line(e)}") from e
  finally:
    budget.stop(token)


def _line(error: Any) -> str:
  return " ".join(str(error).split())[:300] or type(error).__name__
