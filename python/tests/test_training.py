import hashlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import zerodte

SMALL = {"ppo": {"n_steps": 64, "n_envs": 4}, "policy": {"net_arch": [16]}}


def digest(policy, folder):
    policy.save(folder / "model")
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_a_resumed_training_ends_in_the_same_bits(market, tmp_path):
    whole = zerodte.Trainer(market, config=SMALL, seed=3, num_threads=1)
    whole.learn(2048)
    first = zerodte.Trainer(market, config=SMALL, seed=3, num_threads=2)
    metrics = first.learn(1024)
    assert [row["time/total_timesteps"] for row in metrics] == [256, 512, 768, 1024]
    first.checkpoint(tmp_path / "step.safetensors")
    del first
    second = zerodte.Trainer.resume(tmp_path / "step.safetensors", market, num_threads=2)
    assert second.timesteps == 1024
    second.learn(1024)
    assert digest(second.policy, tmp_path) == digest(whole.policy, tmp_path)
    assert second.ledger() == whole.ledger()
    with pytest.raises(OSError):
        zerodte.Trainer.resume(tmp_path / "nowhere", market)


def test_a_training_is_judged(edge):
    trainer = zerodte.Trainer(edge, seed=1, diagnostics_every=5000)
    assert trainer.verdict() is None
    trainer.learn(30_000)
    verdict = trainer.verdict()
    assert verdict["verdict"] in {"healthy", "drifting", "inconclusive"} and not verdict["alarm"]
    assert verdict["step"] % 8 == 0 and "policy_interval/entropy_norm" in verdict["metrics"]


def test_a_callback_ends_a_training(market):
    seen = []
    trainer = zerodte.Trainer(market, config=SMALL)
    trainer.learn(10_000, callback=lambda row: seen.append(row["train/loss"]) or len(seen) < 3)
    assert len(seen) == 3 and trainer.timesteps == 768


def test_a_trained_policy_earns_on_a_planted_edge(edge):
    trainer = zerodte.Trainer(edge, seed=1, config={"ppo": {"learning_rate": 1e-3}})
    trainer.learn(150_000)
    trained = zerodte.evaluate(trainer.policy, edge)
    drawn = zerodte.evaluate(trainer.policy, edge, behaviour="random_legal")
    assert trained["net_pnl_usd"] > 0 > drawn["net_pnl_usd"]
    trades = trained["trades"]
    assert sum(trades["net_pnl_cents"]) == trained["sessions"]["net_pnl_cents"].sum() == trained["ledger"]["net_pnl_cents"]
    assert len(set(map(len, trades.values()))) == 1 and len(trades["side"]) == trained["closed"]
    hold = zerodte.evaluate(trainer.policy, edge, behaviour="always_hold")
    assert hold["net_pnl_usd"] == 0 and hold["win_rate"] is None


def test_what_needs_libtorch_is_refused(market):
    with pytest.raises(ValueError, match="libtorch"):
        zerodte.Trainer(market, config={"policy": {"precision": "bf16"}})


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_policies_with_memory_train_and_play(market, kind):
    trainer = zerodte.Trainer(market, config={"policy": {"kind": kind, "recurrent_size": 8, "net_arch": [8]}}, seed=1)
    trainer.learn(4_000)
    assert trainer.timesteps >= 4_000
    played = zerodte.evaluate(trainer.policy, market)
    assert played["sessions"]["net_pnl_cents"].sum() == played["ledger"]["net_pnl_cents"]


def test_ctrl_c_ends_a_training_within_an_iteration(market):
    script = """
import zerodte
trainer = zerodte.Trainer(zerodte.Market.synthetic(["SPY"], end="2024-02-16"))
try:
    trainer.learn(10**12, callback=lambda row: print("iteration", flush=True))
except KeyboardInterrupt:
    before = trainer.timesteps
    trainer.learn(1)
    print("interrupted, and goes on:", trainer.timesteps > before > 0, flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "iteration\n"
    child.send_signal(signal.SIGINT)
    rest = child.communicate(timeout=60)[0]
    assert rest.endswith("interrupted, and goes on: True\n"), rest


def test_other_threads_run_during_a_training(market):
    trainer = zerodte.Trainer(market, num_threads=1)
    turns, done = [], threading.Event()
    thread = threading.Thread(target=lambda: (trainer.learn(8192), done.set()))
    thread.start()
    while not done.is_set():
        turns.append(time.perf_counter())
        time.sleep(0.001)
    thread.join()
    assert len(turns) > 10, "one iteration holds the GIL"
    assert np.diff(turns).max() < 0.5 * (turns[-1] - turns[0]) + 0.2
