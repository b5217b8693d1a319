import json
import warnings

import numpy as np
import pytest
import zerodte

gymnasium = pytest.importorskip("gymnasium")
from gymnasium.utils.env_checker import check_env  # noqa: E402
from gymnasium.wrappers import vector as wrappers  # noqa: E402

from zerodte.gym import ReplayEnv, ReplayVectorEnv  # noqa: E402
from zerodte.testing import check_vector_env  # noqa: E402

MARKET = {"symbols": ["SPY", "QQQ"], "start": "2024-06-24", "end": "2024-07-19"}


def test_registered_environments_pass_the_checker():
    env = gymnasium.make("zerodte/Replay-v0", **MARKET)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(infinity|render).*")
        check_env(env.unwrapped, skip_render_check=True)
    assert json.loads(env.spec.to_json())["kwargs"]["symbols"] == ["SPY", "QQQ"]
    in_obs = ReplayEnv(masks_in="obs", **MARKET)
    check_env(in_obs, skip_render_check=True)
    envs = gymnasium.make_vec("zerodte/Replay-v0", num_envs=3, **MARKET)
    assert isinstance(envs, ReplayVectorEnv) and envs.num_envs == 3


def test_the_modes_of_the_vector_environment_give_the_same_transitions(market):
    check_vector_env(lambda mode: ReplayVectorEnv(6, market=market, days="all", autoreset=mode), steps=1200)


def test_the_checker_finds_memory_that_is_reused(market):
    with pytest.raises(AssertionError, match="same memory"):
        check_vector_env(lambda mode: ReplayVectorEnv(2, market=market, autoreset=mode, copy=False), steps=3)


def test_a_session_ends_with_its_money(market):
    env = ReplayEnv(market=market, seed=3)
    observation, info = env.reset(seed=1)
    total, steps, over = 0.0, 0, False
    while not over:
        action = np.random.default_rng(steps).choice(np.flatnonzero(info["action_mask"]))
        observation, reward, over, truncated, info = env.step(action)
        total, steps = total + reward, steps + 1
        assert not truncated
    episodes = env.core.episodes()
    assert episodes["steps"].tolist() == [steps] and episodes["reward"][0] == pytest.approx(total, rel=1e-4)
    assert info["net_pnl_cents"] == episodes["net_pnl_cents"][0] and info["trades"] > 0
    fresh, _ = env.reset()
    assert not np.array_equal(fresh, observation)


@pytest.mark.parametrize("mode", ["same_step", "next_step"])
def test_wrappers_work_across_ends(market, mode):
    env = wrappers.RecordEpisodeStatistics(ReplayVectorEnv(4, market=market, autoreset=mode))
    env = wrappers.NormalizeReward(env)
    if mode == "next_step":
        env = wrappers.NormalizeObservation(env)
    env = wrappers.DictInfoToList(env)
    env.reset(seed=1)
    returns = []
    for _ in range(800):
        *_, infos = env.step(np.zeros(4, np.int64))
        returns += [info["episode"]["r"] for info in infos if "episode" in info]
    assert len(returns) >= 4


def test_masks_in_observations_follow_the_spaces(market):
    env = ReplayVectorEnv(3, market=market, masks_in="obs")
    observations, infos = env.reset(seed=1)
    assert env.observation_space.contains(observations)
    assert np.array_equal(observations["action_mask"], infos["action_mask"])
    ended = False
    while not ended:
        observations, *_, infos = env.step(env.sample())
        ended = "final_obs" in infos
    final = next(final for final in infos["final_obs"] if final is not None)
    assert env.single_observation_space.contains(final)


def test_asynchronous_environments_of_gymnasium_fork(market):
    zerodte.BatchEnv(market, 1024).reset()
    envs = gymnasium.make_vec("zerodte/Replay-v0", num_envs=2, vectorization_mode="async", **MARKET)
    observations, _ = envs.reset(seed=1)
    observations, *_ = envs.step(np.zeros(2, np.int64))
    assert observations.shape == (2, 38)
    envs.close()
