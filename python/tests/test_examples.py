"""The examples, run as scripts with fewer steps."""

import subprocess
import sys
from pathlib import Path

import pytest
import zerodte

EXAMPLES = Path(__file__).parents[1] / "examples"


def said(name, *arguments):
    command = [sys.executable, EXAMPLES / name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def test_a_training_is_exported(tmp_path):
    text = said("train_and_export.py", "--steps", 60_000, "--out", tmp_path)
    assert "verdict" in text and "random_legal" in text
    assert {file.name for file in tmp_path.iterdir()} == {"planted_edge.json", "planted_edge.onnx", "planted_edge.safetensors"}


@pytest.mark.heavy
def test_maskable_ppo_plays_no_illegal_action():
    pytest.importorskip("sb3_contrib")
    assert said("sb3_maskable.py", "--steps", 10_000).endswith("; 0 illegal actions\n")


@pytest.mark.heavy
def test_ppo_in_one_file_learns_the_planted_edge():
    pytest.importorskip("torch")
    first, last = said("cleanrl_masked_ppo.py", "--steps", 200_000).split("first sessions ")[1].split(", last ")
    assert float(last.split(" ")[0].replace(",", "")) > float(first.replace(",", ""))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "untrained"
    zerodte.Trainer(zerodte.Market.synthetic(["SPY"], end="2024-01-31"), seed=1).save(path)
    return path


def test_decisions_in_the_callbacks_of_lumibot_and_alpaca(model):
    pytest.importorskip("pandas")
    said_by_lumibot = said("live_lumibot.py", "--model", model, "--minutes", 5)
    assert said_by_lumibot.startswith("5 decisions, 0 orders; the last: "), said_by_lumibot
    lines = said("live_alpaca.py", "--model", model, "--minutes", 5).splitlines()
    assert [line[:5] for line in lines[:5]] == ["09:30", "09:31", "09:32", "09:33", "09:34"]
    assert lines[5] == "5 decisions, 0 orders"
    assert said_by_lumibot.split("last: ")[1].split(" ")[0] == lines[4].split()[1], "the same bars, the same decision"


def test_the_notebook_runs(tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="skipped: the notebook needs nbclient and ipykernel")
    nbclient = pytest.importorskip("nbclient")
    book = nbformat.read(EXAMPLES / "first_hour.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells), "the notebook is kept without outputs"
    nbclient.NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    text = str([cell.outputs for cell in book.cells if cell.cell_type == "code"])
    assert "random_legal" in text and "net P&L $" in text and (tmp_path / "first_hour.onnx").exists()


def test_speeds_are_measured():
    text = said("speed.py", "--steps", 40_000)
    assert text.count("M/s") >= 8 and "Trainer" in text
