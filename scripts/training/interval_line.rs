//! One line per interval on the screen, at most 80 columns wide: behaviour, money, verdict and speed.

use anstyle::{AnsiColor, Style};
use market_env::Action;
use ppo_agent::health::{IntervalReport, Verdict};
use statistics::share;

use crate::output::table::{percent, thousands};

/// Headings above the lines. "strong" is the share of BUY on strong setups, "a trade" the mean net return of a trade.
pub(super) const HEADING: &str = "      step HOLD CALL  PUT strong a trade random  verdict            step/s left";

/// Pace of a training.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Steps per second since the start.
    pub(super) steps_per_second: f64,
    /// Seconds to the end at this pace.
    pub(super) seconds_left: f64,
}

/// Returns the line of an interval. `random` is the mean net return of a trade of the random-legal policy on the training
/// sessions.
pub(super) fn interval_line(step: u64, report: &IntervalReport, random: Option<f64>, pace: Pace) -> String {
    let ledger = &report.interval;
    let flat = |action| whole_percent(share(ledger.flat(action), ledger.flat_steps()));
    let per_trade = ledger.mean_trade_return().map(|(mean, _)| mean);
    let verdict = report.confirmed.0;
    format!(
        "{:>10} {:>4} {:>4} {:>4} {:>6} {:>7} {:>6}  {}{:<18}{} {:>6} {:>4}",
        thousands(step as i64),
        flat(Action::Hold),
        flat(Action::BuyCall),
        flat(Action::BuyPut),
        whole_percent(share(ledger.strong_buys(), ledger.strong_states())),
        percent(per_trade),
        percent(random),
        style(verdict).render(),
        verdict.to_string(),
        style(verdict).render_reset(),
        short_count(pace.steps_per_second),
        short_time(pace.seconds_left),
    )
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
            interval_verdict: IntervalVerdict { verdict, evidence: Vec::new(), advice: Vec::new() },
            confirmed: (verdict, 5_000),
        }
    }

    #[test]
    fn the_longest_line_and_the_heading_fit_the_terminal() {
        let pace = Pace { steps_per_second: 98_211.0, seconds_left: 59.0 };
        let longest = report(Verdict::Collapsed(Action::BuyCall));
        let line = strip_str(&interval_line(10_000_000, &longest, Some(-0.041), pace)).to_string();
        assert_eq!(line, "10,000,000  54%  29%  17%    75%   -3.5%  -4.1%  collapsed:BUY_CALL    98k  59s");
        assert!(line.len() <= 80 && HEADING.len() <= 80, "{} and {}", line.len(), HEADING.len());
        let empty = IntervalReport { interval: Ledger::default(), ..report(Verdict::Inconclusive) };
        let line = strip_str(&interval_line(5_000, &empty, None, pace)).to_string();
        assert!(line.starts_with("     5,000    -    -    -      -       -      -  inconclusive"), "{line}");
    }

    #[test]
    fn counts_and_times_are_short() {
        assert_eq!([940.0, 98_211.0, 999_600.0, 1_240_000.0].map(short_count), ["940", "98k", "1.0M", "1.2M"]);
        assert_eq!([59.4, 99.6, 720.0, 12_600.0].map(short_time), ["59s", "2m", "12m", "3.5h"]);
    }
}
