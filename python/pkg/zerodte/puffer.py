"""PufferLib's face (3.x): one native environment of many lanes, which writes into PufferLib's own buffers.

>>> import pufferlib.vector, zerodte.puffer
>>> envs = pufferlib.vector.make(zerodte.puffer.ReplayPuffer, env_kwargs={"lanes": 1024, "symbols": ["SPY"]})

Lanes are what PufferLib calls agents; its `masks` say that an agent is alive, not which actions are legal: those are `action_masks()`. An action
that is not legal is taken as HOLD and counted in `core.illegal_total`. A session ends by termination, and the lane shows the next one at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pufferlib

from zerodte._market import batch_env
from zerodte.gym import spaces_of


class ReplayPuffer(pufferlib.PufferEnv):  # type: ignore[misc]
    """Many accounts that replay sessions.

    Parameters
    ----------
    lanes : int
        Accounts in this environment.
    buf : dict, optional
        Buffers of PufferLib; its vectorisation passes them.
    seed : int
    **arguments
        Those of `zerodte.gym.ReplayEnv`: market or symbols, dates, configuration, and those of `BatchEnv`.
    """

    def __init__(self, lanes: int = 1024, buf: Any = None, seed: int = 0, **arguments: Any) -> None:
        sizes = batch_env(1, **arguments)
        self.single_observation_space, self.single_action_space = spaces_of(sizes)
        self.num_agents = lanes
        self.render_mode = None
        super().__init__(buf)
        # PufferLib keeps rewards as float32 and terminals as bool, as the environment does.
        own = {"observations": self.observations, "rewards": self.rewards, "terminated": self.terminals}
        self.core = batch_env(lanes, seed=seed, copy=False, buffers=own, **arguments)

    def action_masks(self) -> np.ndarray:
        """Returns the legal actions, bool [N, K]; a view that the next step overwrites."""
        return self.core.masks

    def reset(self, seed: int | None = None) -> tuple[np.ndarray, list[dict[str, float]]]:
        """Starts the next sessions, or the first ones of a seed."""
        self.core.reset(seed)
        self.rewards[:] = 0.0
        self.terminals[:] = False
        return self.observations, []

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[dict[str, float]]]:
        """Takes one decision per lane; the infos hold the money of the sessions that have just ended."""
        self.core.step(np.ascontiguousarray(actions, dtype=np.int64).reshape(-1))
        return self.observations, self.rewards, self.terminals, self.truncations, self._infos()

    def _infos(self) -> list[dict[str, float]]:
        if not self.terminals.any():
            return []
        ended = self.core.ended()
        means = {"net_pnl_usd": ended["net_pnl_cents"].mean() / 100, "trades": ended["trades"].mean(), "sessions": len(ended["lane"])}
        return [{name: float(value) for name, value in means.items()}]

    def close(self) -> None:
        """Frees nothing: the memory goes with the object."""
