//! Tapes of real options: they follow the prints, use nothing from later minutes, and do not reveal the list of contracts in the
//! data. Synthetic prints have a known true price; real ones are replayed where they are present.

use std::sync::Arc;

use market_data::{
    Dataset, LeftOut, OptionHistory, OptionSession, QuoteMinute, Right, SessionBars, Settles, Symbol, SymbolSessions,
    TradeMinute,
};
use market_env::{
    ContractSpec, EnvConfig, FillRule, INTERCEPT_KNOTS, Market, MarketConfig, PriceOrigin, PricingConfig, QuotePair,
    SessionPricer, StrikeConfig, StrikeRule, VecEnv as _, VolModel,
};
use statistics::correlation;

use crate::util::{Batch, all_days, dataset};

/// Pricing of the synthetic prints: a quarter above the model.
fn truth() -> PricingConfig {
    let model = PricingConfig::default();
    let dearer = |model: &VolModel| {
        let (mut level, smile) = model.parameters();
        level[..INTERCEPT_KNOTS.len()].iter_mut().for_each(|log_vol| *log_vol += 1.25_f64.ln());
        VolModel::from_parameters(&level, &smile)
    };
    PricingConfig { vix1d: dearer(&model.vix1d), vix: dearer(&model.vix), realised: dearer(&model.realised), ..model }
}

fn spy() -> ContractSpec {
    ContractSpec::known("SPY").unwrap()
}

/// Contracts in the data: all near the range of the session, or a few around its last price.
#[derive(Clone, Copy, PartialEq)]
enum Listed {
    All,
    AroundTheClose,
}

impl Listed {
    fn strikes(self, bars: &SessionBars) -> std::ops::RangeInclusive<u32> {
        let extreme =
            |prices: &[f64], pick: fn(f64, f64) -> f64| prices.iter().copied().reduce(pick).unwrap().round() as u32;
        let last = bars.close.last().unwrap().round() as u32;
        match self {
            Self::All => extreme(&bars.low, f64::min) - 3..=extreme(&bars.high, f64::max) + 3,
            Self::AroundTheClose => last - 3..=last + 3,
        }
    }
}

/// Prints of every minute and listed contract at the true price of the middle of the minute.
fn prints(days: &SymbolSessions, listed: Listed) -> OptionHistory {
    let truth = truth();
    let session = |(bars, vol)| {
        let bars: &SessionBars = bars;
        let pricer = SessionPricer::new(bars, vol, &ContractSpec::known("SPY").unwrap(), &truth);
        let mut trades = Vec::new();
        for slot in 0..bars.close.len() {
            for strike in listed.strikes(bars).map(f64::from) {
                for right in [Right::Call, Right::Put] {
                    let ends = [pricer.at_open(slot, strike), pricer.at_close(slot, strike)].map(|at| at.price(right));
                    let print = (ends[0] + ends[1]) / 2.0;
                    let (open, high, low, close) = (print, print, print, print);
                    let slot = slot as u16;
                    if print >= 0.01 {
                        trades.push(TradeMinute {
                            slot,
                            strike,
                            right,
                            open,
                            high,
                            low,
                            close,
                            vwap: print,
                            volume: 9.0,
                            spot: None,
                        });
                    }
                }
            }
        }
        OptionSession {
            session: bars.session,
            expiry: bars.session.date,
            settles: Settles::AtClose,
            trades,
            quotes: Vec::new(),
        }
    };
    let sessions = days.days.iter().zip(&days.vol).map(session).collect();
    OptionHistory { symbol: Symbol::new("SPY").unwrap(), sessions, files: Vec::new(), left_out: LeftOut::default() }
}

fn replay(dataset: &Dataset, options: OptionHistory) -> Arc<Market> {
    Arc::new(Market::replay_options(&dataset.symbols, &[options], &MarketConfig::default()).unwrap())
}

fn middle(pair: QuotePair) -> Option<f64> {
    Some((f64::from(pair.open.bid) + f64::from(pair.open.ask?.get())) / 200.0)
}

/// Price of the call at the money of a bar's open, on the tape and by the true model.
fn call_at_the_money(market: &Market, sessions: &SymbolSessions, day: usize, bar: usize) -> Option<(f64, f64)> {
    let (bars, vol) = (&sessions.days[sessions.warmup + day], &sessions.vol[sessions.warmup + day]);
    let strike = bars.open[bar].round();
    let (call, _) = market.quotes_at(&market.days()[day], strike, bar as u32)?;
    let truth = truth();
    Some((middle(call)?, SessionPricer::new(bars, vol, &spy(), &truth).at_open(bar, strike).prices().0))
}

#[test]
fn the_tape_follows_the_prints() {
    let dataset = dataset(&["SPY"], 12, 3, 0.0);
    let sessions = &dataset.symbols[0];
    let (real, model) = (replay(&dataset, prints(sessions, Listed::All)), crate::util::market(&dataset));
    let error = |market: &Market, bar| {
        let (tape, truth) = call_at_the_money(market, sessions, 2, bar).unwrap();
        (tape / truth - 1.0).abs()
    };
    for bar in [10, 60, 200] {
        assert!(error(&model, bar) > 0.12, "the model alone is a fifth too cheap at bar {bar}: {}", error(&model, bar));
        assert!(error(&real, bar) < 0.03, "the surface is not, at bar {bar}: {}", error(&real, bar));
    }
    let counts = real.real_options().unwrap();
    assert_eq!((counts.sessions, counts.left_out.len()), (real.days().len(), 0));
    assert_eq!((counts.origin.stale_surface + counts.origin.surface, counts.origin.quoted), (counts.origin.total(), 0));
    assert!(counts.origin.stale_surface > 0, "nothing is known at the first open");
}

/// Middle of the call at the money of a bar's close, on the tape.
fn mark_at_the_money(market: &Market, sessions: &SymbolSessions, day: usize, bar: usize) -> f64 {
    let strike = sessions.days[sessions.warmup + day].close[bar].round();
    let close = market.quotes_at(&market.days()[day], strike, bar as u32).unwrap().0.close;
    (f64::from(close.bid) + f64::from(close.ask.unwrap().get())) / 200.0
}

/// Prints of every minute from `first` of a session on, and of all later sessions, times a factor.
fn dearer_from(options: &OptionHistory, session: usize, first: u16, factor: f64) -> OptionHistory {
    let mut options = options.clone();
    for (at, rows) in options.sessions.iter_mut().enumerate().skip(session) {
        for row in rows.trades.iter_mut().filter(|row| at > session || row.slot >= first) {
            (row.open, row.high, row.low) = (row.open * factor, row.high * factor, row.low * factor);
            (row.close, row.vwap) = (row.close * factor, row.vwap * factor);
        }
    }
    options
}

#[test]
fn the_level_of_a_session_follows_earlier_sessions_before_its_first_print() {
    let dataset = dataset(&["SPY"], 12, 3, 0.0);
    let sessions = &dataset.symbols[0];
    let mut options = prints(sessions, Listed::All);
    let day = 7;
    // No print in the first minutes of the last session that is looked at.
    options.sessions[sessions.warmup + day].trades.retain(|row| row.slot >= 30);
    let off = MarketConfig {
        pricing: PricingConfig { level_half_life: 0.0, ..PricingConfig::default() },
        ..MarketConfig::default()
    };
    let frozen = Market::replay_options(&dataset.symbols, std::slice::from_ref(&options), &off).unwrap();
    let followed = replay(&dataset, options);
    let (bars, vol) = (&sessions.days[sessions.warmup + day], &sessions.vol[sessions.warmup + day]);
    let truth = truth();
    let pricer = SessionPricer::new(bars, vol, &spy(), &truth);
    for bar in [2, 20] {
        let right = pricer.at_close(bar, bars.close[bar].round()).prices().0;
        let error = |market: &Market| (mark_at_the_money(market, sessions, day, bar) / right - 1.0).abs();
        assert!(error(&frozen) > 0.12, "the model alone is a fifth too cheap: {}", error(&frozen));
        assert!(error(&followed) < 0.06, "earlier sessions say so: {}", error(&followed));
    }
}

#[test]
fn prints_of_today_and_later_change_no_earlier_minute() {
    let dataset = dataset(&["SPY"], 12, 3, 0.0);
    let sessions = &dataset.symbols[0];
    let (options, day, first) = (prints(sessions, Listed::All), 5, 5);
    let changed = dearer_from(&options, sessions.warmup + day, first, 1.5);
    let (before, after) = (replay(&dataset, options), replay(&dataset, changed));
    let marks = |market: &Market, day, bars: std::ops::Range<usize>| -> Vec<f64> {
        bars.map(|bar| mark_at_the_money(market, sessions, day, bar)).collect()
    };
    for day in 0..day {
        let bars = 0..sessions.days[sessions.warmup + day].close.len() - 1;
        assert_eq!(marks(&before, day, bars.clone()), marks(&after, day, bars), "session {day}");
    }
    let first = usize::from(first);
    assert_eq!(marks(&before, day, 0..first), marks(&after, day, 0..first));
    assert_ne!(marks(&before, day, first..40), marks(&after, day, first..40), "the prints themselves move the surface");
    assert_ne!(marks(&before, day + 1, 0..1), marks(&after, day + 1, 0..1), "and the level of the next session");
}

/// Masks that a policy sees, and the strikes of the tape.
fn visible(market: &Arc<Market>) -> (Vec<u8>, Vec<u32>) {
    let mut masks = Vec::new();
    let mut batch = Batch::replay(market, all_days(market), &EnvConfig::default());
    let actions = vec![0; all_days(market).len()];
    for _ in 0..380 {
        masks.extend(batch.lanes.mask.iter().map(|mask| mask.0));
        batch.step(&actions);
    }
    let grid = market.days().iter().flat_map(|day| {
        (0..1_000).filter(|&strike| market.quotes_at(day, f64::from(strike), 0).is_some()).collect::<Vec<u32>>()
    });
    (masks, grid.collect())
}

#[test]
fn the_list_of_contracts_in_the_data_is_not_visible() {
    let dataset = dataset(&["SPY"], 120, 5, 0.0);
    let sessions = &dataset.symbols[0];
    let [all, picked] = [Listed::All, Listed::AroundTheClose].map(|listed| replay(&dataset, prints(sessions, listed)));
    assert_eq!(visible(&all), visible(&picked), "masks and strike grids do not depend on what is listed");
    assert_eq!(all.features(), picked.features());

    // The information in the listing itself, and the part of it in the prices of the tape, an hour and a half into the day.
    let bar = 90;
    let (mut naive, mut price, mut later) = (Vec::new(), Vec::new(), Vec::new());
    for day in 0..picked.days().len() {
        let bars = &sessions.days[sessions.warmup + day];
        let Some((tape, truth)) = call_at_the_money(&picked, sessions, day, bar) else { continue };
        let listed = Listed::AroundTheClose.strikes(bars);
        let money = bars.open[bar].round() as u32;
        naive.push(f64::from(i8::from(listed.contains(&(money + 3))) - i8::from(listed.contains(&(money - 3)))));
        price.push(tape / truth - 1.0);
        later.push((bars.close.last().unwrap() / bars.open[bar]).ln());
    }
    let chance = 3.0 / (later.len() as f64).sqrt();
    let pairs: Vec<(f64, f64)> = naive.iter().copied().zip(later.iter().copied()).collect();
    let told = correlation(&pairs).unwrap();
    assert!(
        later.len() > 70 && told > 2.0 * chance,
        "the listing tells the future: {told} on {} sessions",
        later.len()
    );
    let mean = |up: bool| {
        let errors = price.iter().zip(&later).filter(|(_, later)| (**later > 0.0) == up).map(|(error, _)| *error);
        statistics::mean(errors)
    };
    let given_away = mean(true) - mean(false);
    assert!(given_away.abs() < 0.006, "prices are worth {given_away} of a premium to know, half of a half-spread");
    let size = statistics::mean(price.iter().map(|error| error * error)).sqrt();
    assert!(size < 0.01, "and they are right: {size}");
}

#[test]
fn later_rows_change_nothing_before_them() {
    let dataset = dataset(&["SPY"], 9, 4, 0.0);
    let rows = prints(&dataset.symbols[0], Listed::All);
    let now = 120;
    let mut other = rows.clone();
    // Those of the second traded session and of all after it; earlier ones may move its level.
    for session in other.sessions.iter_mut().skip(dataset.symbols[0].warmup + 1) {
        session.trades.retain(|row| usize::from(row.slot) < now || (row.strike as u32).is_multiple_of(2));
        for row in session.trades.iter_mut().filter(|row| usize::from(row.slot) >= now) {
            row.vwap *= 3.0;
        }
    }
    let (first, second) = (replay(&dataset, rows), replay(&dataset, other));
    let quotes = |market: &Market, bars: std::ops::Range<u32>| -> Vec<_> {
        let day = &market.days()[1];
        let strikes = (0..1_000).map(f64::from);
        strikes.flat_map(|strike| bars.clone().map(move |bar| market.quotes_at(day, strike, bar))).flatten().collect()
    };
    let now = now as u32;
    assert_eq!(quotes(&first, 0..now), quotes(&second, 0..now));
    let opens = |market: &Market| quotes(market, now..now + 1).iter().map(|(call, _)| call.open).collect::<Vec<_>>();
    assert_eq!(opens(&first), opens(&second), "an order decided at the last close known fills at what was known");
    assert_ne!(quotes(&first, now..now + 9), quotes(&second, now..now + 9), "the change does arrive later");
}

#[test]
fn the_entry_mask_does_not_depend_on_the_next_open() {
    let dataset = dataset(&["SPY"], 9, 4, 0.0);
    let rows = prints(&dataset.symbols[0], Listed::All);
    let mut config = MarketConfig {
        strike: StrikeConfig { rule: StrikeRule::Offset, offset: 6.0, ..Default::default() },
        ..Default::default()
    };
    config.pricing.spread_multiplier = 0.0;
    let bar = 150;
    // Six dollars out of the money an option is worth nothing or one cent, depending on the next open.
    let masks = |shift: f64| -> Vec<u8> {
        let mut dataset = dataset.clone();
        for day in &mut dataset.symbols[0].days {
            day.open[bar + 1] += shift;
            day.high[bar + 1] = day.high[bar + 1].max(day.open[bar + 1]);
            day.low[bar + 1] = day.low[bar + 1].min(day.open[bar + 1]);
        }
        let market = Arc::new(Market::replay_options(&dataset.symbols, std::slice::from_ref(&rows), &config).unwrap());
        let mut batch = Batch::replay(&market, all_days(&market), &EnvConfig::default());
        for _ in 0..bar {
            batch.step(&vec![0; all_days(&market).len()]);
        }
        batch.lanes.mask.iter().map(|mask| mask.0).collect()
    };
    let still = masks(0.0);
    assert_eq!((masks(3.0), masks(-3.0)), (still.clone(), still));
}

#[test]
fn only_a_print_that_moves_the_surface_makes_it_fresh() {
    let dataset = dataset(&["SPY"], 9, 4, 0.0);
    let sessions = &dataset.symbols[0];
    let asks = |keep: fn(&TradeMinute, f64) -> bool| {
        let mut rows = prints(sessions, Listed::All);
        for (day, bars) in rows.sessions.iter_mut().zip(&sessions.days) {
            day.trades.retain(|row| row.slot < 100 || keep(row, bars.close[usize::from(row.slot)]));
            // A far strike goes on printing a cent, whatever happens.
            day.trades.extend((100..bars.close.len() as u16).map(|slot| TradeMinute {
                slot,
                strike: bars.close[0].round() + 60.0,
                right: Right::Call,
                open: 0.01,
                high: 0.01,
                low: 0.01,
                close: 0.01,
                vwap: 0.01,
                volume: 1.0,
                spot: None,
            }));
            day.trades
                .sort_by(|a, b| a.slot.cmp(&b.slot).then(a.strike.total_cmp(&b.strike)).then(a.right.cmp(&b.right)));
        }
        let market = replay(&dataset, rows);
        let strike = sessions.days[sessions.warmup].open[150].round();
        let offered = |bar| market.quotes_at(&market.days()[0], strike, bar).unwrap().0.open.ask.is_some();
        ([99, 104, 105, 150].map(offered), market.real_options().unwrap().unused.far)
    };
    let (fresh, far) = asks(|_, _| false);
    assert_eq!(fresh, [true, true, false, false], "the last print near the money is that of minute 99");
    assert!(far > 250, "{far} prints moved nothing");
    assert_eq!(asks(|row, spot| (row.strike - spot).abs() < 2.0).0, [true; 4]);
}

#[test]
fn a_trade_says_whether_its_prices_were_real() {
    let dataset = dataset(&["SPY"], 9, 4, 0.0);
    let sessions = &dataset.symbols[0];
    let bars = &sessions.days[sessions.warmup];
    let spot = bars.close[50].round();
    let origin = |quoted: std::ops::Range<u16>| {
        let mut rows = prints(sessions, Listed::All);
        let strikes = (-15..=15).map(|step| spot + f64::from(step));
        let quote = |(slot, strike)| QuoteMinute {
            slot,
            strike,
            right: Right::Call,
            bid: Some(1.00),
            ask: Some(1.05),
            bid_size: None,
            ask_size: None,
        };
        let cells = quoted.flat_map(|slot| strikes.clone().map(move |strike| (slot, strike)));
        rows.sessions[sessions.warmup].quotes = cells.map(quote).collect();
        let market = replay(&dataset, rows);
        let mut batch = Batch::replay(&market, vec![0], &EnvConfig::default());
        (0..50).for_each(|_| batch.step(&[0]));
        batch.step(&[1]);
        batch.step(&[0]);
        while batch.env.ledger().closed() == 0 {
            let exit = if batch.lanes.mask[0].allows(5) { 5 } else { 0 };
            batch.step(&[exit]);
        }
        batch.trades().remove(0).prices
    };
    assert_eq!(origin(40..120), PriceOrigin::Real);
    assert_eq!(origin(0..0), PriceOrigin::Modelled, "the surface follows prints, but nobody quoted it");
}

#[test]
fn absent_crossed_one_sided_and_stale_quotes_never_fill() {
    let dataset = dataset(&["SPY"], 9, 4, 0.0);
    let sessions = &dataset.symbols[0];
    let bars = &sessions.days[sessions.warmup];
    let strike = bars.close[100].round();
    let quote =
        |slot, bid, ask| QuoteMinute { slot, strike, right: Right::Call, bid, ask, bid_size: Some(7), ask_size: None };
    let mut rows = prints(sessions, Listed::All);
    rows.sessions[sessions.warmup].quotes = vec![
        quote(100, Some(1.00), Some(1.04)),
        quote(101, Some(1.05), Some(1.02)),
        quote(102, None, Some(1.03)),
        quote(103, Some(1.01), None),
        quote(104, Some(1.02), Some(1.05)),
    ];
    let market = replay(&dataset, rows);
    let open = |bar| {
        let open = market.quotes_at(&market.days()[0], strike, bar).unwrap().0.open;
        (open.bid, open.ask.map(std::num::NonZeroU32::get))
    };
    assert!(open(100).1.is_some_and(|ask| ask != 104), "the quote of minute 100 is known at the open of 101");
    assert_eq!(open(101), (100, Some(104)));
    assert_eq!(open(102), (0, None), "crossed");
    assert_eq!((open(103), open(104)), ((0, Some(103)), (101, None)), "one side each");
    assert_eq!((open(105), open(106), open(150)), ((102, Some(105)), (0, None), (0, None)), "a quote stands a minute");
    let origin = market.real_options().unwrap().origin;
    assert_eq!((origin.quoted, origin.crossed, origin.one_sided), (2, 1, 2));
    assert_eq!(origin.stale_quote as usize, bars.close.len() - 106);
    let close = market.quotes_at(&market.days()[0], strike, 150).unwrap().0.close;
    assert!(close.bid > 0, "a mark is always there");
}

#[test]
fn a_contract_without_an_offer_is_masked_or_awaited() {
    let dataset = dataset(&["SPY"], 9, 4, 0.0);
    let sessions = &dataset.symbols[0];
    let spot = sessions.days[sessions.warmup].close[50].round();
    let call = |slot: u16, strike: f64| QuoteMinute {
        slot,
        strike,
        right: Right::Call,
        bid: Some(1.00),
        ask: (slot >= 52).then_some(1.05),
        bid_size: Some(9),
        ask_size: Some(7),
    };
    let mut rows = prints(sessions, Listed::All);
    let strikes = [spot - 1.0, spot, spot + 1.0];
    rows.sessions[sessions.warmup].quotes =
        (50..54).flat_map(|slot| strikes.map(|strike| call(slot, strike))).collect();
    let market = replay(&dataset, rows);
    for (fill, mask) in [(FillRule::NextOpen, 0b101), (FillRule::NextQuote, 0b111)] {
        let mut config = EnvConfig::default();
        config.execution.fill = fill;
        let mut batch = Batch::replay(&market, vec![0], &config);
        (0..50).for_each(|_| batch.step(&[0]));
        assert_eq!(batch.lanes.mask[0].0, mask, "{fill:?}: no call is offered at the open of bar 51");
        if fill == FillRule::NextOpen {
            continue;
        }
        batch.step(&[1]);
        while !batch.env.finished() {
            batch.step(&[0]);
        }
        let trade = batch.trades().remove(0);
        assert_eq!((trade.entry_ts_ns - market.days()[0].open_ns) / 60_000_000_000, 53, "the quote of minute 52");
        assert_eq!((trade.strike, trade.entry_price, trade.contracts), (spot, 1.05, 7), "all that was offered");
        assert!(batch.env.ledger().partial_orders > 0);
    }
}
