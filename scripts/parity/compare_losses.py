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
from prefjax.core import types

LOSS_TOLERANCE = 1e-5
NORM_TOLERANCE = 1e-4

Arrays = dict[str, jax.Array]


def _batches() -> tuple[types.Batch, types.Batch]:
  """(pairs, single responses with the group `mismatched`)."""
  pairs = jax_side.pair_batches(loss_cases.pairs(), loss_cases.PAIRS)
  rows = loss_cases.labelled()
  single = {
    name: [
      jax_side.encoded_group(row["prompt"], [row[key]], [float(row["label"])])
      for row in rows
    ]
    for name, key in (("main", "response"), ("mismatched", "other"))
  }
  return pairs[0], jax_side.make_batches(single, len(rows))[0]


def _token_stats(model, params, group) -> dict[str, jax.Array]:
  """Log-prob and log-collision of every response token, [B, K, R]."""
  hidden = model.hidden(params, group).predict
  head = model.head(params)
  logps = kernels.token_logps(
    hidden, head, group.response, mask=group.token_mask, entropy=False
  ).logps
  scores = jnp.einsum("bkrd,vd->bkrv", hidden, head.weight)
  return {
    "logps": logps,
    "collision": losses.log_collision_probability(scores),
  }


def _prompt_logps(model, params, group) -> jax.Array:
  """Log-probs [B, P - 1] of the prompts' tokens but the first."""
  prompt = jnp.asarray(group.prompt)
  mask = jnp.asarray(group.prompt_mask)
  hidden = model.rows(params, prompt, mask)[:, :-1]
  # The first real token of a prompt is not predicted by anything.
  counted = mask[:, 1:] & mask[:, :-1]
  return kernels.token_logps(
    hidden, model.head(params), prompt[:, 1:], mask=counted, entropy=False
  ).logps


def _outputs(model, batches, params) -> dict[str, Any]:
  """Everything that the losses take from a model."""
  pairs, single = batches
  return {
    "pairs": _token_stats(model, params, pairs.main),
    "prompts": _prompt_logps(model, params, pairs.main),
    "single": _token_stats(model, params, single.main)["logps"],
    "other": _token_stats(model, params, single.groups["mismatched"])["logps"],
  }


def _pair_arrays(batches, policy, reference) -> Arrays:
  """Arrays by the names that pairwise losses give their arguments."""
  group = batches[0].main
  arrays = {}
  for side, name in enumerate(("chosen", "rejected")):
    weights = jnp.asarray(group.token_weights)[:, side]
    for prefix, outputs in (("", policy), ("ref_", reference)):
      tokens = outputs["pairs"]["logps"][:, side]
      arrays[f"{prefix}{name}_token_logps"] = tokens
      arrays[f"{prefix}{name}_logps"] = jnp.sum(tokens * weights, axis=-1)
    arrays[f"{name}_mask"] = jnp.asarray(group.token_mask)[:, side]
    arrays[f"{name}_lengths"] = group.lengths()[:, side]
    arrays[f"{name}_weights"] = losses.wpo_weights(
      policy["pairs"]["logps"][:, side],
      policy["pairs"]["collision"][:, side],
      arrays[f"{name}_mask"],
    )
  return arrays


def _single_arrays(batches, policy, reference) -> Arrays:
  """Arrays by the names of losses of one labelled response."""
  group, other = batches[1].main, batches[1].groups["mismatched"]

  def sums(outputs, name, group):
    return jnp.sum(outputs[name] * group.token_weights, axis=-1)[:, 0]

  return {
    "logps": sums(policy, "single", group),
    "ref_logps": sums(reference, "single", group),
    "labels": jnp.asarray(group.scores)[:, 0],
    "reference_point": losses.kto_reference_point(
      sums(policy, "other", other),
      sums(reference, "other", other),
      batches[1].example_weight,
    ),
  }


def _part(
  case: loss_cases.Case,
  loss: str,
  kwargs: Mapping[str, Any],
  batches: tuple[types.Batch, types.Batch],
  policy: dict[str, Any],
  reference: dict[str, Any],
) -> jax.Array:
  """One summand of a case, reduced as TRL reduces it."""
  if case.trainer == "kto":
    arrays = _single_arrays(batches, policy, reference)
  else:
    arrays = _pair_arrays(batches, policy, reference)
  if case.trainer == "cpo":  # no reference
    arrays |= {k: 0 * v for k, v in arrays.items() if k.startswith("ref_")}
  chosen = arrays.get("chosen_logps"), arrays.get("chosen_lengths")
  if loss == "sft":
    values = losses.nll(*chosen)
    return jnp.sum(values * chosen[1]) / jnp.sum(chosen[1])
  if loss == "sft_prompt":
    prompts = jnp.asarray(batches[0].main.prompt_mask)
    total = jnp.sum(chosen[0]) + jnp.sum(policy["prompts"])
    return -total / (jnp.sum(chosen[1]) + jnp.sum(prompts) - len(prompts))
  function = losses.get("orpo" if loss == "orpo_odds" else loss)
  accepted = inspect.signature(function).parameters.values()
  names = [p.name for p in accepted if p.default is p.empty]
  values = function(**{name: arrays[name] for name in names}, **kwargs)
  if loss == "orpo_odds":
    values = values - losses.nll(*chosen)
  return jnp.mean(values)


def _functions(model, batches) -> tuple[Callable, Callable]:
  """Jitted: params -> outputs; (params, cotangents) -> (norm, new params)."""

  def forward(params):
    return _outputs(model, batches, params)

  def update(params, slopes):
    (grads,) = jax.vjp(forward, params)[1](slopes)
    norm = optax.global_norm(grads)
    rate = loss_cases.STEP_LENGTH / norm
    return norm, jax.tree.map(lambda p, g: p - rate * g, params, grads)

  return jax.jit(forward), jax.jit(update)


def measure(work: pathlib.Path) -> dict[str, list[dict[str, float]]]:
  """name -> {"loss", "grad_norm"} of each step, for every case."""
  batches = _batches()
  loaded = {
    name: models.from_pretrained(work / name)
    for name in ("policy", "reference")
  }
  forward, update = _functions(loaded["policy"][0], batches)
  results = {}
  for case in loss_cases.CASES:
    params, reference = (loaded[name][1] for name in case.roles)
    reference = forward(reference)

    def total(out, case=case, reference=reference):
      return sum(
        weight * _part(case, loss, kwargs, batches, out, reference)
        for weight, loss, kwargs in case.parts
      )

    rows = []
    for _ in range(loss_cases.STEPS):
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
