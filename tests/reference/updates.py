"""Rollouts, gradients and updates of Stable-Baselines3's PPO and sb3-contrib's MaskablePPO."""

import warnings
from unittest import mock

import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

import parameters
from recording import LANES, STEPS, Recording

SAMPLES = STEPS * LANES
HIDDEN = [16, 8]
SETTINGS = {
    "learning_rate": 3e-3,
    "gamma": 0.93,
    "gae_lambda": 0.9,
    "clip_range": 0.2,
    "ent_coef": 0.05,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
}
STATISTICS = [
    "policy_gradient_loss",
    "value_loss",
    "entropy_loss",
    "approx_kl",
    "clip_fraction",
    "loss",
    "explained_variance",
    "n_updates",
]
# One minibatch of every sample, whose gradient is not clipped.
WHOLE = {"batch_size": SAMPLES, "n_epochs": 1, "max_grad_norm": 1e9}
# Minibatches of 50, 50 and 28.
SEVERAL = {"batch_size": 50, "n_epochs": 4}


def masked() -> dict[str, np.ndarray]:
    """Returns a masked rollout, the gradient of all its samples with and without a value clip,
    a whole update, and one that the KL target stops."""
    case = Case(MaskablePPO, Recording.generate(seed=21, masked=True))
    update = case.train(**SEVERAL, clip_range_vf=0.3)
    check_clipping(update)
    stopped = case.train(**SEVERAL, clip_range_vf=0.3, target_kl=0.0197)
    steps = len(stopped["grad_norm"])
    assert 3 < steps < 12 and steps % 3, f"the update must stop inside a later epoch, not after {steps} minibatches"
    return {
        **case.rollout(),
        **prefixed("minibatch", case.train(**WHOLE)),
        **prefixed("minibatch_vf", case.train(**WHOLE, clip_range_vf=0.3)),
        **prefixed("update", update),
        **prefixed("stopped", stopped),
    }


def plain() -> dict[str, np.ndarray]:
    """Returns a rollout without masks, the gradient of all its samples, and an update."""
    case = Case(PPO, Recording.generate(seed=22, masked=False))
    update = case.train(**SEVERAL)
    check_clipping(update)
    return {
        **case.rollout(),
        **prefixed("minibatch", case.train(**WHOLE)),
        **prefixed("update", update),
    }


def check_clipping(update: dict[str, np.ndarray]) -> None:
    """Checks that some of an update's gradients were cut to the largest norm and some were not."""
    clipped = update["grad_norm"] > update["max_grad_norm"]
    assert clipped.any() and not clipped.all(), f"some gradients must be clipped and some not: {update['grad_norm']}"


class Case:
    """An algorithm, the recording it collects from, and the policies before and after it has collected."""

    def __init__(self, algorithm: type[OnPolicyAlgorithm], recording: Recording):
        self.algorithm, self.recording = algorithm, recording
        rng = np.random.default_rng(31)
        params = parameters.flat(modules(self.model(**WHOLE))).size
        self.collecting = rng.uniform(-0.5, 0.5, params).astype(np.float32)
        self.before = self.collecting + rng.uniform(-0.2, 0.2, params).astype(np.float32)

    def model(self, **settings) -> OnPolicyAlgorithm:
        """Returns a model of the chosen shape; its parameters are random."""
        warnings.filterwarnings("ignore", "You have specified a mini-batch size")  # a smaller last one is wanted
        policy = {"net_arch": HIDDEN, "activation_fn": torch.nn.Tanh}
        settings = SETTINGS | settings
        shape = {"n_steps": STEPS, "policy_kwargs": policy, "device": "cpu"}
        model = self.algorithm("MlpPolicy", self.recording.env(), **shape, **settings)
        model.set_logger(Logger(None, []))
        return model

    def collected(self, **settings) -> tuple[OnPolicyAlgorithm, dict[str, np.ndarray]]:
        """Returns a model whose buffer is full and whose policy has moved on since, and the rollout."""
        model = self.model(**settings)
        parameters.assign(modules(model), self.collecting)
        rollout = self.recording.collect(model)
        parameters.assign(modules(model), self.before)
        return model, rollout

    def rollout(self) -> dict[str, np.ndarray]:
        """Returns the rollout, and the parameters that collected it and that every run of this case begins with."""
        model, rollout = self.collected(**WHOLE)
        self.check_coverage(model, rollout)
        return {**rollout, "collecting": self.collecting, "before": self.before}

    def train(self, **settings) -> dict[str, np.ndarray]:
        """Runs the algorithm's `train` with fixed orders; returns these, the settings, the statistics and the outcome."""
        model, _ = self.collected(**settings)
        rng = np.random.default_rng(41)
        orders = np.array([rng.permutation(SAMPLES) for _ in range(model.n_epochs)])
        norms, clip = [], torch.nn.utils.clip_grad_norm_

        def clip_and_record(*args, **kwargs):
            norms.append(clip(*args, **kwargs).item())

        # The buffer numbers samples lane by lane, we step by step.
        buffer_orders = [order % LANES * STEPS + order // LANES for order in orders]
        with (
            mock.patch("numpy.random.permutation", side_effect=buffer_orders),
            mock.patch("torch.nn.utils.clip_grad_norm_", clip_and_record),
        ):
            model.train()

        logged = {name: np.array(float(model.logger.name_to_value[f"train/{name}"])) for name in STATISTICS}
        used = {name: np.array(value) for name, value in (SETTINGS | settings).items()}
        nets, adam = modules(model), model.policy.optimizer.state
        # `train` leaves the gradient of the last minibatch behind.
        gradient = {"gradient": parameters.flat(nets, lambda p: p.grad)} if settings == settings | WHOLE else {}
        return {
            **logged,
            **used,
            **gradient,
            "order": orders.astype(np.uint8),
            "grad_norm": np.array(norms),
            "after": parameters.flat(nets),
            "adam_m": parameters.flat(nets, lambda p: adam[p]["exp_avg"]),
            "adam_v": parameters.flat(nets, lambda p: adam[p]["exp_avg_sq"]),
        }

    def check_coverage(self, model: OnPolicyAlgorithm, rollout: dict[str, np.ndarray]) -> None:
        """Checks that samples of better and worse actions lie inside the trust region and beyond both of its ends."""
        obs = torch.from_numpy(rollout["obs"][:-1].reshape(SAMPLES, -1))
        action = torch.from_numpy(rollout["action"].reshape(SAMPLES)).long()
        masks = {"action_masks": rollout["mask"].reshape(SAMPLES, -1)} if self.algorithm is MaskablePPO else {}
        log_prob = model.policy.evaluate_actions(obs, action, **masks)[1].detach().numpy()
        ratio = np.exp(log_prob - rollout["log_prob"].reshape(SAMPLES))
        side = np.sign(ratio - 1) * (np.abs(ratio - 1) > model.clip_range(1))
        better = rollout["advantage"].reshape(SAMPLES) > rollout["advantage"].mean()
        counts = [np.sum((side == s) & (better == b)) for s in (-1, 0, 1) for b in (False, True)]
        assert min(counts) >= 3, f"too few samples of a kind: {counts}"


def prefixed(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays under names that begin with the prefix."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def modules(model: OnPolicyAlgorithm) -> parameters.Modules:
    """Returns the policy's modules in our order: the actor's, then the critic's."""
    policy = model.policy
    return [policy.mlp_extractor.policy_net, policy.action_net, policy.mlp_extractor.value_net, policy.value_net]
