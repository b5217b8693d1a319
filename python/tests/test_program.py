"""The package beside the program, which `ZERODTE_PROGRAM` names: one model file gives the same trades, one seed the same folds."""

import os
import subprocess

import numpy as np
import pytest
import zerodte

PROGRAM = os.environ.get("ZERODTE_PROGRAM", "")
pytestmark = pytest.mark.skipif(not os.access(PROGRAM, os.X_OK), reason="skipped: ZERODTE_PROGRAM does not name the built program zerodte")
pandas = pytest.importorskip("pandas")

SMALL = ["--set", "ppo.n_steps=64", "--set", "policy.net_arch=[16]"]
BARS = ["--data-source", "synthetic", "--symbols", "SPY", "--set", "data.synthetic.sessions_to=2024-06-28", "--set", "data.synthetic.planted_edge=1.0"]


def said(folder, *arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 3, 4), done.stdout + done.stderr
    return done.stdout


def backtested(folder, model, first, last, *bars):
    said(folder, "backtest", "--model", model, *bars, "--start-date", first, "--end-date", last, "--trades", "trades.csv")
    return pandas.read_csv(folder / "trades.csv")


def same_trades(table, played):
    """Asserts that the program's file and the package's columns hold the same trades."""
    assert len(table) == len(played["net_pnl_cents"]) > 3
    by_entry = np.argsort(played["entry_ts_ns"], kind="stable")
    column = lambda name: np.array(played[name])[by_entry]  # noqa: E731
    assert np.array_equal(np.rint(table["net_pnl_usd"] * 100).astype(int), column("net_pnl_cents"))
    assert np.array_equal(np.rint(table["fees_usd"] * 100).astype(int), column("fees_cents"))
    for name in ("side", "reason", "prices"):
        assert table[name].tolist() == column(name).tolist()
    assert np.array_equal(table["strike"], column("strike"))
    entries = pandas.to_datetime(table["entry_utc"]).dt.tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64)
    assert np.array_equal(entries, column("entry_ts_ns"))


def test_a_model_of_the_program_earns_the_same_cents_here(tmp_path):
    said(tmp_path, "train", *BARS, *SMALL, "--intraday-days", 0, "--timesteps", 20_000, "--model-name", "m", "--out-dir", ".")
    table = backtested(tmp_path, "models/m", "2024-05-01", "2024-06-28")
    policy = zerodte.Policy.load(tmp_path / "models" / "m")
    market = zerodte.Market.synthetic(["SPY"], config=policy.meta["config"])
    days = [day for day, date in enumerate(market.sessions()["date"]) if date >= "2024-05-01"]
    same_trades(table, zerodte.evaluate(policy, market, days)["trades"])


def test_a_model_of_the_package_earns_the_same_cents_there(tmp_path):
    config = {"data": {"synthetic": {"planted_edge": 1.0}}, "ppo": {"n_steps": 64}, "policy": {"net_arch": [16]}}
    market = zerodte.Market.synthetic(["SPY"], end="2024-06-28", config=config)
    trainer = zerodte.Trainer(market, days="all", seed=4)
    trainer.learn(20_000)
    trainer.save(tmp_path / "own")
    days = [day for day, date in enumerate(market.sessions()["date"]) if date >= "2024-05-01"]
    same_trades(backtested(tmp_path, "own", "2024-05-01", "2024-06-28", *BARS), zerodte.evaluate(trainer.policy, market, days)["trades"])


def test_folds_and_seeds_give_the_money_of_the_program(tmp_path):
    sizes = ["--train-sessions", 30, "--validation-sessions", 10, "--test-sessions", 20]
    said(tmp_path, "walk-forward", *BARS, *SMALL, *sizes, "--timesteps", 2048, "--seeds", "0,1", "--matched-draws", 0, "--set", "evaluation.resamples=199",
         "--set", "run.out_dir=.", "--out", "w")  # fmt: skip
    theirs = pandas.read_parquet(tmp_path / "w" / "sessions.parquet")
    config = {"data": {"synthetic": {"planted_edge": 1.0}}, "ppo": {"n_steps": 64}, "policy": {"net_arch": [16]}}
    market = zerodte.Market.synthetic(["SPY"], end="2024-06-28", config=config)
    ours = zerodte.walk_forward(market, steps=2048, train=30, validation=10, test=20, seeds=(0, 1))
    keys = ["fold", "seed", "part", "date"]
    mine = pandas.DataFrame({name: ours["sessions"][name] for name in [*keys, "net_pnl_cents"]}).sort_values(keys, ignore_index=True)
    theirs = theirs[theirs["part"].isin(["validation", "test"])].astype({"date": str}).sort_values(keys, ignore_index=True)
    assert theirs[keys].astype(str).equals(mine[keys].astype(str))
    assert np.array_equal(theirs["net_cents"], mine["net_pnl_cents"]) and (mine["net_pnl_cents"] != 0).any()
