"""Steps per second through Python: the batched environment, the faces, and training beside MaskablePPO with the same settings.

    python speed.py [--steps 2000000]

Run it on an idle machine. Rows of gym-trading-env and gym-anytrading appear where they are installed: their environments hold shares instead of
options, so that only the order of magnitude compares.
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
    env, hold = zerodte.BatchEnv(market, 1024, copy=False), np.zeros(1024, np.int64)
    env.reset()
    rust = rate(1024 * 100, steps, lambda: zerodte._core._hold_in_rust(market, 1024, 100))
    share = rate(1024, steps, lambda: env.step(hold)) / rust
    print(f"Rust alone        1024 lanes {rust / 1e6:>7.2f} M/s HOLD; step through numpy reaches {share:.0%} of it")
    if importlib.util.find_spec("gymnasium"):
        from zerodte.gym import ReplayVectorEnv

        for lanes in (64, 1024):
            envs = ReplayVectorEnv(lanes, market=market)
            envs.reset(seed=1)
            print(f"ReplayVectorEnv  {lanes:>5} lanes {rate(lanes, steps, lambda envs=envs: envs.step(envs.sample())) / 1e6:>7.2f} M/s random")


def others(steps: int) -> None:
    """Prints the speed of other environments of trading, one account each, with random actions."""
    if not (importlib.util.find_spec("gymnasium") and importlib.util.find_spec("pandas")):
        return
    import gymnasium
    import pandas

    close = 470 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 4e-4, 390 * 60)))
    times = pandas.date_range("2024-01-02", periods=len(close), freq="min")
    frame = pandas.DataFrame({"open": close, "high": close + 0.1, "low": close - 0.1, "close": close, "volume": 1e5}, index=times)
    frame["feature_return"] = frame["close"].pct_change().fillna(0.0)
    made = {}
    if importlib.util.find_spec("gym_trading_env"):
        import gym_trading_env  # noqa: F401

        made["gym-trading-env"] = gymnasium.make("TradingEnv", df=frame, positions=[-1, 0, 1], verbose=0)
    if importlib.util.find_spec("gym_anytrading"):
        import gym_anytrading  # noqa: F401

        capitals = frame.rename(columns=str.capitalize)
        made["gym-anytrading"] = gymnasium.make("stocks-v0", df=capitals, window_size=1, frame_bound=(1, len(frame)))
    for name, env in made.items():
        env.reset(seed=1)

        def step(env: gymnasium.Env = env) -> None:
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                env.reset()

        print(f"{name:<16}     1 lane  {rate(1, min(steps, 50_000), step) / 1e6:>7.3f} M/s random")


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
    others(flags.steps)
    trainings(market, flags.steps // 10)


if __name__ == "__main__":
    main()
