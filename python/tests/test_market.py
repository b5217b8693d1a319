import datetime
import pickle

import numpy as np
import pytest
import zerodte

MINUTE = 60_000_000_000


def bars(market_days=4, seed=0):
    """Minute bars of a few sessions in January 2024 as a dict of arrays, with times in UTC."""
    dice, rows = np.random.default_rng(seed), []
    for day in range(2, 2 + market_days):
        opened = int(datetime.datetime(2024, 1, day, 14, 30, tzinfo=datetime.timezone.utc).timestamp()) * 1_000_000_000
        rows.append(opened + MINUTE * np.arange(390))
    ts_ns = np.concatenate(rows)
    close = 470 + np.cumsum(dice.normal(0, 0.05, len(ts_ns)))
    opens = np.concatenate([[470.0], close[:-1]])
    high, low = np.maximum(opens, close) + 0.02, np.minimum(opens, close) - 0.02
    return {"ts_ns": ts_ns, "open": opens, "high": high, "low": low, "close": close, "volume": np.full(len(ts_ns), 1e5)}


def test_a_made_up_market_shows_its_sessions(market):
    assert market.symbols == ["SPY", "QQQ"] and market.stamp == "SYNTHETIC"
    sessions = market.sessions()
    assert len(market) == len(sessions["date"]) == 36
    halves = [date for date, bars in zip(sessions["date"], sessions["bars"], strict=True) if bars == 210]
    assert halves == ["2024-07-03"] * 2
    rows = market.rows()
    assert market.tape.shape == (len(rows["ts_ns"]), len(market.features))
    first = sessions["first_row"][1]
    assert rows["ts_ns"][first] == sessions["open_ns"][1] and rows["day"][first] == 1
    with pytest.raises(ValueError):
        market.tape[0, 0] = 1.0


def test_pandas_polars_and_arrays_give_the_same_market():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    columns = bars()
    plain = zerodte.Market.from_bars({"SPY": columns})
    times = pandas.to_datetime(columns["ts_ns"], utc=True)
    prices = {name: values for name, values in columns.items() if name != "ts_ns"}
    frames = {
        "index": pandas.DataFrame(prices, index=times.tz_convert("America/New_York")),
        "capitals": pandas.DataFrame({"Datetime": times} | {name.title(): values for name, values in prices.items()}),
        "microseconds": pandas.DataFrame({"timestamp": times.as_unit("us")} | prices),
        "polars": polars.DataFrame(prices).with_columns(timestamp=polars.Series(columns["ts_ns"]).cast(polars.Datetime("ns", "UTC"))),
        "seconds": columns | {"ts_ns": columns["ts_ns"] // 1_000_000_000},
    }
    for name, frame in frames.items():
        other = zerodte.Market.from_bars({"SPY": frame})
        assert np.array_equal(plain.tape, other.tape), name
    naive = pandas.DataFrame({"timestamp": times.tz_convert("America/New_York").tz_localize(None)} | prices)
    other = zerodte.Market.from_bars({"SPY": naive}, config={"data": {"timestamp_zone": "America/New_York"}})
    assert np.array_equal(plain.tape, other.tape)
    with pytest.raises(ValueError, match=r'bars\["SPY"\]: its times have no zone and were read as UTC'):
        zerodte.Market.from_bars({"SPY": naive})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda columns: columns["close"].__setitem__(5, np.nan), r'bars\["SPY"\]: row 6, column close: NaN'),
        (lambda columns: columns["high"].__setitem__(7, 1.0), r'bars\["SPY"\]: row 8, column high: 1 is below'),
        (lambda columns: columns["ts_ns"].__setitem__(3, columns["ts_ns"][2]), r"row 4, column timestamp: .* repeats row 3"),
        (lambda columns: columns.pop("low"), r'bars\["SPY"\]: no column low; the frame has: ts_ns, open'),
        (lambda columns: columns.pop("volume"), "no column volume"),
        (lambda columns: [columns[name].__imul__(np.where(np.arange(1560) < 800, 1, 10)) for name in ("open", "high", "low", "close")],
         "is 10 times the last close"),
    ],
)
def test_a_fault_names_frame_row_and_column(change, message):
    columns = bars()
    change(columns)
    with pytest.raises(ValueError, match=message):
        zerodte.Market.from_bars({"SPY": columns})


def test_files_give_the_same_market_as_frames(tmp_path):
    polars = pytest.importorskip("polars")
    columns = bars()
    frame = polars.DataFrame({"timestamp": columns["ts_ns"]} | {name: columns[name] for name in ("open", "high", "low", "close", "volume")})
    frame.write_parquet(tmp_path / "SPY_1m.parquet")
    polars.DataFrame({"date": ["2024-01-02", "2024-01-03"], "close": [13.5, 14.0]}).write_csv(tmp_path / "VIX_1d.csv")
    read = zerodte.Market.from_files(tmp_path, ["SPY"])
    closes = {"date": ["2024-01-02", "2024-01-03"], "close": [13.5, 14.0]}
    assert np.array_equal(read.tape, zerodte.Market.from_bars({"SPY": columns}, vix_daily=closes).tape)
    with pytest.raises(FileNotFoundError, match="holds no QQQ_1m.parquet; it has the symbols SPY"):
        zerodte.Market.from_files(tmp_path, ["QQQ"])
    with pytest.raises(FileNotFoundError):
        zerodte.Market.from_files(tmp_path / "nowhere", ["SPY"])


def test_a_configuration_is_checked_with_its_path(tmp_path):
    with pytest.raises(ValueError, match="market.frames: 0 is not between 1 and 390"):
        zerodte.Market.synthetic(config={"market": {"frames": 0}})
    with pytest.raises(ValueError, match="unknown field `framez`"):
        zerodte.Market.synthetic(config={"market": {"framez": 1}})
    file = tmp_path / "config.toml"
    file.write_text('[run]\nsymbols = ["SPY"]\n[data.synthetic]\nsessions_to = "2024-01-12"\n[market]\nframes = 2\n')
    market = zerodte.Market.synthetic(config=file)
    assert (market.frames, market.config["data"]["synthetic"]["sessions_to"], len(market)) == (2, "2024-01-12", 8)


def test_own_columns_join_the_observation(market):
    rows = market.rows()
    own = np.sin(rows["ts_ns"] / 1e12).astype(np.float32)[:, None]
    more = market.with_columns(["mine"], own)
    assert more.features == [*market.features, "mine"]
    assert np.array_equal(more.tape[:, -1], own[:, 0])
    env = zerodte.BatchEnv(more, 4)
    observations = env.reset()
    assert np.array_equal(observations[:, env.columns.index("mine")], own[env.rows, 0])
    with pytest.raises(ValueError, match="values are"):
        market.with_columns(["mine"], own[1:])
    with pytest.raises(ValueError, match="exists already"):
        market.with_columns([market.features[0]], own)
    own[3] = np.inf
    with pytest.raises(ValueError, match="row 3 of mine is inf"):
        market.with_columns(["mine"], own)


def test_a_market_of_a_generator_can_be_sent_to_a_worker(market):
    copy = pickle.loads(pickle.dumps(market))
    assert np.array_equal(copy.tape, market.tape) and copy.symbols == market.symbols
    with pytest.raises(TypeError, match="build it in the worker"):
        pickle.dumps(zerodte.Market.from_bars({"SPY": bars()}))
