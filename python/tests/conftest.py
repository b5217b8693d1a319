"""Markets that several tests share. July and November 2024 hold half days, so that sessions do not all end at the same step."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # Small networks: more threads of torch only wait for each other.

import pytest  # noqa: E402
import zerodte  # noqa: E402


@pytest.fixture(scope="session")
def market():
    return zerodte.Market.synthetic(["SPY", "QQQ"], start="2024-06-24", end="2024-07-19")


@pytest.fixture(scope="session")
def edge():
    """A market whose planted edge is plain to see."""
    config = {"data": {"synthetic": {"planted_edge": 1.0, "edge_visibility": 1.0}}}
    return zerodte.Market.synthetic(["SPY"], end="2024-04-30", config=config)
