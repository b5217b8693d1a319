use jiff::civil::Date;
use proptest::prelude::*;

use super::*;
use crate::{
    BarColumns, DataConfig, Dataset, History, SymbolSessions, Window, calendar,
    source::synthetic::{SyntheticConfig, generate},
};

const SECOND: i64 = 1_000_000_000;

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

/// Made-up bars around a change of the clock (2 November), Thanksgiving and a half day (28 November).
fn history(names: &[&str]) -> History {
    let config = SyntheticConfig {
        sessions_from: date("2025-10-30"),
        sessions_to: date("2025-12-02"),
        ..SyntheticConfig::default()
    };
    let symbols: Vec<Symbol> = names.iter().map(|name| Symbol::new(name).unwrap()).collect();
    generate(&config, &symbols).unwrap()
}

fn built(history: &History, config: &DataConfig) -> SymbolSessions {
    Dataset::build(history, &Window::default(), config).unwrap().symbols.remove(0)
}

/// A column of bars with pseudo-random values, of which every seventh is missing.
fn of_bars(history: &History, change: impl Fn(i64, f64) -> f64) -> KnownSeries {
    let bars = &history.bars[0];
    let row = |(index, &event_ns): (usize, &i64)| {
        let value = ((index as f64 * 12.9898).sin() * 43_758.547).fract() * 3.0;
        let value = if index % 7 == 3 { f64::NAN } else { change(event_ns, value) };
        KnownRow { event_ns, known_ns: event_ns + MINUTE_NS, value }
    };
    let rows = bars.ts_ns().iter().enumerate().map(row).collect();
    KnownSeries::new("sig".into(), Some(bars.symbol().clone()), "bars", Validity::Session, rows).unwrap()
}

fn series(validity: Validity, rows: &[(i64, i64, f64)]) -> Result<KnownSeries, DataError> {
    let row = |&(event_ns, known_ns, value)| KnownRow { event_ns, known_ns, value };
    KnownSeries::new("x.v".into(), None, "FILE", validity, rows.iter().map(row).collect())
}

fn of_symbol(name: &str, rows: &[(i64, i64, f64)]) -> KnownSeries {
    let row = |&(event_ns, known_ns, value)| KnownRow { event_ns, known_ns, value };
    let rows = rows.iter().map(row).collect();
    KnownSeries::new("x.v".into(), Symbol::new(name).ok(), "FILE", Validity::From, rows).unwrap()
}

fn file(text: &str) -> ColumnFile {
    serde_json::from_str(text).unwrap()
}

/// Every configuration of own columns: all transforms, lags and ages.
fn all_transforms() -> DataConfig {
    let mut config = DataConfig::default();
    for (lag, transform) in
        [Transform::Raw, Transform::Zscore, Transform::Tanh, Transform::Diff, Transform::Log, Transform::Rank]
            .into_iter()
            .enumerate()
    {
        config.own_columns.push(OwnColumn {
            lag: lag as u32,
            window: 3,
            scale: 2.0,
            ..OwnColumn::new("sig", transform)
        });
    }
    config.own_columns[0].age = true;
    config
}

#[test]
fn names_hold_transform_and_lag_and_values_are_bounded() {
    let mut history = history(&["SPY"]);
    history.columns.series = vec![of_bars(&history, |_, value| value * 1e9)];
    let added = built(&history, &all_transforms()).added;
    let names =
        ["sig.raw", "sig.age", "sig.zscore.lag1", "sig.tanh.lag2", "sig.diff.lag3", "sig.log.lag4", "sig.rank.lag5"];
    assert_eq!(added.names, names);
    for row in added.days.iter().flat_map(|rows| rows.chunks_exact(7)) {
        for (value, bound) in row.iter().zip([1e6, 1.0, 10.0, 1.0, 1e6, 30.0, 1.0]) {
            assert!(value.is_finite() && value.abs() <= bound, "{row:?}");
        }
    }
    assert_eq!(added.row(0, 0).len(), 7);
    assert!(built(&history, &DataConfig::default()).added.names.is_empty(), "none without configuration");
}

#[test]
fn transforms_are_those_of_their_definitions() {
    let days = [vec![Some(1.0), Some(3.0), None], vec![Some(2.0), None, Some(5.0)], vec![Some(3.0); 3]];
    let of = |transform, lag| {
        let shape = OwnColumn { lag, window: 1, scale: 2.0, ..OwnColumn::new("x", transform) }.shape();
        transform::apply(&shape, &days)
    };
    assert_eq!(of(Transform::Raw, 0)[..2], [[0.5, 1.5, 0.0], [1.0, 0.0, 2.5]]);
    assert_eq!(of(Transform::Raw, 1)[1], [0.0, 1.0, 0.0], "a lag does not reach into the session before");
    assert_eq!(of(Transform::Diff, 0)[0], [0.0, 1.0, 0.0]);
    assert_eq!(of(Transform::Tanh, 0)[0][0], 0.5f64.tanh() as f32);
    assert_eq!(of(Transform::Log, 0)[1][2], 3.5f64.ln() as f32);
    // The session before: 1 and 3, of mean 2 and deviation 1; then 2 and 5.
    assert_eq!(of(Transform::Zscore, 0)[..2], [[0.0; 3], [0.0, 0.0, 3.0]]);
    assert_eq!(of(Transform::Zscore, 0)[2][0], (-0.5f64 / 1.5) as f32);
    assert_eq!(of(Transform::Rank, 0)[..2], [[0.0; 3], [0.0, 0.0, 1.0]]);
}

#[test]
fn a_value_that_never_changed_has_no_deviations() {
    let shape = OwnColumn::new("x", Transform::Zscore).shape();
    assert_eq!(transform::apply(&shape, &[vec![Some(7.0); 3], vec![Some(9.0); 3]])[1], [0.0; 3]);
}

#[test]
fn a_publication_serves_after_its_instant_and_a_bar_at_its_end() {
    let history = history(&["SPY"]);
    let days = &built(&history, &DataConfig::default()).days[..2];
    let open = days[1].session.open_ns;
    let at = |validity, known: i64| {
        let joined = series(validity, &[(open, open + known, 1.0)]).unwrap().joined(days);
        joined[1].iter().position(Option::is_some)
    };
    assert_eq!(at(Validity::From, 5 * MINUTE_NS), Some(4), "the close of the fifth minute");
    assert_eq!(at(Validity::After, 5 * MINUTE_NS), Some(5), "not at the same instant");
    assert_eq!(at(Validity::After, 5 * MINUTE_NS - SECOND), Some(4));
}

#[test]
fn revisions_count_once_known_and_an_older_event_never_replaces_a_newer_one() {
    let history = history(&["SPY"]);
    let days = &built(&history, &DataConfig::default()).days[..1];
    let minute = |minute: i64| days[0].session.open_ns + minute * MINUTE_NS;
    let rows = [
        (minute(0), minute(2), 1.0),
        (minute(3), minute(5), 2.0),
        (minute(0), minute(7), 1.5), // a revision of the older event, too late
        (minute(3), minute(9), 2.5), // a revision of the newer one
    ];
    let joined = series(Validity::From, &rows).unwrap().joined(days);
    let values: Vec<_> = joined[0][..10].iter().map(|known| known.map(|known| known.value)).collect();
    let expected =
        [None, Some(1.0), Some(1.0), Some(1.0), Some(2.0), Some(2.0), Some(2.0), Some(2.0), Some(2.5), Some(2.5)];
    assert_eq!(values, expected);
}

#[test]
fn rows_are_refused_with_their_number() {
    let message = |rows: &[(i64, i64, f64)]| series(Validity::From, rows).unwrap_err().to_string();
    assert!(message(&[(0, 1, 1.0), (5, 4, 1.0)]).starts_with("FILE: row 2, column x.v: it was known before its event"));
    assert!(message(&[(0, 1, f64::INFINITY)]).starts_with("FILE: row 1, column x.v: inf is no number"));
    let twice = message(&[(0, 9, 1.0), (2, 3, 1.0), (0, 9, 2.0)]);
    assert!(
        twice.starts_with("FILE: row 3, column x.v: it has the event and the time of publication of row 1"),
        "{twice}"
    );
}

#[test]
fn a_file_needs_the_time_at_which_it_was_known() {
    let faults = |text: &str| DataConfig { column_files: vec![file(text)], ..DataConfig::default() }.check();
    let none = faults(r#"{"name": "nq", "file": "nq.csv", "values": ["ret"]}"#);
    assert!(none[0].starts_with("data.column_files (nq): none is given of known, delay and bar; give one"), "{none:?}");
    let two = faults(r#"{"name": "nq", "file": "nq.csv", "values": ["ret"], "bar": "1m", "delay": "1m"}"#);
    assert!(two[0].contains("more than one is given"), "{two:?}");
    assert_eq!(faults(r#"{"name": "nq", "file": "nq.csv", "values": ["ret"], "delay": "0s"}"#), Vec::<String>::new());
    let unread = serde_json::from_str::<ColumnFile>(r#"{"name": "nq", "file": "f", "values": [], "delay": "soon"}"#);
    assert!(unread.unwrap_err().to_string().contains("write it as 90s, 15m, 2h or 1d"));
}

#[test]
fn lengths_of_time_read_back() {
    for (text, seconds) in [("90s", 90), ("15m", 900), ("2h", 7_200), ("1d", 86_400), ("0s", 0)] {
        let length: Length = text.parse().unwrap();
        assert_eq!((length.ns(), length.to_string().as_str()), (seconds * SECOND, text));
    }
    for odd in ["", "m", "-1m", "1.5h", "5", "99999999999d"] {
        assert!(odd.parse::<Length>().is_err(), "{odd}");
    }
}

#[test]
fn a_column_that_no_source_returns_is_refused() {
    let config = DataConfig { own_columns: vec![OwnColumn::new("sig", Transform::Raw)], ..DataConfig::default() };
    let error = Dataset::build(&history(&["SPY"]), &Window::default(), &config).unwrap_err().to_string();
    assert!(error.starts_with("the bars of SPY come without the column \"sig\""), "{error}");
}

#[test]
fn stale_values_read_zero_and_their_age_goes_on() {
    let mut history = history(&["SPY"]);
    let open = calendar::session(date("2025-11-03")).unwrap().open_ns;
    let values = series(Validity::From, &[(open, open, 8.0)]).unwrap().stale_after(Some(10 * MINUTE_NS));
    history.columns.series = vec![values];
    let nq = r#"{"name": "x", "file": "f", "values": ["v"], "bar": "1m", "age": true, "stale_after": "10m"}"#;
    let sessions = built(&history, &DataConfig { column_files: vec![file(nq)], ..DataConfig::default() });
    let day = sessions.days.iter().position(|day| day.session.open_ns == open).unwrap();
    let values: Vec<f32> = (0..12).map(|bar| sessions.added.row(day, bar)[0]).collect();
    assert_eq!(values, [vec![8.0; 10], vec![0.0; 2]].concat());
    let ages: Vec<f32> = (0..390).map(|bar| sessions.added.row(day, bar)[1]).collect();
    assert!(ages.windows(2).all(|pair| pair[0] < pair[1]) && ages[389] < sessions.added.row(day + 1, 0)[1]);
    assert_eq!(sessions.added.row(day - 1, 0)[1], 1.0, "no value yet");
}

#[test]
fn a_file_of_one_symbol_is_empty_for_the_others() {
    let mut history = history(&["SPY", "QQQ"]);
    let of_qqq = of_symbol("QQQ", &[(0, 0, 4.0)]);
    history.columns.series = vec![of_qqq];
    let only = file(r#"{"name": "x", "file": "f", "values": ["v"], "delay": "1m", "symbol": "QQQ", "age": true}"#);
    let config = DataConfig { column_files: vec![only], ..DataConfig::default() };
    let symbols = Dataset::build(&history, &Window::default(), &config).unwrap().symbols;
    let rows = [symbols[0].added.row(0, 5), symbols[1].added.row(0, 5)];
    assert_eq!(rows, [[0.0, 1.0], [4.0, 1.0]]);
    assert_eq!(symbols[0].added.names, symbols[1].added.names);
}

/// The join by a search through all rows.
fn slow_join(rows: &[(i64, i64, f64)], validity: Validity, instant: i64) -> Option<f64> {
    let known = |row: &&(i64, i64, f64)| if validity == Validity::After { row.1 < instant } else { row.1 <= instant };
    rows.iter().filter(known).max_by_key(|row| (row.0, row.1)).map(|row| row.2)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_join_is_that_of_a_search(offsets in prop::collection::btree_set((0_i64..3_000, 0_i64..600), 1..60), after: bool) {
        let days = built(&history(&["SPY"]), &DataConfig::default()).days;
        let start = days[0].session.open_ns;
        let rows: Vec<(i64, i64, f64)> = offsets
            .iter()
            .enumerate()
            .map(|(index, (event, wait))| (start + event * MINUTE_NS, start + (event + wait) * MINUTE_NS, index as f64))
            .collect();
        let validity = if after { Validity::After } else { Validity::From };
        let joined = series(validity, &rows).unwrap().joined(&days[..6]);
        for (day, found) in days[..6].iter().zip(&joined) {
            for (bar, known) in found.iter().enumerate() {
                let close = day.session.open_ns + (bar as i64 + 1) * MINUTE_NS;
                prop_assert_eq!(known.map(|known| known.value), slow_join(&rows, validity, close));
            }
        }
    }

    /// Changing every value that is known after an instant, and dropping some of its rows, changes no row up to that instant.
    #[test]
    fn rows_do_not_depend_on_values_that_were_known_later(day in 1_usize..20, bar in 0_usize..209, factor in 1.5..4.0_f64, keep in 2_usize..5) {
        let history = history(&["SPY", "QQQ"]);
        let days = built(&history, &DataConfig::default()).days;
        let now = days[day].session.open_ns + (bar as i64 + 1) * MINUTE_NS;
        let seen = inputs(&history, now, 1.0, 1);
        let altered = inputs(&history, now, factor, keep);
        // QQQ is a column alone: the column of bars is SPY's.
        let alone = History { bars: history.bars[..1].to_vec(), ..history.clone() };
        let rows = |columns: ColumnInputs| built(&History { columns, ..alone.clone() }, &config()).added;
        let (seen, altered) = (rows(seen), rows(altered));
        let width = seen.names.len();
        prop_assert_eq!(&seen.days[..day], &altered.days[..day]);
        prop_assert_eq!(&seen.days[day][..(bar + 1) * width], &altered.days[day][..(bar + 1) * width]);
        // The test can fail: later rows do change.
        prop_assert_ne!(&seen.days[day + 1], &altered.days[day + 1]);
    }
}

/// All transforms of a column of bars and of a file.
fn config() -> DataConfig {
    let hourly = file(
        r#"{"name": "x", "file": "f", "values": ["v"], "known": "k", "age": true, "transform": "zscore", "window": 2}"#,
    );
    DataConfig { column_files: vec![hourly], ..all_transforms() }
}

/// A column of bars, an hourly file and the bars of QQQ. Values known after `now` are multiplied, and all but every `keep`-th dropped.
fn inputs(history: &History, now: i64, factor: f64, keep: usize) -> ColumnInputs {
    let later = |known: i64, value: f64| if known > now { value * factor } else { value };
    let sig = of_bars(history, |event, value| later(event + MINUTE_NS, value));
    let starts = history.bars[0].ts_ns();
    let hourly = starts.iter().step_by(60).enumerate().map(|(index, &event_ns)| {
        let known_ns = event_ns + 7 * MINUTE_NS + 1;
        KnownRow { event_ns, known_ns, value: later(known_ns, (index as f64).sin()) }
    });
    let kept = hourly.enumerate().filter(|(index, row)| row.known_ns <= now || index % keep == 0).map(|(_, row)| row);
    let hourly = KnownSeries::new("x.v".into(), None, "f", Validity::After, kept.collect()).unwrap();
    ColumnInputs { series: vec![sig, hourly], cross: vec![changed(&history.bars[1], now, factor, keep)] }
}

/// Bars of which those that end after `now` are changed and thinned.
fn changed(bars: &Bars, now: i64, factor: f64, keep: usize) -> Bars {
    let ends = |row: usize| bars.ts_ns()[row] + MINUTE_NS;
    let rows: Vec<usize> = (0..bars.len()).filter(|&row| ends(row) <= now || row % keep == 0).collect();
    let column = |values: &[f64]| {
        rows.iter().map(|&row| if ends(row) > now { values[row] * factor } else { values[row] }).collect::<Vec<_>>()
    };
    let columns = BarColumns {
        ts_ns: rows.iter().map(|&row| bars.ts_ns()[row]).collect(),
        open: column(bars.open()),
        high: column(bars.high()),
        low: column(bars.low()),
        close: column(bars.close()),
        volume: column(bars.volume()),
    };
    Bars::new(bars.symbol().clone(), bars.origin(), columns).unwrap()
}

#[test]
fn the_next_minute_of_another_symbol_is_a_leak_that_the_test_catches() {
    let mut history = history(&["SPY", "QQQ"]);
    let now = calendar::session(date("2025-11-28")).unwrap().open_ns + 100 * MINUTE_NS;
    let rows = |bars: &Bars| {
        let mut columns = bars.clone().into_columns();
        // Bars stamped a minute too early.
        columns.ts_ns.iter_mut().for_each(|ts| *ts -= MINUTE_NS);
        Bars::new(bars.symbol().clone(), "early", columns).unwrap()
    };
    let mut seen = |bars: &Bars| {
        history.columns.cross = vec![rows(bars)];
        let sessions = built(&history, &DataConfig::default());
        let day = sessions.days.iter().position(|day| day.session.date == date("2025-11-28")).unwrap();
        (0..100).map(|bar| sessions.added.row(day, bar).to_vec()).collect::<Vec<_>>()
    };
    let other = generate(
        &SyntheticConfig {
            sessions_from: date("2025-10-30"),
            sessions_to: date("2025-12-02"),
            ..SyntheticConfig::default()
        },
        &[Symbol::new("QQQ").unwrap()],
    )
    .unwrap()
    .bars
    .remove(0);
    assert_ne!(seen(&other), seen(&changed(&other, now, 1.5, 1)));
}

#[test]
fn columns_of_another_symbol_are_its_moves() {
    let mut history = history(&["SPY", "QQQ"]);
    history = history.with_cross(&["QQQ", "IWM"].map(|name| Symbol::new(name).unwrap()));
    let symbols = Dataset::build(&history, &Window::default(), &DataConfig::default()).unwrap().symbols;
    let (spy, qqq) = (&symbols[0], &symbols[1]);
    assert_eq!(spy.added.names, ["QQQ.return", "QQQ.since_open", "QQQ.strength"]);
    assert_eq!(qqq.added.names, spy.added.names);
    assert!(qqq.added.days.iter().flatten().all(|&value| value == 0.0), "no symbol stands beside itself");
    let (own, other) = (&spy.days[3], &qqq.days[3]);
    let percent = |from: f64, to: f64| 100.0 * (to / from).ln();
    let way = percent(other.open[0], other.close[7]);
    let expected = [
        (percent(other.close[6], other.close[7]) / 0.1).tanh(),
        way.tanh(),
        ((percent(own.open[0], own.close[7]) - way) / 0.5).tanh(),
    ];
    assert_eq!(spy.added.row(3, 7), expected.map(|value| value as f32));
}

#[test]
fn a_session_has_the_same_rows_in_every_window() {
    let mut history = history(&["SPY"]);
    history.columns.series = vec![of_bars(&history, |_, value| value)];
    let from = |day: &str| {
        let window = Window { from: Some(date(day)), ..Window::default() };
        Dataset::build(&history, &window, &all_transforms()).unwrap().symbols.remove(0)
    };
    let (long, short) = (from("2025-11-04"), from("2025-11-26"));
    let last = |sessions: &SymbolSessions| sessions.added.days.last().unwrap().clone();
    assert_eq!(last(&long), last(&short));
}
