"""A recorded game, and how Stable-Baselines3 collects a rollout from it."""

from dataclasses import dataclass

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv

STEPS, LANES, INPUTS, ACTIONS = 32, 4, 7, 5


@dataclass
class Recording:
    """What N lanes show, whatever is done in them."""

    obs: np.ndarray  # [T + 1, N, I]
    last_obs: np.ndarray  # where an episode ended with this step. [T, N, I]
    mask: np.ndarray  # [T, N, K]
    reward: np.ndarray  # [T, N]
    terminated: np.ndarray  # [T, N]
    truncated: np.ndarray  # [T, N]

    @classmethod
    def generate(cls, seed: int, masked: bool) -> "Recording":
        """Returns a recording with every kind of mask and of episode end, also in the last step."""
        rng = np.random.default_rng(seed)
        size = (STEPS, LANES)
        mask = np.ones((*size, ACTIONS), bool)
        if masked:
            kinds = [[1, 0, 0, 0, 0], [0, 0, 0, 1, 0], [1, 1, 1, 0, 0], [1, 0, 0, 1, 1], [1, 1, 1, 1, 1]]
            mask = np.array(kinds, bool)[rng.choice(len(kinds), p=[0.1, 0.1, 0.3, 0.3, 0.2], size=size)]
        end = rng.choice(3, p=[0.8, 0.1, 0.1], size=size)
        end[-1] = [0, 1, 2, 0]
        return cls(
            obs=rng.standard_normal((STEPS + 1, LANES, INPUTS), np.float32),
            last_obs=rng.standard_normal((*size, INPUTS), np.float32),
            mask=mask,
            reward=rng.standard_normal(size, np.float32),
            terminated=end == 1,
            truncated=end == 2,
        )

    def env(self) -> DummyVecEnv:
        """Returns all lanes as one environment."""
        return DummyVecEnv([lambda lane=lane: Lane(self, lane) for lane in range(LANES)])

    def collect(self, model: OnPolicyAlgorithm) -> dict[str, np.ndarray]:
        """Fills the model's rollout buffer; returns the recording and what was computed from it, all time-major."""
        torch.manual_seed(5)  # for the sampled actions
        _, callback = model._setup_learn(total_timesteps=STEPS * LANES)
        model.collect_rollouts(model.env, callback, model.rollout_buffer, STEPS)
        buffer = model.rollout_buffer
        with torch.no_grad():
            after = model.policy.predict_values(torch.from_numpy(self.obs[-1])).numpy().T
            at_end = model.policy.predict_values(torch.from_numpy(self.last_obs.reshape(-1, INPUTS))).numpy()
        return {
            **vars(self),
            "action": buffer.actions[..., 0].astype(np.uint8),
            "log_prob": buffer.log_probs.copy(),
            "value": np.concatenate([buffer.values, after]),
            "last_value": at_end.reshape(STEPS, LANES),
            "advantage": buffer.advantages.copy(),
            "target": buffer.returns.copy(),
        }


class Lane(gymnasium.Env):
    """One lane of a recording."""

    def __init__(self, recording: Recording, lane: int):
        self.recording, self.lane, self.time = recording, lane, 0
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (INPUTS,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(ACTIONS)

    def reset(self, *, seed=None, options=None):
        return self.recording.obs[self.time, self.lane], {}

    def step(self, action):
        now = (self.time, self.lane)
        self.time += 1
        terminated, truncated = bool(self.recording.terminated[now]), bool(self.recording.truncated[now])
        obs = self.recording.last_obs[now] if terminated or truncated else self.recording.obs[self.time, self.lane]
        return obs, float(self.recording.reward[now]), terminated, truncated, {}

    def action_masks(self) -> np.ndarray:
        return self.recording.mask[self.time, self.lane]
