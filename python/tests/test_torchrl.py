"""TorchRL on the vectorised environment; run where TorchRL is installed."""

import pytest

pytestmark = pytest.mark.heavy
pytest.importorskip("torchrl")
from torchrl.envs import GymWrapper  # noqa: E402

from zerodte.gym import ReplayVectorEnv  # noqa: E402


def test_a_rollout_holds_masks_and_terminal_observations(market):
    rollout = GymWrapper(ReplayVectorEnv(4, market=market)).rollout(600, break_when_any_done=False)
    assert rollout["action_mask"].any(-1).all()
    ends = rollout["next", "done"][:, :-1, 0]
    assert ends.sum() >= 4
    last, first = rollout["next", "observation"][:, :-1], rollout["observation"][:, 1:]
    assert (last[~ends] == first[~ends]).all(), "within a session one step's end is the next one's start"
    assert (last[ends] != first[ends]).any(-1).all(), "at an end it is the last minute of the session"
