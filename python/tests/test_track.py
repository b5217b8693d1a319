"""Runs and sweeps mirrored to a stub, and to MLflow where it is installed."""

import json
import sys
import types

import pytest
from zerodte import track


class Stub:
    """Keeps what it is given."""

    def __init__(self):
        self.runs = []

    def start(self, name, parameters, tags):
        self.runs.append({"name": name, "parameters": dict(parameters), "tags": dict(tags), "metrics": {}, "files": [], "ended": False})

    def log(self, step, metrics):
        self.runs[-1]["metrics"][step] = dict(metrics)

    def artefact(self, path):
        self.runs[-1]["files"].append(path.name)

    def finish(self):
        self.runs[-1]["ended"] = True


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "first"
    folder.mkdir(parents=True)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "first.safetensors").write_bytes(b"weights")
    (folder / "config.toml").write_text('[run]\nseed = 3\nsymbols = ["SPY"]\n[ppo]\ngamma = 0.92\n')
    rows = [
        {"kind": "iteration", "data": "SYNTHETIC", "step": 2048, "train/loss": 0.5, "rollout/ep_len_mean": None},
        {"kind": "interval", "step": 2048, "env/hold": 0.25, "finished": True},
        {"kind": "iteration", "step": 4096, "train/loss": 0.25},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"kind":"iter')
    manifest = {"verdict": {"verdict": "healthy", "since": 5000}, "data": "SYNTHETIC", "version": "0.1.0"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "training.svg").write_text("<svg/>")
    return folder


@pytest.fixture
def sweep(tmp_path):
    folder = tmp_path / "sweep"
    folder.mkdir()
    heading = "trial,state,steps,mean_usd,error_usd,test_mean_usd,verdicts,ppo.gamma,policy.net_arch"
    rows = ['0,finished,1024,-12.50,3.25,,healthy healthy,0.92,"[64, 64]"', "1,pruned,512,-20.00,4.00,,- -,0.95,[8]"]
    (folder / "trials.csv").write_text("\n".join([heading, *rows]) + "\n")
    (folder / "sweep.json").write_text("{}")
    return folder


def test_a_run_is_mirrored_with_metrics_settings_verdict_and_files(run):
    stub = Stub()
    assert track.mirror(run, stub) == 1
    (only,) = stub.runs
    assert only["name"] == "first" and only["ended"]
    assert only["parameters"] == {"run.seed": 3, "run.symbols": ["SPY"], "ppo.gamma": 0.92}
    assert only["tags"] == {"verdict": "healthy", "data": "SYNTHETIC", "program": "0.1.0"}
    assert only["metrics"] == {2048: {"train/loss": 0.5, "env/hold": 0.25}, 4096: {"train/loss": 0.25}}
    assert only["files"] == ["config.toml", "metrics.jsonl", "manifest.json", "training.svg", "first.safetensors"]


def test_a_sweep_is_one_run_per_trial(sweep):
    stub = Stub()
    assert track.mirror(sweep, stub) == 2
    first, second = stub.runs
    assert first["parameters"] == {"ppo.gamma": "0.92", "policy.net_arch": "[64, 64]"}
    assert first["metrics"] == {1024: {"trial": 0.0, "steps": 1024.0, "mean_usd": -12.5, "error_usd": 3.25}}
    assert second["tags"] == {"state": "pruned", "verdicts": "- -"} and second["files"] == ["sweep.json", "trials.csv"]


def test_a_run_ends_where_the_tracker_fails(run):
    class Broken(Stub):
        def artefact(self, path):
            raise OSError("the disk is full")

    stub = Broken()
    with pytest.raises(OSError, match="full"):
        track.mirror(run, stub)
    assert stub.runs[0]["ended"]


def test_calls_of_mlflow_and_wandb(run, monkeypatch):
    calls = []
    record = lambda name: lambda *arguments, **named: calls.append((name, arguments, named))  # noqa: E731
    names = ("set_experiment", "start_run", "log_params", "log_metrics", "log_artifact", "end_run")
    monkeypatch.setitem(sys.modules, "mlflow", types.SimpleNamespace(**{name: record(name) for name in names}))
    assert track.main(["mlflow", str(run), "--project", "p"]) == 0
    assert calls[0] == ("set_experiment", ("p",), {}) and calls[-1][0] == "end_run"
    assert ("log_metrics", ({"train/loss": 0.25},), {"step": 4096}) in calls
    calls.clear()
    wandb_run = types.SimpleNamespace(log=record("log"), save=record("save"), finish=record("finish"), summary={})
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=lambda **named: calls.append(("init", (), named)) or wandb_run))
    assert track.main(["wandb", str(run)]) == 0
    assert calls[0][2]["project"] == "zerodte" and calls[0][2]["config"]["ppo.gamma"] == 0.92
    assert wandb_run.summary["verdict"] == "healthy" and ("log", ({"train/loss": 0.25},), {"step": 4096}) in calls


def test_what_is_missing_is_named(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert track.main(["wandb", str(run)]) == 1
    assert "pip install wandb" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match="no run folder"):
        track.mirror(tmp_path, Stub())
    with pytest.raises(ValueError, match="use mlflow or wandb"):
        track.mirror(run, "excel")


def test_mlflow_keeps_a_run(run, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install mlflow-skinny")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db" if hasattr(mlflow, "sklearn") else f"file://{tmp_path}/mlruns")
    monkeypatch.chdir(tmp_path)
    assert track.mirror(run, "mlflow", project="zerodte-test") == 1
    experiment = mlflow.get_experiment_by_name("zerodte-test")
    (found,) = mlflow.tracking.MlflowClient().search_runs([experiment.experiment_id])
    assert found.data.metrics["train/loss"] == 0.25 and found.data.params["ppo.gamma"] == "0.92"
    assert found.data.tags["verdict"] == "healthy" and found.info.status == "FINISHED"
