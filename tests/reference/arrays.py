"""Writes what Stable-Baselines3, sb3-contrib and PyTorch compute on fixed tensors, for the Rust tests to agree with.

    cd tests/reference
    python -m venv .venv && .venv/bin/python -m pip install -r requirements.txt
    .venv/bin/python arrays.py            # rewrites arrays.safetensors
    .venv/bin/python arrays.py --check    # compares it with fresh numbers; exit 1 names the worst array

Rollouts, losses, gradients and updates come from the libraries' own `collect_rollouts` and `train`; nothing of PPO is
written a second time here. Sections, each a prefix of the arrays' names:

    categorical   sb3-contrib's masked distribution on fixed logits
    masked        MaskablePPO: a rollout, the gradient of one minibatch, an update, and one that the KL target stops
    plain         PPO: a rollout without masks, the gradient of one minibatch, and an update
    lstm, gru     PyTorch's recurrent layers over sequences with episode starts inside
    recurrent     sb3-contrib's LSTM policy with an LSTM of its own for the critic

Letters: T steps, N lanes, I inputs, K actions, P parameters, L steps of a sequence, S sequences, H units. A sample's
number is `time · N + lane`. Flat parameters are the actor's, then the critic's; within a layer the weights
[outputs, inputs], then the biases; within an LSTM or a GRU as PyTorch: weight_ih, weight_hh, bias_ih, bias_hh.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

import categorical
import recurrent
import updates

FILE = Path(__file__).with_name("arrays.safetensors")

# Another CPU sums in another order. Between PyTorch's scalar and AVX-512 code: 7e-7 of an array's largest element.
TOLERANCE = 1e-5


def compute() -> dict[str, np.ndarray]:
    """Returns every array under its name."""
    torch.set_num_threads(1)
    sections = {
        "categorical": categorical.arrays(),
        "masked": updates.masked(),
        "plain": updates.plain(),
        "lstm": recurrent.layer(torch.nn.LSTM),
        "gru": recurrent.layer(torch.nn.GRU),
        "recurrent": recurrent.policy(),
    }
    return {
        f"{section}.{name}": np.ascontiguousarray(array)
        for section, arrays in sections.items()
        for name, array in arrays.items()
    }


def difference(fresh: np.ndarray, stored: np.ndarray) -> float:
    """Returns the largest difference of two arrays as a share of the largest element; infinity if they cannot agree."""
    if fresh.shape != stored.shape or fresh.dtype != stored.dtype:
        return np.inf
    if fresh.dtype.kind != "f":
        return 0.0 if np.array_equal(fresh, stored) else np.inf
    worst = np.abs(fresh.astype(np.float64) - stored).max()
    return np.inf if np.isnan(worst) else worst / max(np.abs(stored).max(), 1e-6)


def check(fresh: dict[str, np.ndarray], stored: dict[str, np.ndarray]) -> str | None:
    """Returns what is wrong with the stored arrays, if anything is."""
    if unpaired := sorted(fresh.keys() ^ stored.keys()):
        return f"{unpaired[0]} is only in {'the program' if unpaired[0] in fresh else FILE.name}"
    differences = {name: difference(fresh[name], stored[name]) for name in fresh}
    name = max(differences, key=differences.get)
    verdict = f"the worst array is {name}, which differs by {differences[name]:.1e} of its largest element"
    if differences[name] > TOLERANCE:
        return f"{verdict}; {TOLERANCE:.0e} is allowed"
    print(f"{len(fresh)} arrays agree; {verdict}")
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the reference arrays of the Rust tests.")
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    if parser.parse_args().check:
        sys.exit(check(compute(), load_file(FILE)))
    part = FILE.with_suffix(".part")
    save_file(compute(), part)
    part.rename(FILE)


if __name__ == "__main__":
    main()
