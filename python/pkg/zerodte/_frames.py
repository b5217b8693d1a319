"""Reads bars from frames of pandas and polars, from dicts of numpy arrays, and from folders of files, as columns for the compiled half.

This module finds columns and turns times into nanoseconds; every check of the values themselves is the program's own, in Rust.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

TIMES = ("timestamp", "datetime", "date", "time", "ts_ns", "ts", "t")
PRICES = ("open", "high", "low", "close")
ENDINGS = (".parquet", ".csv", ".csv.gz")


class Bars(NamedTuple):
    """Minute bars of one symbol: nanoseconds since 1970 (int64), prices and volume (float64, None without such a column), all [T]."""

    symbol: str
    origin: str
    ts_ns: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray | None
    states_zone: bool
    own: list[tuple[str, np.ndarray]] = []


class Closes(NamedTuple):
    """Daily closes: dates such as 2025-06-30, and points."""

    origin: str
    date: list[str]
    close: list[float]


class Read(NamedTuple):
    """Everything that a market is built from."""

    bars: list[Bars]
    vix1d: Bars | None
    vix: Bars | None
    vix_daily: Closes | None


def of_memory(bars: Mapping[str, Any], vix1d: Any, vix: Any, vix_daily: Any, own: Sequence[str] = ()) -> Read:
    """Reads frames by symbol with the further columns `own`, and the frames of the volatility indices."""
    return Read(
        [minute_bars(symbol, f'bars["{symbol}"]', frame, own) for symbol, frame in bars.items()],
        None if vix1d is None else minute_bars("VIX1D", "vix1d", vix1d),
        None if vix is None else minute_bars("VIX", "vix", vix),
        None if vix_daily is None else daily_closes("vix_daily", vix_daily),
    )


def of_folder(folder: Any, symbols: Sequence[str], own: Sequence[str] = ()) -> Read:
    """Reads the files of a folder by the names that the program gives them, with the further columns `own`."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder of bars")
    series = [(symbol, find(folder, f"{symbol}_1m")) for symbol in symbols]
    for symbol, path in series:
        if path is None:
            known = sorted({file.name.split("_1m")[0] for file in folder.glob("*_1m*")} - {"VIX", "VIX1D"})
            raise FileNotFoundError(f"{folder} holds no {symbol}_1m.parquet; it has the symbols {', '.join(known) or 'none'}")
    vix1d, vix, vix_daily = (find(folder, stem) for stem in ("VIX1D_1m", "VIX_1m", "VIX_1d"))
    return Read(
        [minute_bars(symbol, str(path), read(path), own) for symbol, path in series if path],
        None if vix1d is None else minute_bars("VIX1D", str(vix1d), read(vix1d)),
        None if vix is None else minute_bars("VIX", str(vix), read(vix)),
        None if vix_daily is None else daily_closes(str(vix_daily), read(vix_daily)),
    )


def find(folder: Path, stem: str) -> Path | None:
    """Returns the only file of a series; two of them are an error."""
    found = [folder / f"{stem}{ending}" for ending in ENDINGS if (folder / f"{stem}{ending}").is_file()]
    if len(found) > 1:
        raise ValueError(f"{found[0]} and {found[1]} hold the same series: move one of them away")
    return found[0] if found else None


def read(path: Path) -> Any:
    """Reads a file as a frame of polars, or of pandas."""
    packed = path.suffix != ".parquet"
    try:
        import polars
    except ImportError:
        polars = None  # type: ignore[assignment]
    if polars is not None:
        return polars.read_csv(path) if packed else polars.read_parquet(path)
    try:
        import pandas
    except ImportError:
        raise ImportError(f"reading {path} needs polars or pandas: pip install polars, or pass arrays to Market.from_bars") from None
    return pandas.read_csv(path) if packed else pandas.read_parquet(path)


def minute_bars(symbol: str, origin: str, frame: Any, own: Sequence[str] = ()) -> Bars:
    """Returns the columns of a frame of minute bars, and its further columns `own`."""
    names = columns(origin, frame)
    ts_ns, states_zone = times(origin, time_column(origin, frame, names))
    prices = [numbers(origin, name, column(frame, require(origin, names, name))) for name in PRICES]
    volume = numbers(origin, "volume", column(frame, names["volume"])) if "volume" in names else None
    given = {str(name): name for name in names.values()}
    further = [(name, numbers(origin, name, column(frame, require(origin, given, name)))) for name in own]
    return Bars(symbol, origin, ts_ns, *prices, volume, states_zone, further)


def daily_closes(origin: str, frame: Any) -> Closes:
    """Returns dates and closes of a frame of days."""
    names = columns(origin, frame)
    values = time_column(origin, frame, names)
    closes = numbers(origin, "close", column(frame, require(origin, names, "close")))
    return Closes(origin, [str(value)[:10] for value in values], closes.tolist())


def columns(origin: str, frame: Any) -> dict[str, Any]:
    """Returns the names of a frame's columns by their names in small letters."""
    if isinstance(frame, Mapping):
        given = list(frame.keys())
    elif hasattr(frame, "columns"):
        given = list(frame.columns)
    else:
        raise ValueError(f"{origin}: a frame of pandas or polars, or a dict of arrays, is needed, not {type(frame).__name__}")
    # yfinance names a column by a pair of price and ticker.
    flat = {name: (name[0] if isinstance(name, tuple) else name) for name in given}
    return {str(short).strip().lower(): name for name, short in flat.items()}


def require(origin: str, names: Mapping[str, Any], name: str) -> Any:
    """Returns the frame's own name of a column."""
    if name not in names:
        raise ValueError(f"{origin}: no column {name}; the frame has: {', '.join(map(str, names.values()))}")
    return names[name]


def column(frame: Any, name: Any) -> Any:
    """Returns a column; a dict of lists is one of arrays."""
    values = frame[name]
    return np.asarray(values) if isinstance(values, list) else values


def time_column(origin: str, frame: Any, names: Mapping[str, Any]) -> Any:
    """Returns the column of times, or the index of a pandas frame that is one."""
    for name in TIMES:
        if name in names:
            return column(frame, names[name])
    index = getattr(frame, "index", None)
    if index is not None and "datetime" in str(getattr(index, "dtype", "")):
        return index
    raise ValueError(f"{origin}: no column timestamp and no index of times; the frame has: {', '.join(map(str, names.values()))}")


def times(origin: str, values: Any) -> tuple[np.ndarray, bool]:
    """Returns nanoseconds since 1970, and whether they are instants; naive times are the readings of a clock."""
    kind = str(getattr(values, "dtype", ""))
    if hasattr(values, "to_physical"):  # polars
        return polars_times(origin, values)
    if "datetime" in kind:  # pandas or numpy
        aware = "," in kind
        naive = np.asarray(values.dt.tz_convert("UTC").dt.tz_localize(None) if hasattr(values, "dt") and aware else
                           values.tz_convert("UTC").tz_localize(None) if aware else values)
        if np.isnat(naive).any():
            raise ValueError(f"{origin}: row {int(np.isnat(naive).argmax()) + 1}, column timestamp: the cell is empty")
        return contiguous(naive.astype("datetime64[ns]").astype(np.int64)), aware
    plain = np.asarray(values)
    if plain.dtype.kind in "iu":
        return contiguous(epoch(origin, plain.astype(np.int64))), True
    return texts(origin, [str(value) for value in plain])


def polars_times(origin: str, values: Any) -> tuple[np.ndarray, bool]:
    """Returns the times of a polars series of date-times, integers or texts."""
    import polars

    if values.null_count():
        raise ValueError(f"{origin}: row {int(values.is_null().arg_max()) + 1}, column timestamp: the cell is empty")
    if isinstance(values.dtype, polars.Datetime):
        return contiguous(values.dt.timestamp("ns").to_numpy()), values.dtype.time_zone is not None
    if values.dtype.is_integer():
        return contiguous(epoch(origin, values.cast(polars.Int64).to_numpy())), True
    return texts(origin, [str(value) for value in values])


def epoch(origin: str, values: np.ndarray) -> np.ndarray:
    """Returns nanoseconds of seconds, milliseconds, microseconds or nanoseconds since 1970, by their size."""
    first = int(values[0]) if len(values) else 0
    for unit, digits in ((1_000_000_000, 11), (1_000_000, 14), (1_000, 17), (1, 20)):
        if abs(first) < 10**digits:
            return values * unit
    raise ValueError(f"{origin}: row 1, column timestamp: {first} is no time since 1970")


def texts(origin: str, values: list[str]) -> tuple[np.ndarray, bool]:
    """Returns the times of texts; the first one decides whether they have an offset."""
    parsed = np.empty(len(values), np.int64)
    aware: bool | None = None
    for row, text in enumerate(values):
        try:
            instant = datetime.datetime.fromisoformat(text.strip())
        except ValueError:
            raise ValueError(f'{origin}: row {row + 1}, column timestamp: "{text}"; expected RFC 3339, or a date and time') from None
        has_offset = instant.tzinfo is not None
        if aware is None:
            aware = has_offset
        if has_offset != aware:
            raise ValueError(f'{origin}: row {row + 1}, column timestamp: "{text}"; expected the form of row 1')
        moment = instant if has_offset else instant.replace(tzinfo=datetime.timezone.utc)
        parsed[row] = round(moment.timestamp() * 1_000_000) * 1_000
    return parsed, bool(aware)


def numbers(origin: str, name: str, values: Any) -> np.ndarray:
    """Returns a column of numbers as float64; an empty cell is NaN, which the checks refuse with its row."""
    try:
        return contiguous(np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values, dtype=np.float64))
    except (TypeError, ValueError):
        raise ValueError(f"{origin}: column {name} does not hold numbers") from None


def contiguous(values: np.ndarray) -> np.ndarray:
    """Returns the values in one piece of memory, as the compiled half reads them."""
    return np.ascontiguousarray(values)
