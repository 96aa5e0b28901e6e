"""Searches the learning rate and the hidden size of a config with Optuna; bad trials are pruned while they run.

    pip install optuna
    python3 search.py config.json --trials 20 --output-dir studies/first

kiwi-host is looked for on the path, or named by --program. What a run writes is read and nothing else: `events.jsonl`
while it goes on, `summary.json` once it has ended.
"""

import argparse
import json
import pathlib
import signal
import subprocess
import sys
import time

import optuna

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("config")
parser.add_argument("--trials", type=int, default=20)
parser.add_argument("--output-dir", type=pathlib.Path, required=True)
parser.add_argument("--program", default="kiwi-host")
parser.add_argument("--seed", type=int, default=1)
arguments = parser.parse_args()


def number(value):
    """A number of a record: those that JSON has not are the strings NaN, Infinity and -Infinity."""
    return float("nan") if value is None else float(value)


def validations(run):
    """Steps and values of the main metric of the validations so far, from lines that have their ends."""
    try:
        lines = (run / "events.jsonl").read_text().split("\n")[:-1]
    except FileNotFoundError:
        return
    metric = None
    for event in (json.loads(line)["event"] for line in lines):
        if event["kind"] == "started":
            metric = event["main_metric"]
        elif event["kind"] == "validated" and metric in event["values"]:
            yield event["step"], number(event["values"][metric])


def train(trial):
    rate = trial.suggest_float("learning_rate", 5e-4, 2e-2, log=True)
    size = trial.suggest_categorical("hidden_size", [32, 64, 128])
    run = arguments.output_dir / f"{trial.number:04}"
    command = [arguments.program, "train", arguments.config, "--quiet", "--output-dir", str(run)]
    command += ["--set", f"system.optimizer.learning_rate={rate}", "--set", f"system.model.encoder.hidden_size={size}"]
    process, told = subprocess.Popen(command), 0
    try:
        while process.poll() is None:
            time.sleep(0.2)
            for step, value in list(validations(run))[told:]:
                trial.report(value, step)
                told += 1
            if trial.should_prune():
                raise optuna.TrialPruned
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)  # The run saves a resume point, and could go on.
            process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"kiwi-host train ended with {process.returncode}: see {run}")
    return number(json.loads((run / "summary.json").read_text())["best"]["value"])


study = optuna.create_study(
    direction="minimize",  # "maximize" for a main metric such as CORRECT.
    sampler=optuna.samplers.TPESampler(seed=arguments.seed),
    pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
)
study.optimize(train, n_trials=arguments.trials, catch=(RuntimeError,))
if not any(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials):
    sys.exit("all trials have failed")
best = study.best_trial
print(json.dumps({"trial": best.number, "value": best.value, "values": best.params, "run": str(arguments.output_dir / f"{best.number:04}")}))
