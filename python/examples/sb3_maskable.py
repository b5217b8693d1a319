"""MaskablePPO of sb3-contrib on the planted edge, judged by money.

    python sb3_maskable.py [--steps 200000]
"""

import argparse

import numpy as np
import zerodte
from sb3_contrib import MaskablePPO
from zerodte.sb3 import ReplayVecEnv


def money_per_session(model: MaskablePPO, env: ReplayVecEnv, steps: int = 800) -> float:
    """Returns the mean net gain of finished sessions in dollars, with the most probable legal actions."""
    observations = env.reset()
    for _ in range(steps):
        actions, _ = model.predict(observations, action_masks=env.action_masks(), deterministic=True)
        observations, *_ = env.step(actions)
    return float(np.mean(env.core.episodes()["net_pnl_cents"])) / 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200_000)
    flags = parser.parse_args()

    edge = {"data": {"synthetic": {"planted_edge": 1.0, "edge_visibility": 1.0}}}
    market = zerodte.Market.synthetic(["SPY"], end="2024-06-28", config=edge)
    env = ReplayVecEnv(64, market=market, normalize=True)
    model = MaskablePPO("MlpPolicy", env, n_steps=64, batch_size=512, learning_rate=1e-3, gamma=0.92, seed=1, device="cpu")
    model.learn(flags.steps)
    # The moments of the training sessions belong to the model, so the judge draws from the same sessions' environment.
    print(f"training sessions {money_per_session(model, env):,.0f} dollars per session; {env.core.illegal_total} illegal actions")


if __name__ == "__main__":
    main()
