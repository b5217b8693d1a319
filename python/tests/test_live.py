import datetime

import numpy as np
import pytest
import zerodte
from zerodte import live

MINUTE = 60_000_000_000


def walk(dates, seed=0):
    """Minute bars of whole sessions as arrays: a random walk that moves enough for orders of every kind."""
    dice, rows = np.random.default_rng(seed), []
    for date, minutes in dates:
        new_york = datetime.datetime.combine(datetime.date.fromisoformat(date), datetime.time(9, 30), live.ZoneInfo("America/New_York"))
        rows.append(int(new_york.timestamp()) * 1_000_000_000 + MINUTE * np.arange(minutes))
    ts_ns = np.concatenate(rows)
    close = 550 * np.exp(np.cumsum(dice.normal(0, 0.0006, len(ts_ns))))
    opens = np.concatenate([[550.0], close[:-1]])
    wick = 0.1 * dice.random((2, len(ts_ns)))
    return {
        "ts_ns": ts_ns,
        "open": opens,
        "high": np.maximum(opens, close) + wick[0],
        "low": np.minimum(opens, close) - wick[1],
        "close": close,
        "volume": dice.integers(1_000, 200_000, len(ts_ns)).astype(float),
    }


# A half day is among them: the third of July.
DATES = [("2024-06-20", 390), ("2024-06-21", 390), ("2024-06-24", 390), ("2024-06-25", 390), ("2024-06-26", 390), ("2024-06-27", 390),
         ("2024-06-28", 390), ("2024-07-01", 390), ("2024-07-02", 390), ("2024-07-03", 210), ("2024-07-05", 390)]  # fmt: skip


@pytest.fixture(scope="module")
def policy():
    market = zerodte.Market.from_bars({"SPY": walk(DATES)})
    trainer = zerodte.Trainer(market, days="all", seed=1, config={"ppo": {"learning_rate": 3e-3, "ent_coef": 0.0}})
    trainer.learn(12_000)
    return trainer.policy


def replayed(policy, bars, date):
    """Returns observation, mask and action of every decision of a replay of the whole day."""
    market = zerodte.Market.from_bars({"SPY": bars}, start=date, end=date)
    env = zerodte.BatchEnv(market, 1, days="all", autoreset="disabled")
    observation, seen, over = env.reset(), [], False
    while not over:
        mask = env.masks
        action = policy.act(observation, mask)
        seen.append((observation[0], mask[0], int(action[0])))
        observation, _, terminated = env.step(action)
        over = bool(terminated[0])
    return seen


@pytest.mark.parametrize(("date", "missing", "until"), [("2024-07-03", (), 210), ("2024-07-05", (60, 61, 100), 120)])
def test_a_decision_is_that_of_a_replay_of_the_whole_day(policy, date, missing, until):
    bars = walk(DATES)
    opened = live.Session(policy, "SPY", bars, date)._open_ns
    gone = np.isin(bars["ts_ns"], [opened + minute * MINUTE for minute in missing])
    bars = {name: values[~gone] for name, values in bars.items()}
    expected = replayed(policy, bars, date)
    session, actions = live.Session(policy, "SPY", bars, date), set()
    for minute in range(min(until, len(expected))):
        row = np.flatnonzero(bars["ts_ns"] == opened + minute * MINUTE)
        decision = session.push({name: values[row[0]] for name, values in bars.items()}) if row.size else session.skip()
        observation, mask, action = expected[minute]
        assert np.array_equal(decision.observation, observation), f"minute {minute}"
        assert np.array_equal(decision.mask, mask) and decision.action == action and not decision.over
        actions.add(decision.name)
    assert len(actions) > 2, actions


def test_what_was_done_replaces_what_was_said(policy):
    bars = walk(DATES)
    session = live.Session(policy, "SPY", bars, "2024-07-05")
    rows = np.flatnonzero(bars["ts_ns"] >= session._open_ns)
    bar = lambda at: {name: values[rows[at]] for name, values in bars.items()}  # noqa: E731
    session.push(bar(0))
    bought = session.push(bar(1), did="BUY_CALL")
    assert bought.observation[bought.columns.index("side")] == 1.0
    with pytest.raises(ValueError, match="BUY_PUT was not legal; legal were HOLD"):
        session.push(bar(2), did="BUY_PUT")
    held = session.push(bar(2), did="HOLD")
    assert held.observation[held.columns.index("hours_held")] == np.float32(2 / 60)


def test_bars_of_another_time_are_refused(policy):
    bars = walk(DATES)
    session = live.Session(policy, "SPY", bars, "2024-07-05")
    for row in np.flatnonzero(bars["ts_ns"] >= session._open_ns)[:6]:
        bar = {name: values[row] for name, values in bars.items()}
        session.push(bar)
    with pytest.raises(ValueError, match="is not later than the last one, 2024-07-05 09:35:00"):
        session.push(bar)
    with pytest.raises(ValueError, match="is no start of a minute between 09:30 and 16:00"):
        session.push(bar | {"ts_ns": session._open_ns - MINUTE})
    with pytest.raises(ValueError, match="high"):
        session.push(bar | {"ts_ns": bar["ts_ns"] + MINUTE, "high": 1.0})
    with pytest.raises(ValueError, match="push the first bar"):
        live.Session(policy, "SPY", bars, "2024-07-05").skip()
    assert session.push(bar | {"ts_ns": bar["ts_ns"] + MINUTE}).ts_ns == bar["ts_ns"] + MINUTE
