"""Markets and environments by plain arguments, which registered environments and workers of other libraries pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zerodte._core import BatchEnv, Market

_MARKETS: dict[Any, Market] = {}


def market_of(
    market: Market | None = None,
    *,
    symbols: Sequence[str] = ("SPY",),
    data_dir: str | None = None,
    start: str | None = None,
    end: str | None = None,
    config: Any = None,
) -> Market:
    """Returns the market, or builds it from files (`data_dir`) or the generator; equal arguments build it once per process."""
    if market is not None:
        return market
    key = (tuple(symbols), str(data_dir), start, end, repr(config))
    if key not in _MARKETS:
        if data_dir is None:
            _MARKETS[key] = Market.synthetic(list(symbols), start=start, end=end, config=config)
        else:
            _MARKETS[key] = Market.from_files(data_dir, list(symbols), start=start, end=end, config=config)
    return _MARKETS[key]


def rebuild(symbols: list[str], config: dict[str, Any]) -> Market:
    """Rebuilds a pickled market of the generator."""
    return Market.synthetic(symbols, config=config)


def split_arguments(arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the arguments of `market_of`, and those of `BatchEnv`."""
    names = ("market", "symbols", "data_dir", "start", "end", "config")
    of_market = {name: arguments.pop(name) for name in names if name in arguments}
    return of_market, arguments


def batch_env(lanes: int, **arguments: Any) -> BatchEnv:
    """Returns an environment from the arguments of `market_of` and of `BatchEnv` together."""
    of_market, of_env = split_arguments(arguments)
    return BatchEnv(market_of(**of_market), lanes, **of_env)
