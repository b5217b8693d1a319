//! Advice for each verdict. It names the flags and commands of the program that prints it.

use market_env::Action;

use crate::health::Verdict;

/// Returns the measures against a verdict, one sentence each; none where nothing is wrong.
pub(super) fn advice(verdict: Verdict) -> &'static [&'static str] {
    match verdict {
        Verdict::Collapsed(Action::Hold) => &[
            "raise --ent-coef by 0.02 (0.06, 0.08, 0.10), or use --ent-coef auto",
            "raise env.reward.good_buy_* and lower env.reward.missed_opportunity, or use --on-collapse adapt",
        ],
        Verdict::Collapsed(_) => &[
            "the shaping outweighs money: lower env.reward.good_buy_*, raise env.reward.pnl_scale, or use configs/pnl.toml",
            "run zerodte audit-reward to find the term that rewards losing entries",
        ],
        Verdict::StateBlind => &[
            "raise --learning-rate, and check that the features vary (zerodte explain shows the inputs of a policy)",
            "lower --ent-coef if it outweighs the advantages",
        ],
        Verdict::Frozen => &[
            "set ppo.weight_decay to 0 and raise --learning-rate; a constant critic can come from vf_coef 0 or saturated units",
        ],
        Verdict::Exploding => {
            &["lower --learning-rate or ppo.max_grad_norm, set --target-kl, and check the rewards for outliers"]
        }
        Verdict::HoldIsOptimal => &[
            "no strategy was found that earns here, so more exploration would only cost money: find an edge or lower the costs first",
        ],
        Verdict::Drifting | Verdict::Healthy | Verdict::Inconclusive => &[],
    }
}
