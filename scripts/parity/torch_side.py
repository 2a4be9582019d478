# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""What every script on the torch side shares: tokens in, numbers out.

TRL's trainers tokenise text themselves; here they are given token ids, in
file order, so that both sides of a comparison see the same input.
"""

import logging
import os
import pathlib
from typing import Any

import datasets
import tokenizers
import torch
import transformers
import trl

TRAINING = {
  # In-memory runs without reports, in float32, sorted by nothing.
  "report_to": "none",
  "save_strategy": "no",
  "disable_tqdm": True,
  "use_cpu": True,
  "bf16": False,
  "gradient_checkpointing": False,
  "dataloader_pin_memory": False,
  "logging_steps": 1,
  "max_length": None,
}


def quiet(threads: int | None = None) -> None:
  """Keeps progress bars and advice out of the output."""
  os.environ["HF_HUB_OFFLINE"] = "1"
  logging.disable(logging.WARNING)
  datasets.disable_progress_bars()
  transformers.utils.logging.set_verbosity_error()
  transformers.utils.logging.disable_progress_bar()
  if threads:
    torch.set_num_threads(threads)


def versions() -> dict[str, str]:
  """Releases that the numbers come from."""
  return {
    "trl": trl.__version__,
    "transformers": transformers.__version__,
    "torch": torch.__version__,
  }


def stand_in_tokenizer(vocab_size: int, pad_id: int):
  """A tokenizer that knows the ids only; the trainers ask it for padding."""
  vocab = {f"<{i}>": i for i in range(vocab_size)}
  inner = tokenizers.Tokenizer(
    tokenizers.models.WordLevel(vocab, unk_token=f"<{pad_id}>")
  )
  return transformers.PreTrainedTokenizerFast(
    tokenizer_object=inner,
    pad_token=f"<{pad_id}>",
    eos_token=f"<{pad_id}>",
  )


def load_model(
  directory: str | pathlib.Path,
  dtype=torch.float32,
  *,
  pad_gradient: bool = False,
):
  """A causal language model from a local directory.

  Args:
    directory: model directory.
    dtype: of the parameters.
    pad_gradient: whether the pad token's embedding gets a gradient from the
      inputs. transformers leaves it out, also where pad is the
      end-of-sequence token and occurs in the text.
  """
  model = transformers.AutoModelForCausalLM.from_pretrained(
    directory, dtype=dtype
  )
  if pad_gradient:
    model.get_input_embeddings().padding_idx = None
  return model


class _InFileOrder:
  """Reads the rows of a data set one after the other."""

  def _get_train_sampler(self, *args: Any, **kwargs: Any):
    del args, kwargs
    return torch.utils.data.SequentialSampler(self.train_dataset)


class DPO(_InFileOrder, trl.DPOTrainer):
  """DPO on rows {"prompt_ids", "chosen_ids", "rejected_ids"}."""

  def _prepare_dataset(self, dataset, *args: Any, **kwargs: Any):
    del args, kwargs
    return dataset


class KTO(_InFileOrder, trl.KTOTrainer):
  """KTO on rows with "KL_completion_ids" filled in already."""

  def _prepare_dataset(self, dataset, *args: Any, **kwargs: Any):
    del args, kwargs
    return dataset


class _RowsOfIds(_InFileOrder):
  """For the trainers that tokenise row by row."""

  def tokenize_row(self, feature, model=None):
    del model
    row = {
      "prompt_input_ids": feature["prompt_ids"],
      "prompt_attention_mask": [1] * len(feature["prompt_ids"]),
    }
    for side in ("chosen", "rejected"):
      answer = feature[f"{side}_ids"]
      ids = feature["prompt_ids"] + answer
      row[f"{side}_input_ids"] = ids
      row[f"{side}_attention_mask"] = [1] * len(ids)
      row[f"{side}_labels"] = [-100] * len(feature["prompt_ids"]) + answer
    return row


def row_trainers() -> dict[str, tuple[type, type]]:
  """name -> (trainer, config), on the rows of `pair_rows(..., text=True)`."""
  # They warn that they may move, so they are imported only when needed.
  os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
  from trl.experimental import cpo, orpo

  class CPO(_RowsOfIds, cpo.CPOTrainer):
    pass

  class ORPO(_RowsOfIds, orpo.ORPOTrainer):
    pass

  return {"cpo": (CPO, cpo.CPOConfig), "orpo": (ORPO, orpo.ORPOConfig)}


def pair_rows(pairs, *, text: bool = False) -> datasets.Dataset:
  """A data set of pairs; with `text`, the columns that text would be in."""
  rows = {
    "prompt_ids": [p["prompt"] for p in pairs],
    "chosen_ids": [p["chosen"] for p in pairs],
    "rejected_ids": [p["rejected"] for p in pairs],
  }
  if text:
    for name in ("prompt", "chosen", "rejected"):
      rows[name] = ["-"] * len(pairs)
  return datasets.Dataset.from_dict(rows)


def gradient_norm(model) -> float:
  """Global L2 norm of the gradients, in float64."""
  total = 0.0
  for parameter in model.parameters():
    if parameter.grad is not None:
      total += float(parameter.grad.double().square().sum())
  return total**0.5
