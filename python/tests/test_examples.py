"""The examples, run as scripts with fewer steps."""

import subprocess
import sys
from pathlib import Path

import pytest

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


def test_speeds_are_measured():
    text = said("speed.py", "--steps", 40_000)
    assert text.count("M/s") >= 8 and "Trainer" in text
