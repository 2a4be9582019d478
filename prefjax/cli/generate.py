# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""`prefjax generate`: what a model answers."""

import json
import pathlib
import sys
import time
import types
from collections.abc import Iterator
from typing import Any

from prefjax.cli import arguments, model_flags, texts
from prefjax.core import errors, private

SUMMARY = "Let a model answer prompts, greedily or by drawing."
_DETAILS = """
A prompt is a user's message where the tokenizer has a chat template, and
plain text to go on with where it has none or with --raw. A line of --prompts
is a JSON text, or an object with "prompt" (a text or a list of messages) or
"messages".

With --out a line a prompt is written: {"prompt", "responses": [{"text",
"tokens", "finish", "logp"}]}; logp is the sum of the model's log-probs in
nats, "finish" is eos or length.
"""

_MAX_PROMPTS = 1_000_000


def main(argv: list[str]) -> int:
  """Generates; prints the answers or writes them to a file."""
  flags = arguments.Arguments("generate", SUMMARY, details=_DETAILS)
  model_flags.declare_policy(flags)
  flags.repeated("prompt", "a prompt; give it again for more")
  flags.path("prompts", help="JSONL file of prompts", exists=True, kind="file")
  flags.string("system", None, "system message before each prompt")
  flags.boolean("raw", False, "no chat template: go on with the text itself")
  flags.integer("max_new_tokens", 256, "most tokens of an answer", low=1)
  flags.number(
    "temperature",
    None,
    "divides the logits; 0 is greedy (default 0, or 1 where --top_k, --top_p"
    " or --num_samples ask for draws)",
    low=0,
  )
  flags.integer("top_k", None, "draw among the K likeliest tokens", low=1)
  flags.number(
    "top_p",
    None,
    "draw among the likeliest tokens of this probability",
    low=0,
    high=1,
    low_open=True,
  )
  flags.integer("num_samples", 1, "answers to each prompt", low=1)
  flags.integer("seed", 0, "of the draws", low=0, high=2**32 - 1)
  flags.integer("batch", 8, "prompts that are answered together", low=1)
  flags.path("out", help="JSONL file for the answers", kind="file")
  args = flags.parse(argv)
  temperature = _temperature(args)
  prompts = list(_prompts(args))

  from prefjax.runs import caching

  caching.keep_compiled()
  policy = model_flags.open_policy(args)
  answers, seconds = _answer(args, policy, prompts, temperature)
  if args.out is not None:
    _write(pathlib.Path(args.out), answers)
  else:
    _show(answers)
  tokens = sum(r["tokens"] for a in answers for r in a["responses"])
  print(
    f"{len(answers):,} prompts, {tokens:,} tokens in {seconds:.1f} s"
    f" ({tokens / seconds:.1f} tokens/s, compilation included)",
    file=sys.stderr if args.out is None else sys.stdout,
  )
  return 0


def _temperature(args: types.SimpleNamespace) -> float:
  """The temperature; 0 where nothing asks for draws."""
  draws = [
    name
    for name, value in (
      ("top_k", args.top_k),
      ("top_p", args.top_p),
      ("num_samples", args.num_samples if args.num_samples > 1 else None),
    )
    if value is not None
  ]
  if args.temperature is None:
    return 1.0 if draws else 0.0
  if args.temperature == 0 and draws:
    raise errors.ConfigError(
      f"--{draws[0]} needs draws, but --temperature=0 is greedy: give a"
      " temperature above 0"
    )
  return args.temperature


def _prompts(args: types.SimpleNamespace) -> Iterator[Any]:
  """Texts and conversations, those of the command line first."""
  if not args.prompt and args.prompts is None:
    raise errors.ConfigError("--prompt, --prompts: give one of them")
  if args.raw and args.system is not None:
    raise errors.ConfigError(
      "--system needs a chat template, which --raw leaves out"
    )
  yield from args.prompt
  if args.prompts is None:
    return
  count = 0
  path = pathlib.Path(args.prompts)
  try:
    with path.open(encoding="utf-8") as lines:
      for number, line in enumerate(lines, 1):
        if line.strip():
          yield _parse(line, f"{path}:{number}", args.raw)
          count += 1
        if count > _MAX_PROMPTS:
          raise errors.DataError(f"{path}: has over {_MAX_PROMPTS:,} prompts")
  except UnicodeDecodeError as error:
    raise errors.DataError(f"{path}: is not UTF-8: {error}") from error
  if not count:
    raise errors.DataError(f"{path}: holds no prompt")


def _parse(line: str, where: str, raw: bool) -> Any:
  """A text or a list of messages from one line."""
  try:
    value = json.loads(line)
  except (ValueError, RecursionError) as error:
    raise errors.DataError(f"{where}: is not JSON: {error}") from error
  if isinstance(value, dict):
    for key in ("prompt", "messages"):
      if key in value:
        value = value[key]
        break
    else:
      raise errors.DataError(f"{where}: has neither 'prompt' nor 'messages'")
  if isinstance(value, str):
    return value
  if not isinstance(value, list) or not value:
    raise errors.DataError(
      f"{where}: the prompt is neither a text nor a list of messages"
    )
  if raw:
    raise errors.DataError(
      f"{where}: a conversation needs a chat template, which --raw leaves out"
    )
  return value


def _messages(prompt: Any, system: str | None) -> Any:
  """A prompt as a conversation, with the system message in front."""
  turns = prompt
  if isinstance(prompt, str):
    turns = [{"role": "user", "content": prompt}]
  if system is not None:
    turns = [{"role": "system", "content": system}, *turns]
  return turns


def _answer(
  args: types.SimpleNamespace,
  policy: Any,
  prompts: list[Any],
  temperature: float,
) -> tuple[list[dict[str, Any]], float]:
  """(what --out holds, seconds of generation)."""
  import jax.numpy as jnp

  from prefjax import generation
  from prefjax.data import prompting

  tokenizer, template = policy.tokenizer, policy.template
  chats = not args.raw and (
    template is not None or tokenizer.chat_template is not None
  )
  if args.system is not None and not chats:
    raise errors.ConfigError(
      "--system needs a chat template, and the tokenizer has none: name one"
      " with --template"
    )
  ids = [
    prompting.encode_prompt(
      tokenizer,
      _messages(prompt, args.system) if chats else prompt,
      template=template if chats else None,
    )
    for prompt in prompts
  ]
  ends = prompting.end_ids(tokenizer, template=template, is_chat=chats)
  own = policy.model.config.eos_id
  start = time.monotonic()
  made = generation.generate(
    policy.model,
    policy.weights,
    ids,
    max_new_tokens=args.max_new_tokens,
    num_samples=args.num_samples,
    temperature=temperature,
    top_k=args.top_k,
    top_p=args.top_p,
    eos_ids=tuple(dict.fromkeys([*ends, *([] if own is None else [own])])),
    seed=args.seed,
    dtype=jnp.dtype(args.dtype),
    batch_size=args.batch,
  )
  seconds = time.monotonic() - start
  answers = []
  for i, prompt in enumerate(prompts):
    responses = [
      {
        "text": tokenizer.decode(tokens, skip_special=True),
        "tokens": len(tokens),
        "finish": finish,
        "logp": float(made.policy_logps[i, s].sum(dtype="float64")),
      }
      for s, (tokens, finish) in enumerate(
        zip(made.responses()[i], made.finish_reasons()[i], strict=True)
      )
    ]
    answers.append({"prompt": prompt, "responses": responses})
  return answers, seconds


def _show(answers: list[dict[str, Any]]) -> None:
  """Prints answers; a lone one without any frame."""
  alone = len(answers) == 1 and len(answers[0]["responses"]) == 1
  for answer in answers:
    if not alone:
      prompt = answer["prompt"]
      shown = prompt if isinstance(prompt, str) else prompt[-1].get("content")
      print(f"> {texts.one_line(str(shown))}")
    for response in answer["responses"]:
      print(response["text"].strip())
      if not alone:
        print()


def _write(path: pathlib.Path, answers: list[dict[str, Any]]) -> None:
  private.make_folder(path.parent)
  part = path.with_name(f"{path.name}.part")
  with private.open_new(part) as file:
    for answer in answers:
      file.write(json.dumps(answer, ensure_ascii=False) + "\n")
  part.replace(path)
