# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Prints an inspection: tables, and examples whose tokens show their weight.

Colours help but are not needed: text that does not count stands in braces.
"""

from typing import Any

from prefjax.analysis import summary
from prefjax.data import inspection

_MOST = 700  # characters of a span that are shown
_OPEN, _CLOSE = "{", "}"
_STYLES = {"prompt": "cyan", "counts": "green", "free": "dim"}
_LEGEND = (
  ("prompt", "prompt"),
  ("counts", "response tokens that count"),
  ("free", f"{_OPEN}tokens of weight 0{_CLOSE}"),
)


def _elided(text: str, keep_end: bool) -> str:
  """The end of a long prompt, or the start of a long response."""
  if len(text) <= _MOST:
    return text
  left = f"[{len(text) - _MOST} more characters]"
  return f"{left} {text[-_MOST:]}" if keep_end else f"{text[:_MOST]} {left}"


def _lines(text: str) -> str:
  """Nothing that moves a cursor, but line breaks kept and visible."""
  lines = [summary.printable(line) for line in text.split("\n")]
  return "\u240a\n    ".join(lines)


def spans(part: inspection.Part) -> list[tuple[str, str]]:
  """(text, 'prompt', 'counts' or 'free') of each span of a part."""
  out = []
  for span in part.spans:
    text = _lines(_elided(span.text, part.prompt))
    if part.prompt:
      out.append((text, "prompt"))
    elif span.weight > 0:
      mark = "" if span.weight == 1 else f"({span.weight:g})"
      out.append((mark + text, "counts"))
    else:
      out.append((f"{_OPEN}{text}{_CLOSE}", "free"))
  return out


def tables(seen: inspection.Inspection) -> dict[str, list[dict[str, Any]]]:
  """What was read, how long it is, and how batches fill, as rows."""
  lengths = [
    {
      "part": item.part,
      "number": item.number,
      "mean": round(item.mean, 1),
      **{
        _quantile(q): value
        for q, value in zip(inspection.QUANTILES, item.quantiles, strict=True)
      },
      "limit": item.limit,
      "longer": item.over,
    }
    for item in seen.lengths
  ]
  buckets = [
    {
      "bucket": number,
      **{
        f"{name} K x P x R": f"{k} x {p} x {r}"
        for name, (_, k, p, r) in bucket.shapes.items()
      },
      "batches": bucket.batches,
      "examples": bucket.examples,
      "padding": f"{bucket.padding:.1%}" if bucket.batches else "-",
    }
    for number, bucket in enumerate(seen.buckets)
  ]
  slots = sum(bucket.slots for bucket in seen.buckets)
  tokens = sum(bucket.tokens for bucket in seen.buckets)
  if slots:
    buckets.append(
      {
        "bucket": "all",
        "batches": sum(bucket.batches for bucket in seen.buckets),
        "examples": sum(bucket.examples for bucket in seen.buckets),
        "padding": f"{1 - tokens / slots:.1%}",
      }
    )
  return {
    "Tokens before cutting": lengths,
    f"Buckets of one epoch, {seen.batch_size} rows a batch": buckets,
  }


def _quantile(q: float) -> str:
  return {0.5: "median", 1.0: "most"}.get(q, f"{q:.0%}")


def heading(seen: inspection.Inspection, listed: int) -> list[str]:
  """Lines about the layout, the counts, and each row that is left out."""
  kinds = ", ".join(f"{number} {kind}" for kind, number in seen.kinds.items())
  out = [
    seen.report.summary(),
    f"records: {kinds}; view {seen.view}; template {seen.template}",
    f"examples: {seen.encoded.summary()}",
  ]
  lost = [
    *(f"bad: {row}" for row in seen.report.bad_rows),
    *(f"left out: {row}" for row in seen.report.left_out),
    *(
      f"repeats {first!r}: {place} (id {name!r}), kept"
      for place, name, first in seen.report.repeated_rows
    ),
    *(
      f"dropped: id {name!r}: {reason}"
      for _, name, reason in seen.encoded.dropped_records
    ),
  ]
  out += [f"  {line}" for line in lost[:listed]]
  if len(lost) > listed:
    out.append(f"  and {len(lost) - listed} more (--listed={len(lost)})")
  return [summary.printable(line) for line in out]


def _title(shown: inspection.Shown) -> str:
  parts = [f"Example {shown.example_id} (id {shown.record_id!r})"]
  if shown.weight != 1:
    parts.append(f"weight {shown.weight:g}")
  if shown.pairs:
    better = ", ".join(f"{a} over {b}" for a, b in shown.pairs)
    parts.append(f"pairs {better}")
  parts += [f"{name} {value}" for name, value in shown.extras.items()]
  return summary.printable(", ".join(parts))


def _about(part: inspection.Part) -> str:
  text = f"{part.name}: {part.tokens} tokens"
  if not part.prompt:
    text += f", {part.counted} count"
  if part.score is not None:
    text += f", score {part.score:g}"
  return text


def show(
  seen: inspection.Inspection, *, console: Any = None, listed: int = 10
) -> None:
  """Prints an inspection.

  Args:
    seen: what to print.
    console: a rich Console, default one on stdout.
    listed: most rows that are left out to name.
  """
  import rich.console
  import rich.text

  console = rich.console.Console() if console is None else console
  for line in heading(seen, listed):
    console.print(rich.text.Text(line), soft_wrap=True)
  console.print()
  summary.print_tables(tables(seen), console=console)
  if seen.shown:
    legend = rich.text.Text("\nLegend: ")
    for number, (style, about) in enumerate(_LEGEND):
      legend.append(", " if number else "")
      legend.append(about, style=_STYLES[style])
    console.print(legend)
  for shown in seen.shown:
    console.print()
    console.print(rich.text.Text(_title(shown), style="bold"), soft_wrap=True)
    for part in shown.parts:
      console.print(rich.text.Text(f"  {_about(part)}"))
      text = rich.text.Text("    ")
      for span, style in spans(part):
        text.append(span, style=_STYLES[style])
      console.print(text, soft_wrap=True)
