"""Decisions in the handlers of alpaca-py's streams (0.4x). Nothing is ordered here: the handler prints what the policy decides.

    python live_alpaca.py --model MODEL [--symbol SPY]

With alpaca-py, subscribe the handler and run the stream:

    stream = StockDataStream(key, secret)
    stream.subscribe_bars(Handler(model, "SPY", history).on_bar, "SPY")
    stream.run()

Without an account this script sends made-up bars of the same shape to the handler.
"""

import argparse
import asyncio
from typing import Any
from zoneinfo import ZoneInfo

import zerodte

NEW_YORK = ZoneInfo("America/New_York")


class Handler:
    """Receives the bars of a symbol as they end. `history` holds minute bars of seven or more earlier sessions."""

    def __init__(self, model: str, symbol: str, history: Any) -> None:
        self.policy, self.symbol, self.history = zerodte.Policy.load(model), symbol, history
        self.session: zerodte.live.Session | None = None
        self.decisions: list[zerodte.live.Decision] = []

    async def on_bar(self, bar: Any) -> None:
        """Decides at the close of a bar; `bar` has the attributes of `alpaca.data.models.Bar`, its time is the start of the minute."""
        today = bar.timestamp.astimezone(NEW_YORK).date()
        if self.session is None or self.session.date != today:
            self.session = zerodte.live.Session(self.policy, self.symbol, self.history, date=today)
        prices = {name: getattr(bar, name) for name in ("timestamp", "open", "high", "low", "close", "volume")}
        decision = self.session.push(prices)
        self.decisions.append(decision)
        print(f"{bar.timestamp.astimezone(NEW_YORK):%H:%M}  {decision.name:<8} {decision.probabilities[decision.action]:.0%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--symbol", default="SPY")
    parser.add_argument("--minutes", type=int, default=30)
    flags = parser.parse_args()

    from stub_broker import Broker

    broker = Broker(flags.symbol)
    handler = Handler(flags.model, flags.symbol, broker.history())
    for _ in range(flags.minutes):
        broker.advance()
        asyncio.run(handler.on_bar(broker.newest()))
    print(f"{len(handler.decisions)} decisions, 0 orders")


if __name__ == "__main__":
    main()
