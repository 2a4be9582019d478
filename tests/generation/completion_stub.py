# Copyright 2026 The PrefJAX Authors.
# SPDX-License-Identifier: Apache-2.0
"""A completion server in a process of its own: our decoder behind HTTP.

  python completion_stub.py MODEL_DIRECTORY STYLE

prints its port. STYLE says how tokens are told: "ids", "names" ("token_id:N"
among the log-probs), "text" (neither), or "busy" (answers 503 twice first).
"""

import http.server
import json
import os
import pathlib
import subprocess
import sys

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def start(directory, style="ids"):
  """(process, address) of a running server."""
  process = subprocess.Popen(
    [sys.executable, __file__, str(directory), style],
    stdout=subprocess.PIPE,
    env={**os.environ, "PYTHONPATH": str(_ROOT)},
    text=True,
  )
  port = int(process.stdout.readline())
  return process, f"http://127.0.0.1:{port}"


def _serve(directory: str, style: str) -> None:
  from prefjax import generation, models
  from prefjax.data import tokenizers

  model, params = models.from_pretrained(directory)
  held = {"params": params, "busy": 2 if style == "busy" else 0}
  tokenizer = tokenizers.load(directory)

  def complete(body):
    made = generation.generate(
      model,
      held["params"],
      [body["prompt"]],
      max_new_tokens=body["max_tokens"],
      num_samples=body["n"],
      temperature=body["temperature"],
      top_p=body["top_p"],
      eos_ids=body["stop_token_ids"],
      seed=body["seed"],
    )
    choices = []
    for i, ids in enumerate(made.responses()[0]):
      reason = made.finish_reasons()[0][i]
      logps = [float(x) for x in made.policy_logps[0, i, : len(ids)]]
      choice = {
        "index": i,
        "text": tokenizer.decode(ids, skip_special=True),
        "finish_reason": "length" if reason == "length" else "stop",
        "logprobs": {"tokens": None, "token_logprobs": logps},
      }
      if style == "names":
        choice["logprobs"]["tokens"] = [f"token_id:{t}" for t in ids]
      elif style != "text":
        choice["token_ids"] = ids
      choices.append(choice)
    return {"choices": choices}

  class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):  # noqa: N802 - the base class's name
      body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
      status, reply = 200, {}
      if held["busy"]:
        held["busy"] -= 1
        status = 503
      elif self.path == "/update_weights_from_disk":
        _, held["params"] = models.from_pretrained(body["model_path"])
        reply = {"success": True}
      elif self.path == "/v1/completions" and body["model"] == "tiny":
        reply = complete(body)
      else:
        status, reply = 404, {"error": f"no model {body.get('model')}"}
      data = json.dumps(reply).encode()
      self.send_response(status)
      self.send_header("Content-Length", str(len(data)))
      self.end_headers()
      self.wfile.write(data)

    def log_message(self, *arguments):
      pass

  server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
  print(server.server_port, flush=True)
  server.serve_forever()


if __name__ == "__main__":
  _serve(*sys.argv[1:])
