import multiprocessing
import os
import threading
import time

import numpy as np
import pytest
import zerodte


def play(env, steps, seed=3):
    """Plays random legal actions, drawn lane by lane, and returns everything that was shown."""
    dice = [np.random.default_rng([seed, lane]) for lane in range(len(env))]
    shown = [env.reset()]
    for _ in range(steps):
        actions = [dice[lane].choice(np.flatnonzero(mask)) for lane, mask in enumerate(env.masks)]
        shown.extend(env.step(np.array(actions)))
    return shown


def test_a_lane_does_not_depend_on_its_neighbours(market):
    one = play(zerodte.BatchEnv(market, 1, seed=5), 500)
    many = play(zerodte.BatchEnv(market, 300, seed=5, num_threads=2), 500)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(one, many, strict=True))


def test_a_state_is_continued_bit_for_bit(market):
    for autoreset in ("same_step", "next_step"):
        env = zerodte.BatchEnv(market, 5, seed=2, autoreset=autoreset)
        env.reset()
        for _ in range(205):
            env.step(env.sample())
        if autoreset == "next_step":
            while not env.step(env.sample())[2].any():
                pass
        state = env.state()
        other = zerodte.BatchEnv(market, 5, seed=99, autoreset=autoreset)
        other.restore(state)
        assert np.array_equal(env.observations, other.observations)
        for _ in range(400):
            first, second = env.step(env.sample()), other.step(other.sample())
            assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        assert env.ledger() == other.ledger()
    with pytest.raises(ValueError, match="the state has 5 lanes"):
        zerodte.BatchEnv(market, 6).restore(state)


def test_illegal_actions_are_held_and_counted_or_refused(market):
    env = zerodte.BatchEnv(market, 3, seed=1)
    env.reset()
    env.step(np.array([0, 5, 0]))
    assert env.illegal.tolist() == [False, True, False] and env.illegal_total == 1
    strict = zerodte.BatchEnv(market, 3, seed=1, illegal="raise")
    strict.reset()
    before = strict.observations
    with pytest.raises(ValueError, match="lane 1: EXIT is not legal; legal are HOLD, BUY_CALL, BUY_PUT"):
        strict.step(np.array([0, 5, 0]))
    assert np.array_equal(strict.observations, before) and strict.ledger()["steps"] == 0
    for actions in ([0, 0], [0, 0, 6], [0, -1, 0]):
        with pytest.raises(ValueError):
            env.step(np.array(actions))
    with pytest.raises(TypeError):
        env.step(np.zeros(3, np.float32))


def test_terminal_observations_show_the_last_minute(market):
    env = zerodte.BatchEnv(market, 8, seed=4, days="all")
    env.reset()
    lengths = set()
    for _ in range(800):
        _, _, terminated = env.step(env.sample())
        ended = env.ended()
        assert ended["lane"].tolist() == np.flatnonzero(terminated).tolist()
        for row, day in enumerate(ended["day"]):
            session = {name: values[day] for name, values in market.sessions().items()}
            last = session["first_row"] + ended["steps"][row]
            assert np.array_equal(ended["final_observation"][row, : len(market.features)], market.tape[last])
            assert not ended["final_observation"][row, len(market.features) :].any(), "the account is flat at the bell"
            lengths.add(int(session["bars"] - ended["steps"][row]))
    assert len(lengths) == 1, "every session, half days too, ends the same number of minutes before the bell"


def test_resets_of_some_lanes_leave_the_others(market):
    env = zerodte.BatchEnv(market, 4, seed=1, autoreset="disabled")
    env.reset()
    env.step(np.ones(4, np.int64))
    before = env.observations
    after = env.reset(mask=np.array([False, True, False, False]))
    assert np.array_equal(before[[0, 2, 3]], after[[0, 2, 3]]) and not np.array_equal(before[1], after[1])
    while not (terminated := env.step(env.sample())[2]).any():
        pass
    assert env.masks[terminated].sum(axis=1).tolist() == [1] * int(terminated.sum())
    with pytest.raises(ValueError, match="has ended; reset the lane"):
        env.step(np.zeros(4, np.int64))
    for mask in (np.zeros(4, bool), np.ones(3, bool)):
        with pytest.raises(ValueError, match="one entry per lane"):
            env.reset(mask=mask)


def test_copies_are_the_default_and_views_are_reused(market):
    env = zerodte.BatchEnv(market, 2)
    first = env.reset()
    kept = first.copy()
    second, *_ = env.step(np.zeros(2, np.int64))
    assert np.array_equal(first, kept) and not np.shares_memory(first, second)
    views = zerodte.BatchEnv(market, 2, copy=False)
    assert views.reset() is views.step(np.zeros(2, np.int64))[0]
    own = {"observations": np.zeros((2, len(env.columns)), np.float32), "rewards": np.zeros(2, np.float32)}
    given = zerodte.BatchEnv(market, 2, copy=False, buffers=own)
    assert given.reset() is own["observations"] and own["observations"].any()
    with pytest.raises(ValueError, match=r"observations must be a C-contiguous array of float32, \[3, 38\]"):
        zerodte.BatchEnv(market, 3, buffers=own)


def test_normalized_observations_have_the_moments_of_their_sessions(market):
    raw, scaled = zerodte.BatchEnv(market, 4, seed=1), zerodte.BatchEnv(market, 4, seed=1, normalize=True)
    rows = np.concatenate([np.arange(first, first + bars) for first, bars in zip(market.sessions()["first_row"], market.sessions()["bars"], strict=True)])
    kept = np.isin(market.rows()["day"][rows], raw.days)
    tape = market.tape[rows[kept]].astype(np.float64)
    scale = np.where(tape.std(axis=0) > 1e-6 * np.maximum(1, abs(tape.mean(axis=0))), tape.std(axis=0), 1)
    expected = np.clip((raw.reset()[:, : len(market.features)] - tape.mean(axis=0)) / scale, -10, 10)
    assert np.allclose(scaled.reset()[:, : len(market.features)], expected, atol=1e-4)


def test_a_callable_replaces_the_reward(market):
    config = {"env": {"reward": {"hold_tax": -1.0, "pnl_scale": 0.0, "missed_opportunity": 0.0}}}
    names = zerodte.BatchEnv.reward_terms
    env = zerodte.BatchEnv(market, 6, config=config, reward=lambda terms: terms[:, names.index("hold_tax")] * 2)
    plain = zerodte.BatchEnv(market, 6, config=config)
    env.reset(), plain.reset()
    hold = np.zeros(6, np.int64)
    paid = {float(reward) for _ in range(50) for reward in env.step(hold)[1]}
    assert paid == {0.0, -2.0}, "a tax on holding without a setup"
    assert {float(reward) for _ in range(50) for reward in plain.step(hold)[1]} == {0.0, -1.0}
    broken = zerodte.BatchEnv(market, 6, reward=lambda terms: terms[:2, 0])
    broken.reset()
    with pytest.raises(ValueError, match="returned 2 numbers for 6 lanes"):
        broken.step(hold)


def test_two_threads_on_one_environment_are_refused(market):
    env = zerodte.BatchEnv(market, 4096)
    env.reset()
    errors = []

    def step():
        for _ in range(300):
            try:
                env.step(np.zeros(4096, np.int64))
            except RuntimeError as error:
                errors.append(str(error))

    threads = [threading.Thread(target=step) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert errors and all("borrowed" in error for error in errors)


def in_child(market, results):
    env = zerodte.BatchEnv(market, 1024, seed=1, num_threads=2)
    env.reset()
    results.put(float(env.step(np.zeros(1024, np.int64))[0].sum()))


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_children_step_what_the_parent_built(market, method):
    env = zerodte.BatchEnv(market, 1024, seed=1, num_threads=2)
    env.reset()
    expected = float(env.step(np.zeros(1024, np.int64))[0].sum())
    context = multiprocessing.get_context(method)
    results = context.Queue()
    child = context.Process(target=in_child, args=(market, results))
    child.start()
    assert results.get(timeout=30) == expected
    child.join(5)
    assert child.exitcode == 0


def test_threads_run_while_lanes_are_stepped(market):
    """The GIL is free during a step: another thread counts on."""
    env = zerodte.BatchEnv(market, 65_536)
    env.reset()
    counted, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0)

    thread = threading.Thread(target=count)
    thread.start()
    before = counted[0]
    hold = np.zeros(65_536, np.int64)
    for _ in range(20):
        env.step(hold)
    progress = counted[0] - before
    stop.set()
    thread.join()
    assert progress > 100, f"{progress} of another thread's turns on {os.cpu_count()} cores"
