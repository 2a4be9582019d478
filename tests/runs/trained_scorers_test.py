# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""Trained reward models as scorers."""

import jax
import numpy as np
import policy_support as support
import pytest
from scorer_support import make_folder, read_all

from prefjax.core import errors
from prefjax.rewards import sequences
from prefjax.runs import reward_files
from prefjax.runs.scorers import trained


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return make_folder(tmp_path_factory.mktemp("scorers"))


def _reward_model(folder, tmp_path, name, **kwargs):
  from prefjax import config as config_lib
  from prefjax import methods

  method = methods.get(name, **kwargs)
  section = config_lib.MethodConfig(name=name, kwargs=kwargs)
  path = support.save_model(tmp_path / name, 0)
  params = method.head.init(jax.random.key(1), 16, np.float32)
  reward_files.write(path, section, params)
  return reward_files.open_reward(path), params


def _head_inputs(model, prompt, responses):
  """Last hidden states [K, D], and the prompt's, the plain way."""
  from prefjax.data import chat

  policy = model.policy
  encoded = chat.encode_example(policy.tokenizer, prompt, responses)
  group = sequences.make_group(
    [sequences.Item(encoded.prompt_ids, encoded.responses)], 1
  )
  hidden = policy.model.hidden(policy.weights, group, layout="concat")
  last = [hidden.at[0, k, len(r) - 1] for k, r in enumerate(encoded.responses)]
  return np.asarray(last), np.asarray(hidden.prompt_end[0])


def test_a_scalar_reward_model(folder, tmp_path):
  model, params = _reward_model(folder, tmp_path, "reward_bt")
  scorer = trained.ModelScorer(
    model, trained.Settings(max_prompt=32, max_response=20), batch_size=2
  )
  rows = scorer.score(read_all(folder))
  for row, record in zip(rows, read_all(folder), strict=True):
    states, _ = _head_inputs(model, record.prompt, list(record.responses))
    want = states @ np.asarray(params["scalar_head"]["weight"])[0]
    np.testing.assert_allclose(row["scores"], want, atol=1e-4)
  short = trained.ModelScorer(model, trained.Settings(max_response=5))
  assert (
    "12 tokens, over max_response 5"
    in short.score(read_all(folder))[1]["error"]
  )


def test_every_kind_of_reward_model(folder, tmp_path):
  records = read_all(folder)
  ensemble, _ = _reward_model(folder, tmp_path, "reward_bt", members=3)
  row = trained.ModelScorer(ensemble).score(records[1:2])[0]
  assert np.shape(row["members"]) == (3, 3)
  np.testing.assert_allclose(row["scores"], np.mean(row["members"], 1))

  rated, _ = _reward_model(
    folder, tmp_path, "attribute_regression", attributes=2
  )
  row = trained.ModelScorer(rated, trained.Settings(weights=(2.0, -1.0))).score(
    records[:1]
  )[0]
  np.testing.assert_allclose(
    row["scores"], np.asarray(row["attributes"]) @ [2, -1], rtol=1e-6
  )
  with pytest.raises(errors.ConfigError, match="are 1, the model has 2"):
    trained.ModelScorer(rated, trained.Settings(weights=(1.0,))).score(
      records[:1]
    )

  for name in ("gpm", "pair_preference"):
    model, _ = _reward_model(folder, tmp_path, name)
    rows = trained.ModelScorer(model).score(records[:3])
    matrix = np.asarray(rows[1]["matrix"])
    np.testing.assert_allclose(matrix, -matrix.T, atol=1e-6)
    assert np.abs(matrix).max() > 1e-3
    np.testing.assert_allclose(rows[1]["scores"], matrix.sum(1) / 2, atol=1e-6)
    assert "two" in rows[2]["error"]

  classes, _ = _reward_model(folder, tmp_path, "p2c", num_classes=3)
  row = trained.ModelScorer(classes).score(records[:1])[0]
  np.testing.assert_allclose(np.sum(row["classes"], 1), 1, rtol=1e-6)
  np.testing.assert_allclose(row["scores"], np.asarray(row["classes"])[:, 2])


def test_a_process_reward_model_scores_steps(folder, tmp_path):
  from prefjax.data import records

  model, _ = _reward_model(folder, tmp_path, "process_reward")
  steps = records.validate(
    {"id": "s", "kind": "steps", "prompt": "2+2=? ",
     "responses": ["add\nis 4"], "steps": ["add\n", "is 4"],
     "step_labels": [True, None]}, "test",
  )  # fmt: skip
  row = trained.ModelScorer(model).score([steps])[0]
  assert np.shape(row["steps"]) == (1, 2)
  assert row["scores"] == [min(row["steps"][0])]
  product = trained.Settings(aggregate="product")
  again = trained.ModelScorer(model, product).score([steps])[0]
  assert again["scores"] == pytest.approx([np.prod(row["steps"][0])])


def test_a_reward_model_that_is_none(folder, tmp_path):
  with pytest.raises(errors.ConfigError, match="is no reward model"):
    reward_files.open_reward(folder / "a")
  path = support.save_model(tmp_path / "m", 0)
  _, params = _reward_model(folder, tmp_path, "reward_bt")
  from prefjax import config as config_lib

  reward_files.write(path, config_lib.MethodConfig(name="dpo"), params)
  with pytest.raises(errors.ConfigError, match="dpo trains no reward model"):
    reward_files.open_reward(path)
  reward_files.write(
    path, config_lib.MethodConfig(name="reward_bt", kwargs={"members": 2}),
    params,
  )  # fmt: skip
  with pytest.raises(errors.ModelError, match="is not the head"):
    reward_files.open_reward(path)
  (path / reward_files.SETTINGS).write_text("{")
  with pytest.raises(errors.ModelError, match="reward_model.json"):
    reward_files.open_reward(path)


def test_a_model_with_tools_reads_the_traces_of_records(folder, tmp_path):
  from prefjax.data import records, tool_traces

  model, params = _reward_model(folder, tmp_path, "themis")
  rounds = [{"thought": "t", "tool": "c", "input": "1", "observation": "1"}]
  record = records.validate(
    {"id": "s", "kind": "pair", "prompt": "1?", "responses": ["1", "2"],
     "metadata": {"traces": [{"rounds": rounds}, {}]}}, "test",
  )  # fmt: skip
  (row,) = trained.ModelScorer(model).score([record])
  prompt, parts = tool_traces.render_trace(record)
  texts = [tool_traces.join(part) for part in parts]
  states, _ = _head_inputs(model, prompt, texts)
  want = states @ np.asarray(params["scalar_head"]["weight"])[0]
  np.testing.assert_allclose(row["scores"], want, atol=1e-4)
