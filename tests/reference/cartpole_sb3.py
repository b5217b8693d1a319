"""Trains Stable-Baselines3's PPO on CartPole-v1 with twenty seeds, for our own learning curves to be compared with.

    cd tests/reference
    python -m venv .venv && .venv/bin/python -m pip install -r requirements.txt
    .venv/bin/python cartpole_sb3.py      # rewrites cartpole_sb3.csv, about four minutes on one thread

The hyperparameters are the RL zoo's for this environment, with learning rate and clip range held constant. A seed ends
when the mean return of its last 100 episodes reaches 475, where CartPole-v1 counts as solved, or after 150,000
timesteps. The curves are the same on every run of one machine; another CPU rounds in another way and learns another.
"""

import csv
from pathlib import Path

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.utils import safe_mean

FILE = Path(__file__).with_name("cartpole_sb3.csv")
SEEDS = range(20)
SOLVED, TIMESTEPS = 475.0, 150_000
SETTINGS = {
    "n_steps": 32,
    "batch_size": 256,
    "n_epochs": 20,
    "learning_rate": 1e-3,
    "gamma": 0.98,
    "gae_lambda": 0.8,
    "clip_range": 0.2,
    "ent_coef": 0.0,
    "policy_kwargs": {"net_arch": [64, 64], "activation_fn": torch.nn.Tanh},  # Adam's eps is 1e-5 by default
}


class Curve(BaseCallback):
    """Notes the mean return of the last 100 episodes after every rollout; ends the training once it is high enough."""

    def __init__(self):
        super().__init__()
        self.points: list[tuple[int, float]] = []

    def _on_step(self) -> bool:
        return not self.points or self.points[-1][1] < SOLVED

    def _on_rollout_end(self) -> None:
        returns = [episode["r"] for episode in self.model.ep_info_buffer]
        self.points.append((self.num_timesteps, round(float(safe_mean(returns)), 2)))


def train(seed: int) -> list[tuple[int, float]]:
    """Returns the learning curve of one seed: timesteps and mean return."""
    curve = Curve()
    model = PPO("MlpPolicy", make_vec_env("CartPole-v1", n_envs=8, seed=seed), seed=seed, device="cpu", **SETTINGS)
    model.learn(TIMESTEPS, curve)
    return curve.points


def main() -> None:
    torch.set_num_threads(1)
    part = FILE.with_suffix(".part")
    with part.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["seed", "timesteps", "ep_rew_mean"])
        for seed in SEEDS:
            curve = train(seed)
            rows.writerows((seed, *point) for point in curve)
            print(f"seed {seed}: a mean return of {curve[-1][1]} after {curve[-1][0]} timesteps")
    part.rename(FILE)


if __name__ == "__main__":
    main()
