"""Decisions of a policy during a session, bar by bar. It places no orders.

>>> session = zerodte.live.Session(policy, "SPY", history, date="2025-07-01")
>>> decision = session.push({"timestamp": ..., "open": ..., "high": ..., "low": ..., "close": ..., "volume": ...})
>>> decision.name, decision.probabilities
('BUY_CALL', array([...]))

A decision is taken at the close of its bar, and is the one that a replay of the whole day takes there: features, prices and account come from
the same code. The account is the replay's own: an order fills at the next bar's open at a modelled price. Where you did something else, say so by
`push(bar, did="HOLD")`. Contracts, strikes and fills of a broker are not looked at.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from zerodte import _core, _frames
from zerodte._core import Market, Policy

MINUTE_NS = 60_000_000_000
COLUMNS = ("ts_ns", "open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Decision:
    """A decision at the close of a bar.

    Attributes
    ----------
    ts_ns : int
        Start of the bar, nanoseconds since 1970 in UTC.
    action, name
        Number and name of the most probable legal action.
    probabilities : float32 array [K]
    mask : bool array [K]
        Legal actions.
    value : float
        The critic's estimate of the discounted reward until the end of the session.
    observation : float32 array [I]
        What the policy saw; the names are in `columns`.
    columns : list of str
    over : bool
        True after the last decision of the session: the account is flat, and the action is HOLD.
    """

    ts_ns: int
    action: int
    name: str
    probabilities: np.ndarray
    mask: np.ndarray
    value: float
    observation: np.ndarray
    columns: list[str]
    over: bool


class Session:
    """A session in progress.

    Parameters
    ----------
    policy : Policy
    symbol : str
    history : frame
        Minute bars of at least seven earlier sessions, as for `Market.from_bars`: they warm indicators and volatility up.
    date : str or datetime.date
        The session's date in New York.
    vix1d, vix, vix_daily : frame, optional
        Volatility, as for `Market.from_bars`. Minutes of today are pushed with `push(bar, vix1d=...)`.
    config : dict or path of a TOML file, optional
        By default the configuration that the policy was trained with, so that its inputs mean the same.

    Raises
    ------
    ValueError
        Faulty bars, a date without a session, or another set of columns than the policy's.
    """

    def __init__(
        self,
        policy: Policy,
        symbol: str,
        history: Any,
        date: str | datetime.date,
        *,
        vix1d: Any = None,
        vix: Any = None,
        vix_daily: Any = None,
        config: Any = None,
    ) -> None:
        self.policy, self.symbol = policy, symbol
        self.date = datetime.date.fromisoformat(str(date)[:10])
        self._open_ns, self._minutes = _core._session(self.date)
        self._past = _before(_frames.minute_bars(symbol, "history", history), self._open_ns)
        self._indices = {name: None if frame is None else _frames.minute_bars(name.upper(), name, frame) for name, frame in (("vix1d", vix1d), ("vix", vix))}
        self._vix_daily = vix_daily
        self._config = (policy.meta or {}).get("config") if config is None else config
        self._today: dict[str, list[float]] = {name: [] for name in COLUMNS}
        self._today_indices: dict[str, list[tuple[int, float]]] = {name: [] for name in self._indices}
        self._done: list[int] = []
        self._last: Decision | None = None

    def push(
        self,
        bar: Mapping[str, Any],
        *,
        vix1d: float | None = None,
        vix: float | None = None,
        did: str | int | None = None,
    ) -> Decision:
        """Adds the bar that has just ended, and returns the decision at its close.

        Parameters
        ----------
        bar : mapping
            `timestamp` (an aware datetime, or nanoseconds since 1970) or `ts_ns`, the start of the minute; open, high, low, close, volume.
        vix1d, vix : float, optional
            The last values of this minute, in points.
        did : str or int, optional
            What was done after the last decision, if not what it said.

        Raises
        ------
        ValueError
            A bar of another day or not later than the last one, a faulty price, or an action that was not legal.
        """
        ts_ns = self._time(bar)
        self._apply(did)
        for name, value in zip(COLUMNS, (ts_ns, *(float(bar[name]) for name in COLUMNS[1:])), strict=True):
            self._today[name].append(value)
        for name, level in (("vix1d", vix1d), ("vix", vix)):
            if level is not None:
                self._today_indices[name].append((ts_ns, float(level)))
        try:
            self._last = self._decide(ts_ns)
        except ValueError:
            for name in COLUMNS:
                self._today[name].pop()
            raise
        return self._last

    def skip(self, *, did: str | int | None = None) -> Decision:
        """Adds a minute that had no bar, and returns the decision at its end; `push` holds in the minutes that it jumps over.

        Raises
        ------
        ValueError
            No bar has been pushed yet, or the session is over.
        """
        if self._last is None:
            raise ValueError("skip: push the first bar of the session before")
        ts_ns = self._last.ts_ns + MINUTE_NS
        if ts_ns - self._open_ns >= self._minutes * MINUTE_NS:
            raise ValueError("skip: the session is over")
        self._apply(did)
        self._last = self._decide(ts_ns)
        return self._last

    def _time(self, bar: Mapping[str, Any]) -> int:
        given = bar["ts_ns"] if "ts_ns" in bar else bar["timestamp"]
        if isinstance(given, datetime.datetime):
            if given.tzinfo is None:
                raise ValueError(f"{given}: the bar's time needs a zone")
            given = round(given.timestamp() * 1_000_000) * 1_000
        ts_ns, last = int(given), self._last.ts_ns if self._last else 0
        close_ns = self._open_ns + self._minutes * MINUTE_NS
        if not self._open_ns <= ts_ns < close_ns or ts_ns % MINUTE_NS:
            raise ValueError(f"{_clock(ts_ns)} is no start of a minute between 09:30 and {_clock(close_ns)[11:16]} in New York on {self.date}")
        if ts_ns <= last:
            raise ValueError(f"the bar of {_clock(ts_ns)} is not later than the last one, {_clock(last)}")
        return ts_ns

    def _apply(self, did: str | int | None) -> None:
        """Records what was done after the last decision; minutes without a bar were held."""
        if self._last is None:
            return
        action = self._last.action
        if did is not None:
            names = self.policy.spec["actions"]
            action = names.index(did) if isinstance(did, str) else int(did)
            if not self._last.mask[action]:
                legal = ", ".join(name for name, legal in zip(names, self._last.mask, strict=True) if legal)
                raise ValueError(f"did: {names[action]} was not legal; legal were {legal}")
        self._done[-1] = action

    def _decide(self, ts_ns: int) -> Decision:
        bar = (ts_ns - self._open_ns) // MINUTE_NS
        self._done += [0] * (bar - len(self._done))
        decided = _core._decide(self.policy, self._market(bar), self._done[:bar], bar)
        self._done += [0] * (bar + 1 - len(self._done))
        return Decision(ts_ns=ts_ns, name=self.policy.spec["actions"][decided["action"]], **decided)

    def _market(self, bar: int) -> Market:
        """Builds the market of the day as it is known at the close of a bar."""
        bars = {name: np.concatenate([getattr(self._past, name), np.array(self._today[name])]) for name in COLUMNS}
        bars["ts_ns"] = bars["ts_ns"].astype(np.int64)
        indices = {name: self._index(name) for name in self._indices}
        return Market._known_after({self.symbol: bars}, self.date, bar, **indices, vix_daily=self._vix_daily, config=self._config)

    def _index(self, name: str) -> dict[str, np.ndarray] | None:
        past, today = self._indices[name], self._today_indices[name]
        if past is None and not today:
            return None
        levels = np.array([level for _, level in today])
        earlier = _before(past, self._open_ns) if past is not None else None
        join = lambda column, now: np.concatenate([getattr(earlier, column), now]) if earlier is not None else now  # noqa: E731
        columns = {price: join(price, levels) for price in ("open", "high", "low", "close")}
        return columns | {"ts_ns": join("ts_ns", np.array([ts for ts, _ in today], np.int64)).astype(np.int64)}


def _before(bars: _frames.Bars, ns: int) -> _frames.Bars:
    """Returns the bars that start before an instant."""
    if not bars.states_zone:
        raise ValueError(f"{bars.origin}: the times need a zone")
    kept = bars.ts_ns < ns
    if bars.volume is None:
        bars = bars._replace(volume=np.zeros(len(kept)))
    return bars._replace(**{name: getattr(bars, name)[kept] for name in COLUMNS})


def _clock(ts_ns: int) -> str:
    """Returns an instant as the clock of New York shows it."""
    return datetime.datetime.fromtimestamp(ts_ns / 1e9, ZoneInfo("America/New_York")).strftime("%Y-%m-%d %H:%M:%S")
