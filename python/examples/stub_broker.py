"""A stand-in for a broker in the examples: made-up bars of a few sessions, and a clock that moves by minutes. It takes no orders."""

import datetime
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

NEW_YORK = ZoneInfo("America/New_York")
MINUTE = 60_000_000_000
DATES = ("2024-06-20", "2024-06-21", "2024-06-24", "2024-06-25", "2024-06-26", "2024-06-27", "2024-06-28", "2024-07-01", "2024-07-02")


@dataclass(frozen=True)
class Bar:
    """A bar with the attributes of alpaca-py's; the time is the start of the minute."""

    symbol: str
    timestamp: datetime.datetime
    open: float
    high: float
    low: float
    close: float
    volume: float


class Broker:
    """Bars of `DATES`, the last of which is today; today's become known one by one."""

    def __init__(self, symbol: str, seed: int = 1) -> None:
        dice, self.symbol = np.random.default_rng(seed), symbol
        opens = [datetime.datetime.combine(datetime.date.fromisoformat(date), datetime.time(9, 30), NEW_YORK) for date in DATES]
        ts_ns = np.concatenate([int(at.timestamp()) * 10**9 + MINUTE * np.arange(390) for at in opens])
        close = 545 * np.exp(np.cumsum(dice.normal(0, 5e-4, len(ts_ns))))
        self.columns = {"ts_ns": ts_ns, "open": close, "high": close + 0.1, "low": close - 0.1, "close": close, "volume": np.full(len(close), 1e5)}
        self.known = len(ts_ns) - 390

    def advance(self) -> None:
        """Lets a minute pass."""
        self.known += 1

    def now(self) -> datetime.datetime:
        """Returns the end of the newest bar."""
        return datetime.datetime.fromtimestamp((self.columns["ts_ns"][self.known - 1] + MINUTE) / 1e9, NEW_YORK)

    def history(self) -> dict[str, np.ndarray]:
        """Returns the bars that have ended."""
        return {name: values[: self.known] for name, values in self.columns.items()}

    def newest(self) -> Bar:
        """Returns the newest bar."""
        row = {name: values[self.known - 1] for name, values in self.columns.items()}
        start = datetime.datetime.fromtimestamp(row.pop("ts_ns") / 1e9, datetime.timezone.utc)
        return Bar(self.symbol, start, **{name: float(value) for name, value in row.items()})

    def strategy(self) -> type:
        """Returns a class with the methods of lumibot's `Strategy` that the example calls."""
        broker = self

        class Strategy:
            def __init__(self) -> None:
                self.messages: list[str] = []

            def get_historical_prices(self, symbol: str, length: int, timestep: str) -> Any:
                import pandas

                bars = {name: values[-length:] for name, values in broker.history().items()}
                index = pandas.to_datetime(bars.pop("ts_ns"), utc=True).tz_convert("America/New_York")
                return SimpleNamespace(df=pandas.DataFrame(bars, index=index))

            def get_datetime(self) -> datetime.datetime:
                return broker.now()

            def log_message(self, text: str) -> None:
                self.messages.append(text)

        return Strategy
