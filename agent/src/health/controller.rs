//! Controller of `--on-collapse adapt`: an escalation of setting changes, one step at a time, each with its reason.

use market_env::{Action, RewardConfig};
use serde::{Deserialize, Serialize};

use super::{HealthConfig, OnCollapse, Verdict};

/// Change of one setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// Dotted name of the setting: `ppo.ent_coef` or `env.reward.…`.
    pub key: String,
    /// Value before.
    pub from: f64,
    /// Value from the next iteration on.
    pub to: f64,
    /// Reason.
    pub reason: String,
}

/// Step of the escalation: minimum entropy coefficient and minimum strength of each shaping term.
struct EscalationStep {
    ent_coef: f64,
    good_buy: [f32; 2],
    missed_opportunity: f32,
    hold_tax: f32,
}

/// Escalation of the original tuning guide: HOLD above 70 % calls for 0.08 and larger bonuses, then for 0.10 and still
/// larger ones.
const ESCALATION: [EscalationStep; 2] = [
    EscalationStep { ent_coef: 0.08, good_buy: [0.12, 0.10], missed_opportunity: -0.06, hold_tax: -0.001 },
    EscalationStep { ent_coef: 0.10, good_buy: [0.15, 0.12], missed_opportunity: -0.08, hold_tax: -0.002 },
];
/// Configuration key of the entropy coefficient.
const ENT_COEF: &str = "ppo.ent_coef";
/// Number of times the bonuses are halved when the policy only buys.
const MAX_HALVINGS: u8 = 3;

/// Controller that maps a confirmed verdict to setting changes. It is plain state, saved with a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Controller {
    ent_coef: f64,
    reward: RewardConfig,
    #[serde(rename = "rungs")]
    escalations: u8,
    halvings: u8,
    /// Intervals until the next change.
    wait: u32,
}

/// Response to the verdict of an interval.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// No change.
    Continue,
    /// These settings change before the next iteration.
    Moves(Vec<Move>),
    /// The training stops.
    Stop,
}

impl Controller {
    /// Creates a controller with the settings of a run.
    pub fn new(ent_coef: f64, reward: RewardConfig) -> Self {
        Self { ent_coef, reward, escalations: 0, halvings: 0, wait: 0 }
    }

    /// Returns the current reward weights, before any annealing.
    pub fn reward(&self) -> &RewardConfig {
        &self.reward
    }

    /// Sets the current entropy coefficient, as moved by its schedule.
    pub fn set_ent_coef(&mut self, ent_coef: f64) {
        self.ent_coef = ent_coef;
    }

    /// Returns the response to the verdict after an interval; with `auto` the entropy coefficient adapts to the policy
    /// by itself and is left alone.
    pub fn respond(&mut self, verdict: Verdict, config: &HealthConfig, auto: bool) -> Response {
        if !verdict.is_alarm() || config.on_collapse == OnCollapse::Warn {
            self.wait = self.wait.saturating_sub(1);
            return Response::Continue;
        }
        if config.on_collapse == OnCollapse::Stop {
            return Response::Stop;
        }
        if self.wait > 0 {
            self.wait -= 1;
            return Response::Continue;
        }
        let moves = match verdict {
            Verdict::Collapsed(Action::Hold) => self.escalate(auto),
            Verdict::Collapsed(_) => self.halve_bonuses(),
            _ => Vec::new(),
        };
        if moves.is_empty() {
            return Response::Stop;
        }
        self.wait = config.patience;
        Response::Moves(moves)
    }

    /// Advances to the next step that changes a setting.
    fn escalate(&mut self, auto: bool) -> Vec<Move> {
        while let Some(step) = ESCALATION.get(usize::from(self.escalations)) {
            self.escalations += 1;
            let reason = format!("collapsed:HOLD; escalation step {}", self.escalations);
            let [call, put] = step.good_buy;
            let weights = [
                ("good_buy_call", self.reward.good_buy_call.max(call)),
                ("good_buy_put", self.reward.good_buy_put.max(put)),
                ("missed_opportunity", self.reward.missed_opportunity.min(step.missed_opportunity)),
                ("hold_tax", self.reward.hold_tax.min(step.hold_tax)),
            ];
            let ent_coef = if auto { self.ent_coef } else { self.ent_coef.max(step.ent_coef) };
            let weights = weights.map(|(name, weight)| (format!("env.reward.{name}"), decimal(weight)));
            let settings = std::iter::once((ENT_COEF.to_owned(), ent_coef)).chain(weights);
            let moves: Vec<Move> = settings.filter_map(|(key, to)| self.set(&key, to, &reason)).collect();
            if !moves.is_empty() {
                return moves;
            }
        }
        Vec::new()
    }

    /// Halves the shaping bonuses of entries.
    fn halve_bonuses(&mut self) -> Vec<Move> {
        if self.halvings == MAX_HALVINGS {
            return Vec::new();
        }
        self.halvings += 1;
        let reason =
            format!("entries only, and they do not earn; bonuses halved ({} of {MAX_HALVINGS})", self.halvings);
        let RewardConfig { good_buy_call, good_buy_put, missed_opportunity, .. } = self.reward;
        let weights = [
            ("env.reward.good_buy_call", good_buy_call),
            ("env.reward.good_buy_put", good_buy_put),
            ("env.reward.missed_opportunity", missed_opportunity),
        ];
        weights.into_iter().filter_map(|(key, weight)| self.set(key, decimal(weight / 2.0), &reason)).collect()
    }

    /// Applies a change made by an earlier run, as in a replay.
    ///
    /// # Errors
    /// A message when the key is unknown, the value is invalid, or the value before differs.
    pub fn apply(&mut self, made: &Move) -> Result<(), String> {
        let Move { key, from, to, reason } = made;
        let possible = match self.weight(key) {
            Some(_) => (*to as f32).is_finite(),
            None if key == ENT_COEF => *to >= 0.0 && to.is_finite(),
            None => return Err(format!("`{key}` is not a setting of the controller")),
        };
        if !possible {
            return Err(format!("{key} cannot be {to}"));
        }
        let here = self.weight(key).map(|weight| decimal(*weight)).filter(|here| here != from);
        if let Some(here) = here {
            return Err(format!("{key} is {here} here, but was {from} in the run that changed it"));
        }
        self.set(key, *to, reason);
        Ok(())
    }

    /// Changes a setting; `None` if it has that value already or does not exist.
    fn set(&mut self, key: &str, to: f64, reason: &str) -> Option<Move> {
        let from = if key == ENT_COEF {
            std::mem::replace(&mut self.ent_coef, to)
        } else {
            decimal(std::mem::replace(self.weight(key)?, to as f32))
        };
        (from != to).then(|| Move { key: key.to_owned(), from, to, reason: reason.to_owned() })
    }

    /// Returns the reward weight of a dotted key.
    fn weight(&mut self, key: &str) -> Option<&mut f32> {
        let reward = &mut self.reward;
        match key.strip_prefix("env.reward.")? {
            "good_buy_call" => Some(&mut reward.good_buy_call),
            "good_buy_put" => Some(&mut reward.good_buy_put),
            "missed_opportunity" => Some(&mut reward.missed_opportunity),
            "hold_tax" => Some(&mut reward.hold_tax),
            _ => None,
        }
    }
}

/// Returns the shortest decimal of a weight: 0.12, not the nearest double to a single-precision 0.12.
fn decimal(weight: f32) -> f64 {
    weight.to_string().parse().unwrap_or_else(|_| f64::from(weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Verdict = Verdict::Collapsed(Action::Hold);

    fn adapting() -> (Controller, HealthConfig) {
        let config = HealthConfig { on_collapse: OnCollapse::Adapt, patience: 2, ..HealthConfig::default() };
        (Controller::new(0.06, RewardConfig::documented()), config)
    }

    fn moves(response: Response) -> Vec<(String, f64, f64)> {
        match response {
            Response::Moves(moves) => moves.into_iter().map(|made| (made.key, made.from, made.to)).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_escalation_advances_one_step_at_a_time_and_then_stops() {
        let (mut controller, config) = adapting();
        let first = moves(controller.respond(HOLD, &config, false));
        let expected = [
            ("ppo.ent_coef", 0.06, 0.08),
            ("env.reward.good_buy_call", 0.1, 0.12),
            ("env.reward.good_buy_put", 0.08, 0.1),
            ("env.reward.missed_opportunity", -0.05, -0.06),
        ];
        assert_eq!(first, expected.map(|(key, from, to)| (key.to_owned(), from, to)));
        assert_eq!(controller.respond(HOLD, &config, false), Response::Continue, "the change needs time to act");
        assert_eq!(controller.respond(HOLD, &config, false), Response::Continue);
        let second = moves(controller.respond(HOLD, &config, false));
        assert_eq!((second.len(), second[0].2, second[4].2), (5, 0.1, -0.002));
        (0..2).for_each(|_| assert_eq!(controller.respond(HOLD, &config, false), Response::Continue));
        assert_eq!(controller.respond(HOLD, &config, false), Response::Stop);
    }

    #[test]
    fn an_adaptive_entropy_coefficient_is_left_alone() {
        let (mut controller, config) = adapting();
        let made = moves(controller.respond(HOLD, &config, true));
        assert!(made.iter().all(|(key, ..)| key.starts_with("env.reward.")) && made.len() == 3, "{made:?}");
    }

    #[test]
    fn an_escalation_step_starts_from_the_scheduled_coefficient() {
        let (mut controller, config) = adapting();
        controller.set_ent_coef(0.03);
        let made = moves(controller.respond(HOLD, &config, false));
        assert_eq!(made[0], ("ppo.ent_coef".to_owned(), 0.03, 0.08));
    }

    #[test]
    fn a_policy_that_only_buys_gets_smaller_bonuses() {
        let (mut controller, config) = adapting();
        let made = moves(controller.respond(Verdict::Collapsed(Action::BuyPut), &config, false));
        assert_eq!((made.len(), made[0].2, made[2].2), (3, 0.05, -0.025));
        assert_eq!(controller.reward().good_buy_put, 0.04);
    }

    #[test]
    fn other_alarms_stop_the_training() {
        for verdict in [Verdict::Frozen, Verdict::Exploding, Verdict::StateBlind] {
            let (mut controller, config) = adapting();
            assert_eq!(controller.respond(verdict, &config, false), Response::Stop);
        }
        let (mut controller, mut config) = adapting();
        for verdict in [Verdict::Healthy, Verdict::HoldIsOptimal, Verdict::Drifting, Verdict::Inconclusive] {
            assert_eq!(controller.respond(verdict, &config, false), Response::Continue);
        }
        config.on_collapse = OnCollapse::Warn;
        assert_eq!(controller.respond(HOLD, &config, false), Response::Continue);
        config.on_collapse = OnCollapse::Stop;
        assert_eq!(controller.respond(HOLD, &config, false), Response::Stop);
    }

    #[test]
    fn changes_can_be_replayed() {
        let (mut first, config) = adapting();
        let Response::Moves(made) = first.respond(HOLD, &config, false) else { panic!() };
        let mut second = Controller::new(0.06, RewardConfig::documented());
        made.iter().for_each(|made| second.apply(made).unwrap());
        assert_eq!((second.reward(), second.ent_coef), (first.reward(), first.ent_coef));
        let odd = Move { key: "env.reward.pnl_scale".into(), ..made[0].clone() };
        assert_eq!(second.apply(&odd), Err("`env.reward.pnl_scale` is not a setting of the controller".into()));
        let negative = Move { to: -0.1, ..made[0].clone() };
        assert_eq!(second.apply(&negative), Err("ppo.ent_coef cannot be -0.1".into()));
        let huge = Move { to: 1e300, ..made[1].clone() };
        assert!(second.apply(&huge).is_err());
        let elsewhere = "env.reward.good_buy_call is 0.12 here, but was 0.1 in the run that changed it".to_owned();
        assert_eq!(second.apply(&Move { to: -0.1, ..huge.clone() }), Err(elsewhere));
        assert_eq!(second.apply(&Move { from: 0.12, to: -0.1, ..huge }), Ok(()));
    }
}
