"""PyTorch's recurrent layers, and sb3-contrib's recurrent policy, over sequences in which episodes start."""

import gymnasium
import numpy as np
import torch
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.common.recurrent.type_aliases import RNNStates

import parameters

STEPS, SEQUENCES, INPUTS, UNITS, ACTIONS = 12, 5, 7, 6, 4


def layer(kind: type[torch.nn.LSTM] | type[torch.nn.GRU]) -> dict[str, np.ndarray]:
    """Returns parameters, inputs, outputs and the gradients of a fixed loss: all outputs and final states, weighted."""
    rng = np.random.default_rng(51)
    rnn = kind(INPUTS, UNITS)
    parameters.assign([rnn], rng.uniform(-0.5, 0.5, parameters.flat([rnn]).size).astype(np.float32))
    x = normal(rng, STEPS, SEQUENCES, INPUTS).requires_grad_()
    starts = episode_starts(rng)
    states = 2 if kind is torch.nn.LSTM else 1
    initial = normal(rng, states, SEQUENCES, UNITS).requires_grad_()
    by_output, by_final = normal(rng, STEPS, SEQUENCES, UNITS), normal(rng, states, SEQUENCES, UNITS)

    state, outputs = initial, []
    for now, start in zip(x, starts, strict=True):
        state = state * (1.0 - start).view(1, SEQUENCES, 1)
        # An LSTM's state is the pair (hidden, cell), each with a dimension for stacked layers.
        given = tuple(part.unsqueeze(0) for part in state) if states == 2 else state
        output, after = rnn(now.unsqueeze(0), given)
        state = torch.cat(after) if states == 2 else after
        outputs.append(output)
    output = torch.cat(outputs)
    loss = (output * by_output).sum() + (state * by_final).sum()
    loss.backward()

    arrays = {"x": x, "starts": starts, "initial": initial, "by_output": by_output, "by_final": by_final}
    arrays |= {"output": output, "final": state, "loss": loss, "x_gradient": x.grad, "initial_gradient": initial.grad}
    return numpy(arrays) | params_and_gradient([rnn])


def policy() -> dict[str, np.ndarray]:
    """Returns log-probabilities, values and entropies of given actions, and the gradients of a fixed loss.

    The policy is an LSTM, a tanh layer and a head, for actor and critic apart; states are [hidden and cell, S, H].
    """
    rng = np.random.default_rng(61)
    obs_space = gymnasium.spaces.Box(-np.inf, np.inf, (INPUTS,), np.float32)
    net = RecurrentActorCriticPolicy(
        obs_space, gymnasium.spaces.Discrete(ACTIONS), lambda _: 1e-3, net_arch=[5], lstm_hidden_size=UNITS
    )
    nets = [net.lstm_actor, net.mlp_extractor.policy_net, net.action_net]
    nets += [net.lstm_critic, net.mlp_extractor.value_net, net.value_net]
    parameters.assign(nets, rng.uniform(-0.5, 0.5, parameters.flat(nets).size).astype(np.float32))
    obs = normal(rng, STEPS, SEQUENCES, INPUTS)
    action = torch.from_numpy(rng.integers(ACTIONS, size=(STEPS, SEQUENCES)))
    starts = episode_starts(rng)
    actor_state, critic_state = normal(rng, 2, SEQUENCES, UNITS), normal(rng, 2, SEQUENCES, UNITS)
    by_log_prob, by_value, by_entropy = (normal(rng, STEPS, SEQUENCES) for _ in range(3))

    def pair(state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return state[0].unsqueeze(0), state[1].unsqueeze(0)

    # The policy reads one sequence after the other, we one step after the other.
    def by_sequence(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.transpose(0, 1).flatten(0, 1)

    def by_step(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.view(SEQUENCES, STEPS).T

    states = RNNStates(pair(actor_state), pair(critic_state))
    found = net.evaluate_actions(by_sequence(obs), by_sequence(action), states, by_sequence(starts))
    value, log_prob, entropy = map(by_step, found)
    loss = (log_prob * by_log_prob).sum() + (value * by_value).sum() + (entropy * by_entropy).sum()
    loss.backward()

    arrays = {"obs": obs, "action": action.to(torch.uint8), "starts": starts}
    arrays |= {"actor_state": actor_state, "critic_state": critic_state}
    arrays |= {"by_log_prob": by_log_prob, "by_value": by_value, "by_entropy": by_entropy}
    arrays |= {"log_prob": log_prob, "value": value, "entropy": entropy, "loss": loss}
    return numpy(arrays) | params_and_gradient(nets)


def normal(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    """Returns standard normal numbers."""
    return torch.from_numpy(rng.standard_normal(shape, np.float32))


def episode_starts(rng: np.random.Generator) -> torch.Tensor:
    """Returns 1 where the state is forgotten before the step, else 0; the first sequence runs through. [L, S]"""
    starts = (rng.random((STEPS, SEQUENCES)) < 0.2).astype(np.float32)
    starts[:, 0], starts[0, 1] = 0.0, 1.0
    return torch.from_numpy(starts)


def params_and_gradient(modules: parameters.Modules) -> dict[str, np.ndarray]:
    """Returns the modules' parameters and their gradient."""
    return {"params": parameters.flat(modules), "gradient": parameters.flat(modules, lambda p: p.grad)}


def numpy(tensors: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Returns the tensors as arrays."""
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}
