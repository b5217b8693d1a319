//! Labelled trainings: as many healthy ones as planted faults, including every kind that was misjudged before.

use market_env::Action;
use ppo_agent::health::Verdict;

use super::{
    plant::{CLOCK_INPUT, Fault},
    trial::{Expected, Overwritten, TestMarket, Trial},
};

/// Lane-steps of a training, twelve intervals, and of a training that has to learn its fault first.
const LENGTH: u64 = 60_000;
const LONG: u64 = 100_000;
/// Trainings of each kind.
pub(super) const REPEATS: u64 = 3;

/// Markets of all trials.
#[derive(Debug)]
pub(super) struct Markets {
    /// A plain edge, one market per repeat.
    plain: Vec<TestMarket>,
    /// A weak edge.
    weak: Vec<TestMarket>,
    /// No edge.
    barren: Vec<TestMarket>,
}

impl Markets {
    pub(super) fn new() -> anyhow::Result<Self> {
        let some =
            |edge: f64| (0..REPEATS).map(|seed| TestMarket::new(edge, 40 + seed)).collect::<anyhow::Result<Vec<_>>>();
        Ok(Self { plain: some(0.5)?, weak: some(0.25)?, barren: some(0.0)? })
    }
}

/// One kind of training, and its market.
struct Kind {
    name: &'static str,
    expected: Expected,
    ground: fn(&Markets) -> &[TestMarket],
    fault: Fault,
    set: &'static [&'static str],
    weights: &'static [Overwritten],
}

/// Weights of an actor that depends only on the clock of [`Fault::Clock`], and HOLDs or buys calls by it.
const BY_THE_CLOCK: &[Overwritten] = &[
    ("actor.0.weight", None, 0.0),
    ("actor.0.weight", Some(CLOCK_INPUT), 5.0),
    ("actor.1.weight", None, 0.0),
    ("actor.1.weight", Some(0), 5.0),
    ("actor.2.weight", None, 0.0),
    ("actor.2.weight", Some(0), 20.0),
    ("actor.2.weight", Some(64), -20.0),
];
/// Learns within ten intervals.
const QUICK: &str = "ppo.learning_rate=1e-3";
/// Learns the paid action without restraint.
const GREEDY: &[&str] = &["ppo.learning_rate=1e-3", "ppo.ent_coef=0", "ppo.n_steps=128"];

fn plain(grounds: &Markets) -> &[TestMarket] {
    &grounds.plain
}

fn weak(grounds: &Markets) -> &[TestMarket] {
    &grounds.weak
}

fn barren(grounds: &Markets) -> &[TestMarket] {
    &grounds.barren
}

fn planted() -> Vec<Kind> {
    use Action::{BuyCall, BuyPut, Hold};
    use Expected::{AnyCollapse, Exactly, OnlyEntries};
    let kind = |name, expected, fault| Kind { name, expected, ground: plain, fault, set: GREEDY, weights: &[] };
    let frozen = Exactly(Verdict::Frozen);
    vec![
        kind("always HOLD", Exactly(Verdict::Collapsed(Hold)), Fault::Pay(Hold, 0.5)),
        kind("always CALL", Exactly(Verdict::Collapsed(BuyCall)), Fault::Pay(BuyCall, 1.0)),
        kind("always PUT", Exactly(Verdict::Collapsed(BuyPut)), Fault::Pay(BuyPut, 1.0)),
        Kind { set: &[QUICK], ..kind("state-blind mixture", Exactly(Verdict::StateBlind), Fault::Blind) },
        Kind {
            set: &["ppo.ent_coef=0"],
            weights: BY_THE_CLOCK,
            ..kind("alternating", AnyCollapse, Fault::Clock(10_000))
        },
        Kind { set: &["ppo.vf_coef=0"], ..kind("dead critic", frozen, Fault::None) },
        Kind {
            set: &["policy.activation=relu"],
            weights: &[("critic.1.bias", None, -50.0)],
            ..kind("constant critic", frozen, Fault::None)
        },
        Kind { set: &[], ..kind("exploding value", Exactly(Verdict::Exploding), Fault::Double(2_000)) },
        Kind {
            set: &["ppo.learning_rate=5e-4", "ppo.weight_decay=1"],
            ..kind("frozen by weight decay", frozen, Fault::None)
        },
        Kind {
            set: &["ppo.ent_coef=0"],
            weights: &[("actor.2.weight", None, 0.0), ("actor.2.bias", Some(2), 30.0)],
            ..kind("entropy death", AnyCollapse, Fault::None)
        },
        Kind { set: &["ppo.learning_rate=1e-12"], ..kind("learning rate of nothing", frozen, Fault::None) },
        Kind {
            set: &["ppo.learning_rate=1e-12", "ppo.n_steps=2048"],
            ..kind("the same, rollouts longer than intervals", frozen, Fault::None)
        },
        Kind { set: &["ppo.learning_rate=10"], ..kind("blown-up updates", Exactly(Verdict::Exploding), Fault::None) },
        kind("NaN reward", Exactly(Verdict::Exploding), Fault::NotANumber(22_000)),
        Kind { ground: barren, ..kind("reward-hacked entries", OnlyEntries, Fault::PayEntries(1.0)) },
    ]
}

fn healthy() -> Vec<Kind> {
    let kind =
        |name, ground, set| Kind { name, expected: Expected::NoAlarm, ground, fault: Fault::None, set, weights: &[] };
    vec![
        kind("documented settings, plain edge", plain, &[]),
        kind("documented settings, no edge", barren, &[]),
        kind("entropy 0.02, weak edge", weak, &["ppo.ent_coef=0.02", "ppo.learning_rate=1e-4"]),
        kind("entropy 0.10, one lane", plain, &["ppo.ent_coef=0.10", "ppo.n_envs=1", "ppo.learning_rate=3e-4"]),
        kind("quick learner, plain edge", plain, &[QUICK]),
        kind("quick learner, weak edge, 32 lanes", weak, &[QUICK, "ppo.n_envs=32", "ppo.n_steps=128"]),
        kind(
            "rectifiers, shared trunk",
            plain,
            &["policy.activation=relu", "policy.trunk=shared", "ppo.learning_rate=3e-4"],
        ),
        kind(
            "slow learner, narrow net, short rollouts",
            weak,
            &["ppo.learning_rate=1e-5", "policy.net_arch=[16]", "ppo.n_steps=128"],
        ),
        // The false alarm of a sister project: predictions of small but real variance, here of rewards near zero.
        kind(
            "small but real prediction variance",
            barren,
            &[
                "env.reward.pnl_scale=0.02",
                "env.reward.good_buy_call=0.002",
                "env.reward.good_buy_put=0.002",
                "env.reward.missed_opportunity=-0.001",
                "env.reward.hold_tax=0",
                "ppo.learning_rate=1e-4",
            ],
        ),
        kind("money alone, plain edge", plain, &[QUICK, "env.reward.shaping_final=0", "ppo.ent_coef=0.02"]),
        // Staying out is right here, and must not be called a collapse.
        kind(
            "money alone, no edge",
            barren,
            &[
                QUICK,
                "env.reward.good_buy_call=0",
                "env.reward.good_buy_put=0",
                "env.reward.missed_opportunity=0",
                "env.reward.hold_tax=0",
                "ppo.ent_coef=0.01",
            ],
        ),
        kind("learning rate that falls to zero", weak, &["ppo.lr_schedule=linear", "ppo.learning_rate=1e-4"]),
        kind("rollouts longer than intervals", plain, &["ppo.n_steps=2048", "ppo.learning_rate=1e-4"]),
        kind("one minibatch per update", plain, &["ppo.batch_size=4096", "ppo.n_epochs=1", "ppo.learning_rate=3e-3"]),
        kind("entropy weight that adapts", plain, &["ppo.ent_schedule=auto", "ppo.learning_rate=3e-4"]),
    ]
}

/// Returns every trial, `repeats` of each kind.
pub(super) fn trials(grounds: &Markets, repeats: u64) -> Vec<Trial<'_>> {
    let kinds = planted().into_iter().chain(healthy());
    let all = kinds.flat_map(|kind| (0..repeats).map(move |seed| (Kind { ..kind }, seed)));
    all.map(|(kind, seed)| Trial {
        kind: kind.name,
        expected: kind.expected,
        ground: &(kind.ground)(grounds)[(seed % REPEATS) as usize],
        fault: kind.fault,
        set: kind.set.to_vec(),
        weights: kind.weights.to_vec(),
        timesteps: if matches!(kind.fault, Fault::Pay(..) | Fault::PayEntries(_)) { LONG } else { LENGTH },
        seed,
    })
    .collect()
}
