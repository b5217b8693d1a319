//! Whole procedures on markets whose answer is known: none of them has an edge, or one is planted. Nothing costs anything there,
//! since a loss to costs would hide a test that alarms too often.

use anyhow::Context as _;
use jiff::civil::{Date, date};
use market_data::{FoldSizes, History};
use market_env::BatchEnv;
use ppo_agent::{Behaviour, Policy};
use rayon::prelude::*;
use serde_json::Value;
use statistics::SESSIONS_PER_YEAR;

use crate::{
    config::{
        RunConfig,
        evaluation::EvaluationConfig,
        layers::{Layer, resolve},
        profiles,
    },
    evaluation::{
        edge::{Beside, Evaluation, verdict::Word},
        replay::replay,
        sessions::{SessionSeries, Trial},
    },
    inputs,
    walk_forward::{
        candidate::CandidateConfigs, choice::ChoiceRule, judgement::Judgement, placebo::PlaceboTest, plan::Plan,
    },
};

/// Probability of a false alarm in a market without an edge.
const LEVEL: f64 = 0.05;
/// Probability with which a sound test stays within its bound.
const SURE: f64 = 0.99;
/// Share of the planted markets whose edge must be found.
const POWER: f64 = 0.8;
/// Share of the minutes that follow the planted trend: to trained policies worth an annual Sharpe ratio of about 4.
pub(super) const PLANTED: f64 = 0.031;
/// Annual Sharpe ratios that count as about 4, mean over the markets.
const ABOUT_FOUR: std::ops::RangeInclusive<f64> = 3.0..=5.0;
/// Resamples of an evaluation.
const RESAMPLES: usize = 499;

/// One claim, and what was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Claim {
    pub(super) name: String,
    pub(super) markets: usize,
    pub(super) found: String,
    pub(super) bound: String,
    pub(super) holds: bool,
}

impl Claim {
    fn at_most(name: &str, markets: usize, found: usize, bound: usize) -> Self {
        Self::counted(name, markets, found, format!("at most {bound}"), found <= bound)
    }

    fn at_least(name: &str, markets: usize, found: usize, bound: usize) -> Self {
        Self::counted(name, markets, found, format!("at least {bound}"), found >= bound)
    }

    fn counted(name: &str, markets: usize, found: usize, bound: String, holds: bool) -> Self {
        Self { name: name.to_owned(), markets, found: found.to_string(), bound, holds }
    }

    /// Returns the cells of a row.
    pub(super) fn cells(&self) -> Vec<String> {
        let word = if self.holds { "pass" } else { "FAIL" };
        vec![self.name.clone(), self.markets.to_string(), self.found.clone(), self.bound.clone(), word.to_owned()]
    }
}

/// Sizes of the procedures.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    folds: FoldSizes,
    last: Date,
    seeds: u64,
    steps: u64,
}

/// Three folds of 20 test dates.
const SHORT: Sizes = Sizes {
    folds: FoldSizes { train: 30, validation: 10, test: 20, purge: 1, anchored: false },
    last: date(2023, 6, 2),
    seeds: 2,
    steps: 4_096,
};
/// Three folds, 252 test dates.
const YEAR: Sizes = Sizes {
    folds: FoldSizes { train: 100, validation: 20, test: 84, purge: 1, anchored: false },
    last: date(2024, 6, 28),
    seeds: 5,
    steps: 102_400,
};

/// A procedure and the bars from which its markets are made.
struct Lab {
    configs: CandidateConfigs,
    plan: Plan,
    history: History,
}

impl Lab {
    fn new(sizes: Sizes, seed: u64) -> anyhow::Result<Self> {
        let config = settings(sizes, seed)?;
        let history = inputs::history(&config)?;
        let dates = inputs::Inputs::of_history(&config, &history)?.dataset.dates;
        let configs = CandidateConfigs(vec![("demo".to_owned(), config.clone())]);
        let folds = sizes.folds.cut(&dates)?;
        let plan = Plan {
            format: Plan::format(),
            data: market_data::DataStamp::Synthetic,
            prices: "modelled".to_owned(),
            files: Value::Null,
            symbols: config.run.symbols.iter().map(ToString::to_string).collect(),
            dates: market_data::DateRange { first: dates[0], last: dates[dates.len() - 1] },
            timesteps: sizes.steps,
            candidates: configs.planned()?,
            seeds: (0..sizes.seeds).collect(),
            sizes: sizes.folds,
            folds,
            choice: ChoiceRule::LowerBound,
            refit: false,
            behaviour: Behaviour::Greedy,
            diagnose_selection: false,
        };
        Ok(Self { configs, plan, history })
    }

    fn config(&self) -> &RunConfig {
        self.configs.shared()
    }

    fn markets(&self) -> PlaceboTest<'_> {
        PlaceboTest { plan: &self.plan, configs: &self.configs, history: &self.history, threads: 1, stop: None }
    }

    /// Runs the procedure on one market and passes what it is judged by.
    fn judged<T>(
        &self,
        market: u64,
        strength: f64,
        judge: impl FnOnce(&Judgement<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let (result, candidates) = self.markets().world(market, strength)?.context("no signal is watched")?;
        judge(&Judgement {
            plan: &self.plan,
            candidates: &candidates,
            result: &result,
            config: &self.config().evaluation,
            matched_draws: 0,
        })
    }
}

/// Returns the settings of `zerodte demo` with a small network and without costs. Its bars have a plain pattern, which the random
/// signs must remove.
fn settings(sizes: Sizes, seed: u64) -> anyhow::Result<RunConfig> {
    let demo = profiles::named("demo".as_ref())?;
    let mut config = resolve(&RunConfig::default(), &[demo, Layer::new("selftest")], RunConfig::check)?;
    config.data.synthetic.seed = seed;
    config.data.synthetic.sessions_to = sizes.last;
    config.run.timesteps = sizes.steps;
    config.policy.net_arch = vec![8];
    config.market.pricing.spread_multiplier = 0.0;
    config.env.costs.fee_multiplier = 0.0;
    // Nothing leaks here, however large a Sharpe ratio may be.
    config.evaluation =
        EvaluationConfig { resamples: RESAMPLES, too_good_sharpe: 100.0, ..EvaluationConfig::default() };
    Ok(config)
}

/// Judges a procedure on markets without direction: its p-values must be small no more often than by chance.
///
/// # Errors
/// When a market cannot be built or a training fails.
pub(super) fn placebo(markets: usize, seed: u64) -> anyhow::Result<Claim> {
    let lab = Lab::new(SHORT, seed)?;
    let run = |market| lab.judged(market, 0.0, |judgement| judgement.sessions());
    let mut all = (1..=markets as u64).into_par_iter().map(run).collect::<anyhow::Result<Vec<_>>>()?;
    // Prices of the model may lie off the volatility that comes: what every market shares is no luck of one of them.
    let known = statistics::mean(
        all.iter().map(|sessions| statistics::mean(sessions.trials[0].mean_pnl())).collect::<Vec<_>>(),
    );
    let shift = |sessions: &mut SessionSeries| {
        sessions.trials[0].pnl_usd.iter_mut().flatten().for_each(|usd| *usd -= known);
    };
    all.iter_mut().for_each(shift);
    let rejects = |(sessions, seed): (&SessionSeries, u64)| {
        let beside = Beside { judged: Some(0), ..Beside::default() };
        let found = Evaluation::of(sessions, &beside, &lab.config().evaluation, seed)?;
        anyhow::Ok(found.romano_wolf[0].p_adjusted <= LEVEL)
    };
    let rejected = all.iter().zip(0..).map(rejects).collect::<anyhow::Result<Vec<bool>>>()?;
    let rejected = rejected.into_iter().filter(|rejected| *rejected).count();
    Ok(Claim::at_most("no edge, p at most 5 %", markets, rejected, false_alarms(markets)))
}

/// Returns the false alarms below which a sound test stays with a probability of 99 %, by the binomial distribution.
fn false_alarms(markets: usize) -> usize {
    let (n, mut probability, mut sum) = (markets as f64, (1.0 - LEVEL).powi(markets as i32), 0.0);
    for alarms in 0..markets {
        sum += probability;
        if sum >= SURE {
            return alarms;
        }
        probability *= (n - alarms as f64) / (alarms as f64 + 1.0) * LEVEL / (1.0 - LEVEL);
    }
    markets
}

/// Takes the best of many networks that learned nothing on markets without direction. The number of seeds may not save the verdict
/// here, so its condition is off.
///
/// # Errors
/// When a market cannot be built or replayed.
pub(super) fn best_of_many(markets: usize, networks: usize, seed: u64) -> anyhow::Result<[Claim; 2]> {
    let lab = Lab::new(SHORT, seed)?;
    let run = |market| networks_on(&lab, market, networks);
    let mut all = (1..=markets as u64).into_par_iter().map(run).collect::<anyhow::Result<Vec<_>>>()?;
    remove_known_means(&mut all);
    let config = EvaluationConfig { min_seeds: 1, ..lab.config().evaluation.clone() };
    let judge = |(market, sessions): (usize, &SessionSeries)| {
        let found = Evaluation::of(sessions, &Beside::default(), &config, market as u64)?;
        anyhow::Ok((found.verdict.word == Word::EdgeSurvives, found.psr.is_some_and(|psr| psr > 1.0 - LEVEL)))
    };
    let found = all.par_iter().enumerate().map(judge).collect::<anyhow::Result<Vec<_>>>()?;
    let count = |of: fn(&(bool, bool)) -> bool| found.iter().filter(|found| of(found)).count();
    let most = (LEVEL * markets as f64) as usize;
    Ok([
        Claim::at_most(&format!("best of {networks}: edge_survives"), markets, count(|found| found.0), most),
        Claim::at_least(
            &format!("best of {networks}: PSR above 0.95"),
            markets,
            count(|found| found.1),
            markets.div_ceil(2),
        ),
    ])
}

/// Returns the P&L of networks with random weights on the test dates of a market.
fn networks_on(lab: &Lab, market: u64, networks: usize) -> anyhow::Result<SessionSeries> {
    let config = lab.config();
    let history = market_data::placebo::without_direction(&lab.history, market)?;
    let market = inputs::Inputs::of_history(config, &history)?.market;
    let tests = market_data::DateRange {
        first: lab.plan.folds[0].test.first,
        last: lab.plan.folds[lab.plan.folds.len() - 1].test.last,
    };
    let days = market.days_in(&tests);
    let env = BatchEnv::replay(market.clone(), days.clone(), config.env.clone())?;
    let trial = |network: u64| {
        let policy = Policy::for_env(&env, &config.policy, network)?;
        let played = replay(&policy, &market, &days, &config.env, Behaviour::Greedy, network)?;
        let trades = played.trades.len() as u64;
        let pnl = played.daily_pnl().into_iter().map(|(_, usd)| usd).collect();
        anyhow::Ok(Trial { name: network.to_string(), seeds: vec![network], pnl_usd: vec![pnl], trades })
    };
    let trials = (0..networks as u64).map(trial).collect::<anyhow::Result<Vec<_>>>()?;
    let dates: Vec<Date> = days.iter().map(|&day| market.days()[day as usize].date).collect();
    Ok(SessionSeries {
        folds: vec![0; dates.len()],
        dates,
        symbols: lab.plan.symbols.clone(),
        capital_usd: config.env.account.capital,
        data: lab.plan.data,
        modelled_prices: true,
        in_sample_dates: 0,
        trials,
        baselines: Vec::new(),
    })
}

/// Takes from every network its mean over all markets.
fn remove_known_means(all: &mut [SessionSeries]) {
    for network in 0..all.first().map_or(0, |sessions| sessions.trials.len()) {
        let mean_of = |sessions: &SessionSeries| statistics::mean(&sessions.trials[network].pnl_usd[0]);
        let known = statistics::mean(all.iter().map(mean_of).collect::<Vec<_>>());
        let shift = |sessions: &mut SessionSeries| {
            sessions.trials[network].pnl_usd[0].iter_mut().for_each(|usd| *usd -= known);
        };
        all.iter_mut().for_each(shift);
    }
}

/// Judges a procedure on markets with a planted edge that the bars show, of this share of the minutes.
///
/// # Errors
/// When a market cannot be built or a training fails.
pub(super) fn planted(markets: usize, strength: f64, seed: u64) -> anyhow::Result<[Claim; 2]> {
    let lab = Lab::new(YEAR, seed)?;
    let run = |market| lab.judged(market, strength, |judgement| judgement.evaluate(None));
    let found = (1..=markets as u64).into_par_iter().map(run).collect::<anyhow::Result<Vec<_>>>()?;
    let survives = found.iter().filter(|found| found.verdict.word == Word::EdgeSurvives).count();
    let annual: Vec<f64> =
        found.iter().filter_map(|found| Some(found.sharpe?.per_date * SESSIONS_PER_YEAR.sqrt())).collect();
    let annual = statistics::mean(annual);
    let least = (POWER * markets as f64).ceil() as usize;
    let size = Claim {
        name: "its annual Sharpe ratio".to_owned(),
        markets,
        found: format!("{annual:.1}"),
        bound: format!("{} to {}", ABOUT_FOUR.start(), ABOUT_FOUR.end()),
        holds: ABOUT_FOUR.contains(&annual),
    };
    Ok([Claim::at_least("planted edge: edge_survives", markets, survives, least), size])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_on_false_alarms_is_the_binomial_one() {
        assert_eq!([false_alarms(100), false_alarms(20), false_alarms(1)], [11, 4, 1]);
    }

    #[test]
    fn claims_hold_on_a_few_markets() {
        let few = placebo(6, 1).unwrap();
        assert!(few.holds, "{few:?}");
        let [survives, passes] = best_of_many(3, 60, 1).unwrap();
        assert!(survives.holds && passes.found != "0", "{survives:?} {passes:?}");
        assert_eq!(Claim::at_most("a", 3, 4, 3).cells(), ["a", "3", "4", "at most 3", "FAIL"]);
    }

    #[test]
    fn a_plain_edge_is_found_in_one_market() {
        let [found, _] = planted(1, 3.0 * PLANTED, 1).unwrap();
        assert!(found.holds, "{found:?}");
    }
}
