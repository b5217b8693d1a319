//! Log blocks and metrics of the environment's counters, with stable keys.
//!
//! A share without a denominator is printed as `-` and has no metric.

use market_env::{Action, Ledger, Setup};
use statistics::{ratio, share};

use crate::format::{decimal, dollars, line, percent, thousands};

/// Minutes of a full session.
const FULL_SESSION: f64 = 390.0;
const SEPARATOR: &str = "----------------------------------------------------------------------";

/// Detector of passed multiples of `every` lane-steps; vector steps may jump over a multiple.
#[derive(Debug, Clone)]
pub struct Cadence {
    every: u64,
    reached: u64,
}

impl Cadence {
    /// Returns a cadence for which all multiples up to `timesteps` count as reported.
    ///
    /// # Panics
    /// If `every` is zero.
    pub fn new(every: u64, timesteps: u64) -> Self {
        assert!(every > 0, "a cadence needs at least one step");
        Self { every, reached: timesteps / every }
    }

    /// Returns the newest multiple passed since the last call, if any.
    pub fn crossed(&mut self, timesteps: u64) -> Option<u64> {
        let now = timesteps / self.every;
        let passed = now > self.reached;
        self.reached = now.max(self.reached);
        passed.then_some(now * self.every)
    }
}

/// Returns the cumulative block since step 0, in the format of the legacy log, so that existing greps work.
///
/// Actions 0 to 2 are always listed, later ones only if a flat lane took them: `grep -A 6` of the header then shows the
/// whole block.
pub fn momentum_block(step: u64, total: &Ledger) -> String {
    let mut text = format!("\n{SEPARATOR}\n📊 MomentumDiagnostics @ step={}\n", thousands(step));
    text.push_str("FLAT action distribution (count / %):\n");
    for action in Action::ALL {
        let count = total.flat(action);
        if action <= Action::BuyPut || count > 0 {
            let percent = 100.0 * share(count, total.flat_steps()).unwrap_or(0.0);
            line(&mut text, format_args!("  action {}: {count} ({percent:.1}%)", action.index()));
        }
    }
    let strong = total.strong_states();
    match (share(total.strong_buys(), strong), share(strong_holds(total), strong)) {
        (Some(buy), Some(hold)) => line(
            &mut text,
            format_args!(
                "Strong-setup states: {strong} | BUY rate={:.1}% | HOLD rate={:.1}%",
                100.0 * buy,
                100.0 * hold
            ),
        ),
        _ => line(&mut text, format_args!("Strong-setup states: 0")),
    }
    line(
        &mut text,
        format_args!(
            "Triggers: good_buy_bonus={} | missed_opportunity={} | bad_chase_penalty={}",
            total.good_buy, total.missed_opportunity, total.bad_chase
        ),
    );
    line(&mut text, format_args!("{SEPARATOR}\n"));
    text
}

/// Returns the interval block: the exact window, the same shares for the interval alone, and money after costs.
///
/// The header of the cumulative block shows the passed multiple of the cadence, which may differ from the last step
/// when the lanes do not divide the cadence.
pub(crate) fn interval_block(interval: &Ledger, total: &Ledger) -> String {
    let mut text = String::new();
    let first = total.steps - interval.steps + 1;
    line(&mut text, format_args!("Window    steps {} to {}", thousands(first), thousands(total.steps)));
    let ledgers = [("Interval", interval), ("Total", total)];
    for (name, ledger) in ledgers {
        let flat = |action| percent(share(ledger.flat(action), ledger.flat_steps()));
        line(
            &mut text,
            format_args!(
                "{name:<9} flat HOLD {} CALL {} PUT {} | strong BUY {} weak BUY {} (difference {})",
                flat(Action::Hold),
                flat(Action::BuyCall),
                flat(Action::BuyPut),
                percent(share(ledger.strong_buys(), ledger.strong_states())),
                percent(weak_buy_share(ledger)),
                percent(state_dependence(ledger)),
            ),
        );
    }
    for (name, ledger) in ledgers {
        line(
            &mut text,
            format_args!(
                "{name:<9} net P&L {} over all lanes, after fees of {} | {} trades, {} per session, mean return {}, wins {} | in market {}",
                dollars(ledger.net_pnl_cents),
                dollars(ledger.fees_cents),
                thousands(ledger.opened),
                decimal(per_session(ledger)),
                percent(ratio(ledger.trade_return, ledger.closed() as f64)),
                percent(share(ledger.wins, ledger.closed())),
                percent(share(ledger.held_steps, ledger.steps)),
            ),
        );
    }
    for (name, ledger) in ledgers {
        let terms = ledger.reward_terms.listed().map(|(term, sum)| format!("{} {sum:+.3}", term.name()));
        let terms = terms.collect::<Vec<_>>().join(" | ");
        line(&mut text, format_args!("{name:<9} reward {:+.3} = {terms}", ledger.reward_terms.total()));
    }
    text
}

/// Returns the counters as metrics; the window is the interval, except for `*_cum` and `money/total_*`.
///
/// `actions_strong/state_dependence` is the share of entries on strong setups less that on weak ones: near zero the
/// policy ignores the setup. `env/cost_share` is fees over premium paid (without the spread, which is in the prices).
/// `reward_terms/*` are sums over all lanes; money is in US dollars.
pub fn metrics(interval: &Ledger, total: &Ledger) -> Vec<(String, f64)> {
    let mut metrics = Vec::with_capacity(32);
    let mut put = |key: &str, value: Option<f64>| metrics.extend(value.map(|value| (key.to_owned(), value)));
    for (space, ledger) in [("actions", interval), ("actions_cum", total)] {
        for (name, action) in [("hold", Action::Hold), ("buy_call", Action::BuyCall), ("buy_put", Action::BuyPut)] {
            put(&format!("{space}/frac_{name}"), share(ledger.flat(action), ledger.flat_steps()));
        }
    }
    for (space, ledger) in [("actions_strong", interval), ("actions_strong_cum", total)] {
        let strong = ledger.strong_states();
        put(&format!("{space}/buy"), share(ledger.strong_buys(), strong));
        put(&format!("{space}/hold"), share(strong_holds(ledger), strong));
        put(&format!("{space}/state_dependence"), state_dependence(ledger));
        put(&format!("{space}/call_on_bull"), in_setup(ledger, Setup::BullStrong, Action::BuyCall));
        put(&format!("{space}/put_on_bear"), in_setup(ledger, Setup::BearStrong, Action::BuyPut));
    }
    put("env/trades_per_session", per_session(interval));
    put("env/time_in_market", share(interval.held_steps, interval.steps));
    put("env/forced_share", share(interval.forced_steps, interval.steps));
    put("env/cost_share", ratio(interval.fees_cents as f64, interval.premium_cents as f64));
    put("env/win_rate", share(interval.wins, interval.closed()));
    put("env/mean_trade_return", ratio(interval.trade_return, interval.closed() as f64));
    put("env/mean_trade_return_error", interval.mean_trade_return().map(|(_, error)| error));
    put("env/refused_orders", Some(interval.refused_orders as f64));
    put("env/partial_orders", Some(interval.partial_orders as f64));
    put("env/unfilled_orders", Some(interval.unfilled_orders as f64));
    put("env/minutes_without_bar", Some(interval.minutes_without_bar as f64));
    put("env/halted_orders", Some(interval.halted_orders as f64));
    for (term, sum) in interval.reward_terms.listed() {
        put(&format!("reward_terms/{}", term.name()), Some(sum));
    }
    put("money/net_pnl_usd", Some(interval.net_pnl_cents as f64 / 100.0));
    put("money/fees_usd", Some(interval.fees_cents as f64 / 100.0));
    put("money/total_net_pnl_usd", Some(total.net_pnl_cents as f64 / 100.0));
    put("money/total_fees_usd", Some(total.fees_cents as f64 / 100.0));
    metrics
}

fn in_setup(ledger: &Ledger, setup: Setup, action: Action) -> Option<f64> {
    share(ledger.flat_actions[setup as usize][action.index()], ledger.flat_steps_in(setup))
}

fn strong_holds(ledger: &Ledger) -> u64 {
    [Setup::BullStrong, Setup::BearStrong].map(|s| ledger.flat_actions[s as usize][Action::Hold.index()]).iter().sum()
}

fn weak_buy_share(ledger: &Ledger) -> Option<f64> {
    let weak = &ledger.flat_actions[Setup::Weak as usize];
    share(weak[Action::BuyCall.index()] + weak[Action::BuyPut.index()], ledger.flat_steps_in(Setup::Weak))
}

fn state_dependence(ledger: &Ledger) -> Option<f64> {
    Some(share(ledger.strong_buys(), ledger.strong_states())? - weak_buy_share(ledger)?)
}

/// Returns the positions opened per full session of minutes. Lanes end their sessions together, so finished sessions
/// are no measure of the time played in an interval.
fn per_session(ledger: &Ledger) -> Option<f64> {
    ratio(ledger.opened as f64 * FULL_SESSION, ledger.steps as f64)
}

#[cfg(test)]
mod tests {
    use market_env::{PerTerm, RewardTerm};

    use super::*;

    fn ledger() -> Ledger {
        Ledger {
            steps: 100_000,
            held_steps: 70_000,
            flat_actions: [[5292, 1351, 5166, 0, 0, 0], [3810, 8203, 0, 0, 0, 0], [0; 6]],
            good_buy: 8203,
            missed_opportunity: 3810,
            bad_chase: 330,
            reward_terms: PerTerm::from_fn(|term| match term {
                RewardTerm::Pnl => -12.5,
                RewardTerm::GoodBuy => 820.25,
                RewardTerm::MissedOpportunity => -190.5,
                RewardTerm::HoldTax => -5.25,
                RewardTerm::BadChase => -9.75,
                _ => 0.0,
            }),
            opened: 14_000,
            exits: [14_000, 0, 0, 0, 0, 0, 0, 0, 0],
            wins: 3500,
            trade_return: -392.0,
            net_pnl_cents: -123_456_789,
            fees_cents: 4_200_005,
            premium_cents: 2_100_002_500,
            sessions: 250,
            ..Ledger::default()
        }
    }

    #[test]
    fn the_cumulative_block_is_pinned() {
        let expected = "
----------------------------------------------------------------------
📊 MomentumDiagnostics @ step=100,000
FLAT action distribution (count / %):
  action 0: 9102 (38.2%)
  action 1: 9554 (40.1%)
  action 2: 5166 (21.7%)
Strong-setup states: 12013 | BUY rate=68.3% | HOLD rate=31.7%
Triggers: good_buy_bonus=8203 | missed_opportunity=3810 | bad_chase_penalty=330
----------------------------------------------------------------------

";
        assert_eq!(momentum_block(100_000, &ledger()), expected);
        let empty = momentum_block(5000, &Ledger::default());
        assert!(empty.contains("\n  action 2: 0 (0.0%)\nStrong-setup states: 0\nTriggers: "), "{empty}");
        let mut odd = ledger();
        odd.flat_actions[0][5] = 7;
        assert!(momentum_block(5000, &odd).contains("\n  action 5: 7 (0.0%)\nStrong"));
    }

    #[test]
    fn legacy_greps_work_on_both_blocks() {
        let log = momentum_block(25_000, &ledger()) + &interval_block(&ledger(), &ledger());
        let lines: Vec<&str> = log.lines().collect();
        let at = lines.iter().position(|line| line.contains("MomentumDiagnostics @ step=25,000")).unwrap();
        assert_eq!(lines.iter().filter(|line| line.contains("MomentumDiagnostics")).count(), 1);
        // grep -A 6: the header and the six lines after it.
        let block = &lines[at..=at + 6];
        assert!(block[6].starts_with("Triggers: "), "{block:?}");
        assert_eq!(lines[at + 7], SEPARATOR);
        // grep -m1 "action 0:" | grep -o '[0-9.]*%': the first percentage.
        let hold = lines.iter().find(|line| line.contains("action 0:")).unwrap();
        let until = hold.find('%').unwrap();
        let digits = hold[..until].rfind(|c: char| !c.is_ascii_digit() && c != '.').unwrap() + 1;
        assert_eq!(&hold[digits..=until], "38.2%");
        assert_eq!(lines.iter().filter(|line| line.contains("BUY rate=")).count(), 1);
        assert_eq!(lines.iter().filter(|line| line.trim_start().starts_with("action ")).count(), 3);
    }

    #[test]
    fn the_interval_block_shows_money_and_state_dependence() {
        let interval = Ledger { flat_actions: [[60, 20, 20, 0, 0, 0], [5, 15, 0, 0, 0, 0], [0; 6]], ..ledger() };
        let total = Ledger { steps: 150_000, ..Ledger::default() };
        let text = interval_block(&interval, &total);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "Window    steps 50,001 to 150,000");
        assert_eq!(
            lines[1],
            "Interval  flat HOLD 54.2% CALL 29.2% PUT 16.7% | strong BUY 75.0% weak BUY 40.0% (difference 35.0%)"
        );
        assert_eq!(lines[2], "Total     flat HOLD - CALL - PUT - | strong BUY - weak BUY - (difference -)");
        assert_eq!(
            lines[3],
            "Interval  net P&L -$1,234,567.89 over all lanes, after fees of $42,000.05 | 14,000 trades, 54.6 per session, \
             mean return -2.8%, wins 25.0% | in market 70.0%"
        );
        assert!(lines[5].starts_with("Interval  reward +602.250 = pnl -12.500 | good_buy +820.250"), "{}", lines[5]);
    }

    #[test]
    fn metrics_without_a_denominator_are_left_out() {
        let metrics = metrics(&Ledger::default(), &ledger());
        let get = |key: &str| metrics.iter().find(|(name, _)| name == key).map(|&(_, value)| value);
        assert_eq!(get("actions/frac_hold"), None);
        assert_eq!(get("actions_cum/frac_hold"), Some(9102.0 / 23822.0));
        assert_eq!(get("actions_strong_cum/state_dependence"), Some(8203.0 / 12013.0 - 6517.0 / 11809.0));
        assert_eq!(get("money/total_net_pnl_usd"), Some(-1_234_567.89));
    }

    #[test]
    fn a_cadence_reports_each_multiple_once() {
        let mut cadence = Cadence::new(5000, 0);
        let crossed: Vec<_> = (0..=3000).filter_map(|step| cadence.crossed(step * 7)).collect();
        assert_eq!(crossed, [5000, 10_000, 15_000, 20_000]);
        assert_eq!(Cadence::new(5000, 12_000).crossed(14_999), None);
        assert_eq!(Cadence::new(5000, 12_000).crossed(26_000), Some(25_000));
    }
}
