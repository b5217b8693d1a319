//! Log with the cumulative block, of this program or of its Python predecessor (a legacy log). The block counts since step 0, which
//! hides the policy's current behaviour; the difference of two blocks shows it.

use std::path::Path;

use market_data::DataStamp;
use ppo_agent::health::Verdict;
use statistics::share;

use super::view::{IntervalSnapshot, View, WindowStats};
use crate::{
    artifacts::{follow::Follower, health_rows::HealthRow},
    output::synthetic::SYNTHETIC_DATA,
};

/// Actions that the block may count.
const ACTIONS: usize = 6;
/// Phrases at the end of a training's log; legacy logs use both.
const END_PHRASES: [&str; 2] = ["TRAINING COMPLETE", "Training time: "];

/// A log that may still grow.
#[derive(Debug)]
pub(crate) struct Log {
    follower: Follower,
    /// The block that is being read.
    open: Option<Counts>,
    /// The last complete block.
    last: Counts,
    /// Group of the table that is being read, such as `train`.
    group: String,
}

/// Counts of a block, since step 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counts {
    step: u64,
    flat: [u64; ACTIONS],
    strong: u64,
    strong_buys: u64,
    /// Share of entries on strong setups, in per cent with one decimal, as printed.
    buy_rate: f64,
}

impl Log {
    pub(crate) fn open(path: &Path) -> Self {
        Self { follower: Follower::new(path.to_owned()), open: None, last: Counts::default(), group: String::new() }
    }

    /// Adds the lines written since the last poll to the view.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn poll(&mut self, view: &mut View) -> anyhow::Result<()> {
        let new = self.follower.poll()?;
        if new.restarted {
            (self.open, self.last) = (None, Counts::default());
            view.intervals.clear();
            view.health.clear();
        }
        new.lines.iter().for_each(|line| self.read(line, view));
        view.updated = self.follower.changed();
        Ok(())
    }

    fn read(&mut self, line: &str, view: &mut View) {
        if let Some((_, step)) = line.split_once("MomentumDiagnostics @ step=") {
            self.open = count(step).map(|step| Counts { step, ..Counts::default() });
        } else if let Some(open) = &mut self.open {
            if open.read(line) {
                let total = *open;
                self.open = None;
                self.close(total, view);
            }
        } else if let Some((group, name, value)) = table_row(line) {
            match value {
                "" => self.group = group.to_owned(),
                _ => self.read_figure(name, value, view),
            }
        } else {
            read_other_line(line, view);
        }
    }

    /// Turns the difference of two blocks into an interval. A step that does not increase starts another run.
    fn close(&mut self, total: Counts, view: &mut View) {
        if total.step <= self.last.step {
            self.last = Counts::default();
            view.intervals.clear();
            view.health.clear();
        }
        let interval = total.since(&self.last);
        view.intervals.push(IntervalSnapshot {
            first_step: self.last.step + 1,
            step: total.step,
            interval: interval.stats(),
            total: total.stats(),
            learner: view.learner,
        });
        view.step = view.step.max(total.step);
        view.finished = false;
        self.last = total;
    }

    /// Reads a figure of the Stable-Baselines3 table into the view.
    fn read_figure(&self, name: &str, value: &str, view: &mut View) {
        let Ok(value) = value.parse::<f64>() else { return };
        let key = format!("{}{name}", self.group);
        if key == "time/total_timesteps" {
            view.step = value as u64;
        }
        view.learner.set(&key, value);
    }
}

impl Counts {
    /// Reads a line of the block; returns whether it was the last one.
    fn read(&mut self, line: &str) -> bool {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("action ") {
            let action = rest.split_once(':').and_then(|(action, rest)| Some((action.parse::<usize>().ok()?, rest)));
            if let Some((action, rest)) = action.filter(|(action, _)| *action < ACTIONS) {
                self.flat[action] = count(rest).unwrap_or(0);
            }
        } else if let Some(rest) = line.strip_prefix("Strong-setup states:") {
            self.strong = count(rest).unwrap_or(0);
            let rate = rest.split_once("BUY rate=").and_then(|(_, rate)| rate.split_once('%')?.0.parse().ok());
            self.buy_rate = rate.unwrap_or(0.0);
            self.strong_buys = (self.buy_rate / 100.0 * self.strong as f64).round() as u64;
        } else if let Some(rest) = line.strip_prefix("Triggers: good_buy_bonus=") {
            // A bonus paid for every entry on a strong setup counts them exactly; the rate is rounded.
            let bonus = count(rest).unwrap_or(0);
            let rate = 100.0 * bonus as f64 / self.strong.max(1) as f64;
            if (rate - self.buy_rate).abs() <= 0.050_001 {
                self.strong_buys = bonus;
            }
            return true;
        }
        false
    }

    fn since(&self, earlier: &Self) -> Self {
        let mut flat = self.flat;
        flat.iter_mut().zip(earlier.flat).for_each(|(now, before)| *now = now.saturating_sub(before));
        Self {
            step: self.step - earlier.step,
            flat,
            strong: self.strong.saturating_sub(earlier.strong),
            strong_buys: self.strong_buys.saturating_sub(earlier.strong_buys),
            buy_rate: 0.0,
        }
    }

    fn stats(&self) -> WindowStats {
        let flat: u64 = self.flat.iter().sum();
        let weak_buys = (self.flat[1] + self.flat[2]).saturating_sub(self.strong_buys);
        WindowStats {
            hold: share(self.flat[0], flat),
            buy_call: share(self.flat[1], flat),
            buy_put: share(self.flat[2], flat),
            strong_buy: share(self.strong_buys, self.strong),
            weak_buy: share(weak_buys, flat.saturating_sub(self.strong)),
            in_market: share(self.step.saturating_sub(flat), self.step),
            net_pnl_usd: None,
        }
    }
}

/// Reads the line of a verdict, below the figures of the newest interval: `Verdict   WORD since step N`.
fn verdict(line: &str, view: &View) -> Option<HealthRow> {
    let (word, rest) = line.strip_prefix("Verdict   ")?.split_once(' ')?;
    let verdict = word.parse::<Verdict>().ok()?;
    let (_, step) = rest.split_once("step ")?;
    let reading = rest.split_once("(this interval alone: ").map_or(word, |(_, word)| word.trim_end_matches(')'));
    let snapshot = view.last();
    Some(HealthRow {
        data: view.data.unwrap_or(DataStamp::Market),
        step: snapshot.map_or(view.step, |snapshot| snapshot.step),
        first_step: snapshot.map_or(1, |snapshot| snapshot.first_step),
        verdict: verdict.into(),
        reading: reading.into(),
        since: count(step.split_whitespace().next()?)?,
        evidence: Vec::new(),
        checklist: Vec::new(),
        advice: Vec::new(),
        money: None,
    })
}

/// Reads the other lines of this program's logs: verdicts, shares by setup, P&L, synthetic data, the end.
fn read_other_line(line: &str, view: &mut View) {
    if let Some(row) = verdict(line, view) {
        view.health.push(row);
    } else if let (Some(text), Some(row)) = (line.strip_prefix("          "), view.health.last_mut()) {
        match text.strip_prefix("advice: ") {
            Some(advice) => row.advice.push(advice.to_owned()),
            None => row.evidence.push(text.to_owned()),
        }
    }
    if let Some(snapshot) = view.intervals.last_mut() {
        for (name, stats) in [("Interval ", &mut snapshot.interval), ("Total ", &mut snapshot.total)] {
            let Some(rest) = line.strip_prefix(name).map(str::trim_start) else { continue };
            stats.net_pnl_usd = rest.strip_prefix("net P&L ").and_then(dollars).or(stats.net_pnl_usd);
            if rest.starts_with("flat HOLD ") {
                stats.strong_buy = percentage(rest, "strong BUY ").or(stats.strong_buy);
                stats.weak_buy = percentage(rest, "weak BUY ").or(stats.weak_buy);
            }
        }
    }
    if line.starts_with(SYNTHETIC_DATA) {
        view.data = Some(DataStamp::Synthetic);
    }
    view.finished |= END_PHRASES.iter().any(|end| line.contains(end));
}

/// Reads the percentage that follows a word, as a share.
fn percentage(text: &str, word: &str) -> Option<f64> {
    let (number, _) = text.split_once(word)?.1.split_once('%')?;
    number.parse::<f64>().ok().map(|percent| percent / 100.0)
}

/// Returns group, name and value of a table's row; a heading's value is empty, and its name ends with a slash.
fn table_row(line: &str) -> Option<(&str, &str, &str)> {
    let (name, value) = line.trim().strip_prefix('|')?.strip_suffix('|')?.split_once('|')?;
    let (name, value) = (name.trim(), value.trim());
    Some((if value.is_empty() { name } else { "" }, name, value))
}

/// Reads the whole number that a text begins with, commas between its thousands or not.
fn count(text: &str) -> Option<u64> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != ',').unwrap_or(text.len());
    text[..end].replace(',', "").parse().ok()
}

/// Reads the amount that a text begins with, such as `-$1,234.50`.
fn dollars(text: &str) -> Option<f64> {
    let amount = text.split_whitespace().next()?;
    amount.replacen('$', "", 1).replace(',', "").parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Step, flat HOLD, CALL and PUT, strong states, and the triggers of the second tuning of the Python predecessor, from its log.
    const TUNE2: [[u64; 8]; 5] = [
        [5_000, 1477, 671, 544, 1272, 593, 679, 23],
        [10_000, 3896, 1327, 962, 3010, 1130, 1880, 44],
        [25_000, 7566, 3787, 2937, 6758, 3321, 3437, 99],
        [50_000, 8770, 5693, 4159, 8634, 4912, 3722, 160],
        [100_000, 9102, 9554, 5166, 12_013, 8203, 3810, 330],
    ];

    /// That log's blocks as the predecessor printed them, with one of its tables.
    pub(in crate::commands::watch) fn tune2() -> String {
        let mut log = String::from("Creating env: SPY (calm) - 8,272 bars\n");
        for [step, hold, call, put, strong, good, missed, chase] in TUNE2 {
            let percent = |part: u64, whole: u64| 100.0 * part as f64 / whole as f64;
            let flat = hold + call + put;
            let rule = "-".repeat(70);
            let _ = writeln!(
                log,
                "| time/                   |               |\n|    fps                  | 102           |\n|    total_timesteps      | {step} |\n\
                 | train/                  |               |\n|    entropy_loss         | -0.687        |\n\
                 |    explained_variance   | -11.5         |\n\n{rule}\n📊 MomentumDiagnostics @ step={}\n\
                 FLAT action distribution (count / %):\n  action 0: {hold} ({:.1}%)\n  action 1: {call} ({:.1}%)\n  \
                 action 2: {put} ({:.1}%)\nStrong-setup states: {strong} | BUY rate={:.1}% | HOLD rate={:.1}%\nTriggers: \
                 good_buy_bonus={good} | missed_opportunity={missed} | bad_chase_penalty={chase}\n{rule}\n",
                crate::output::table::thousands(step as i64),
                percent(hold, flat),
                percent(call, flat),
                percent(put, flat),
                percent(good, strong),
                percent(missed, strong),
            );
        }
        log
    }

    pub(in crate::commands::watch) fn read(text: &str) -> View {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut view = View::default();
        Log::open(file.path()).poll(&mut view).unwrap();
        view
    }

    #[test]
    fn a_legacy_log_shows_the_collapse_that_its_averages_hide() {
        let view = read(&tune2());
        // Share of steps flat, HOLD, CALL, PUT, BUY on strong setups of every interval, worked out by hand from that log.
        let expected = [
            "53.8 54.9 24.9 20.2 46.6",
            "69.9 69.3 18.8 12.0 30.9",
            "54.0 45.3 30.4 24.4 58.5",
            "17.3 27.8 44.0 28.2 84.8",
            "10.4 6.4 74.2 19.4 97.4",
        ];
        let shown = view.intervals.iter().map(|snapshot| {
            let WindowStats { hold, buy_call, buy_put, strong_buy, in_market, .. } = snapshot.interval;
            let shares = [in_market.map(|share| 1.0 - share), hold, buy_call, buy_put, strong_buy];
            shares.map(|share| format!("{:.1}", 100.0 * share.unwrap())).join(" ")
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected);
        let last = view.last().unwrap();
        assert_eq!((last.first_step, last.step, view.step), (50_001, 100_000, 100_000));
        assert_eq!(format!("{:.3}", last.total.hold.unwrap()), "0.382", "the target that was met");
        let learner = last.learner;
        assert_eq!((learner.fps, learner.entropy, learner.explained_variance), (Some(102.0), Some(0.687), Some(-11.5)));
        assert_eq!((learner.entropy_norm, last.interval.net_pnl_usd, view.finished), (None, None, false));
    }

    #[test]
    fn six_actions_no_strong_setup_and_another_run_are_read_too() {
        let block = "📊 MomentumDiagnostics @ step=500,000\nFLAT action distribution (count / %):\n  action 0: 8792 (23.0%)\n  \
                     action 1: 4527 (11.9%)\n  action 2: 4768 (12.5%)\n  action 3: 872 (2.3%)\n  action 4: 813 (2.1%)\n  action 5: \
                     18392 (48.2%)\nStrong-setup states: 18439 | BUY rate=23.8% | HOLD rate=23.1%\nTriggers: good_buy_bonus=4394 | \
                     missed_opportunity=4251 | bad_chase_penalty=137\n";
        let view = read(&format!("{block}TRAINING COMPLETE\n"));
        let stats = view.last().unwrap().interval;
        assert_eq!((stats.hold, stats.strong_buy), (Some(8792.0 / 38_164.0), Some(4394.0 / 18_439.0)));
        assert!((stats.other().unwrap() - 20_077.0 / 38_164.0).abs() < 1e-12 && view.finished);
        let second = format!(
            "{block}{}",
            tune2().replace("Strong-setup states: 1272 | BUY rate=46.6%", "Strong-setup states: 0")
        );
        let view = read(&second);
        assert_eq!((view.intervals.len(), view.intervals[0].interval.strong_buy), (5, None));
        assert_eq!(view.intervals[0].first_step, 1, "the second run of the file begins anew");
    }

    #[test]
    fn lines_of_this_program_are_read_and_a_block_may_come_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut log, mut view) = (Log::open(&path), View::default());
        let text = "SYNTHETIC DATA: made-up bars\n".to_owned()
            + &tune2()
            + "Interval  flat HOLD 6.4% CALL 74.2% PUT 19.4% | strong BUY 97.1% weak BUY 55.0% (difference 42.1%)\n"
            + "Interval  net P&L -$208,763.70 after fees of $47,241.70 | 984 trades\nTotal     net P&L $12.00 after fees\n";
        let cut = text.find("action 2: 5166").unwrap();
        std::fs::write(&path, &text[..cut]).unwrap();
        log.poll(&mut view).unwrap();
        assert_eq!(view.intervals.len(), 4);
        std::fs::write(&path, &text).unwrap();
        log.poll(&mut view).unwrap();
        let last = view.last().unwrap();
        assert_eq!((last.interval.strong_buy, last.interval.weak_buy), (Some(0.971), Some(0.55)));
        assert_eq!((last.interval.net_pnl_usd, last.total.net_pnl_usd), (Some(-208_763.7), Some(12.0)));
        assert_eq!((view.intervals.len(), view.data), (5, Some(DataStamp::Synthetic)));
    }
}
