//! A session as it happens: bars are requested after every minute, and every bar that has come is decided once.

use std::time::Duration;

use anyhow::Context as _;
use market_data::{
    DataError, History,
    calendar::{MINUTE_NS, Session, session_time},
    source::fetch::{Fetcher, last_final},
};
use market_env::{Action, LiveSession};
use ppo_agent::Policy;

use super::rows::{Recorded, Row, ShadowFile};
use crate::{
    config::RunConfig,
    evaluation::decision::Decision,
    inputs::{live, vendor::usage},
};

/// A session to follow. Time passes by the fetcher's clock alone.
#[derive(Debug, Clone, Copy)]
pub struct Follow<'a> {
    /// The vendor, its cache, and the clock.
    pub fetcher: Fetcher<'a>,
    /// The policy.
    pub policy: &'a Policy,
    /// The configuration of the session.
    pub config: &'a RunConfig,
    /// The session.
    pub session: Session,
    /// Time after the end of each minute at which its bar is requested.
    pub delay: Duration,
}

impl Follow<'_> {
    /// Decides at the close of every bar that comes, and adds a row per minute, until the session is over. `say` receives a line for
    /// every action other than HOLD, and for the end.
    ///
    /// Bars that have come stay as they came, so that the account is never rewritten; the comparison names bars that the vendor
    /// changed later. A vendor that cannot be reached is asked again after the next minute.
    ///
    /// # Errors
    /// A refused request, a malformed response, a file that cannot be written.
    pub fn run(&self, file: &mut ShadowFile, say: &mut dyn FnMut(String) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let symbol = self.config.run.symbols.first().context("there is no symbol")?;
        let mut history = live::earlier(&self.fetcher, self.config, self.session.date)?;
        let recorded = file.bars(symbol, &self.session)?;
        if let Some(joined) = history.bars[0].followed_by(&recorded) {
            history.bars[0] = joined;
        }
        while !file.is_complete(&self.session) {
            self.wait();
            match self.fetcher.with_session_so_far(&history, self.session.date) {
                Ok(longer) => history = longer,
                Err(error) if error.is_unreachable() => say(format!("Note: {error}; asking again"))?,
                Err(error) => return Err(usage(error)),
            }
            self.decide_until(self.newest(&history), &history, file, say)?;
        }
        say(summary(file))
    }

    /// Waits until the delay after the end of the running minute, or after the open.
    fn wait(&self) {
        let (now_ns, delay_ns) = (self.fetcher.clock.now_ms() * 1_000_000, self.delay.as_nanos() as i64);
        let minutes = (now_ns - delay_ns - self.session.open_ns).div_euclid(MINUTE_NS).max(0);
        let next_ns = self.session.open_ns + (minutes + 1) * MINUTE_NS + delay_ns;
        self.fetcher.clock.sleep(Duration::from_nanos((next_ns - now_ns).unsigned_abs()));
    }

    /// Returns the newest bar to decide at: the last of the session once it is final, though the vendor has sent none.
    fn newest(&self, history: &History) -> Option<u32> {
        let is_final = last_final(self.fetcher.clock.now_ms()).is_some_and(|last| self.session.date <= last);
        if is_final { Some(self.session.minutes() as u32 - 1) } else { live::newest_bar(history, &self.session) }
    }

    fn decide_until(
        &self,
        newest: Option<u32>,
        history: &History,
        file: &mut ShadowFile,
        say: &mut dyn FnMut(String) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Some(newest) = newest else { return Ok(()) };
        for bar in file.rows().len() as u32..=newest {
            let decision = self.decide(bar, history, file.rows())?;
            let action = decision.as_ref().map_or(Action::Hold, |decision| decision.action);
            let time = session_time(bar as usize);
            if action != Action::Hold {
                say(format!("{time}  {}", action.name()))?;
            }
            let prices = self.prices(history, bar);
            let decision = decision.as_ref().map(Recorded::of);
            file.push(Row { bar, time, prices, delay_s: self.delay_s(bar), action, decision })?;
            if file.is_complete(&self.session) {
                break;
            }
        }
        Ok(())
    }

    /// Decides at the close of a bar, after the recorded actions; `None` where the bars so far make no session.
    fn decide(&self, bar: u32, history: &History, rows: &[Row]) -> anyhow::Result<Option<Decision>> {
        let inputs = match live::inputs_at(self.config, history, &self.session, bar) {
            Err(error) if matches!(error.downcast_ref(), Some(DataError::NoSessions { .. })) => return Ok(None),
            inputs => inputs?,
        };
        let mut account = live::start(self.policy, &inputs, self.config, bar)?;
        replay(&mut account, rows)?;
        Decision::of(self.policy, &account).map(Some)
    }

    fn prices(&self, history: &History, bar: u32) -> Option<[f64; 5]> {
        let bars = history.bars.first()?;
        let start = self.session.open_ns + i64::from(bar) * MINUTE_NS;
        let at = bars.ts_ns().binary_search(&start).ok()?;
        Some([bars.open()[at], bars.high()[at], bars.low()[at], bars.close()[at], bars.volume()[at]])
    }

    fn delay_s(&self, bar: u32) -> f64 {
        let end_ms = (self.session.open_ns + (i64::from(bar) + 1) * MINUTE_NS) / 1_000_000;
        (self.fetcher.clock.now_ms() - end_ms) as f64 / 1_000.0
    }
}

/// Plays the recorded actions up to the newest bar of an account.
fn replay(account: &mut LiveSession, rows: &[Row]) -> anyhow::Result<()> {
    for row in rows {
        if account.is_current() {
            break;
        }
        account.step(row.action).with_context(|| format!("repeating the decision of {}", row.time))?;
    }
    Ok(())
}

fn summary(file: &ShadowFile) -> String {
    let rows = file.rows();
    let orders = rows.iter().filter(|row| row.action != Action::Hold).count();
    let missed = rows.iter().filter(|row| row.decision.is_none()).count();
    let mut delays: Vec<f64> = rows.iter().map(|row| row.delay_s).collect();
    delays.sort_by(f64::total_cmp);
    let median = delays.get(delays.len() / 2).copied().unwrap_or_default();
    format!(
        "The session is over: {} decisions, {orders} of them orders, none placed; median delay {median:.0} s; {missed} minutes \
         without a decision.",
        rows.len() - missed
    )
}
