//! No look-ahead: everything after an instant is changed, and observations, masks and fills up to that instant must stay the
//! same bit for bit. Planted leaks show that the test can fail.

use market_data::{
    BarColumns, Bars, DataConfig, Dataset, History, SymbolSessions, Volatility, Window, calendar,
    columns::ColumnInputs,
    source::{files, synthetic},
};
use market_env::{EnvConfig, FEATURES, FillRule, Market, MarketConfig, VecEnv};

use crate::util::{Batch, Dice, all_days, symbols};

const MINUTE_NS: i64 = 60_000_000_000;

/// Raw inputs as a vendor delivers them.
#[derive(Clone)]
struct Feed {
    spy: BarColumns,
    vix1d: BarColumns,
    vix: BarColumns,
}

impl Feed {
    fn new() -> Self {
        let config = synthetic::SyntheticConfig {
            sessions_from: jiff::civil::date(2024, 11, 20),
            sessions_to: jiff::civil::date(2024, 12, 3),
            ..Default::default()
        };
        let history = synthetic::generate(&config, &symbols(&["SPY"])).unwrap();
        let bars = &history.bars[0];
        let spy = BarColumns {
            ts_ns: bars.ts_ns().to_vec(),
            open: bars.open().to_vec(),
            high: bars.high().to_vec(),
            low: bars.low().to_vec(),
            close: bars.close().to_vec(),
            volume: bars.volume().to_vec(),
        };
        let (vix1d, vix) = (index(&spy.ts_ns, 11.0, 3), index(&spy.ts_ns, 16.0, 4));
        Self { spy, vix1d, vix }
    }

    /// Changes every input that is published after `now`, and removes up to three of the bars that follow it.
    fn rewrite_future(&mut self, now: i64, dice: &mut Dice) {
        self.remove_bars(now, now + i64::from(dice.roll(4)) * MINUTE_NS);
        for columns in [&mut self.spy, &mut self.vix1d, &mut self.vix] {
            for i in 0..columns.ts_ns.len() {
                if columns.ts_ns[i] < now {
                    continue;
                }
                let factor = 1.0 + 0.03 * f64::from(dice.roll(1000)) / 1000.0;
                for price in [&mut columns.open, &mut columns.high, &mut columns.low, &mut columns.close] {
                    price[i] *= factor;
                }
                columns.volume[i] = f64::from(dice.roll(100_000));
            }
        }
    }

    /// Removes the bars of SPY that start from `from` until `until`.
    fn remove_bars(&mut self, from: i64, until: i64) {
        let keep: Vec<bool> = self.spy.ts_ns.iter().map(|ts| !(from..until).contains(ts)).collect();
        let columns = &mut self.spy;
        for column in [&mut columns.open, &mut columns.high, &mut columns.low, &mut columns.close, &mut columns.volume]
        {
            let mut kept = keep.iter();
            column.retain(|_| *kept.next().unwrap());
        }
        let mut kept = keep.iter();
        columns.ts_ns.retain(|_| *kept.next().unwrap());
    }

    fn dataset(&self) -> Dataset {
        let bars = |name: &str, columns: &BarColumns| {
            Bars::new(symbols(&[name]).remove(0), "test feed", columns.clone()).unwrap()
        };
        let (vix1d, vix) = (bars("VIX1D", &self.vix1d), bars("VIX", &self.vix));
        let history = History {
            bars: vec![bars("SPY", &self.spy)],
            volatility: Volatility::new(Some(&vix1d), Some(&vix), None),
            files: Vec::new(),
            synthetic: true,
            notes: Vec::new(),
            columns: ColumnInputs::default(),
        };
        Dataset::build(&history, &Window::default(), &DataConfig::default()).unwrap()
    }
}

/// A jumpy index that prints every minute.
fn index(ts_ns: &[i64], level: f64, seed: u64) -> BarColumns {
    let mut dice = Dice(seed);
    let close: Vec<f64> = ts_ns.iter().map(|_| level + f64::from(dice.roll(300)) / 100.0).collect();
    BarColumns {
        ts_ns: ts_ns.to_vec(),
        open: close.clone(),
        high: close.clone(),
        low: close.clone(),
        volume: vec![0.0; close.len()],
        close,
    }
}

/// Everything that a run may see of a session up to a bar, as bits.
#[derive(PartialEq)]
struct Seen {
    features: Vec<u32>,
    setups: Vec<u8>,
    play: Vec<(u32, u8, Vec<u32>, u32)>,
}

type Tamper = fn(&mut SymbolSessions);

/// Replays the session on `date` with fixed actions and returns everything known at the close of its bar `last`.
fn seen(feed: &Feed, tamper: Tamper, config: &EnvConfig, date: jiff::civil::Date, last: usize) -> Seen {
    let mut dataset = feed.dataset();
    dataset.symbols.iter_mut().for_each(tamper);
    let market = std::sync::Arc::new(Market::build(&dataset.symbols, &MarketConfig::default()).unwrap());
    let day = all_days(&market).into_iter().find(|&d| market.days()[d as usize].date == date).unwrap();
    let rows = market.days()[day as usize].rows();
    let until = rows.start + last;
    let mut batch = Batch::replay(&market, vec![day], config);
    let mut dice = Dice(9);
    let mut play = Vec::new();
    for _ in 0..last {
        let mask = batch.lanes.mask[0];
        let action = if mask.allows(3) && dice.roll(6) > 0 { 0 } else { dice.legal(mask) };
        batch.step(&[action]);
        let account = batch.lane_account(0).iter().map(|x| x.to_bits()).collect();
        play.push((batch.lanes.row[0], batch.lanes.mask[0].0, account, batch.lanes.reward[0].to_bits()));
    }
    assert!(batch.env.ledger().opened > 0, "the comparison saw a position");
    Seen {
        features: market.features()[..(until + 1) * FEATURES.len()].iter().map(|x| x.to_bits()).collect(),
        setups: (0..=until).map(|row| market.setup(row) as u8).collect(),
        play,
    }
}

/// The defaults, and settings with delayed orders, exit rules and guards.
fn settings() -> [EnvConfig; 2] {
    let mut slow = EnvConfig::default();
    (slow.execution.fill, slow.execution.delay_bars) = (FillRule::NextQuote, 3);
    (slow.execution.slippage, slow.execution.impact, slow.execution.participation) = (0.01, 0.5, 0.1);
    (slow.guards.daily_loss_limit, slow.guards.cooldown, slow.guards.vix_ceiling) = (0.5, 2, 40.0);
    [EnvConfig::default(), slow]
}

/// Counts how often a changed future changed the past.
fn violations(tamper: Tamper) -> usize {
    violations_of(|_| {}, tamper)
}

/// Counts them where every feed is misread as the function says.
fn violations_of(misread: fn(&mut Feed), tamper: Tamper) -> usize {
    let feed = Feed::new();
    let mut dice = Dice(77);
    let dates = [jiff::civil::date(2024, 11, 22), jiff::civil::date(2024, 11, 29), jiff::civil::date(2024, 12, 2)];
    let mut count = 0;
    for date in dates {
        let session = calendar::session(date).unwrap();
        for _ in 0..4 {
            let last = 20 + dice.roll(session.minutes() as u32 - 40) as usize;
            let mut changed = feed.clone();
            changed.rewrite_future(session.open_ns + (last as i64 + 1) * MINUTE_NS, &mut dice);
            assert!(changed.spy.close != feed.spy.close, "something was changed");
            let mut feed = feed.clone();
            [&mut changed, &mut feed].into_iter().for_each(misread);
            let differs = |config: &EnvConfig| {
                seen(&feed, tamper, config, date, last) != seen(&changed, tamper, config, date, last)
            };
            count += settings().iter().filter(|config| differs(config)).count();
        }
    }
    count
}

#[test]
fn a_changed_future_changes_no_earlier_observation_mask_or_fill() {
    assert_eq!(violations(|_| {}), 0);
}

#[test]
fn a_feature_that_reads_the_next_bar_is_caught() {
    assert!(violations(|symbol| symbol.days.iter_mut().for_each(|day| day.close.rotate_left(1))) > 0);
}

#[test]
fn a_hole_that_shows_before_its_minute_is_caught() {
    assert!(violations(|symbol| symbol.days.iter_mut().for_each(|day| day.filled.rotate_left(1))) > 0);
}

#[test]
fn a_vix_value_read_before_its_publication_is_caught() {
    assert!(violations(|symbol| symbol.vol.iter_mut().for_each(|vol| vol.vix.rotate_left(2))) > 0);
}

#[test]
fn an_option_priced_with_the_whole_days_volatility_is_caught() {
    let tamper: Tamper = |symbol| {
        for vol in &mut symbol.vol {
            let mean = vol.atm_vol.iter().sum::<f64>() / vol.atm_vol.len() as f64;
            vol.atm_vol.fill(mean);
        }
    };
    assert!(violations(tamper) > 0);
}

/// Hours between New York and UTC in winter.
const OFFSET_NS: i64 = 5 * 60 * MINUTE_NS;

/// The feed of somebody who takes New York's times of the volatility indices for UTC.
fn indices_in_local_time(feed: &mut Feed) {
    [&mut feed.vix1d, &mut feed.vix].into_iter().flat_map(|index| &mut index.ts_ns).for_each(|ts| *ts -= OFFSET_NS);
}

/// Writes a feed as the files of a user, and loads it.
fn loaded(feed: &Feed) -> Result<History, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, columns) in [("SPY", &feed.spy), ("VIX1D", &feed.vix1d), ("VIX", &feed.vix)] {
        let row = |row: usize| {
            let BarColumns { ts_ns, open, high, low, close, volume } = columns;
            let time = jiff::Timestamp::from_nanosecond(i128::from(ts_ns[row])).unwrap();
            format!("{time},{},{},{},{},{}\n", open[row], high[row], low[row], close[row], volume[row])
        };
        let rows: String = (0..columns.ts_ns.len()).map(row).collect();
        let path = folder.path().join(format!("{name}_1m.csv"));
        std::fs::write(path, format!("timestamp,open,high,low,close,volume\n{rows}")).unwrap();
    }
    let format = DataConfig::default().bar_format();
    files::load_in(folder.path(), &symbols(&["SPY"]), &format).map_err(|error| error.to_string())
}

#[test]
fn indices_in_another_zone_are_a_leak_that_the_loader_refuses() {
    assert!(violations_of(indices_in_local_time, |_| {}) > 0, "volatility is known five hours early");
    let mut feed = Feed::new();
    assert!(loaded(&feed).is_ok(), "{:?}", loaded(&feed).err());
    indices_in_local_time(&mut feed);
    let error = loaded(&feed).unwrap_err();
    assert!(error.contains("VIX") && error.contains("America/New_York"), "{error}");
}

#[test]
fn bars_in_another_zone_are_refused_before_they_can_leak() {
    let mut feed = Feed::new();
    feed.spy.ts_ns.iter_mut().for_each(|ts| *ts -= OFFSET_NS);
    let error = loaded(&feed).unwrap_err();
    assert!(error.contains("SPY_1m.csv") && error.contains("America/New_York"), "{error}");
}
