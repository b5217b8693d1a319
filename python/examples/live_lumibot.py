"""Decisions in the callbacks of a lumibot strategy (4.x). Nothing is ordered here: `Decider` hands every decision to `act`.

    python live_lumibot.py --model MODEL [--symbol SPY]

With lumibot installed, `strategy(model, symbol)` returns the class to pass to a `Trader`. Without it this script plays the part of lumibot with made-up
bars, so that the callbacks run without an account.
"""

import argparse
import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import zerodte

NEW_YORK = ZoneInfo("America/New_York")
MINUTE = 60_000_000_000


class Decider:
    """A session per date. The callbacks pass minute bars: a frame with an index of aware times, as lumibot's `Bars.df`."""

    def __init__(self, model: str, symbol: str) -> None:
        self.policy, self.symbol = zerodte.Policy.load(model), symbol
        self.session: zerodte.live.Session | None = None
        self.newest = 0

    def on_bars(self, columns: dict[str, np.ndarray], now: datetime.datetime) -> zerodte.live.Decision | None:
        """Decides at the close of every bar that has come since the last call, and returns the newest decision."""
        today = now.astimezone(NEW_YORK).date()
        opened = int(datetime.datetime.combine(today, datetime.time(9, 30), NEW_YORK).timestamp()) * 10**9
        if self.session is None or self.session.date != today:
            self.session, self.newest = zerodte.live.Session(self.policy, self.symbol, columns, date=today), opened - 1
        decision = None
        for row in np.flatnonzero((columns["ts_ns"] > self.newest) & (columns["ts_ns"] + MINUTE <= now.timestamp() * 1e9)):
            decision = self.session.push({name: values[row] for name, values in columns.items()})
            self.newest = int(columns["ts_ns"][row])
        return decision


def columns_of(frame: Any) -> dict[str, np.ndarray]:
    """Returns the columns of a frame of lumibot, whose index holds the starts of the minutes."""
    times = frame.index.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64)
    return {"ts_ns": times} | {name: frame[name].to_numpy(float) for name in ("open", "high", "low", "close", "volume")}


def strategy(model: str, symbol: str, base: type | None = None) -> type:
    """Returns a strategy of lumibot that logs what the policy decides."""
    if base is None:
        from lumibot.strategies import Strategy as base

    class Replay(base):  # type: ignore[misc, valid-type]
        def initialize(self) -> None:
            self.sleeptime = "1M"
            self.decider = Decider(model, symbol)

        def on_trading_iteration(self) -> None:
            bars = self.get_historical_prices(symbol, 10 * 390, "minute")
            decision = self.decider.on_bars(columns_of(bars.df), self.get_datetime())
            if decision is not None:
                self.act(decision)

        def act(self, decision: zerodte.live.Decision) -> None:
            """The place for an order: `self.create_order(...)` with a contract of `self.get_chains(...)`."""
            self.log_message(f"{decision.name} {decision.probabilities.max():.0%}")

    return Replay


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--symbol", default="SPY")
    parser.add_argument("--minutes", type=int, default=30)
    flags = parser.parse_args()

    from stub_broker import Broker

    broker = Broker(flags.symbol)
    running = strategy(flags.model, flags.symbol, base=broker.strategy())()
    running.initialize()
    for _ in range(flags.minutes):
        broker.advance()
        running.on_trading_iteration()
    print(f"{len(running.messages)} decisions, 0 orders; the last: {running.messages[-1]}")


if __name__ == "__main__":
    main()
