"""A checker for vectorised environments: what Gymnasium's `check_env` does for single ones, and the autoreset besides.

>>> from zerodte.testing import check_vector_env
>>> check_vector_env(lambda mode: ReplayVectorEnv(8, symbols=["SPY"], autoreset=mode), steps=900)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

Transition = tuple[bytes, int, float, bool, bytes]


def check_vector_env(
    make: Callable[[str], Any],
    *,
    modes: Sequence[str] = ("same_step", "next_step", "disabled"),
    steps: int = 1000,
    seed: int = 7,
    copies: bool = True,
) -> None:
    """Checks a vectorised environment and raises `AssertionError` with the first fault.

    Parameters
    ----------
    make : callable
        Builds the environment in an autoreset mode, with the same number of lanes each time. Its actions are discrete, and the infos hold
        `action_mask` if some are illegal.
    modes : sequence of str
        Autoreset modes to compare: lane by lane, the transitions must be the same in all.
    steps : int
        Steps to play; enough that several episodes end.
    seed : int
    copies : bool
        Checks that no two calls return the same memory.
    """
    played = {}
    for mode in modes:
        env = make(mode)
        check_spaces(env, mode)
        check_seeds(env, seed)
        played[mode] = transitions(env, mode, steps, seed, copies)
        env.close()
    for mode in modes[1:]:
        for lane, (first, other) in enumerate(zip(played[modes[0]], played[mode], strict=True)):
            compared = min(len(first), len(other))
            assert any(step[3] for step in first[:compared]), f"no episode of lane {lane} ended in {compared} steps: play more"
            for at in range(compared):
                assert first[at] == other[at], f"step {at} of lane {lane} differs between {modes[0]} and {mode}"


def check_spaces(env: Any, mode: str) -> None:
    """Checks the attributes that wrappers and other libraries read."""
    assert env.metadata["autoreset_mode"] is AutoresetMode[mode.upper()], "metadata['autoreset_mode'] must be the enum of the mode"
    assert env.observation_space.shape == (env.num_envs, *env.single_observation_space.shape), "the batched space is [N, ...]"
    assert env.action_space.shape == (env.num_envs,), "one action per lane"
    observations, _ = env.reset(seed=1)
    assert env.observation_space.contains(observations), "the first observation lies outside its space"


def check_seeds(env: Any, seed: int) -> None:
    """Checks that a seed repeats itself, and that a reset without one goes on."""
    first = env.reset(seed=seed)[0].copy()
    again, _ = env.reset(seed=seed)
    assert np.array_equal(first, again), "the same seed gives other observations"
    env.step(np.zeros(env.num_envs, np.int64))
    onward, _ = env.reset()
    assert not np.array_equal(first, onward), "a reset without a seed repeats the sessions"


def transitions(env: Any, mode: str, steps: int, seed: int, copies: bool) -> list[list[Transition]]:
    """Plays random legal actions and returns the transitions of every lane, without the steps that only reset."""
    observations, infos = env.reset(seed=seed)
    dice = [np.random.default_rng([seed, lane]) for lane in range(env.num_envs)]
    waiting = np.zeros(env.num_envs, bool)
    played: list[list[Transition]] = [[] for _ in range(env.num_envs)]
    for _ in range(steps):
        if mode == "disabled" and waiting.any():
            observations, infos = env.reset(options={"reset_mask": waiting.copy()})
            waiting[:] = False
        actions = legal_actions(env, infos, dice, waiting)
        before, taken = observations, actions
        kept = before.copy()
        observations, rewards, terminations, truncations, infos = env.step(actions)
        assert not (copies and np.shares_memory(before, observations)), "two calls return the same memory"
        assert not copies or np.array_equal(kept, before), "a step changed the observation that the call before returned"
        assert env.observation_space.contains(observations), "an observation lies outside its space"
        assert rewards.shape == terminations.shape == truncations.shape == (env.num_envs,), "one number per lane"
        ends = terminations | truncations
        for lane in np.flatnonzero(~waiting):
            after = infos["final_obs"][lane] if mode == "same_step" and ends[lane] else observations[lane]
            step = (kept[lane].tobytes(), int(taken[lane]), float(rewards[lane]), bool(ends[lane]), after.tobytes())
            played[lane].append(step)
        check_infos(infos, ends, waiting, rewards, mode)
        waiting = ends.copy() if mode != "same_step" else waiting
    return played


def legal_actions(env: Any, infos: dict[str, Any], dice: list[np.random.Generator], waiting: np.ndarray) -> np.ndarray:
    """Draws a legal action per lane; lanes that only reset draw none."""
    masks = infos.get("action_mask", np.ones((env.num_envs, env.single_action_space.n), bool))
    draw = lambda lane: 0 if waiting[lane] else dice[lane].choice(np.flatnonzero(masks[lane]))  # noqa: E731
    return np.array([draw(lane) for lane in range(env.num_envs)], np.int64)


def check_infos(infos: dict[str, Any], ends: np.ndarray, waiting: np.ndarray, rewards: np.ndarray, mode: str) -> None:
    """Checks the infos of one step."""
    assert "episode" not in infos, "RecordEpisodeStatistics adds `episode` and refuses environments that set it"
    assert not rewards[waiting].any(), "a step that only resets earns nothing"
    if mode == "same_step" and ends.any():
        assert np.array_equal(infos["_final_obs"], ends), "_final_obs marks the lanes that ended"
        assert all((final is None) != end for final, end in zip(infos["final_obs"], ends, strict=True)), "final_obs of these lanes alone"
    else:
        assert "final_obs" not in infos, "final_obs belongs to ends in the mode same_step"
