//! Advice for each verdict. It names the flags and commands of the program that prints it.

use market_env::Action;

use crate::health::Verdict;

/// Returns the measures against a verdict, one sentence each; none where nothing is wrong.
pub(super) fn advice(verdict: Verdict) -> &'static [&'static str] {
    match verdict {
        Verdict::Collapsed(Action::Hold) => &[
            "raise --ent-coef by 0.02 (0.06, 0.08, 0.10), or let it follow the policy with --ent-coef auto",
            "raise env.reward.good_buy_* and lower env.reward.missed_opportunity, or start with --on-collapse adapt",
        ],
        Verdict::Collapsed(_) => &[
            "the shaping outweighs money: lower env.reward.good_buy_*, raise env.reward.pnl_scale, or use configs/pnl.toml",
            "zerodte audit-reward shows which term pays for entries that lose",
        ],
        Verdict::StateBlind => &[
            "raise --learning-rate, and look whether the features vary (zerodte explain shows what a policy sees)",
            "lower --ent-coef where it outweighs the advantages",
        ],
        Verdict::Frozen => &[
            "set ppo.weight_decay to 0 and raise --learning-rate; vf_coef 0 or saturated units leave a critic constant",
        ],
        Verdict::Exploding => {
            &["lower --learning-rate or ppo.max_grad_norm, set --target-kl, and look for outliers in the rewards"]
        }
        Verdict::HoldIsOptimal => &[
            "nobody was found who earns here, so that more entropy would buy losses: find an edge or lower costs first",
        ],
        Verdict::Drifting | Verdict::Healthy | Verdict::Inconclusive => &[],
    }
}
