//! What `adapt` does about a collapse: the ladder of the old documents, one rung at a time, each move with its reason.

use market_env::{Action, RewardConfig};
use serde::{Deserialize, Serialize};

use super::{HealthConfig, OnCollapse, Verdict};

/// One change of one setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// Dotted name of the setting: `ppo.ent_coef` or `env.reward.…`.
    pub key: String,
    /// Its value before.
    pub from: f64,
    /// Its value from the next iteration on.
    pub to: f64,
    /// Why.
    pub reason: String,
}

/// A rung of the ladder: least entropy weight and least strength of each shaping term.
struct Rung {
    ent_coef: f64,
    good_buy: [f32; 2],
    missed_opportunity: f32,
    hold_tax: f32,
}

/// The documented escalation: HOLD above 70 % calls for 0.08 and larger bonuses, then for 0.10 and larger ones still.
const LADDER: [Rung; 2] = [
    Rung { ent_coef: 0.08, good_buy: [0.12, 0.10], missed_opportunity: -0.06, hold_tax: -0.001 },
    Rung { ent_coef: 0.10, good_buy: [0.15, 0.12], missed_opportunity: -0.08, hold_tax: -0.002 },
];
/// Name of the entropy weight.
const ENT_COEF: &str = "ppo.ent_coef";
/// How often the bonuses are halved where the policy only buys.
const HALVINGS: u8 = 3;

/// Decides what changes when a verdict is called. It is plain state: a resumed run goes on with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Controller {
    ent_coef: f64,
    reward: RewardConfig,
    rungs: u8,
    halvings: u8,
    /// Intervals left until the next move.
    wait: u32,
}

/// What is to be done after an interval.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// Nothing.
    GoOn,
    /// These settings change before the next iteration.
    Moves(Vec<Move>),
    /// The training ends here.
    Stop,
}

impl Controller {
    /// Starts from the settings of a run.
    pub fn new(ent_coef: f64, reward: RewardConfig) -> Self {
        Self { ent_coef, reward, rungs: 0, halvings: 0, wait: 0 }
    }

    /// Returns the reward's weights as they are now, before any annealing.
    pub fn reward(&self) -> &RewardConfig {
        &self.reward
    }

    /// Takes notice of the entropy weight as it is now, wherever its schedule has brought it.
    pub fn note_ent_coef(&mut self, ent_coef: f64) {
        self.ent_coef = ent_coef;
    }

    /// Says what follows from the verdict that is called after an interval; `auto` tells that the entropy weight follows the
    /// policy by itself, so that the ladder leaves it alone.
    pub fn respond(&mut self, verdict: Verdict, config: &HealthConfig, auto: bool) -> Response {
        if !verdict.is_alarm() || config.on_collapse == OnCollapse::Warn {
            self.wait = self.wait.saturating_sub(1);
            return Response::GoOn;
        }
        if config.on_collapse == OnCollapse::Stop {
            return Response::Stop;
        }
        if self.wait > 0 {
            self.wait -= 1;
            return Response::GoOn;
        }
        let moves = match verdict {
            Verdict::Collapsed(Action::Hold) => self.climb(auto),
            Verdict::Collapsed(_) => self.halve(),
            _ => Vec::new(),
        };
        if moves.is_empty() {
            return Response::Stop;
        }
        self.wait = config.patience;
        Response::Moves(moves)
    }

    /// Climbs to the next rung that changes anything.
    fn climb(&mut self, auto: bool) -> Vec<Move> {
        while let Some(rung) = LADDER.get(usize::from(self.rungs)) {
            self.rungs += 1;
            let reason = format!("collapsed:HOLD; rung {} of the ladder", self.rungs);
            let [call, put] = rung.good_buy;
            let weights = [
                ("good_buy_call", self.reward.good_buy_call.max(call)),
                ("good_buy_put", self.reward.good_buy_put.max(put)),
                ("missed_opportunity", self.reward.missed_opportunity.min(rung.missed_opportunity)),
                ("hold_tax", self.reward.hold_tax.min(rung.hold_tax)),
            ];
            let ent_coef = if auto { self.ent_coef } else { self.ent_coef.max(rung.ent_coef) };
            let weights = weights.map(|(name, weight)| (format!("env.reward.{name}"), decimal(weight)));
            let settings = std::iter::once((ENT_COEF.to_owned(), ent_coef)).chain(weights);
            let moves: Vec<Move> = settings.filter_map(|(key, to)| self.set(&key, to, &reason)).collect();
            if !moves.is_empty() {
                return moves;
            }
        }
        Vec::new()
    }

    /// Halves what an entry is paid beside money.
    fn halve(&mut self) -> Vec<Move> {
        if self.halvings == HALVINGS {
            return Vec::new();
        }
        self.halvings += 1;
        let reason =
            format!("only entries, and they do not pay; the bonuses are halved ({} of {HALVINGS})", self.halvings);
        let RewardConfig { good_buy_call, good_buy_put, missed_opportunity, .. } = self.reward;
        let weights = [
            ("env.reward.good_buy_call", good_buy_call),
            ("env.reward.good_buy_put", good_buy_put),
            ("env.reward.missed_opportunity", missed_opportunity),
        ];
        weights.into_iter().filter_map(|(key, weight)| self.set(key, decimal(weight / 2.0), &reason)).collect()
    }

    /// Takes a move that was decided before, as a replayed run does.
    ///
    /// # Errors
    /// A sentence when no setting has that name, it cannot have that value, or a weight had another one before.
    pub fn apply(&mut self, made: &Move) -> Result<(), String> {
        let Move { key, from, to, reason } = made;
        let possible = match self.weight(key) {
            Some(_) => (*to as f32).is_finite(),
            None if key == ENT_COEF => *to >= 0.0 && to.is_finite(),
            None => return Err(format!("`{key}` is no setting that a controller moves")),
        };
        if !possible {
            return Err(format!("{key} cannot be {to}"));
        }
        let here = self.weight(key).map(|weight| decimal(*weight)).filter(|here| here != from);
        if let Some(here) = here {
            return Err(format!("{key} is {here} here, but was {from} in the run that moved it"));
        }
        self.set(key, *to, reason);
        Ok(())
    }

    /// Changes a setting; nothing where it has that value already, or does not exist.
    fn set(&mut self, key: &str, to: f64, reason: &str) -> Option<Move> {
        let from = if key == ENT_COEF {
            std::mem::replace(&mut self.ent_coef, to)
        } else {
            decimal(std::mem::replace(self.weight(key)?, to as f32))
        };
        (from != to).then(|| Move { key: key.to_owned(), from, to, reason: reason.to_owned() })
    }

    /// The reward weight of a dotted name.
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

/// The number that a weight is written as: 0.12, not the nearest double to a single-precision 0.12.
fn decimal(weight: f32) -> f64 {
    weight.to_string().parse().unwrap_or_else(|_| f64::from(weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Verdict = Verdict::Collapsed(Action::Hold);

    fn adapting() -> (Controller, HealthConfig) {
        let config = HealthConfig { on_collapse: OnCollapse::Adapt, patience: 2, ..HealthConfig::default() };
        (Controller::new(0.06, RewardConfig::default()), config)
    }

    fn moves(response: Response) -> Vec<(String, f64, f64)> {
        match response {
            Response::Moves(moves) => moves.into_iter().map(|made| (made.key, made.from, made.to)).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_ladder_is_climbed_one_rung_at_a_time_and_then_given_up() {
        let (mut controller, config) = adapting();
        let first = moves(controller.respond(HOLD, &config, false));
        let expected = [
            ("ppo.ent_coef", 0.06, 0.08),
            ("env.reward.good_buy_call", 0.1, 0.12),
            ("env.reward.good_buy_put", 0.08, 0.1),
            ("env.reward.missed_opportunity", -0.05, -0.06),
        ];
        assert_eq!(first, expected.map(|(key, from, to)| (key.to_owned(), from, to)));
        assert_eq!(controller.respond(HOLD, &config, false), Response::GoOn, "the move must have time to act");
        assert_eq!(controller.respond(HOLD, &config, false), Response::GoOn);
        let second = moves(controller.respond(HOLD, &config, false));
        assert_eq!((second.len(), second[0].2, second[4].2), (5, 0.1, -0.002));
        (0..2).for_each(|_| assert_eq!(controller.respond(HOLD, &config, false), Response::GoOn));
        assert_eq!(controller.respond(HOLD, &config, false), Response::Stop);
    }

    #[test]
    fn an_entropy_weight_that_adapts_by_itself_is_left_alone() {
        let (mut controller, config) = adapting();
        let made = moves(controller.respond(HOLD, &config, true));
        assert!(made.iter().all(|(key, ..)| key.starts_with("env.reward.")) && made.len() == 3, "{made:?}");
    }

    #[test]
    fn a_rung_starts_from_where_the_schedule_has_brought_the_weight() {
        let (mut controller, config) = adapting();
        controller.note_ent_coef(0.03);
        let made = moves(controller.respond(HOLD, &config, false));
        assert_eq!(made[0], ("ppo.ent_coef".to_owned(), 0.03, 0.08));
    }

    #[test]
    fn who_only_buys_is_paid_less_for_it() {
        let (mut controller, config) = adapting();
        let made = moves(controller.respond(Verdict::Collapsed(Action::BuyPut), &config, false));
        assert_eq!((made.len(), made[0].2, made[2].2), (3, 0.05, -0.025));
        assert_eq!(controller.reward().good_buy_put, 0.04);
    }

    #[test]
    fn what_no_weight_can_mend_ends_the_training() {
        for verdict in [Verdict::Frozen, Verdict::Exploding, Verdict::StateBlind] {
            let (mut controller, config) = adapting();
            assert_eq!(controller.respond(verdict, &config, false), Response::Stop);
        }
        let (mut controller, mut config) = adapting();
        for verdict in [Verdict::Healthy, Verdict::HoldIsOptimal, Verdict::Drifting, Verdict::Inconclusive] {
            assert_eq!(controller.respond(verdict, &config, false), Response::GoOn);
        }
        config.on_collapse = OnCollapse::Warn;
        assert_eq!(controller.respond(HOLD, &config, false), Response::GoOn);
        config.on_collapse = OnCollapse::Stop;
        assert_eq!(controller.respond(HOLD, &config, false), Response::Stop);
    }

    #[test]
    fn moves_can_be_replayed() {
        let (mut first, config) = adapting();
        let Response::Moves(made) = first.respond(HOLD, &config, false) else { panic!() };
        let mut second = Controller::new(0.06, RewardConfig::default());
        made.iter().for_each(|made| second.apply(made).unwrap());
        assert_eq!((second.reward(), second.ent_coef), (first.reward(), first.ent_coef));
        let odd = Move { key: "env.reward.pnl_scale".into(), ..made[0].clone() };
        assert_eq!(second.apply(&odd), Err("`env.reward.pnl_scale` is no setting that a controller moves".into()));
        let negative = Move { to: -0.1, ..made[0].clone() };
        assert_eq!(second.apply(&negative), Err("ppo.ent_coef cannot be -0.1".into()));
        let huge = Move { to: 1e300, ..made[1].clone() };
        assert!(second.apply(&huge).is_err());
        let elsewhere = "env.reward.good_buy_call is 0.12 here, but was 0.1 in the run that moved it".to_owned();
        assert_eq!(second.apply(&Move { to: -0.1, ..huge.clone() }), Err(elsewhere));
        assert_eq!(second.apply(&Move { from: 0.12, to: -0.1, ..huge }), Ok(()));
    }
}
