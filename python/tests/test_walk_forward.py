import numpy as np
import pytest
import zerodte

SIZES = {"train": 20, "validation": 5, "test": 20}


@pytest.fixture(scope="module")
def year():
    config = {"ppo": {"n_steps": 32, "n_envs": 8}, "policy": {"net_arch": [8]}}
    return zerodte.Market.synthetic(["SPY"], end="2024-05-31", config=config)


def test_folds_move_forward_without_overlap(year):
    dates, folds = year.sessions()["date"], year.folds(**SIZES)
    assert [fold["number"] for fold in folds] == [1, 2, 3, 4]
    tested = np.concatenate([fold["test"] for fold in folds])
    assert np.array_equal(tested, np.arange(tested[0], len(year))) and len(tested) >= 60
    for fold in folds:
        train, validation, test = fold["train"], fold["validation"], fold["test"]
        assert validation[0] - train[-1] == test[0] - validation[-1] == 2, "one date is purged"
        assert fold["dates"]["test"] == (dates[test[0]], dates[test[-1]])
    assert year.folds(**SIZES, anchored=True)[2]["train"][0] == 0
    with pytest.raises(ValueError, match="session dates are too few for 250 training, 40 validation and 20 test dates per fold"):
        year.folds()
    with pytest.raises(ValueError, match="at least one date each"):
        year.folds(20, 0, 20)


def test_every_fold_is_trained_and_tested_with_every_seed(year):
    result = zerodte.walk_forward(year, steps=2_000, seeds=(0, 1), **SIZES)
    again = zerodte.walk_forward(year, steps=2_000, seeds=(0, 1), **SIZES, workers=1)
    sessions = result["sessions"]
    assert result["test_usd"] == again["test_usd"] and np.array_equal(sessions["net_pnl_cents"], again["sessions"]["net_pnl_cents"])
    tested = [row for row, part in enumerate(sessions["part"]) if part == "test"]
    assert len(tested) == 2 * sum(len(fold["test"]) for fold in result["folds"])
    cents = sum(int(sessions["net_pnl_cents"][row]) for row in tested)
    assert result["test_usd"] == pytest.approx(cents / 100 / 2)
    fold = result["folds"][1]
    alone = zerodte.Trainer(year, days=fold["train"], seed=1, total=2_000)
    alone.learn(2_000)
    expected = zerodte.evaluate(alone.policy, year, fold["test"], seed=1)["sessions"]["net_pnl_cents"]
    rows = [row for row in tested if (sessions["fold"][row], sessions["seed"][row]) == (2, 1)]
    assert np.array_equal(expected, np.array(sessions["net_pnl_cents"])[rows])
    assert [len(policies) for policies in result["policies"]] == [2, 2, 2, 2]
