"""Trains on made-up bars with a planted edge, tests on later dates, and exports the policy to ONNX.

    python train_and_export.py [--steps 200000] [--out FOLDER]
"""

import argparse
import time
from pathlib import Path

import zerodte


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--out", type=Path, default=Path())
    flags = parser.parse_args()

    edge = {"data": {"synthetic": {"planted_edge": 1.0, "edge_visibility": 1.0}}}
    market = zerodte.Market.synthetic(["SPY"], end="2024-06-28", config=edge)
    trainer = zerodte.Trainer(market, seed=1, total=flags.steps, config={"ppo": {"learning_rate": 1e-3}})
    began = time.perf_counter()
    trainer.learn(flags.steps)
    print(f"{trainer.timesteps / (time.perf_counter() - began):,.0f} steps/s, verdict {trainer.verdict()['verdict']}")

    for behaviour in ("greedy", "random_legal"):
        result = zerodte.evaluate(trainer.policy, market, "test", behaviour=behaviour)
        sessions = len(result["sessions"]["date"])
        print(f"{behaviour:<12} {result['net_pnl_usd'] / sessions:>10,.0f} dollars per session, {result['closed']} trades")
    trainer.save(flags.out / "planted_edge")
    trainer.policy.to_onnx(flags.out / "planted_edge.onnx")


if __name__ == "__main__":
    main()
