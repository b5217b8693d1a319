"""Walk-forward test: trains on past dates, tests on the next ones, and moves on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from zerodte._core import Market, Policy, Trainer, evaluate


def walk_forward(
    market: Market,
    *,
    steps: int = 100_000,
    train: int = 250,
    validation: int = 40,
    test: int = 20,
    purge: int = 1,
    anchored: bool = False,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    behaviour: str = "greedy",
    config: Any = None,
    workers: int | None = None,
) -> dict[str, Any]:
    """Trains one way of training on every fold, and replays the validation and the test dates with it.

    The folds, trainings and replays are those of `zerodte walk-forward` with one candidate: the same seed gives the same money. Its
    verdict on an edge, its corrections for many trials and its page are the program's.

    Parameters
    ----------
    market : Market
    steps : int
        Steps of every training.
    train, validation, test, purge, anchored
        Sizes of the folds, as for `Market.folds`.
    seeds : sequence of int
        Every fold is trained once per seed.
    behaviour : {"greedy", "sampled"}
    config : dict or path of a TOML file, optional
        Replaces parts of the market's configuration.
    workers : int, optional
        Trainings at a time, one thread each; one per core unless given. The result does not depend on it.

    Returns
    -------
    dict
        `sessions` and `trades` are dicts of columns with `fold`, `seed` and `part` ("validation" or "test") in front; `folds` is the
        list of `Market.folds`; `policies` holds one list per fold, in the order of the seeds; `test_usd` is the mean over seeds of
        the money of all test dates.

    Raises
    ------
    ValueError
        Too few dates, or a faulty argument.
    """
    folds, stop = market.folds(train, validation, test, purge=purge, anchored=anchored), threading.Event()

    def one(fold: dict[str, Any], seed: int) -> tuple[Policy, dict[str, dict[str, Any]]]:
        trainer = Trainer(market, days=fold["train"], config=config, seed=seed, total=steps, num_threads=1)
        trainer.learn(steps, lambda _: not stop.is_set())
        play = lambda part: evaluate(trainer.policy, market, fold[part], behaviour=behaviour, seed=seed, config=config, num_threads=1)  # type: ignore[arg-type]  # noqa: E731
        return trainer.policy, {part: play(part) for part in ("validation", "test")}

    jobs = [(fold, seed) for fold in folds for seed in seeds]
    with ThreadPoolExecutor(workers) as pool:
        try:
            done = list(pool.map(lambda job: one(*job), jobs))
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    rows = [((fold["number"], seed, part), played) for (fold, seed), (_, parts) in zip(jobs, done, strict=True) for part, played in parts.items()]
    policies = iter(policy for policy, _ in done)
    tested = sum(played["net_pnl_usd"] for (_, _, part), played in rows if part == "test")
    return {
        "folds": folds,
        "sessions": _stacked(rows, "sessions"),
        "trades": _stacked(rows, "trades"),
        "policies": [[next(policies) for _ in seeds] for _ in folds],
        "test_usd": tested / len(seeds),
    }


def _stacked(rows: list[tuple[tuple[int, int, str], dict[str, Any]]], table: str) -> dict[str, Any]:
    """Puts the tables of all replays below each other, with fold, seed and part in front."""
    columns: dict[str, Any] = {name: [] for name in ("fold", "seed", "part")}
    for key, played in rows:
        length = len(played[table]["symbol"])
        for name, value in zip(("fold", "seed", "part"), key, strict=True):
            columns[name].extend([value] * length)
        for name, values in played[table].items():
            columns.setdefault(name, []).extend(values)
    return {name: np.array(values) if values and isinstance(values[0], np.generic) else values for name, values in columns.items()}
