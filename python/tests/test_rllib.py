"""RLlib. Skipped where it is not installed."""

import os
import warnings

import numpy as np
import pytest

pytestmark = pytest.mark.heavy
ray = pytest.importorskip("ray", reason="skipped: RLlib is not installed (pip install 'ray[rllib]')")
pytest.importorskip("torch", reason="skipped: RLlib needs PyTorch")

SESSIONS = {"symbols": ["SPY"], "start": "2024-06-24", "end": "2024-07-19"}


@pytest.fixture(scope="module", autouse=True)
def cluster():
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    warnings.simplefilter("ignore")
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False, object_store_memory=200 * 1024 * 1024)
    yield
    ray.shutdown()


def configuration(num_envs, **arguments):
    from ray.rllib.algorithms.ppo import PPOConfig
    from zerodte import rllib

    config = rllib.configure(PPOConfig(), num_envs=num_envs, **SESSIONS, **arguments)
    return config.env_runners(num_env_runners=0)


def test_the_runner_sees_whole_sessions():
    from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
    from zerodte.gym import ReplayEnv

    runner = SingleAgentEnvRunner(config=configuration(2))
    episodes = [episode for episode in runner.sample(num_timesteps=2 * 1200, random_actions=True) if episode.is_done]
    assert len(episodes) >= 3
    names = ReplayEnv(**SESSIONS).core.columns
    opened, left = names.index("since_open"), names.index("to_close")
    lengths = set()
    for episode in episodes:
        shown = episode.get_observations()
        first, last = np.asarray(shown[0]), np.asarray(shown[-1])
        assert first[opened] < 0.01 and last[left] < 0.03, "from the first minute to the last"
        lengths.add(len(episode))
    assert lengths <= {384, 204}, f"sessions of whole and half days: {lengths}"


def test_ppo_trains():
    config = configuration(8).training(train_batch_size_per_learner=1024, minibatch_size=256, num_epochs=1)
    algorithm = config.build_algo()
    try:
        result = algorithm.train()
        assert result["env_runners"]["num_env_steps_sampled"] >= 1024
    finally:
        algorithm.stop()
    from zerodte import rllib

    with pytest.raises(ValueError, match='RLlib needs "next_step"'):
        rllib.make({"num_envs": 2, "autoreset": "same_step", **SESSIONS})
