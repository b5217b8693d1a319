"""Market-replay reinforcement learning for intraday (0DTE) options.

>>> import zerodte
>>> market = zerodte.Market.synthetic(["SPY"], end="2024-02-29")
>>> env = zerodte.BatchEnv(market, lanes=64, seed=1)
>>> observations = env.reset()
>>> observations, rewards, terminated = env.step(env.sample())

Faces for other libraries: `zerodte.gym` (Gymnasium), `zerodte.sb3` (Stable-Baselines3), `zerodte.puffer` (PufferLib) and `zerodte.rllib`
(RLlib). Decisions during a session: `zerodte.live`.
"""

from zerodte import live
from zerodte._core import BatchEnv, Market, Policy, Trainer, __version__, evaluate
from zerodte._walk_forward import walk_forward

__all__ = ["BatchEnv", "Market", "Policy", "Trainer", "__version__", "evaluate", "live", "register_envs", "walk_forward"]


def register_envs() -> None:
    """Registers `zerodte/Replay-v0` with Gymnasium; importing `zerodte.gym` does the same."""
    import zerodte.gym  # noqa: F401


try:
    register_envs()
except ImportError:  # Gymnasium is not installed.
    pass
