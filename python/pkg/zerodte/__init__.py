"""Market-replay reinforcement learning for intraday (0DTE) options.

>>> import zerodte
>>> market = zerodte.Market.synthetic(["SPY"], end="2024-02-29")
>>> env = zerodte.BatchEnv(market, lanes=64, seed=1)
>>> observations = env.reset()
>>> observations, rewards, terminated = env.step(env.sample())

Faces for other libraries: `zerodte.gym` (Gymnasium) and `zerodte.sb3` (Stable-Baselines3). Decisions during a session: `zerodte.live`.
"""

from zerodte import live
from zerodte._core import BatchEnv, Market, Policy, Trainer, __version__, evaluate

__all__ = ["BatchEnv", "Market", "Policy", "Trainer", "__version__", "evaluate", "live", "register_envs"]


def register_envs() -> None:
    """Registers `zerodte/Replay-v0` with Gymnasium; importing `zerodte.gym` does the same."""
    import zerodte.gym  # noqa: F401


try:
    register_envs()
except ImportError:  # Gymnasium is not installed.
    pass
