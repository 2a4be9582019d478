# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The HTML pieces of a report: every text escaped, every image inlined."""

import base64
import html
import os
from collections.abc import Mapping, Sequence
from typing import Any

from prefjax.analysis import run_files, summary

Path = str | os.PathLike[str]
_PNG = b"\x89PNG\r\n\x1a\n"
_MAX_IMAGE = 16 << 20
_MAX_TEXT = 600  # characters of a sample shown

STYLE = """
:root { --ink:#1f2933; --muted:#616e7c; --line:#e4e7eb; --page:#f5f7fa;
  --blue:#0072b2; --orange:#b84a00; }
* { box-sizing:border-box; }
body { margin:0; background:var(--page); color:var(--ink);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",
  Arial,sans-serif; }
main { max-width:1160px; margin:0 auto; padding:28px 24px 48px; }
header { margin-bottom:22px; }
h1 { font-size:27px; line-height:1.25; margin:0 0 4px;
  overflow-wrap:anywhere; }
h2 { font-size:18px; margin:0 0 14px; }
h3 { font-size:14px; margin:0 0 8px; }
.sub { color:var(--muted); margin:0; overflow-wrap:anywhere; }
section { background:#fff; border:1px solid var(--line); border-radius:10px;
  padding:20px 22px; margin-bottom:18px; }
.facts { display:grid; gap:14px; margin-bottom:18px;
  grid-template-columns:repeat(auto-fit,minmax(210px,1fr)); }
.fact { background:#fff; border:1px solid var(--line); border-radius:10px;
  padding:14px 18px; border-top:4px solid var(--blue); }
.fact b { display:block; font-size:26px; line-height:1.3;
  font-variant-numeric:tabular-nums; }
.fact span { color:var(--muted); font-size:13px; display:block; }
.wide { overflow-x:auto; }
table { border-collapse:collapse; width:100%; font-size:14px; }
th { text-align:left; color:var(--muted); font-weight:600; font-size:13px;
  border-bottom:2px solid var(--line); padding:6px 20px 6px 0; }
td { border-bottom:1px solid var(--line); padding:6px 20px 6px 0;
  vertical-align:top; overflow-wrap:anywhere; }
td:first-child { min-width:11em; }
tr:last-child td { border-bottom:0; }
.num { text-align:right; font-variant-numeric:tabular-nums;
  white-space:nowrap; overflow-wrap:normal; }
.figures { display:grid; gap:22px 24px;
  grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr)); }
figure { margin:0; }
figure.broad { grid-column:1/-1; }
img { width:100%; height:auto; display:block; }
figcaption { color:var(--muted); font-size:13px; margin-top:4px; }
.figures figure:not(.broad) img { max-width:640px; }
code,.text { font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,
  monospace; white-space:pre-wrap; overflow-wrap:anywhere; }
.better { color:var(--blue); font-weight:600; }
.worse { color:var(--orange); font-weight:600; }
.empty { color:var(--muted); font-style:italic; }
.note { border-left:4px solid #e69f00; }
details summary { cursor:pointer; font-weight:600; font-size:18px; }
details[open] summary { margin-bottom:12px; }
footer { color:var(--muted); font-size:13px; text-align:center; }
@media print { body { background:#fff; } section,.fact { break-inside:avoid; } }
"""

_CAPTIONS = {
  "gold": (
    "Gold reward and win rate",
    "Samples for the same held-out prompts, scored by the known gold reward."
    " Intervals resample prompts.",
  ),
  "rewards": (
    "Rewards and accuracy",
    "Implicit reward: beta times the log-ratio to the reference. Faint lines"
    " are raw values, diamonds held-out evaluations.",
  ),
  "margins": (
    "Margin histogram",
    "Log-prob of the chosen minus that of the rejected response. Only pairs"
    " right of zero are ranked right; outer bins hold the tails.",
  ),
  "length_bias": (
    "Length bias",
    "A model that likes length for its own sake has margins that rise with"
    " the length difference and low accuracy where the chosen answer is"
    " shorter. Points are jittered sideways.",
  ),
  "logps": (
    "Log-probabilities",
    "Pairwise losses train only the difference: the chosen curve may fall as"
    " well.",
  ),
  "loss": ("Loss", "Faint: every step. Bold: running average."),
  "reliability": (
    "Reliability",
    "Above the diagonal the model is right more often than it says, below it"
    " is overconfident.",
  ),
  "optimizer": ("Optimiser", "Global gradient norm and learning rate."),
  "rollouts": (
    "Rounds of rollouts",
    "Each point is a round of the policy's own samples, diamonds are held-out"
    " evaluations. A group whose responses all score alike teaches nothing.",
  ),
}
_BROAD = frozenset({"gold", "rewards", "length_bias", "optimizer", "rollouts"})


def escape(value: Any) -> str:
  """Any value as HTML text: markup escaped, control characters shown."""
  return html.escape(summary.printable(str(value)), quote=True)


def table(rows: summary.Rows, names: Sequence[str] | None = None) -> str:
  """Rows as an HTML table, numbers to the right."""
  names = summary.columns(rows) if names is None else names
  right = [
    all(not isinstance(row.get(n), str) or not row[n] for row in rows)
    or "interval" in n
    or n in ("value", "change")
    for n in names
  ]

  def line(tag: str, values: Sequence[Any]) -> str:
    cells = "".join(
      f"<{tag}{' class=num' if numeric else ''}>"
      f"{escape(summary.cell(value))}</{tag}>"
      for value, numeric in zip(values, right, strict=True)
    )
    return f"<tr>{cells}</tr>"

  body = "".join(line("td", [row.get(n, "") for n in names]) for row in rows)
  head = line("th", names)
  return (
    f'<div class="wide"><table><thead>{head}</thead><tbody>{body}</tbody>'
    "</table></div>"
  )


def _image(path: Path) -> str | None:
  """A PNG file as a data URL, or None if it is not one."""
  try:
    with open(path, "rb") as file:
      data = file.read(_MAX_IMAGE + 1)
  except OSError:
    return None
  if not data.startswith(_PNG) or len(data) > _MAX_IMAGE:
    return None
  return "data:image/png;base64," + base64.b64encode(data).decode()


def figures(paths: Mapping[str, Path], problems: list[str]) -> str:
  """Inlined images with captions; names what is no PNG in `problems`."""
  parts = []
  for name, path in paths.items():
    title, caption = _CAPTIONS.get(name, (name, ""))
    source = _image(path)
    if source is None:
      problems.append(f"figure {name!r} is not a readable PNG file")
      continue
    broad = ' class="broad"' if name in _BROAD else ""
    parts.append(
      f'<figure{broad}><img alt="{escape(title)}" src="{source}">'
      f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
  return f'<div class="figures">{"".join(parts)}</div>' if parts else ""


def sample_text(value: Any) -> str:
  """A prompt or response, cut where it is very long."""
  if value is None or value == "":
    return '<span class="empty">(empty)</span>'
  text = str(value)
  shown = text[:_MAX_TEXT]
  more = f" … ({len(text):,} characters)" if len(text) > _MAX_TEXT else ""
  # Line breaks are part of a sample; other control characters are shown.
  lines = "\n".join(escape(line) for line in shown.split("\n"))
  return f'<span class="text">{lines}</span>{escape(more)}'


def _gold_change(before: float | None, after: float | None) -> str:
  if before is None or after is None:
    return ""
  if after > before:
    return '<span class="better">▲ better</span>'
  if after < before:
    return '<span class="worse">▼ worse</span>'
  return "= same"


def samples(rows: summary.Rows, limit: int) -> str:
  """The first samples side by side."""
  lines = []
  for row in rows[:limit]:
    golds = [
      run_files.number(row.get(f"gold_{n}")) for n in ("before", "after")
    ]
    cells = [
      f"<td>{sample_text(row.get(name))}</td>"
      + (
        ""
        if name == "prompt"
        else f'<td class="num">{"" if gold is None else f"{gold:.3f}"}</td>'
      )
      for name, gold in zip(
        ("prompt", "before", "after"), (None, *golds), strict=True
      )
    ]
    lines.append(
      f'<tr>{"".join(cells)}<td class="num">{_gold_change(*golds)}</td></tr>'
    )
  head = "".join(
    f"<th{kind}>{name}</th>"
    for name, kind in (
      ("Prompt", ""),
      ("Before", ""),
      ("Gold", ' class="num"'),
      ("After", ""),
      ("Gold", ' class="num"'),
      ("", ""),
    )
  )
  note = (
    f"The first {limit} of {len(rows):,} samples, not picked."
    if len(rows) > limit
    else f"All {len(rows)} samples."
  )
  return (
    f'<p class="sub">{note}</p><div class="wide"><table><thead><tr>{head}</tr>'
    f"</thead><tbody>{''.join(lines)}</tbody></table></div>"
  )


def section(title: str, body: str, kind: str = "") -> str:
  """A titled box around HTML."""
  css = f' class="{kind}"' if kind else ""
  return f"<section{css}><h2>{escape(title)}</h2>{body}</section>"


def facts(headline: Sequence[tuple[str, str, str]]) -> str:
  """The row of (label, value, remark) boxes."""
  boxes = "".join(
    f'<div class="fact"><span>{escape(name)}</span><b>{escape(value)}</b>'
    f"<span>{escape(remark)}</span></div>"
    for name, value, remark in headline
  )
  return f'<div class="facts">{boxes}</div>'


def configuration(flat: Mapping[str, Any]) -> str:
  """A folded table of dotted keys and values."""
  lines = "".join(
    f"<tr><td><code>{escape(name)}</code></td>"
    f"<td><code>{escape(value)}</code></td></tr>"
    for name, value in flat.items()
  )
  return (
    "<section><details><summary>Configuration</summary>"
    f'<div class="wide"><table><tbody>{lines}</tbody></table></div>'
    "</details></section>"
  )


def page(title: str, body: str) -> str:
  """The whole document; its policy forbids scripts and outside resources."""
  return (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta http-equiv="Content-Security-Policy" content="default-src'
    " 'none'; img-src data:; style-src 'unsafe-inline'\">"
    '<meta name="viewport" content="width=device-width,initial-scale=1">'
    f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
    f"<body><main>{body}</main></body></html>\n"
  )
