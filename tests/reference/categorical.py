"""sb3-contrib's masked categorical distribution on fixed logits and masks."""

import numpy as np
import torch
from sb3_contrib.common.maskable.distributions import MaskableCategoricalDistribution

ROWS, ACTIONS = 48, 6


def arrays() -> dict[str, np.ndarray]:
    """Returns logits, masks, and what the distribution says; an illegal action's log-probability means nothing."""
    rng = np.random.default_rng(11)
    scale = np.array([0.1, 1.0, 5.0, 30.0], np.float32).repeat(ROWS // 4)
    logits = rng.standard_normal((ROWS, ACTIONS), np.float32) * scale[:, None]
    mask = rng.random((ROWS, ACTIONS)) < 0.5
    mask[np.arange(ROWS), rng.integers(ACTIONS, size=ROWS)] = True
    mask[::8] = np.eye(ACTIONS, dtype=bool)  # one legal action
    mask[1::8] = True

    distribution = MaskableCategoricalDistribution(ACTIONS).proba_distribution(torch.from_numpy(logits))
    distribution.apply_masking(mask)
    log_prob = torch.stack([distribution.log_prob(torch.full((ROWS,), action)) for action in range(ACTIONS)], dim=1)
    return {
        "logits": logits,
        "mask": mask,
        "log_prob": log_prob.numpy(),
        "prob": distribution.distribution.probs.numpy(),
        "entropy": distribution.entropy().numpy(),
        "mode": distribution.mode().numpy().astype(np.uint8),
    }
