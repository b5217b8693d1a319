//! Money of policies on the same dates, after all costs: per trade and per session with 95 % intervals over dates, a table
//! of at most 80 columns, and one plain sentence.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};
use jiff::civil::Date;
use statistics::{BlockLength, Blocks, DateSum, Mean, Resamples, studentised_interval};

use crate::{
    evaluation::{
        baselines::{Opportunity, stays_out},
        replay::ReplayResult,
    },
    output::table::{dollars, percent, thousands},
};

/// Dates below which an interval is too unreliable to act on.
pub const FEW_DATES: usize = 20;

/// Resamples of the dates behind an interval.
const RESAMPLES: usize = 1_999;
/// Seed of the resamples.
const SEED: u64 = 0;

/// A mean with its 95 % interval over dates: a bootstrap-t in blocks of dates, or Student's for fewer than five of them. The
/// interval is absent where fewer than two dates have a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub value: f64,
    /// Lower and upper end of the interval.
    pub interval: Option<(f64, f64)>,
}

/// Money of one policy on some dates, after all costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Money {
    /// Positions opened and closed.
    pub trades: u64,
    /// Dates that were replayed.
    pub dates: usize,
    /// Net return of a trade, as a fraction of premium and fees paid at its entry; `None` without a trade.
    pub per_trade: Option<Estimate>,
    /// Net P&L of a session (one symbol on one date, which starts with the configured capital), in dollars.
    pub per_session: Option<Estimate>,
    /// Net P&L of every date, all symbols together, ascending by date, in dollars.
    pub daily: Vec<(Date, f64)>,
    /// True for a policy that almost never buys.
    pub stays_out: bool,
}

impl Estimate {
    fn of(values: impl Iterator<Item = (Date, f64)>) -> Option<Self> {
        let mut by_date: BTreeMap<Date, Vec<f64>> = BTreeMap::new();
        values.for_each(|(date, value)| by_date.entry(date).or_default().push(value));
        let sums: Vec<DateSum> = by_date.values().map(|of_date| [of_date.iter().sum(), of_date.len() as f64]).collect();
        let value = (!sums.is_empty()).then(|| statistics::mean(by_date.values().flatten()))?;
        let block =
            Blocks::Stationary(BlockLength::for_sessions(&sums.iter().map(|[sum, _]| *sum).collect::<Vec<_>>()));
        let studentised = studentised_interval(&sums, &Resamples::draw(sums.len(), RESAMPLES, block, SEED));
        let interval = studentised.map(|found| (found.low, found.high));
        Some(Self { value, interval: interval.or_else(|| Mean::of_sums(sums).map(|mean| mean.interval(0.95))) })
    }

    fn text(&self, width: usize, format: impl Fn(f64) -> String) -> String {
        let value = format!("{:>width$}", format(self.value));
        // An interval without width says nothing, such as that of doing nothing.
        self.interval
            .filter(|(low, high)| low < high)
            .map_or(value.clone(), |(low, high)| format!("{value} [{}, {}]", format(low), format(high)))
    }

    fn is_loss(&self) -> bool {
        self.interval.is_some_and(|(_, high)| high < 0.0)
    }

    fn is_gain(&self) -> bool {
        self.interval.is_some_and(|(low, _)| low > 0.0)
    }
}

impl Money {
    /// Returns whether the policy clearly earns per trade: its interval lies above zero.
    pub fn earns(&self) -> bool {
        self.per_trade.is_some_and(|trade| trade.is_gain())
    }

    /// Computes the money of a replay.
    pub fn of(result: &ReplayResult) -> Self {
        let sessions = result.sessions.iter().map(|(date, session)| (*date, session.net_pnl_cents as f64 / 100.0));
        let daily = result.daily_pnl();
        Self {
            trades: result.trades.len() as u64,
            dates: daily.len(),
            daily,
            per_trade: Estimate::of(result.trades.iter().map(|trade| (trade.date, trade.net_return))),
            per_session: Estimate::of(sessions),
            stays_out: result.trades.is_empty() || stays_out(&result.ledger),
        }
    }
}

/// Headings of [`table`].
const HEADINGS: [&str; 4] = ["policy", "per trade [95 % interval]", "per session", "trades"];

/// Returns a table of policies with their money, at most 80 columns wide.
pub fn table<'a>(rows: impl IntoIterator<Item = (&'a str, &'a Money)>) -> Vec<String> {
    let line = |name: &str, trade: &str, session: &str, trades: &str| {
        format!("{name:<15}{trade:<27}{session:<29}{trades:>9}").trim_end().to_owned()
    };
    let mut lines = vec![line(HEADINGS[0], HEADINGS[1], HEADINGS[2], HEADINGS[3])];
    for (name, money) in rows {
        let of = |estimate: &Option<Estimate>, width, format: fn(f64) -> String| {
            estimate.map_or_else(|| format!("{:>width$}", "-"), |estimate| estimate.text(width, format))
        };
        let trade = of(&money.per_trade, 6, |share| percent(Some(share)));
        let session = of(&money.per_session, 8, dollars);
        lines.push(line(name, &trade, &session, &thousands(money.trades as i64)));
    }
    lines
}

/// Returns the result of a policy in plain sentences. `random` is the money of random entries on the same dates, `cost` the
/// average cost of a round trip as a fraction of premium; `opportunity` is that of policies without information, for a policy
/// that stays out.
pub fn sentence(policy: &Money, random: &Money, cost: f64, opportunity: Option<&Opportunity>) -> String {
    if policy.stays_out {
        return staying_out(policy, random, opportunity);
    }
    let Some(trade) = policy.per_trade else { return "No trade was closed.".to_owned() };
    let size = percent(Some(trade.value.abs()));
    let result = if trade.is_loss() {
        format!(
            "Loses {size} per trade, {}; worse than doing nothing{}.",
            beside_cost(-trade.value, cost),
            beside_random(&trade, random)
        )
    } else if trade.is_gain() {
        format!("Earns {size} per trade after all costs{}.", beside_random(&trade, random))
    } else {
        let word = if trade.value < 0.0 { "Loses" } else { "Earns" };
        format!("{word} {size} per trade, which chance alone may explain.")
    };
    if policy.dates < FEW_DATES {
        format!("{result} {} dates are few: replay more before you act on this.", policy.dates)
    } else {
        result
    }
}

fn staying_out(policy: &Money, random: &Money, opportunity: Option<&Opportunity>) -> String {
    let trades = match policy.trades {
        0 => "Stays out: it did not trade.".to_owned(),
        1 => "Stays out: 1 trade.".to_owned(),
        trades => format!("Stays out: {} trades on {} dates.", thousands(trades as i64), policy.dates),
    };
    let entries = random.per_trade.map_or_else(|| "-".to_owned(), |trade| percent(Some(trade.value)));
    match opportunity {
        Some(Opportunity::Loses { .. }) if policy.per_session.is_some_and(|session| session.value > 0.0) => {
            format!("{trades} They earned, too few to prove anything; random entries make {entries} per trade here.")
        }
        Some(Opportunity::Loses { .. }) => {
            format!("{trades} Random entries make {entries} per trade here, so doing nothing is right.")
        }
        Some(Opportunity::Earns { policy, .. }) => {
            format!("{trades} Yet the plain policy \"{policy}\" earned here: this is a collapse, not caution.")
        }
        Some(Opportunity::Unclear { .. }) | None => {
            format!("{trades} Random entries make {entries} per trade; whether entries can earn here is unclear.")
        }
    }
}

fn beside_cost(loss: f64, cost: f64) -> &'static str {
    match loss / cost {
        ratio if ratio < 0.6 => "less than the cost of trading",
        ratio if ratio <= 1.5 => "about the cost of trading",
        _ => "more than the cost of trading",
    }
}

/// Compares with random entries, if the intervals of both lie apart.
fn beside_random(trade: &Estimate, random: &Money) -> &'static str {
    let other = random.per_trade.and_then(|trade| trade.interval);
    match trade.interval.zip(other) {
        Some(((low, _), (_, high))) if low > high && trade.value < 0.0 => ", though better than random entries",
        Some(((low, _), (_, high))) if low > high => ", more than random entries",
        Some(((_, high), (low, _))) if high < low => " and than random entries",
        Some(_) => ", no better than random entries",
        None => "",
    }
}

/// Returns the style of a policy's money on a terminal.
pub fn style(money: &Money) -> Style {
    let color = match money.per_trade {
        Some(trade) if trade.is_gain() => AnsiColor::Green,
        Some(trade) if trade.is_loss() && !money.stays_out => AnsiColor::Red,
        _ => return Style::new(),
    };
    Style::new().fg_color(Some(color.into()))
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::civil::date;
    use market_env::{Episode, Ledger};

    use super::*;
    use crate::evaluation::performance::tests::trade;

    /// A replay with these returns of trades, one trade per session, two sessions per date.
    pub(crate) fn result(returns: &[f64]) -> ReplayResult {
        let day = |i: usize| date(2025, 6, 2 + (i / 2) as i8);
        let trades = returns.iter().enumerate().map(|(i, &net)| {
            let mut trade = trade((net * 10_000.0).round() as i64, net, 5);
            trade.date = day(i);
            trade
        });
        let session = |(i, &net): (usize, &f64)| {
            let net_pnl_cents = (net * 10_000.0).round() as i64;
            let (lane, steps, reward, held_steps) = (i as u32, 389, 0.0, 5);
            (day(i), Episode { lane, day: lane, steps, reward, net_pnl_cents, fees_cents: 0, trades: 1, held_steps })
        };
        let mut ledger = Ledger::default();
        ledger.flat_actions[0] = [10, 10, 10, 0, 0, 0];
        ReplayResult { ledger, sessions: returns.iter().enumerate().map(session).collect(), trades: trades.collect() }
    }

    #[test]
    fn the_interval_counts_dates_and_not_trades() {
        // Both trades of a date are equal: three dates are three observations, with Student's 4.30 for two degrees of freedom.
        let money = Money::of(&result(&[0.01, 0.01, 0.02, 0.02, 0.03, 0.03]));
        let estimate = money.per_trade.unwrap();
        let (low, high) = estimate.interval.unwrap();
        let half = 4.302_652_729_911_275 * 0.01 / 3.0_f64.sqrt();
        assert!((estimate.value - 0.02).abs() < 1e-12 && (high - low - 2.0 * half).abs() < 1e-9, "{estimate:?}");
        assert!((money.per_session.unwrap().value - 2.0).abs() < 1e-9);
        assert_eq!((money.dates, money.trades, money.stays_out), (3, 6, false));
        assert_eq!(Money::of(&result(&[0.01, 0.02])).per_trade.unwrap().interval, None, "one date has no interval");
    }

    #[test]
    fn the_interval_of_skewed_money_is_skewed() {
        // Seven dates that lose a little, and one that wins much.
        let returns = [[-0.02; 14].as_slice(), &[0.2, 0.2]].concat();
        let estimate = Money::of(&result(&returns)).per_trade.unwrap();
        let (low, high) = estimate.interval.unwrap();
        assert!(low < 0.0 && high - estimate.value > 1.5 * (estimate.value - low), "{estimate:?}");
    }

    #[test]
    fn the_table_fits_a_terminal_and_has_no_nan() {
        let loss = Money::of(&result(&[-0.031, -0.042, -0.123, -0.034]));
        let money = Money {
            trades: 1_234_567,
            per_session: Some(Estimate { value: -12_345.0, interval: Some((-23_456.0, -1_234.0)) }),
            ..loss
        };
        let lines = table([("random-legal", &money), ("always-HOLD", &Money::of(&ReplayResult::default()))]);
        assert!(lines.iter().all(|line| line.len() <= 80 && !line.contains("NaN")), "{lines:#?}");
        assert!(lines[1].starts_with("random-legal    -5.8% ["), "{lines:#?}");
        assert!(lines[1].ends_with("-$12,345 [-$23,456, -$1,234] 1,234,567"), "{lines:#?}");
        assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>(), ["always-HOLD", "-", "-", "0"]);
    }

    #[test]
    fn losses_gains_and_chance_are_told_apart() {
        let of = |returns: &[f64]| Money::of(&result(returns));
        let say = |policy: &Money, random: &Money| sentence(policy, random, 0.038, None);
        let (loss, random) = (of(&[-0.03, -0.03, -0.031, -0.031]), of(&[-0.043, -0.043, -0.044, -0.044]));
        assert_eq!(
            say(&loss, &random),
            "Loses 3.0% per trade, about the cost of trading; worse than doing nothing, though better than random \
             entries. 2 dates are few: replay more before you act on this."
        );
        let many = |money: &Money| Money { dates: 40, ..money.clone() };
        assert!(say(&many(&random), &loss).ends_with("worse than doing nothing and than random entries."));
        assert!(say(&many(&loss), &loss).ends_with("worse than doing nothing, no better than random entries."));
        let gain = many(&of(&[0.04, 0.04, 0.041, 0.041]));
        assert_eq!(say(&gain, &random), "Earns 4.0% per trade after all costs, more than random entries.");
        let chance = many(&of(&[0.3, -0.2, 0.1, -0.1]));
        assert_eq!(say(&chance, &random), "Earns 2.5% per trade, which chance alone may explain.");
    }

    #[test]
    fn staying_out_is_right_wrong_or_unclear() {
        let out = Money::of(&ReplayResult::default());
        let random = Money::of(&result(&[-0.04, -0.04, -0.04, -0.04]));
        let say = |opportunity: Opportunity| sentence(&out, &random, 0.038, Some(&opportunity));
        assert_eq!(
            say(Opportunity::Loses { evidence: String::new() }),
            "Stays out: it did not trade. Random entries make -4.0% per trade here, so doing nothing is right."
        );
        let mut earned = Money::of(&result(&[0.04, 0.04, 0.04, 0.04]));
        earned.stays_out = true;
        let loses = Opportunity::Loses { evidence: String::new() };
        assert_eq!(
            sentence(&earned, &random, 0.038, Some(&loses)),
            "Stays out: 4 trades on 2 dates. They earned, too few to prove anything; random entries make -4.0% per trade here."
        );
        let earns = say(Opportunity::Earns { policy: "buy a call".to_owned(), evidence: String::new() });
        assert!(earns.ends_with("\"buy a call\" earned here: this is a collapse, not caution."), "{earns}");
        assert!(say(Opportunity::Unclear { evidence: String::new() }).ends_with("is unclear."));
    }
}
