//! Text form of a view: a whole frame for a terminal, one line per interval for a file. Pure: the same view gives the same text.

use std::iter::repeat;

use market_data::DataStamp;

use super::{
    unjudged::{UnjudgedInterval, judge_by_shares},
    view::{IntervalSnapshot, LearnerStats, View, WindowStats},
};
use crate::output::{
    synthetic::mark,
    table::{columns, dollars, percent, thousands},
    wrap::wrap_to,
};

/// Widest line of a frame, in characters.
const WIDTH: usize = 79;
/// Column at which the text beside a name begins.
const INDENT: usize = 12;
/// Bars of a sparkline, from an eighth to the whole.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws the whole view, without a line end after the last line.
pub fn frame(view: &View) -> String {
    let mut lines = vec![heading(view), String::new()];
    lines.extend(verdict(view));
    lines.push(String::new());
    match view.last() {
        None => lines.push("no diagnostics interval is finished yet".to_owned()),
        Some(snapshot) => {
            lines.extend(interval_table(snapshot).lines().map(str::to_owned));
            lines.push(String::new());
            lines.push(labelled("HOLD", &history(view, |stats| stats.hold)));
            lines.push(labelled("strong BUY", &history(view, |stats| stats.strong_buy)));
            let shown = view.intervals.len().min(history_width());
            lines.push(labelled("", &format!("the last {shown} of {} intervals, 0 to 100%", view.intervals.len())));
        }
    }
    lines.push(String::new());
    lines.push(labelled("learner", &learner_text(&view.learner)));
    lines.extend(view.moves.last().map(|last| {
        let (step, count) = (thousands(last.step as i64), view.moves.len());
        labelled("moves", &format!("{count}, the last at step {step}: {} {} to {}", last.key, last.from, last.to))
    }));
    lines.push(footer(view));
    lines.join("\n")
}

/// Draws the frame with a line on how to quit.
pub(super) fn interactive_frame(view: &View) -> String {
    format!("{}\n{}", frame(view), labelled("", "q and Enter, or Ctrl-C, to quit"))
}

/// Draws the interval at `index` as one line; empty beyond the last.
pub fn line(view: &View, index: usize) -> String {
    let Some(snapshot) = view.intervals.get(index) else { return String::new() };
    let IntervalSnapshot { interval, total, .. } = snapshot;
    let pair = |name: &str, of: fn(&WindowStats) -> Option<f64>| {
        format!("{name} {} (total {})", percent(of(interval)), percent(of(total)))
    };
    let parts = [
        format!("step {}", thousands(snapshot.step as i64)),
        pair("HOLD", |stats| stats.hold),
        pair("strong BUY", |stats| stats.strong_buy),
        format!("weak BUY {}", percent(interval.weak_buy)),
        format!("P&L {} (total {})", money(interval.net_pnl_usd), money(total.net_pnl_usd)),
        match view.verdict_at(snapshot.step).and_then(|row| row.money) {
            Some(money) => {
                format!("a trade {} (random {})", percent(Some(money.per_trade)), percent(Some(money.random)))
            }
            None => "a trade - (random -)".to_owned(),
        },
        learner_text(&snapshot.learner),
        match view.verdict_at(snapshot.step) {
            Some(row) => row.verdict.to_string(),
            None => format!("shares: {}", judge_by_shares(snapshot).verdict),
        },
    ];
    let stamp = view.data.filter(|data| data.is_synthetic()).map(|stamp| format!("{stamp} | "));
    stamp.unwrap_or_default() + &parts.join(" | ")
}

fn heading(view: &View) -> String {
    let planned = view.planned.map(|steps| format!(" of {}", thousands(steps as i64))).unwrap_or_default();
    let synthetic = mark(view.data.is_some_and(DataStamp::is_synthetic), "", "  ");
    let steps = format!("{synthetic}step {}{planned}", thousands(view.step as i64));
    let room = WIDTH.saturating_sub(steps.chars().count() + 2);
    let name: Vec<char> = view.source.chars().collect();
    // The end of a long path matters more than its beginning.
    let name: String = name[name.len().saturating_sub(room)..].iter().collect();
    format!("{name:room$}  {steps}")
}

fn verdict(view: &View) -> Vec<String> {
    let (said, evidence) = match (view.health.last(), view.last()) {
        (Some(row), _) => {
            let own = if row.reading == row.verdict {
                String::new()
            } else {
                format!("; this interval alone: {}", row.reading)
            };
            let since = thousands(row.since as i64);
            (format!("{} since step {since}{own}", row.verdict), row.evidence.clone())
        }
        (None, Some(snapshot)) => {
            let UnjudgedInterval { verdict, evidence } = judge_by_shares(snapshot);
            (format!("{verdict}, by action shares alone; no verdict was written"), evidence)
        }
        (None, None) => ("none yet".to_owned(), Vec::new()),
    };
    let mut lines = vec![labelled("verdict", &said)];
    let wrapped = evidence.iter().flat_map(|sentence| wrap_to(sentence, WIDTH - INDENT));
    lines.extend(wrapped.map(|text| labelled("", &text)));
    let money = view.health.last().and_then(|row| row.money).map_or_else(Vec::new, |money| {
        let wrapped = wrap_to(&money.clause(), WIDTH - INDENT).into_iter().zip(["money"].into_iter().chain(repeat("")));
        wrapped.map(|(text, name)| labelled(name, &text)).collect()
    });
    lines.extend(money);
    lines
}

/// Draws the figures of an interval above those of all steps.
pub(crate) fn interval_table(snapshot: &IntervalSnapshot) -> String {
    let row = |name: String, stats: &WindowStats| {
        let WindowStats { hold, buy_call, buy_put, strong_buy, weak_buy, in_market, net_pnl_usd } = *stats;
        let mut cells = vec![name];
        cells.extend([hold, buy_call, buy_put, strong_buy, weak_buy, in_market].map(percent));
        cells.push(money(net_pnl_usd));
        cells
    };
    let steps = snapshot.step + 1 - snapshot.first_step.min(snapshot.step);
    let interval = format!("last {}", thousands(steps as i64));
    columns(
        &["steps", "HOLD", "CALL", "PUT", "strong BUY", "weak BUY", "in market", "net P&L"],
        &[row(interval, &snapshot.interval), row("all".to_owned(), &snapshot.total)],
    )
}

/// Returns the learner's figures as text.
pub(crate) fn learner_text(learner: &LearnerStats) -> String {
    let LearnerStats { entropy_norm, entropy, explained_variance, fps } = *learner;
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
    let entropy = match (entropy_norm, entropy) {
        (None, Some(nats)) => format!("entropy {nats:.2} nats"),
        (share, _) => format!("entropy {} of maximum", number(share)),
    };
    let fps = fps.map_or_else(|| "-".to_owned(), |fps| thousands(fps as i64));
    format!("{entropy}, explained variance {}, {fps} steps/s", number(explained_variance))
}

fn footer(view: &View) -> String {
    let updated = view.updated.map_or_else(
        || "nothing written yet".to_owned(),
        |time| format!("last written {}", time.strftime("%Y-%m-%d %H:%M:%S UTC")),
    );
    let state = if view.finished { "finished" } else { "not finished" };
    labelled("", &format!("{updated}; {state}"))
}

const fn history_width() -> usize {
    WIDTH - INDENT
}

/// Draws a share of the last intervals as bars; a missing one is a gap.
fn history(view: &View, of: fn(&WindowStats) -> Option<f64>) -> String {
    let from = view.intervals.len().saturating_sub(history_width());
    let bar = |share: f64| BARS[((share * BARS.len() as f64) as usize).min(BARS.len() - 1)];
    view.intervals[from..].iter().map(|snapshot| of(&snapshot.interval).map_or(' ', bar)).collect()
}

fn money(usd: Option<f64>) -> String {
    usd.map_or_else(|| "-".to_owned(), dollars)
}

fn labelled(name: &str, text: &str) -> String {
    format!("{name:INDENT$}{text}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use ppo_agent::health::TradeMoney;

    use super::*;
    use crate::{
        artifacts::health_rows::{HealthRow, MoveRow},
        commands::watch::log::tests::{read as log, tune2},
    };

    #[test]
    fn a_legacy_log_on_a_terminal() {
        let view = View { source: "logs/training/tune2_100k.log".to_owned(), updated: None, ..log(&tune2()) };
        let expected = "\
logs/training/tune2_100k.log                                       step 100,000

verdict     drifting, by action shares alone; no verdict was written
            steps 50,001 to 100,000, when flat: HOLD 6.4%, BUY 93.6%, on strong
            setups 97.4%, on others 86.6%
            since step 0: HOLD 38.2%, BUY 61.8%, on strong setups 68.3%, on
            others 55.2%

steps         HOLD   CALL    PUT  strong BUY  weak BUY  in market  net P&L
-----------  -----  -----  -----  ----------  --------  ---------  -------
last 50,000   6.4%  74.2%  19.4%       97.4%     86.6%      89.6%        -
all          38.2%  40.1%  21.7%       68.3%     55.2%      76.2%        -

HOLD        ▅▆▄▃▁
strong BUY  ▄▃▅▇█
            the last 5 of 5 intervals, 0 to 100%

learner     entropy 0.69 nats, explained variance -11.50, 102 steps/s
            nothing written yet; not finished";
        assert_eq!(frame(&view), expected);
        assert_eq!(
            line(&view, 4),
            "step 100,000 | HOLD 6.4% (total 38.2%) | strong BUY 97.4% (total 68.3%) | weak BUY 86.6% | P&L - (total -) | \
             a trade - (random -) | entropy 0.69 nats, explained variance -11.50, 102 steps/s | shares: drifting"
        );
        assert_eq!(line(&view, 5), "");
    }

    fn run() -> View {
        let stats = |hold: f64| WindowStats {
            hold: Some(hold),
            buy_call: Some(0.75 - hold),
            buy_put: Some(0.25),
            strong_buy: Some(1.0 - hold),
            weak_buy: None,
            in_market: Some(0.5),
            net_pnl_usd: Some(-1234.4),
        };
        let learner =
            LearnerStats { entropy_norm: Some(0.954), explained_variance: Some(0.1), ..LearnerStats::default() };
        let snapshot = |(i, hold)| IntervalSnapshot {
            first_step: 5_000 * i + 1,
            step: 5_000 * (i + 1),
            interval: stats(hold),
            total: stats(0.3),
            learner,
        };
        let money =
            TradeMoney { trades: 40, dates: 9, per_trade: -0.035, random: -0.041, interval: Some((-0.003, 0.015)) };
        let health = |step, verdict: &str, reading: &str| HealthRow {
            data: DataStamp::Synthetic,
            step,
            first_step: step - 4_999,
            verdict: verdict.into(),
            reading: reading.into(),
            since: 5_000,
            evidence: vec!["flat HOLD 25.0%".to_owned()],
            checklist: Vec::new(),
            advice: Vec::new(),
            money: Some(money),
        };
        View {
            source: format!("{}/runs/one", "long".repeat(20)),
            data: Some(DataStamp::Synthetic),
            planned: Some(100_000),
            step: 500_000,
            intervals: (0..100u64).zip([0.0, 0.25, 0.5, 0.75].into_iter().cycle()).map(snapshot).collect(),
            learner: LearnerStats { fps: Some(81_234.0), ..learner },
            health: vec![health(5_000, "healthy", "healthy"), health(500_000, "healthy", "drifting")],
            moves: vec![MoveRow {
                data: DataStamp::Synthetic,
                step: 40_960,
                key: "ppo.ent_coef".to_owned(),
                from: 0.06,
                to: 0.08,
                reason: "HOLD 71%".to_owned(),
            }],
            updated: "2026-11-27T05:32:01Z".parse().ok(),
            finished: true,
        }
    }

    #[test]
    fn a_run_with_verdicts_on_a_terminal() {
        let text = frame(&run());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("long/runs/one  SYNTHETIC DATA  step 500,000 of 100,000"), "{}", lines[0]);
        assert_eq!(lines[2], "verdict     healthy since step 5,000; this interval alone: drifting");
        assert_eq!(lines[3], "            flat HOLD 25.0%");
        assert_eq!(lines[4], "money       -3.5% per trade after costs, random-legal -4.1% on the same");
        assert_eq!(lines[5], "            sessions: 0.6% [-0.3%, 1.5%], no better than random");
        assert!(lines[9].ends_with("75.0%   0.0%  25.0%       25.0%         -      50.0%  -$1,234"), "{}", lines[9]);
        assert_eq!(lines[12], format!("HOLD        {}▃▅▇", "▃▅▇▁".repeat(16)));
        assert_eq!(lines[14], "            the last 67 of 100 intervals, 0 to 100%");
        assert_eq!(lines[16], "learner     entropy 0.95 of maximum, explained variance 0.10, 81,234 steps/s");
        assert_eq!(lines[17], "moves       1, the last at step 40,960: ppo.ent_coef 0.06 to 0.08");
        assert_eq!(lines[18], "            last written 2026-11-27 05:32:01 UTC; finished");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let last = line(&run(), 99);
        assert!(last.starts_with("SYNTHETIC | step 500,000 | HOLD 75.0%") && last.ends_with(" | healthy"), "{last}");
    }

    #[test]
    fn before_the_first_interval_nothing_is_made_up() {
        let text = frame(&View { source: "runs/one".to_owned(), ..View::default() });
        assert!(text.contains("verdict     none yet\n\nno diagnostics interval is finished yet\n"), "{text}");
        assert!(text.contains("entropy - of maximum, explained variance -, - steps/s"), "{text}");
    }
}
