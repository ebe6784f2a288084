"""Logs to Weights & Biases what it is told on standard input, a JSON object a line:
first {"project", "name", "config"}, then {"step", "values"} for each row, and {"exit_code"} at the end."""

import json
import sys

import wandb

run = None
for line in sys.stdin:
    message = json.loads(line)
    if "config" in message:
        run = wandb.init(project=message["project"], name=message["name"], config=message["config"])
        # Training and evaluation log the same step.
        run.define_metric("*", step_metric="step")
    elif "values" in message:
        run.log({"step": message["step"], **message["values"]})
    elif run is not None:
        run.finish(exit_code=message["exit_code"])
