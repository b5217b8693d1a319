import json

import numpy as np
import pytest
import zerodte


def played(policy_market, lanes=50, steps=200):
    """Returns 10,000 observations with their masks, of random legal play."""
    env = zerodte.BatchEnv(policy_market, lanes, seed=8)
    env.reset()
    observations, masks = [], []
    for _ in range(steps):
        observations.append(env.observations)
        masks.append(env.masks)
        env.step(env.sample())
    return np.concatenate(observations), np.concatenate(masks)


@pytest.fixture(scope="module", params=[{}, {"trunk": "shared", "activation": "relu", "net_arch": [32, 16]}], ids=["separate", "shared"])
def policy(request, edge):
    config = {"policy": request.param, "ppo": {"learning_rate": 1e-3}}
    trainer = zerodte.Trainer(edge, seed=2, config=config)
    trainer.learn(20_000)
    return trainer.policy


def test_a_policy_acts_as_it_is_evaluated(edge, policy):
    evaluated = zerodte.evaluate(policy, edge, "all")
    env = zerodte.BatchEnv(edge, 1, autoreset="disabled", days=[0])
    observation, rewards = env.reset(), 0.0
    terminated = np.array([False])
    while not terminated[0]:
        observation, reward, terminated = env.step(policy.act(observation, env.masks))
        rewards += float(reward[0])
    mine, theirs = env.episodes(), evaluated["sessions"]
    row = int(np.flatnonzero(theirs["day"] == 0)[0])
    assert all(mine[name][0] == theirs[name][row] for name in ("steps", "trades", "held_steps", "net_pnl_cents", "fees_cents"))


def test_onnx_gives_the_same_numbers_and_actions(edge, policy, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    policy.to_onnx(tmp_path / "policy.onnx")
    session = runtime.InferenceSession(tmp_path / "policy.onnx", providers=["CPUExecutionProvider"])
    observations, masks = played(edge)
    assert len(observations) == 10_000
    action, probabilities, value = session.run(["action", "probabilities", "value"], {"obs": observations, "mask": masks})
    assert np.abs(probabilities - policy.probabilities(observations, masks)).max() < 1e-6
    assert np.array_equal(action, policy.act(observations, masks))
    assert np.abs(value - policy.values(observations)).max() < 1e-5 * max(1, np.abs(value).max())
    assert (probabilities[~masks] == 0).all() and masks[np.arange(10_000), action].all()
    meta = session.get_modelmeta().custom_metadata_map
    assert json.loads(meta["spec"]) == policy.spec


def test_the_onnx_file_is_valid(policy, tmp_path):
    onnx = pytest.importorskip("onnx")
    policy.to_onnx(tmp_path / "policy.onnx")
    onnx.checker.check_model(tmp_path / "policy.onnx", full_check=True)


def test_a_model_file_keeps_the_policy(edge, policy, tmp_path):
    policy.save(tmp_path / "model")
    loaded = zerodte.Policy.load(tmp_path / "model.safetensors")
    observations, masks = played(edge, steps=4)
    assert np.array_equal(policy.probabilities(observations, masks), loaded.probabilities(observations, masks))
    assert loaded.meta["data"] == "SYNTHETIC" and loaded.meta["timesteps"] == 20_480
    assert loaded.spec["actions"] == edge.actions
    with pytest.raises(OSError):
        zerodte.Policy.load(tmp_path / "nowhere")


def tensors_of(path):
    """Returns the tensors of a safetensors file: the length of its header, the header as JSON, then the numbers."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    cut = lambda entry: np.frombuffer(data[start:][slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"])  # noqa: E731
    return {name: cut(entry) for name, entry in header.items() if name != "__metadata__"}


def test_the_written_down_forward_pass_is_that_of_the_file(edge, policy, tmp_path):
    """The network as docs/python.md writes it down."""
    if policy.config["trunk"] == "shared":
        pytest.skip("the page shows separate networks")
    policy.save(tmp_path / "model")
    w = tensors_of(tmp_path / "model.safetensors")
    observations, masks = played(edge, steps=20)
    features = len(w["normalizer.mean"])
    scaled = np.clip((observations[:, :features] - w["normalizer.mean"]) / w["normalizer.scale"], -10, 10)
    x = np.concatenate([scaled, observations[:, features:]], axis=1)
    for layer in range(2):
        x = np.tanh(x @ w[f"actor.{layer}.weight"].T + w[f"actor.{layer}.bias"])
    logits = np.where(masks, x @ w["actor.2.weight"].T + w["actor.2.bias"], -1e30)
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    assert np.abs(probabilities - policy.probabilities(observations, masks)).max() < 1e-6


def test_draws_follow_the_probabilities(edge, policy):
    observations, masks = played(edge, steps=1)
    one, rows = observations[:1], np.repeat(observations[:1], 4000, axis=0)
    drawn = policy.act(rows, np.repeat(masks[:1], 4000, axis=0), deterministic=False, uniforms=np.random.default_rng(1).random(4000))
    shares = np.bincount(drawn, minlength=6) / 4000
    assert np.abs(shares - policy.probabilities(one, masks[:1])[0]).max() < 0.04
    with pytest.raises(ValueError, match="uniforms"):
        policy.act(one, masks[:1], deterministic=False)


def test_faulty_rows_are_refused(edge, policy):
    observations, masks = played(edge, lanes=2, steps=1)
    assert policy.act(observations[0], masks[0]).shape == (1,)
    for rows, legal, message in [
        (observations[:, :5], masks, r"observations: the shape is \[2, 5\], but must be \[N, 38\]"),
        (observations, masks[:1], "2 observations need as many rows"),
        (observations, np.zeros_like(masks), "row 0 has no legal action"),
        (np.full_like(observations, np.nan), masks, "row 0, column 0 is NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            policy.act(rows, legal)
