# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compares `prefjax.losses` with the numbers of `trl_losses.py`.

  python scripts/parity/trl_losses.py --work=DIR
  python scripts/parity/compare_losses.py --work=DIR --out=losses.json

Ends with status 1 where a loss of some step differs by more than 1e-5, or a
gradient norm by more than 1e-4, both relative.
"""

import argparse
import dataclasses
import inspect
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax_side
import loss_cases
import optax
import token_files

from prefjax import kernels, losses, models

LOSS_TOLERANCE = 1e-5
NORM_TOLERANCE = 1e-4

Arrays = dict[str, jax.Array]


class _Everything:
  """All texts of the cases as one group, so that one model run does.

  Rows are the pairs, then the labelled responses (each with another row's
  response as its second), then the pairs' prompts as texts of their own.
  """

  def __init__(self):
    pairs, labelled = loss_cases.pairs(), loss_cases.labelled()
    rows = [(p["prompt"], [p["chosen"], p["rejected"]]) for p in pairs]
    rows += [(r["prompt"], [r["response"], r["other"]]) for r in labelled]
    # Nothing predicts the first token of a prompt.
    rows += [(p["prompt"][:1], [p["prompt"][1:]]) for p in pairs]
    parts = [jax_side.encoded_group(*row) for row in rows]
    (batch,) = jax_side.make_batches({"main": parts}, len(rows))
    self.group = batch.main
    self.weights = jnp.asarray(self.group.token_weights)  # [B, 2, R]
    self.mask = jnp.asarray(self.group.token_mask)
    self.lengths = self.group.lengths()  # [B, 2]
    self.pairs = slice(0, len(pairs))
    self.labelled = slice(len(pairs), len(pairs) + len(labelled))
    self.prompts = slice(len(pairs) + len(labelled), None)
    self.labels = jnp.asarray([float(r["label"]) for r in labelled])

  def outputs(self, model, params) -> Arrays:
    """Log-prob and log-collision of every response token, [B, 2, R]."""
    hidden = model.hidden(params, self.group).predict
    head = model.head(params)
    logps = kernels.token_logps(
      hidden, head, self.group.response, mask=self.mask, entropy=False
    ).logps
    scores = jnp.einsum("bkrd,vd->bkrv", hidden, head.weight)
    return {
      "logps": logps,
      "collision": losses.log_collision_probability(scores),
    }

  def sums(self, outputs: Arrays) -> jax.Array:
    """Log-probs of the responses, [B, 2]."""
    return jnp.sum(outputs["logps"] * self.weights, axis=-1)


def _pair_arrays(texts: _Everything, policy, reference) -> Arrays:
  """Arrays by the names that pairwise losses give their arguments."""
  arrays, rows = {}, texts.pairs
  for side, name in enumerate(("chosen", "rejected")):
    for prefix, outputs in (("", policy), ("ref_", reference)):
      tokens = outputs["logps"][rows, side]
      arrays[f"{prefix}{name}_token_logps"] = tokens
      arrays[f"{prefix}{name}_logps"] = texts.sums(outputs)[rows, side]
    arrays[f"{name}_mask"] = texts.mask[rows, side]
    arrays[f"{name}_lengths"] = texts.lengths[rows, side]
    arrays[f"{name}_weights"] = losses.wpo_weights(
      policy["logps"][rows, side],
      policy["collision"][rows, side],
      arrays[f"{name}_mask"],
    )
  return arrays


def _single_arrays(texts: _Everything, policy, reference) -> Arrays:
  """Arrays by the names of losses of one labelled response."""
  logps, other = texts.sums(policy)[texts.labelled].T
  ref_logps, ref_other = texts.sums(reference)[texts.labelled].T
  return {
    "logps": logps,
    "ref_logps": ref_logps,
    "labels": texts.labels,
    "reference_point": losses.kto_reference_point(
      other, ref_other, jnp.ones_like(other)
    ),
  }


def _part(
  case: loss_cases.Case,
  loss: str,
  kwargs: Mapping[str, Any],
  texts: _Everything,
  policy: Arrays,
  reference: Arrays,
) -> jax.Array:
  """One summand of a case, reduced as TRL reduces it."""
  if case.trainer == "kto":
    arrays = _single_arrays(texts, policy, reference)
  else:
    arrays = _pair_arrays(texts, policy, reference)
  if case.trainer == "cpo":  # no reference
    arrays |= {k: 0 * v for k, v in arrays.items() if k.startswith("ref_")}
  chosen = arrays.get("chosen_logps"), arrays.get("chosen_lengths")
  if loss == "sft":
    values = losses.nll(*chosen)
    return jnp.sum(values * chosen[1]) / jnp.sum(chosen[1])
  if loss == "sft_prompt":
    prompts = texts.sums(policy)[texts.prompts, 0]
    counts = texts.lengths[texts.prompts, 0]
    total = jnp.sum(chosen[0]) + jnp.sum(prompts)
    return -total / (jnp.sum(chosen[1]) + jnp.sum(counts))
  function = losses.get("orpo" if loss == "orpo_odds" else loss)
  accepted = inspect.signature(function).parameters.values()
  names = [p.name for p in accepted if p.default is p.empty]
  values = function(**{name: arrays[name] for name in names}, **kwargs)
  if loss == "orpo_odds":
    values = values - losses.nll(*chosen)
  return jnp.mean(values)


def _functions(model, texts) -> tuple[Callable, Callable]:
  """Jitted: params -> outputs; (params, cotangents) -> (norm, new params)."""

  def forward(params):
    return texts.outputs(model, params)

  def update(params, slopes):
    (grads,) = jax.vjp(forward, params)[1](slopes)
    norm = optax.global_norm(grads)
    rate = loss_cases.STEP_LENGTH / norm
    return norm, jax.tree.map(lambda p, g: p - rate * g, params, grads)

  return jax.jit(forward), jax.jit(update)


def measure(
  work: pathlib.Path, steps: int = loss_cases.STEPS
) -> dict[str, list[dict[str, float]]]:
  """name -> {"loss", "grad_norm"} of each step, for every case."""
  texts = _Everything()
  loaded = {
    name: models.from_pretrained(work / name)
    for name in ("policy", "reference")
  }
  forward, update = _functions(loaded["policy"][0], texts)
  results = {}
  for case in loss_cases.CASES:
    params, reference = (loaded[name][1] for name in case.roles)
    reference = forward(reference)

    def total(out, case=case, reference=reference):
      return sum(
        weight * _part(case, loss, kwargs, texts, out, reference)
        for weight, loss, kwargs in case.parts
      )

    rows = []
    for _ in range(steps):
      loss, slopes = jax.value_and_grad(total)(forward(params))
      norm, params = update(params, slopes)
      rows.append({"loss": float(loss), "grad_norm": float(norm)})
    results[case.name] = rows
  return results


@dataclasses.dataclass(frozen=True)
class Row:
  """One line of the comparison: the steps of both sides."""

  case: loss_cases.Case
  trl: Sequence[Mapping[str, float]]
  ours: Sequence[Mapping[str, float]]

  def gap(self, key: str) -> float:
    """Largest relative difference over the steps."""
    return max(
      abs(a[key] - b[key]) / abs(b[key])
      for a, b in zip(self.ours, self.trl, strict=True)
    )

  @property
  def agrees(self) -> bool:
    return (
      self.gap("loss") <= LOSS_TOLERANCE
      and self.gap("grad_norm") <= NORM_TOLERANCE
    )

  def markdown(self) -> str:
    first, last = self.trl[0]["loss"], self.trl[-1]["loss"]
    return (
      f"| {self.case.name} | {loss_cases.describe(self.case)}"
      f" | {first:.6g} | {last:.6g} | {self.gap('loss'):.0e}"
      f" | {self.gap('grad_norm'):.0e} | {self.case.note} |"
    )


HEADER = """\
| TRL | PrefJAX | first loss | last loss | losses | gradient norms | note |
| --- | --- | ---: | ---: | ---: | ---: | --- |"""


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--work", required=True, help="folder of trl_losses.py")
  parser.add_argument("--out", help="JSON file to write")
  args = parser.parse_args(argv)
  work = pathlib.Path(args.work)
  theirs = token_files.read_json(work / "trl_losses.json")
  ours = measure(work)
  rows = [
    Row(case, theirs["cases"][case.name], ours[case.name])
    for case in loss_cases.CASES
  ]
  print(HEADER)
  print("\n".join(row.markdown() for row in rows))
  if args.out:
    token_files.write_json(
      args.out,
      {
        "versions": {**theirs["versions"], **jax_side.versions()},
        "trl": theirs["cases"],
        "prefjax": ours,
      },
    )
  bad = [row.case.name for row in rows if not row.agrees]
  print(
    f"{len(rows) - len(bad)} of {len(rows)} agree over {loss_cases.STEPS}"
    " steps; largest relative difference"
    f" {max(row.gap('loss') for row in rows):.1e} of a loss,"
    f" {max(row.gap('grad_norm') for row in rows):.1e} of a gradient norm"
  )
  if bad:
    raise SystemExit(f"these differ: {', '.join(bad)}")


if __name__ == "__main__":
  main(sys.argv[1:])
