//! One line per interval on the screen, at most 80 columns wide: behaviour, money, verdict and speed.

use anstyle::{AnsiColor, Style};
use market_env::Action;
use ppo_agent::health::{IntervalReport, TradeMoney, Verdict};
use statistics::share;

use crate::output::table::{percent, thousands};

/// Headings above the lines. "strong" is the share of BUY on strong setups, "a trade" the mean net return of a trade, "vs random"
/// its difference from random-legal trades of the same sessions with half its 95 % interval, "training" the verdict.
pub(super) const HEADING: &str = "      step HOLD CALL  PUT strong a trade vs random training           per s left";

/// Pace of a training.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Steps per second since the start.
    pub(super) steps_per_second: f64,
    /// Seconds to the end at this pace.
    pub(super) seconds_left: f64,
}

/// Returns the line of an interval.
pub(super) fn interval_line(step: u64, report: &IntervalReport, pace: Pace) -> String {
    let ledger = &report.interval;
    let flat = |action| whole_percent(share(ledger.flat(action), ledger.flat_steps()));
    let per_trade = ledger.mean_trade_return().map(|(mean, _)| mean);
    let verdict = report.confirmed.0;
    format!(
        "{:>10} {:>4} {:>4} {:>4} {:>6} {:>7} {}{:>9}{} {}{:<18}{} {:>5} {:>4}",
        thousands(step as i64),
        flat(Action::Hold),
        flat(Action::BuyCall),
        flat(Action::BuyPut),
        whole_percent(share(ledger.strong_buys(), ledger.strong_states())),
        percent(per_trade),
        money_style(report.money.as_ref()).render(),
        over_random(report.money.as_ref()),
        money_style(report.money.as_ref()).render_reset(),
        style(verdict).render(),
        verdict.to_string(),
        style(verdict).render_reset(),
        short_count(pace.steps_per_second),
        short_time(pace.seconds_left),
    )
}

/// Returns the difference from random-legal trades with half its interval, such as +0.6±0.9%.
fn over_random(money: Option<&TradeMoney>) -> String {
    let Some(money) = money else { return "-".to_owned() };
    let value = 100.0 * money.difference();
    match money.interval.map(|(low, high)| 50.0 * (high - low)) {
        None => format!("{value:+.1}%"),
        Some(half) if half < 9.95 && value.abs() < 9.95 => format!("{value:+.1}±{half:.1}%"),
        Some(half) => format!("{value:+.0}±{:.0}%", half.min(999.0)),
    }
}

fn money_style(money: Option<&TradeMoney>) -> Style {
    let color = match money.and_then(|money| money.interval) {
        Some((low, _)) if low > 0.0 => AnsiColor::Green,
        Some((_, high)) if high < 0.0 => AnsiColor::Red,
        _ => return Style::new(),
    };
    Style::new().fg_color(Some(color.into()))
}

fn style(verdict: Verdict) -> Style {
    let color = match verdict {
        Verdict::Healthy | Verdict::HoldIsOptimal => AnsiColor::Green,
        Verdict::Inconclusive => return Style::new(),
        Verdict::Drifting => AnsiColor::Yellow,
        Verdict::Collapsed(_) | Verdict::StateBlind | Verdict::Frozen | Verdict::Exploding => AnsiColor::Red,
    };
    Style::new().fg_color(Some(color.into()))
}

fn whole_percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.0}%", 100.0 * share))
}

/// Formats a count with three digits at most: 940, 98k, 1.2M.
fn short_count(count: f64) -> String {
    match count {
        count if count < 1e3 => format!("{count:.0}"),
        count if count < 999.5e3 => format!("{:.0}k", count / 1e3),
        count => format!("{:.1}M", count / 1e6),
    }
}

/// Formats a duration in one unit: 59s, 12m, 3.5h.
fn short_time(seconds: f64) -> String {
    match seconds {
        s if s < 99.5 => format!("{s:.0}s"),
        s if s < 99.5 * 60.0 => format!("{:.0}m", s / 60.0),
        s => format!("{:.1}h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use market_env::Ledger;
    use ppo_agent::health::IntervalVerdict;

    use super::*;

    fn report(verdict: Verdict) -> IntervalReport {
        let interval = Ledger {
            flat_actions: [[60, 20, 20, 0, 0, 0], [5, 15, 0, 0, 0, 0], [0; 6]],
            exits: [40, 0, 0, 0, 0, 0, 0, 0, 0],
            trade_return: -1.4,
            ..Ledger::default()
        };
        IntervalReport {
            step: 10_000_000,
            total: interval.clone(),
            interval,
            dependence: None,
            policy: Default::default(),
            policy_total: Default::default(),
            learner: None,
            layers: Vec::new(),
            gap: None,
            money: Some(TradeMoney {
                trades: 40,
                dates: 9,
                per_trade: -0.035,
                random: -0.041,
                interval: Some((-0.003, 0.015)),
            }),
            random: None,
            interval_verdict: IntervalVerdict { verdict, evidence: Vec::new(), advice: Vec::new() },
            confirmed: (verdict, 5_000),
        }
    }

    #[test]
    fn the_longest_line_and_the_heading_fit_the_terminal() {
        let pace = Pace { steps_per_second: 98_211.0, seconds_left: 59.0 };
        let longest = report(Verdict::Collapsed(Action::BuyCall));
        let line = strip_str(&interval_line(10_000_000, &longest, pace)).to_string();
        assert_eq!(line, "10,000,000  54%  29%  17%    75%   -3.5% +0.6±0.9% collapsed:BUY_CALL   98k  59s");
        assert!(line.chars().count() == 80 && HEADING.len() <= 80, "{} and {}", line.chars().count(), HEADING.len());
        let empty = IntervalReport { interval: Ledger::default(), money: None, ..report(Verdict::Inconclusive) };
        let line = strip_str(&interval_line(5_000, &empty, pace)).to_string();
        assert!(line.starts_with("     5,000    -    -    -      -       -         - inconclusive"), "{line}");
    }

    #[test]
    fn differences_from_random_trades_are_short() {
        let of = |per_trade, interval| {
            over_random(Some(&TradeMoney { trades: 9, dates: 9, per_trade, random: 0.0, interval }))
        };
        assert_eq!(of(0.006, Some((-0.003, 0.015))), "+0.6±0.9%");
        assert_eq!(of(-0.123, Some((-0.21, -0.01))), "-12±10%");
        assert_eq!(of(-1.0, Some((-20.0, 20.0))), "-100±999%");
        assert_eq!([of(-0.05, None), over_random(None)], ["-5.0%", "-"]);
    }

    #[test]
    fn counts_and_times_are_short() {
        assert_eq!([940.0, 98_211.0, 999_600.0, 1_240_000.0].map(short_count), ["940", "98k", "1.0M", "1.2M"]);
        assert_eq!([59.4, 99.6, 720.0, 12_600.0].map(short_time), ["59s", "2m", "12m", "3.5h"]);
    }
}
