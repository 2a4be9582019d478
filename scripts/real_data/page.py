# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""The table as a page."""

from typing import Any

from real_data import scorers


def _about_training(row: dict[str, Any]) -> list[str]:
  """Lines about what was trained for a set that holds a part out."""
  if "train" not in row:
    return []
  lines = [f"The other {row['train']} pairs, of other prompts, train."]
  about = row.get("reward_model")
  if about:
    lines += [
      f"`reward_model` had {about['updates']} updates, {about['pairs']} pairs,"
      f" prompts of {about['max_prompt']}",
      f"and responses of {about['max_response']} tokens at most, seed"
      f" {about['seed']}; `minilm_head` had all of them.",
    ]
  return lines


def _against_a_coin(sets: dict[str, Any]) -> list[str]:
  """Which sets each scorer ranks better or worse than a coin."""
  lines = [
    "## Against a coin",
    "",
    "Sets whose interval lies above 0.5, and below it. One interval in twenty",
    "does by chance.",
    "",
    "| scorer | sets | above | below |",
    "|---|---:|---|---|",
  ]
  for scorer in scorers.NAMES:
    found = {
      name: row["scorers"][scorer]
      for name, row in sets.items()
      if scorer in row["scorers"]
    }
    if not found:
      continue
    above = [name for name, cell in found.items() if cell["low"] > 0.5]
    below = [name for name, cell in found.items() if cell["high"] < 0.5]
    cells = (", ".join(names) or "none" for names in (above, below))
    lines.append(f"| {scorer} | {len(found)} | {' | '.join(cells)} |")
  return [*lines, ""]


def page(table: dict[str, Any]) -> str:
  """docs/real-data.md."""
  rows = table["sets"].values()
  text = [
    "# Scorers on real data",
    "",
    "Made by `scripts/real_scores.py`, which says how; the same numbers are in",
    "[real-data.json](real-data.json). Accuracy with its 95 % interval over",
    "prompts, the prompts counted, and the seconds by the clock, whatever else",
    "the machine did. A coin has 0.5.",
    "",
    f"Encoder: `{table['encoder']}`.",
    "",
  ]
  if any(
    name in row["scorers"] for name in scorers.LANGUAGE_MODEL for row in rows
  ):
    text += [
      f"The language model is `{table['model']}`. It reads a sample of each",
      "set, the first prompts by the hash of their ids.",
      "",
    ]
  text += _against_a_coin(table["sets"])
  for name, row in table["sets"].items():
    if not row["scorers"]:
      continue
    text += [
      f"## {name}",
      "",
      f"{row['records']} records; which response is better says {row['what']}.",
      *_about_training(row),
      "",
      "| scorer | accuracy | prompts | left out | seconds |",
      "|---|---|---:|---:|---:|",
    ]
    for scorer in scorers.NAMES:
      if scorer not in row["scorers"]:
        continue
      f = row["scorers"][scorer]
      text.append(
        f"| {scorer} | {f['accuracy']:.3f} [{f['low']:.3f},"
        f" {f['high']:.3f}] | {f['prompts']} | {f['left_out']} |"
        f" {f['seconds']:.1f} |"
      )
    text.append("")
  return "\n".join(text + _END)


_END = [
  "`random` is a hash of the text, `length` its characters, `minilm_relevance`",
  "the cosine of prompt and response, `r3` the same with length and",
  "repetition. `minilm_head` is Bradley-Terry on vectors of prompt and",
  "response, trained on the other four fifths of the prompts, or on what a set",
  "leaves to train. The three share their vectors, whose seconds the first one",
  "of them bears. `likelihood` is the log-prob of the response under the",
  "language model, `followups` what that expects a user to say next, `judge`",
  "its choice in both orders.",
  "",
  "The reward model, and the rows with it (stopped, the same commands go on):",
  "",
  "```sh",
  "S=hh-rlhf-harmless-held-out; R=runs/real/reward",
  "python scripts/real_scores.py --data=FOLDER --sets=$S \\",
  "  --write_train=runs/real/train.jsonl",
  "prefjax train --config=configs/reward_bt.py --workdir=$R \\",
  "  --config.data.train=runs/real/train.jsonl --config.data.batch_size=4 \\",
  "  --config.data.max_prompt=128 --config.data.max_response=64 \\",
  "  --config.data.buckets='((128,64),)' --config.data.pack=True \\",
  "  --config.model.compute_dtype=bfloat16 --config.opt.learning_rate=2e-5 \\",
  "  --config.opt.schedule=constant --config.train.steps=150",
  "python scripts/real_scores.py --data=FOLDER --sets=$S --reward=$R \\",
  "  --scorers=random,length,minilm_head,reward_model --dtype=bfloat16",
  "```",
  "",
  "`density` (CDR) has no row: it needs two models of which one is better",
  "aligned than the other, and no second real one was at hand.",
  "",
]
