"""Stable-Baselines3 and sb3-contrib on the native environment; run by scripts/python.sh --all."""

import numpy as np
import pytest

pytestmark = pytest.mark.heavy
sb3 = pytest.importorskip("stable_baselines3")
contrib = pytest.importorskip("sb3_contrib")
from sb3_contrib.common.maskable.evaluation import evaluate_policy  # noqa: E402
from sb3_contrib.common.maskable.utils import is_masking_supported  # noqa: E402
from stable_baselines3.common.env_checker import check_env  # noqa: E402
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize  # noqa: E402

from zerodte.gym import ReplayEnv  # noqa: E402
from zerodte.sb3 import ReplayVecEnv  # noqa: E402


def test_the_single_environment_passes_the_checker(market):
    check_env(ReplayEnv(market=market))


def test_ends_carry_terminal_observations_and_money(market):
    env = ReplayVecEnv(4, market=market, seed=1)
    observations = env.reset()
    ends = 0
    for _ in range(900):
        before = observations
        observations, rewards, dones, infos = env.step(env.core.sample())
        for lane in np.flatnonzero(dones):
            ends += 1
            info = infos[lane]
            assert not np.array_equal(info["terminal_observation"], observations[lane])
            assert info["terminal_observation"].shape == before[lane].shape and info["TimeLimit.truncated"] is False
            assert info["episode"]["l"] in (384, 204) and isinstance(info["net_pnl_cents"], int)
        assert all(not info for lane, info in enumerate(infos) if not dones[lane])
    assert ends >= 8


def test_masks_are_found_and_no_illegal_action_is_taken(edge):
    env = ReplayVecEnv(8, market=edge, normalize=True)
    assert is_masking_supported(env)
    model = contrib.MaskablePPO("MlpPolicy", env, n_steps=64, batch_size=128, seed=1, device="cpu")
    model.learn(20_000)
    assert env.core.illegal_total == 0 and model.ep_info_buffer
    plain = ReplayVecEnv(8, market=edge, normalize=True)
    sb3.PPO("MlpPolicy", plain, n_steps=64, batch_size=128, seed=1, device="cpu").learn(5_000)
    assert plain.core.illegal_total > 100


def test_a_masked_policy_earns_on_a_planted_edge(edge):
    env = ReplayVecEnv(16, market=edge, normalize=True)
    model = contrib.MaskablePPO("MlpPolicy", env, n_steps=128, batch_size=256, learning_rate=1e-3, gamma=0.92, seed=1, device="cpu")
    model.learn(150_000)
    judge = ReplayVecEnv(8, market=edge, normalize=True)
    money = []
    collect = lambda local, _: money.extend([local["infos"][0]["net_pnl_cents"]] if "net_pnl_cents" in local["infos"][0] else [])  # noqa: E731
    evaluate_policy(model, VecMonitor(judge), n_eval_episodes=32, callback=collect)
    assert judge.core.illegal_total == 0
    assert np.mean(money) > 0, f"{np.mean(money) / 100:.0f} dollars per session"


def test_wrappers_of_vectorised_environments_work(market, tmp_path):
    env = VecNormalize(VecMonitor(ReplayVecEnv(4, market=market)))
    model = contrib.MaskablePPO("MlpPolicy", env, n_steps=128, batch_size=64, device="cpu").learn(2_048)
    model.save(tmp_path / "model")
    env.save(str(tmp_path / "normalize.pkl"))
    loaded = contrib.MaskablePPO.load(tmp_path / "model", env=env, device="cpu")
    observations = env.reset()
    masks = np.stack(env.env_method("action_masks"))
    actions, _ = loaded.predict(observations, action_masks=masks, deterministic=True)
    assert masks[np.arange(4), actions].all()


def test_lanes_have_no_attributes_of_their_own(market):
    env = ReplayVecEnv(2, market=market)
    assert env.get_attr("render_mode") == [None, None] and len(env.env_method("action_masks", indices=1)) == 1
    with pytest.raises(AttributeError):
        env.env_method("render")
    with pytest.raises(AttributeError):
        env.set_attr("x", 1)
