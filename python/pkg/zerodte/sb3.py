"""Stable-Baselines3's face: `ReplayVecEnv`, a native `VecEnv` without subprocesses.

>>> from sb3_contrib import MaskablePPO
>>> from zerodte.sb3 import ReplayVecEnv
>>> model = MaskablePPO("MlpPolicy", ReplayVecEnv(64, symbols=["SPY"]), n_steps=64).learn(100_000)

`MaskablePPO` finds the masks by itself. Plain `PPO` does not use them: its illegal actions become HOLD and are counted in `env.core.illegal_total`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from zerodte._market import batch_env
from zerodte.gym import spaces_of

_MONEY = ("net_pnl_cents", "fees_cents", "trades", "held_steps", "day")


class ReplayVecEnv(VecEnv):
    """Many accounts that replay sessions, for the algorithms of Stable-Baselines3 and sb3-contrib.

    At the end of a session `infos[i]` holds `terminal_observation`, `episode` (return, length, seconds), and the session's money in cents.

    Parameters
    ----------
    num_envs : int
    seed : int
        Seed of all lanes, until `env.seed(s)` and `reset()` are called.
    **arguments
        A `market`, or `symbols`, `data_dir`, `start`, `end`, `config`; and those of `BatchEnv`: `days`, `illegal`, `normalize`, `reward`.
    """

    def __init__(self, num_envs: int = 1, *, seed: int = 0, **arguments: Any) -> None:
        self.core = batch_env(num_envs, seed=seed, **arguments)
        self._returns = np.zeros(num_envs)
        self._lengths = np.zeros(num_envs, np.int64)
        self._began = time.monotonic()
        self._actions = np.zeros(num_envs, np.int64)
        super().__init__(num_envs, *spaces_of(self.core))

    def reset(self) -> np.ndarray:
        """Starts the next sessions, or the first ones of the seed given by `seed`."""
        observations = self.core.reset(self._seeds[0])
        self._returns[:], self._lengths[:] = 0, 0
        self.reset_infos = [{} for _ in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Takes the actions of the next step."""
        self._actions = np.ascontiguousarray(actions, dtype=np.int64)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Steps all lanes; a lane whose session ends shows the first observation of its next one."""
        observations, rewards, dones = self.core.step(self._actions)
        self._returns += rewards
        self._lengths += 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if dones.any():
            self._add_finals(infos)
        return observations, rewards, dones, infos

    def _add_finals(self, infos: list[dict[str, Any]]) -> None:
        ended = self.core.ended()
        seconds = round(time.monotonic() - self._began, 6)
        for row, lane in enumerate(ended["lane"].tolist()):
            episode = {"r": float(self._returns[lane]), "l": int(self._lengths[lane]), "t": seconds}
            final = {"terminal_observation": ended["final_observation"][row], "TimeLimit.truncated": False, "episode": episode}
            infos[lane] = final | {name: int(ended[name][row]) for name in _MONEY}
            self._returns[lane], self._lengths[lane] = 0, 0

    def action_masks(self) -> np.ndarray:
        """Returns the legal actions, bool [N, K]."""
        return self.core.masks

    def close(self) -> None:
        """Does nothing: there are no processes."""

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """Returns an attribute once per lane; every lane is part of this object."""
        value = None if attr_name == "render_mode" else getattr(self, attr_name)
        return [value for _ in self._lanes(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None) -> None:
        """Refuses: lanes have no attributes of their own."""
        raise AttributeError(f"the lanes of ReplayVecEnv have no attribute {attr_name} of their own")

    def env_method(self, method_name: str, *args: Any, indices: int | Iterable[int] | None = None, **kwargs: Any) -> list[Any]:
        """Returns `action_masks` lane by lane, the only method of a lane."""
        if method_name != "action_masks":
            raise AttributeError(f"the lanes of ReplayVecEnv have the method action_masks, not {method_name}")
        masks = self.core.masks
        return [masks[lane] for lane in self._lanes(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: int | Iterable[int] | None = None) -> list[bool]:
        """Returns False once per lane, except for `Monitor`, whose statistics the infos hold."""
        wrapped = wrapper_class.__name__ == "Monitor"
        return [wrapped for _ in self._lanes(indices)]

    def _lanes(self, indices: int | Iterable[int] | None) -> Sequence[int]:
        if indices is None:
            return range(self.num_envs)
        return [indices] if isinstance(indices, int) else list(indices)
