"""Optuna over a journal file: any number of processes, on any machine that shares the folder, search together.

    python optuna_sweep.py --trials 100 & python optuna_sweep.py --trials 100

The objective is the mean net P&L of a validation date over seeds, less one standard error, as `zerodte sweep` has it.
"""

import argparse
import csv
import subprocess
import tempfile
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--trials", type=int, default=100, help="trials of all processes together")
parser.add_argument("--journal", default="optuna.log")
parser.add_argument("--program", default="zerodte")
parser.add_argument("rest", nargs="*", help="further arguments of zerodte sweep, after --")
flags = parser.parse_args()


def objective(trial):
    settings = {
        "ppo.learning_rate": trial.suggest_float("ppo.learning_rate", 1e-5, 1e-3, log=True),
        "ppo.ent_coef": trial.suggest_float("ppo.ent_coef", 1e-3, 0.2, log=True),
    }
    with tempfile.TemporaryDirectory() as folder:
        space, out = Path(folder, "space.toml"), Path(folder, "sweep")
        space.write_text("".join(f'"{key}" = {{ choice = [{value!r}] }}\n' for key, value in settings.items()))
        command = [flags.program, "sweep", "--space", space, "--trials", "1", "--out", out, *flags.rest]
        subprocess.run(command, check=True, capture_output=True)
        with (out / "trials.csv").open() as table:
            return float(next(csv.DictReader(table))["lower_usd"])


storage = JournalStorage(JournalFileBackend(flags.journal))
sampler = optuna.samplers.TPESampler(constant_liar=True, multivariate=True)
study = optuna.create_study(study_name="zerodte", storage=storage, sampler=sampler, direction="maximize", load_if_exists=True)
states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.RUNNING)
study.optimize(objective, callbacks=[optuna.study.MaxTrialsCallback(flags.trials, states=states)])
print(f"best of {len(study.trials)} trials: {study.best_value:,.0f} dollars a date (lower bound), {study.best_params}")
