"""Mirrors finished runs and sweeps to MLflow or Weights & Biases, where those packages are installed.

The files of a run stay the record; a tracker is a copy for people who look at many runs there. `zerodte train --track mlflow` calls this
module at the end of a training. By hand:

    python -m zerodte.track mlflow runs/first
    python -m zerodte.track wandb sweep --project zerodte
"""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import math
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Tracker", "mirror"]

KINDS = ("mlflow", "wandb")
"""Names of the trackers, which are those of their packages."""
LONGEST_PARAMETER = 500
"""Characters of a parameter that MLflow takes."""
RECORDS = ("config.toml", "metrics.jsonl", "health.jsonl", "manifest.json", "plan.json", "sweep.json", "trials.csv", "evaluation.json")
"""Files that are mirrored as they are, beside pages and charts."""


class Tracker(Protocol):
    """A place that takes runs."""

    def start(self, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Begins a run."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Adds metrics at a step."""

    def artefact(self, path: Path) -> None:
        """Adds a file."""

    def finish(self) -> None:
        """Ends the run."""


class _Mlflow:
    """Runs of an experiment of MLflow, at the address that MLFLOW_TRACKING_URI names."""

    def __init__(self, project: str):
        self.mlflow = _package("mlflow")
        self.mlflow.set_experiment(project)

    def start(self, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        self.mlflow.start_run(run_name=name, tags=dict(tags))
        self.mlflow.log_params({key: str(value)[:LONGEST_PARAMETER] for key, value in parameters.items()})

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.mlflow.log_metrics(dict(metrics), step=step)

    def artefact(self, path: Path) -> None:
        self.mlflow.log_artifact(str(path))

    def finish(self) -> None:
        self.mlflow.end_run()


class _Wandb:
    """Runs of a project of Weights & Biases, with its own login and WANDB_MODE."""

    def __init__(self, project: str):
        self.wandb, self.project = _package("wandb"), project

    def start(self, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        self.run = self.wandb.init(project=self.project, name=name, config=dict(parameters), reinit=True)
        self.run.summary.update(dict(tags))

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.run.log(dict(metrics), step=step)

    def artefact(self, path: Path) -> None:
        self.run.save(str(path), base_path=str(path.parent), policy="now")

    def finish(self) -> None:
        self.run.finish()


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"--track {name} needs the package {name}: pip install {name}") from error


def mirror(folder: str | Path, to: str | Tracker = "mlflow", *, project: str = "zerodte") -> int:
    """Mirrors a run folder (`runs/NAME`) as one run, or the folder of a sweep as one run per trial; returns their number.

    A run gets the metrics of every iteration and interval at their steps, the configuration as parameters, the verdict and the result as tags, and
    as artefacts its records, pages, charts and model. A trial gets its settings, its money and its state.

    Raises `FileNotFoundError` for another folder, and `ImportError` where the package of the tracker is missing.
    """
    folder = Path(folder)
    tracker = _tracker(to, project)
    if (folder / "metrics.jsonl").exists():
        _mirror_run(folder, tracker)
        return 1
    if (folder / "trials.csv").exists():
        return _mirror_sweep(folder, tracker)
    raise FileNotFoundError(f"{folder} is no run folder (metrics.jsonl) and no finished sweep (trials.csv)")


def _tracker(to: str | Tracker, project: str) -> Tracker:
    if not isinstance(to, str):
        return to
    if to not in KINDS:
        raise ValueError(f"{to!r} is no tracker: use {' or '.join(KINDS)}")
    return _Mlflow(project) if to == "mlflow" else _Wandb(project)


def _mirror_run(folder: Path, tracker: Tracker) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    tracker.start(folder.name, dict(_flat(tomllib.loads((folder / "config.toml").read_text()))), _tags(manifest))
    try:
        for step, metrics in _by_step(folder / "metrics.jsonl"):
            tracker.log(step, metrics)
        for path in _artefacts(folder):
            tracker.artefact(path)
    finally:
        tracker.finish()


def _tags(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Returns verdict, data and program of a manifest."""
    verdict = manifest.get("verdict")
    verdict = verdict.get("verdict") if isinstance(verdict, dict) else verdict
    tags = {"verdict": verdict, "data": manifest.get("data"), "program": manifest.get("version"), "revision": manifest.get("revision")}
    return {key: str(value) for key, value in tags.items() if value is not None}


def _by_step(path: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Yields the numbers of every row, rows of one step together. A last line that a killed program did not finish is left out."""
    step, metrics = None, {}
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break
        if step is not None and row["step"] != step:
            yield step, metrics
            metrics = {}
        step = row["step"]
        metrics.update({key: float(value) for key, value in row.items() if key != "step" and _is_number(value)})
    if step is not None:
        yield step, metrics


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _artefacts(folder: Path) -> list[Path]:
    """Returns records, pages and charts of a folder, and the model of a run where it lies in `models/` beside `runs/`."""
    files = [folder / name for name in RECORDS] + sorted([*folder.glob("*.html"), *folder.glob("*.svg")])
    models = folder.parent.parent / "models"
    files += [models / f"{folder.name}.safetensors", models / f"{folder.name}.json"]
    return [path for path in files if path.is_file()]


def _mirror_sweep(folder: Path, tracker: Tracker) -> int:
    with (folder / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        keys = {key: value for key, value in row.items() if "." in key}
        money = {key: float(value) for key, value in row.items() if key not in keys and _is_text_of_number(value)}
        tracker.start(f"{folder.name}-trial{row['trial']}", keys, {"state": row["state"], "verdicts": row["verdicts"]})
        try:
            tracker.log(int(row["steps"]), money)
            if row is rows[-1]:
                for path in _artefacts(folder):
                    tracker.artefact(path)
        finally:
            tracker.finish()
    return len(rows)


def _is_text_of_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def main(arguments: list[str] | None = None) -> int:
    """Mirrors the folders that the arguments name; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m zerodte.track", description="Mirrors runs and sweeps to a tracker.")
    parser.add_argument("tracker", choices=KINDS)
    parser.add_argument("folders", nargs="*", help="run folders, or folders of sweeps; none = check that the package is there")
    parser.add_argument("--project", default="zerodte", help="experiment of MLflow, project of Weights & Biases")
    flags = parser.parse_args(arguments)
    try:
        _package(flags.tracker)
        for folder in flags.folders:
            runs = mirror(folder, flags.tracker, project=flags.project)
            print(f"{folder}: {runs} run(s) mirrored to {flags.tracker}, project {flags.project}")
    except (ImportError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
