"""RLlib's face (new API stack): a registered vector environment that resets in the step after an end, as RLlib's runner expects.

>>> import zerodte.rllib
>>> config = zerodte.rllib.configure(PPOConfig(), symbols=["SPY"], num_envs=64)

RLlib takes the step after an end for the reset. An environment that resets in the same step gives it sessions that are one decision short
and end in the observation of the next one; this face sets `autoreset="next_step"`.
"""

from __future__ import annotations

from typing import Any

from zerodte.gym import ReplayVectorEnv

ENV_NAME = "zerodte"


def make(config: dict[str, Any]) -> ReplayVectorEnv:
    """Returns the environment of a runner from its `env_config`: `num_envs`, and the arguments of `zerodte.gym.ReplayVectorEnv`."""
    arguments = dict(config)
    if arguments.pop("autoreset", "next_step") != "next_step":
        raise ValueError('autoreset: RLlib needs "next_step"')
    return ReplayVectorEnv(arguments.pop("num_envs", 1), autoreset="next_step", **arguments)


def register(name: str = ENV_NAME) -> str:
    """Registers the environment with Ray and returns its name."""
    from ray import tune

    tune.register_env(name, make)
    return name


def configure(config: Any, *, num_envs: int = 64, **arguments: Any) -> Any:
    """Returns an algorithm's configuration on the environment.

    Parameters
    ----------
    config : ray.rllib.algorithms.AlgorithmConfig
    num_envs : int
        Lanes per runner.
    **arguments
        Those of `zerodte.gym.ReplayVectorEnv`; they reach other processes, so name symbols and dates rather than a `Market`. With
        `masks_in="obs"` observations are a dict of `observations` and `action_mask`, for RLlib's modules that mask actions.
    """
    env_config = {"num_envs": num_envs, **arguments}
    config = config.environment(register(), env_config=env_config)
    return config.env_runners(num_envs_per_env_runner=num_envs, gym_env_vectorize_mode="vector_entry_point")
