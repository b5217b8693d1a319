"""Gymnasium's faces: `ReplayEnv` for one account, `ReplayVectorEnv` for many.

Importing this module registers `zerodte/Replay-v0`:

>>> import gymnasium, zerodte.gym
>>> envs = gymnasium.make_vec("zerodte/Replay-v0", num_envs=64, symbols=["SPY"])

Infos hold `action_mask` (bool [K] or [N, K]) always; actions that are not legal are taken as HOLD and counted, unless `illegal="raise"`.
At the end of a session the infos hold its money: `net_pnl_cents`, `fees_cents`, `trades`, `held_steps`, `day`; the return is shaped, money is not.
"""

from __future__ import annotations

from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from zerodte._core import BatchEnv
from zerodte._market import batch_env

_MONEY = ("net_pnl_cents", "fees_cents", "trades", "held_steps", "day")


def spaces_of(env: BatchEnv) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Discrete]:
    """Returns the spaces of one lane: observations Box [I] of float32 without bounds, and the K actions."""
    observation = gymnasium.spaces.Box(-np.inf, np.inf, (len(env.columns),), np.float32)
    return observation, gymnasium.spaces.Discrete(len(env.actions))


class ReplayEnv(gymnasium.Env[np.ndarray, np.int64]):
    """One account that replays sessions.

    Parameters
    ----------
    market, symbols, data_dir, start, end, config
        A `Market`, or what one is built from: files with `data_dir`, else made-up bars. For `gymnasium.make` pass the latter, which can be
        written as JSON.
    masks_in : {"info", "obs"}
        `"obs"` makes observations a dict of `observations` and `action_mask` (int8), as RLlib's masking modules expect.
    seed : int
        Seed until `reset(seed=...)` is called.
    **arguments
        Those of `BatchEnv`: `days`, `illegal`, `normalize`, `reward`.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, *, masks_in: Literal["info", "obs"] = "info", seed: int = 0, render_mode: str | None = None, **arguments: Any) -> None:
        self.core = batch_env(1, seed=seed, autoreset="disabled", copy=False, **arguments)
        self.render_mode = render_mode
        self._in_obs = masks_in == "obs"
        self.observation_space, self.action_space = spaces_of(self.core)  # type: ignore[assignment]
        if self._in_obs:
            mask = gymnasium.spaces.Box(0, 1, (len(self.core.actions),), np.int8)
            self.observation_space = gymnasium.spaces.Dict({"observations": self.observation_space, "action_mask": mask})  # type: ignore[assignment]

    def action_masks(self) -> np.ndarray:
        """Returns the legal actions, bool [K], under the name that sb3-contrib looks for."""
        return self.core.masks[0].copy()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts the next session, or the first of a seed."""
        super().reset(seed=seed)
        self.core.reset(None if seed is None else int(self.np_random.integers(2**63)))
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Takes one decision; a session ends by termination."""
        _, rewards, terminated = self.core.step(np.array([action], np.int64))
        info = self._info()
        over = bool(terminated[0])
        if over:
            ended = self.core.ended()
            info.update({name: int(ended[name][0]) for name in _MONEY})
        return self._observation(), float(rewards[0]), over, False, info

    def _observation(self) -> Any:
        observation = self.core.observations[0].copy()
        if self._in_obs:
            return {"observations": observation, "action_mask": self.core.masks[0].astype(np.int8)}
        return observation

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self.action_masks(), "illegal": bool(self.core.illegal[0])}


class ReplayVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Many accounts that replay sessions, stepped as one batch in Rust.

    `reset(seed=s)` seeds all lanes by one number: lane i is the same for every `num_envs`. With `autoreset="disabled"` reset lanes by
    `reset(options={"reset_mask": bool [N]})`.

    Parameters
    ----------
    num_envs : int
    autoreset : {"same_step", "next_step", "disabled"}
        Gymnasium's `AutoresetMode`. `"same_step"` puts the last observation of a session into `infos["final_obs"]`.
    copy : bool
        False returns the environment's own arrays, which the next step overwrites.
    **arguments
        Those of `ReplayEnv`.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset: Literal["same_step", "next_step", "disabled"] = "same_step",
        copy: bool = True,
        masks_in: Literal["info", "obs"] = "info",
        seed: int = 0,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **arguments: Any,
    ) -> None:
        self.core = batch_env(num_envs, seed=seed, autoreset=autoreset, copy=copy, **arguments)
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.autoreset_mode = AutoresetMode[autoreset.upper()]
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self._same_step = autoreset == "same_step"
        self._in_obs = masks_in == "obs"
        self.single_observation_space, self.single_action_space = spaces_of(self.core)  # type: ignore[assignment]
        if self._in_obs:
            mask = gymnasium.spaces.Box(0, 1, (len(self.core.actions),), np.int8)
            self.single_observation_space = gymnasium.spaces.Dict({"observations": self.single_observation_space, "action_mask": mask})  # type: ignore[assignment]
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)  # type: ignore[assignment]
        self._truncated = np.zeros(num_envs, bool)

    def action_masks(self) -> np.ndarray:
        """Returns the legal actions, bool [N, K]."""
        return self.core.masks

    def sample(self) -> np.ndarray:
        """Returns random legal actions, int64 [N]."""
        return self.core.sample()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts the next sessions, or the first ones of a seed."""
        super().reset(seed=seed)
        mask = (options or {}).get("reset_mask")
        if mask is not None:
            mask = np.ascontiguousarray(mask, dtype=bool)
            seed = None if seed is None or not mask.all() else seed
            mask = None if seed is not None else mask
        observations = self.core.reset(seed, mask)
        return self._observations(observations), self._infos()

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Takes one decision per lane."""
        observations, rewards, terminated = self.core.step(np.ascontiguousarray(actions, dtype=np.int64))
        infos = self._infos()
        if terminated.any():
            self._add_finals(infos, terminated)
        return self._observations(observations), rewards, terminated, self._truncated.copy(), infos

    def _observations(self, observations: np.ndarray) -> Any:
        if self._in_obs:
            return {"observations": observations, "action_mask": self.core.masks.astype(np.int8)}
        return observations

    def _infos(self) -> dict[str, Any]:
        every = np.ones(self.num_envs, bool)
        return {"action_mask": self.core.masks, "_action_mask": every, "illegal": self.core.illegal, "_illegal": every.copy()}

    def _add_finals(self, infos: dict[str, Any], terminated: np.ndarray) -> None:
        """Adds the money of the sessions that ended, and under same-step their last observations."""
        ended = self.core.ended()
        lanes, over = ended["lane"], terminated.copy()
        money: dict[str, Any] = {}
        for name in _MONEY:
            money[name] = np.zeros(self.num_envs, np.int64)
            money[name][lanes] = ended[name]
            money[f"_{name}"] = over.copy()
        if not self._same_step:
            infos.update(money)
            return
        finals = np.full(self.num_envs, None, dtype=object)
        for lane, observation in zip(lanes, ended["final_observation"], strict=True):
            finals[lane] = self._final(observation)
        infos.update(final_obs=finals, _final_obs=over, final_info=money, _final_info=over.copy())

    def _final(self, observation: np.ndarray) -> Any:
        if not self._in_obs:
            return observation
        mask = np.zeros(len(self.core.actions), np.int8)
        mask[0] = 1
        return {"observations": observation, "action_mask": mask}


if "zerodte/Replay-v0" not in gymnasium.registry:
    gymnasium.register(
        id="zerodte/Replay-v0",
        entry_point="zerodte.gym:ReplayEnv",
        vector_entry_point="zerodte.gym:ReplayVectorEnv",
    )
