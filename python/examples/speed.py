"""Steps per second through Python: the batched environment, the faces, and training beside MaskablePPO with the same settings.

    python speed.py [--steps 2000000]

Run it on an idle machine. Rust alone: `zerodte bench --workload env --lanes 1024 --threads 1`.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable

import numpy as np
import zerodte

SETTINGS = {"n_steps": 64, "batch_size": 512, "n_epochs": 4, "learning_rate": 3e-4, "gamma": 0.92, "ent_coef": 0.01}


def rate(lanes: int, steps: int, step: Callable[[], object]) -> float:
    """Returns the median of five measurements, in lane-steps per second."""
    calls = max(1, steps // lanes // 5)

    def once() -> float:
        began = time.perf_counter()
        for _ in range(calls):
            step()
        return calls * lanes / (time.perf_counter() - began)

    return statistics.median(once() for _ in range(5))


def environments(market: zerodte.Market, steps: int) -> None:
    """Prints the speed of stepping: HOLD everywhere, and random legal actions drawn by `sample`."""
    for lanes in (1, 64, 1024, 4096):
        hold = np.zeros(lanes, np.int64)
        for copy in (False, True):
            env = zerodte.BatchEnv(market, lanes, copy=copy)
            env.reset()
            speeds = rate(lanes, steps, lambda env=env: env.step(hold)), rate(lanes, steps, lambda env=env: env.step(env.sample()))
            print(f"BatchEnv{', copies' if copy else '':<8} {lanes:>5} lanes {speeds[0] / 1e6:>7.2f} M/s HOLD {speeds[1] / 1e6:>7.2f} M/s random")
    if importlib.util.find_spec("gymnasium"):
        from zerodte.gym import ReplayVectorEnv

        for lanes in (64, 1024):
            envs = ReplayVectorEnv(lanes, market=market)
            envs.reset(seed=1)
            print(f"ReplayVectorEnv  {lanes:>5} lanes {rate(lanes, steps, lambda envs=envs: envs.step(envs.sample())) / 1e6:>7.2f} M/s random")


def trainings(market: zerodte.Market, steps: int) -> None:
    """Prints the speed of training: ours, then MaskablePPO if it is installed."""
    trainer = zerodte.Trainer(market, seed=1, num_threads=1, config={"ppo": SETTINGS | {"n_envs": 64}})
    began = time.perf_counter()
    trainer.learn(steps)
    own = trainer.timesteps / (time.perf_counter() - began)
    print(f"Trainer          {own:>10,.0f} steps/s, one thread")
    if not importlib.util.find_spec("sb3_contrib"):
        return
    import torch
    from sb3_contrib import MaskablePPO

    from zerodte.sb3 import ReplayVecEnv

    torch.set_num_threads(1)
    env = ReplayVecEnv(64, market=market, normalize=True)
    env.reset()
    print(f"ReplayVecEnv        64 lanes {rate(64, steps, lambda: env.step(env.core.sample())) / 1e6:>7.2f} M/s random")
    model = MaskablePPO("MlpPolicy", env, seed=1, device="cpu", **SETTINGS)
    began = time.perf_counter()
    model.learn(steps // 5)
    other = model.num_timesteps / (time.perf_counter() - began)
    print(f"MaskablePPO      {other:>10,.0f} steps/s, one thread; ours is {own / other:.1f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2_000_000)
    flags = parser.parse_args()
    market = zerodte.Market.synthetic(["SPY"], end="2024-03-29")
    environments(market, flags.steps)
    trainings(market, flags.steps // 10)


if __name__ == "__main__":
    main()
