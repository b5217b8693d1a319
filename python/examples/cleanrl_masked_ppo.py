"""PPO with masked logits in one file, in the manner of CleanRL, on the vectorised environment.

    python cleanrl_masked_ppo.py [--steps 200000]
"""

import argparse
import time

import numpy as np
import torch
import zerodte
from torch import nn
from torch.distributions import Categorical
from zerodte.gym import ReplayVectorEnv

LANES, STEPS, EPOCHS, BATCH = 64, 64, 4, 512
GAMMA, LAMBDA, CLIP, ENTROPY, VALUE, RATE = 0.92, 0.95, 0.2, 0.01, 0.5, 1e-3


def layer(inputs: int, outputs: int, gain: float = 2**0.5) -> nn.Linear:
    """Returns a linear layer with orthogonal weights."""
    linear = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(linear.weight, gain)
    nn.init.zeros_(linear.bias)
    return linear


def network(inputs: int, outputs: int, gain: float) -> nn.Sequential:
    """Returns two hidden layers of 64 units with tanh, and a head."""
    return nn.Sequential(layer(inputs, 64), nn.Tanh(), layer(64, 64), nn.Tanh(), layer(64, outputs, gain))


def advantages(rewards: torch.Tensor, ends: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Returns the generalised advantage estimate; `values` have one row more than the rewards."""
    result, last = torch.zeros_like(rewards), torch.zeros(rewards.shape[1])
    for time_step in reversed(range(len(rewards))):
        alive = 1 - ends[time_step]
        delta = rewards[time_step] + GAMMA * alive * values[time_step + 1] - values[time_step]
        last = delta + GAMMA * LAMBDA * alive * last
        result[time_step] = last
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200_000)
    flags = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(1)

    edge = {"data": {"synthetic": {"planted_edge": 1.0, "edge_visibility": 1.0}}}
    market = zerodte.Market.synthetic(["SPY"], end="2024-06-28", config=edge)
    envs = ReplayVectorEnv(LANES, market=market, normalize=True, illegal="raise")
    inputs, kinds = envs.single_observation_space.shape[0], int(envs.single_action_space.n)
    actor, critic = network(inputs, kinds, 0.01), network(inputs, 1, 1.0)
    optimiser = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=RATE, eps=1e-5)

    observations, infos = envs.reset(seed=1)
    observation, mask = torch.tensor(observations), torch.tensor(infos["action_mask"])
    shown = torch.zeros(STEPS, LANES, inputs)
    masks = torch.zeros(STEPS, LANES, kinds, dtype=torch.bool)
    actions, log_probs, rewards, ends = (torch.zeros(STEPS, LANES) for _ in range(4))
    values, money, began, taken = torch.zeros(STEPS + 1, LANES), [], time.perf_counter(), 0
    while taken < flags.steps:
        with torch.no_grad():
            for time_step in range(STEPS):
                distribution = Categorical(logits=actor(observation).masked_fill(~mask, -1e30))
                action = distribution.sample()
                shown[time_step], masks[time_step], actions[time_step] = observation, mask, action
                log_probs[time_step], values[time_step] = distribution.log_prob(action), critic(observation)[:, 0]
                observations, paid, terminated, _, infos = envs.step(action.numpy())
                rewards[time_step], ends[time_step] = torch.tensor(paid), torch.tensor(terminated, dtype=torch.float32)
                observation, mask = torch.tensor(observations), torch.tensor(infos["action_mask"])
                if "final_info" in infos:
                    money += infos["final_info"]["net_pnl_cents"][infos["_final_info"]].tolist()
            values[STEPS] = critic(observation)[:, 0]
            gains = advantages(rewards, ends, values)
            targets = gains + values[:-1]
        taken += STEPS * LANES
        flat = [part.flatten(0, 1) for part in (shown, masks, actions, log_probs, gains, targets)]
        for _ in range(EPOCHS):
            for batch in torch.randperm(STEPS * LANES).split(BATCH):
                seen, legal, action, old, gain, target = (part[batch] for part in flat)
                distribution = Categorical(logits=actor(seen).masked_fill(~legal, -1e30))
                ratio = (distribution.log_prob(action) - old).exp()
                gain = (gain - gain.mean()) / (gain.std() + 1e-8)
                policy_loss = -torch.min(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain).mean()
                value_loss = (critic(seen)[:, 0] - target).square().mean()
                loss = policy_loss - ENTROPY * distribution.entropy().mean() + VALUE * value_loss
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_([*actor.parameters(), *critic.parameters()], 0.5)
                optimiser.step()
    speed = taken / (time.perf_counter() - began)
    print(f"{speed:,.0f} steps/s; first sessions {np.mean(money[:64]) / 100:,.0f}, last {np.mean(money[-64:]) / 100:,.0f} dollars each")


if __name__ == "__main__":
    main()
