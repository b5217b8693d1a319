"""PufferLib. Skipped where it is not installed."""

import numpy as np
import pytest

pytestmark = pytest.mark.heavy
pufferlib = pytest.importorskip("pufferlib", reason="skipped: PufferLib is not installed (pip install pufferlib-core)")


def arguments(lanes):
    return {"lanes": lanes, "symbols": ["SPY"], "end": "2024-01-31"}


def test_the_buffers_are_those_of_the_library():
    from zerodte._market import batch_env
    from zerodte.puffer import ReplayPuffer

    env, plain = ReplayPuffer(**arguments(32), seed=3), batch_env(32, symbols=["SPY"], end="2024-01-31", seed=3)
    observations, infos = env.reset(seed=3)
    assert observations is env.observations and infos == []
    assert np.array_equal(observations, plain.reset(3))
    ended = 0
    for _ in range(500):
        actions = plain.sample()
        observations, rewards, terminals, truncations, infos = env.step(actions)
        expected = plain.step(actions)
        assert all(np.array_equal(a, b) for a, b in zip((observations, rewards, terminals), expected, strict=True))
        assert not truncations.any() and bool(infos) == bool(terminals.any())
        ended += int(terminals.sum())
    assert ended == 32 and env.core.illegal_total == 0


@pytest.mark.parametrize("backend", ["Serial", "Multiprocessing"])
def test_backends_step_it(backend):
    vector = pytest.importorskip("pufferlib.vector")
    from zerodte.puffer import ReplayPuffer

    kind = getattr(vector, backend)
    workers = {"num_workers": 2} if backend == "Multiprocessing" else {}
    envs = vector.make(ReplayPuffer, env_kwargs=arguments(300), backend=kind, num_envs=2, **workers)
    try:
        observations, _ = envs.reset(seed=1)
        for _ in range(10):
            observations, *_ = envs.step(np.zeros(600, np.int64))
        assert observations.shape[0] == 600 and np.isfinite(observations).all()
    finally:
        envs.close()
