"""Parameters of several modules as one flat vector, in the modules' order."""

from collections.abc import Callable

import numpy as np
import torch

Modules = list[torch.nn.Module]


def of(modules: Modules) -> list[torch.nn.Parameter]:
    """Returns the modules' parameters."""
    return [parameter for module in modules for parameter in module.parameters()]


def flat(modules: Modules, part: Callable[[torch.nn.Parameter], torch.Tensor] = lambda p: p) -> np.ndarray:
    """Returns the parameters, or something that belongs to each, as one vector."""
    return torch.cat([part(parameter).detach().flatten() for parameter in of(modules)]).numpy().copy()


def assign(modules: Modules, vector: np.ndarray) -> None:
    """Sets all parameters from one vector."""
    torch.nn.utils.vector_to_parameters(torch.from_numpy(vector.copy()), of(modules))
