"""The blocks of docs/python.md, run from top to bottom in one namespace."""

import importlib.util
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
NEEDS = {"": "gymnasium", "sb3": "sb3_contrib", "torch": "safetensors"}


def blocks():
    """Returns the fenced blocks of Python: the word behind the language, the line of the first row, and the text."""
    lines, found, start = PAGE.read_text().splitlines(), [], None
    for number, line in enumerate(lines):
        if start is None and line.startswith("```python"):
            start = number
        elif start is not None and line == "```":
            found.append((lines[start][9:].strip(), start + 2, "\n".join(lines[start + 1 : number])))
            start = None
    return found


def run(tmp_path, monkeypatch, heavy):
    monkeypatch.chdir(tmp_path)
    names, ran = {}, 0
    for needs, line, text in blocks():
        if needs and not (heavy and importlib.util.find_spec(NEEDS[needs])):
            continue
        exec(compile("\n" * (line - 1) + text, str(PAGE), "exec"), names)
        ran += 1
    return names, ran


def test_the_page_can_be_followed(tmp_path, monkeypatch):
    pytest.importorskip("gymnasium")
    names, ran = run(tmp_path, monkeypatch, heavy=False)
    assert ran >= 8 and names["actions"].shape == (4,)
    assert (tmp_path / "policy.onnx").stat().st_size > 10_000


@pytest.mark.heavy
def test_the_page_can_be_followed_with_every_library(tmp_path, monkeypatch):
    pytest.importorskip("sb3_contrib")
    torch, _ = pytest.importorskip("torch"), pytest.importorskip("safetensors")
    names, _ = run(tmp_path, monkeypatch, heavy=True)
    env, policy = names["env"], names["policy"]
    observations, masks = torch.tensor(env.observations), torch.tensor(env.masks)
    probabilities = torch.softmax(names["logits"](observations, masks), 1).detach().numpy()
    assert abs(probabilities - policy.probabilities(env.observations, env.masks)).max() < 1e-6
