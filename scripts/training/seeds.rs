//! Trainings of several seeds side by side: one market, a run folder each, one table at the end.

use std::{ops::ControlFlow, sync::mpsc, thread};

use anyhow::Context as _;
use market_data::Split;
use serde_json::{Value, json};
use statistics::Mean;

use super::{Finished, Run, header, lock, pin_dates, resolve};
use crate::{
    artifacts::{health_rows::WrittenVerdict, paths::Paths, run_lock::RunLock},
    config::{
        RunConfig,
        context::{CommandContext, PrintConfig, titled},
    },
    evaluation::money::{self, Estimate, Money},
    inputs::Inputs,
    output::{
        console::{Console, Level},
        exit_code::{TrainingStopped, UsageError},
        signals::StopRequests,
        table::counted,
    },
    training::{
        flags::TrainFlags,
        resume::{PriorRun, asks_for_newest},
    },
};

/// The training of one seed.
struct Job {
    config: RunConfig,
    prior: Option<PriorRun>,
}

impl PrintConfig for Vec<Job> {
    fn printed(&self) -> anyhow::Result<Vec<String>> {
        self.iter().map(|job| titled(&job.config.run.model_name, &job.config)).collect()
    }
}

/// Trains all seeds at once. The first error or stop among them is returned after all have ended.
pub(super) fn run(
    flags: &TrainFlags,
    seeds: &[u64],
    console: &mut Console,
) -> anyhow::Result<ControlFlow<TrainingStopped>> {
    if flags.report.is_some() {
        return Err(UsageError::one("--report shows one training: leave it out, or --seeds").into());
    }
    let resolved = CommandContext::open(&flags.config, console, |notes| jobs(flags, seeds, notes))?;
    let Some((mut context, mut jobs)) = resolved else { return Ok(ControlFlow::Continue(())) };
    let config = jobs[0].config.clone();
    config.policy.check_backend(config.run.device)?;
    let lock = |job: &Job| lock(&Paths::of(&job.config.run), &job.config, flags.dry_run);
    let _locks = jobs.iter().map(lock).collect::<anyhow::Result<Vec<Option<RunLock>>>>()?;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(config.run.num_threads);
    threads.build_global().context("starting the threads")?;
    let inputs = Inputs::load(&config)?;
    for job in &mut jobs {
        job.config = pin_dates(job.config.clone(), &inputs);
    }
    let split = inputs.split(&config)?;
    context.say_notes()?;
    context.say_synthetic(inputs.dataset.synthetic)?;
    let stop = StopRequests::watch().context("watching for Ctrl-C")?;
    let all = SideBySide { flags, jobs: &jobs, inputs: &inputs, split: &split, stop };
    if flags.dry_run {
        jobs.iter().try_for_each(|job| all.check(job))?;
        context
            .console
            .say("DRY RUN: configuration, data, folders and model are sound; nothing was trained or written")?;
        return Ok(ControlFlow::Continue(()));
    }
    all.train(context.console)
}

/// Resolves the configuration of every seed; a sentence that applies to several is noted once.
fn jobs(flags: &TrainFlags, seeds: &[u64], notes: &mut Vec<String>) -> anyhow::Result<Vec<Job>> {
    if let Some(path) = flags.resume.as_deref().filter(|which| !asks_for_newest(which)) {
        let fault = format!("--resume {}: with --seeds it takes latest or auto, not a checkpoint", path.display());
        return Err(UsageError::one(fault).into());
    }
    let mut job = |&seed: &u64| {
        let mut own = Vec::new();
        let (config, prior) = resolve(flags, Some(seed), &mut own)?;
        own.retain(|note| !notes.contains(note));
        notes.extend(own);
        Ok(Job { config, prior })
    };
    seeds.iter().map(&mut job).collect()
}

/// Trainings that share a market.
struct SideBySide<'a> {
    flags: &'a TrainFlags,
    jobs: &'a [Job],
    inputs: &'a Inputs,
    split: &'a Split,
    stop: StopRequests,
}

impl SideBySide<'_> {
    fn check(&self, job: &Job) -> anyhow::Result<()> {
        self.run(job, &Paths::of(&job.config.run)).start(&mut silent()).map(drop)
    }

    fn run<'r>(&'r self, job: &'r Job, paths: &'r Paths) -> Run<'r> {
        let resume = job.prior.as_ref().zip(self.flags.resume.as_deref());
        let (config, inputs, split) = (&job.config, self.inputs, self.split);
        Run {
            config,
            paths,
            inputs,
            split,
            resume,
            stop: Some(self.stop.clone()),
            show_test: self.flags.show_test.unwrap_or(true),
            report: None,
        }
    }

    /// Trains one seed; its text goes to its log.
    fn train_one(&self, job: &Job) -> anyhow::Result<Finished> {
        let (paths, mut console) = (Paths::of(&job.config.run), silent());
        header(&job.config, self.inputs, self.split, &mut console)?;
        let run = self.run(job, &paths);
        let start = run.start(&mut console)?;
        let finished = run.train(start, &mut console);
        let end = finished.as_ref().map(|finished| finished.end.clone());
        console.log_end(&end.map_err(|error| anyhow::anyhow!("{error:#}")));
        finished
    }

    fn train(&self, console: &mut Console) -> anyhow::Result<ControlFlow<TrainingStopped>> {
        let threads = (rayon::current_num_threads() / self.jobs.len()).max(1);
        let names: Vec<&str> = self.jobs.iter().map(|job| job.config.run.model_name.as_str()).collect();
        let threads_each = counted(threads, "thread");
        console.say(format!("Training side by side, {threads_each} each: {}", names.join(", ")))?;
        let (sender, ended) = mpsc::channel();
        let mut results: Vec<(usize, anyhow::Result<Finished>)> = Vec::new();
        thread::scope(|scope| -> anyhow::Result<()> {
            for (index, job) in self.jobs.iter().enumerate() {
                let sender = sender.clone();
                scope.spawn(move || {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                    let pool = pool.context("starting the threads of a seed");
                    // The receiver lives until every sender is gone.
                    let _ = sender.send((index, pool.and_then(|pool| pool.install(|| self.train_one(job)))));
                });
            }
            drop(sender);
            for (index, result) in ended {
                console.say(format!("{}: {}", names[index], outcome(&result)))?;
                results.push((index, result));
            }
            Ok(())
        })?;
        results.sort_by_key(|(index, _)| *index);
        self.report(&results, console)?;
        let end = |(index, result): (usize, anyhow::Result<Finished>)| match result {
            Ok(finished) => finished.end.break_value().map(|stopped| Ok(ControlFlow::Break(stopped))),
            Err(error) => Some(Err(error.context(names[index].to_owned()))),
        };
        results.into_iter().find_map(end).unwrap_or(Ok(ControlFlow::Continue(())))
    }

    /// Prints the table of the seeds that were tested.
    fn report(&self, results: &[(usize, anyhow::Result<Finished>)], console: &mut Console) -> anyhow::Result<()> {
        let tested = |(index, result): &(usize, anyhow::Result<Finished>)| {
            let finished = result.as_ref().ok()?;
            let money = finished.tested.as_ref()?.of("greedy")?.clone();
            Some(SeedResult { seed: self.jobs[*index].config.run.seed, money, verdict: finished.verdict.clone() })
        };
        let tested: Vec<SeedResult> = results.iter().filter_map(tested).collect();
        if !tested.is_empty() {
            console.show("")?;
            console.say_all(lines(&tested, self.split))?;
            console.row(&json_row(&tested))?;
        }
        Ok(())
    }
}

/// Returns a console for the log of one seed.
fn silent() -> Console {
    let mut console = Console::stdout();
    console.set_level(Level::Quiet);
    console
}

fn outcome(result: &anyhow::Result<Finished>) -> String {
    match result {
        Ok(Finished { end: ControlFlow::Break(stopped), .. }) => stopped.to_string(),
        Ok(Finished { seconds, .. }) => format!("finished in {seconds:.0} seconds"),
        Err(error) => format!("failed: {error:#}"),
    }
}

/// Result of one seed on the test dates.
struct SeedResult {
    seed: u64,
    money: Money,
    verdict: Option<WrittenVerdict>,
}

impl SeedResult {
    fn verdict(&self) -> String {
        self.verdict.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)
    }
}

/// Returns the table over the seeds, and their verdicts.
fn lines(results: &[SeedResult], split: &Split) -> Vec<String> {
    let mut rows: Vec<(String, Money)> =
        results.iter().map(|result| (format!("seed {}", result.seed), result.money.clone())).collect();
    rows.push(("median".to_owned(), over_seeds(results, |values| Estimate { value: median(values), interval: None })));
    rows.push(("mean".to_owned(), over_seeds(results, mean)));
    let mut lines = vec![format!("RESULT after all costs of {} seeds, test dates {}", results.len(), split.test)];
    lines.extend(money::table(rows.iter().map(|(name, money)| (name.as_str(), money))));
    lines.push("Intervals of a seed are over dates, that of the mean is over seeds.".to_owned());
    let verdicts = results.iter().map(|result| format!("Verdict of seed {}: {}", result.seed, result.verdict()));
    lines.extend(verdicts);
    lines
}

/// Summarises the figures of all seeds; the count of trades is the median.
fn over_seeds(results: &[SeedResult], summary: impl Fn(&[f64]) -> Estimate) -> Money {
    let of = |figure: fn(&Money) -> Option<Estimate>| {
        let values: Vec<f64> = results.iter().filter_map(|result| Some(figure(&result.money)?.value)).collect();
        (!values.is_empty()).then(|| summary(&values))
    };
    let trades: Vec<f64> = results.iter().map(|result| result.money.trades as f64).collect();
    Money {
        trades: median(&trades).round() as u64,
        dates: results[0].money.dates,
        per_trade: of(|money| money.per_trade),
        per_session: of(|money| money.per_session),
        daily: Vec::new(),
        stays_out: false,
    }
}

fn mean(values: &[f64]) -> Estimate {
    let interval = Mean::of(values).map(|mean| mean.interval(0.95));
    Estimate { value: statistics::mean(values), interval }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    statistics::median(&sorted)
}

fn json_row(results: &[SeedResult]) -> Value {
    let value = |estimate: Option<Estimate>| estimate.map(|estimate| estimate.value);
    let seed = |result: &SeedResult| {
        json!({
            "seed": result.seed,
            "verdict": result.verdict(),
            "per_trade": value(result.money.per_trade),
            "per_session_usd": value(result.money.per_session),
            "trades": result.money.trades,
        })
    };
    let summary =
        |money: Money| json!({ "per_trade": value(money.per_trade), "per_session_usd": value(money.per_session) });
    json!({
        "seeds": results.iter().map(seed).collect::<Vec<_>>(),
        "median": summary(over_seeds(results, |values| Estimate { value: median(values), interval: None })),
        "mean": summary(over_seeds(results, mean)),
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use market_data::DateRange;

    use super::*;
    use crate::evaluation::money::tests::result;

    #[test]
    fn the_table_has_every_seed_their_median_and_their_mean() {
        let day = |d| DateRange { first: date(2025, 6, d), last: date(2025, 6, d) };
        let split = Split { train: day(2), validation: day(3), test: day(4), gap: Vec::new() };
        let seeds = [(0, -0.01), (1, -0.02), (7, -0.06)].map(|(seed, net)| SeedResult {
            seed,
            money: Money::of(&result(&[net, net - 0.001, net, net + 0.001])),
            verdict: (seed > 0).then(|| "healthy".into()),
        });
        let lines = lines(&seeds, &split);
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        let row = |name: &str| lines.iter().find(|line| line.starts_with(name)).unwrap();
        assert!(row("seed 7").contains("-6.0%") && row("median").contains("-2.0%"), "{lines:#?}");
        // The mean of 1, 2 and 6 is 3; its standard error is √7 / √3, Student's quantile 4.3027.
        assert!(row("mean").contains("-3.0% [-9.6%, 3.6%]"), "{lines:#?}");
        assert!(lines.contains(&"Verdict of seed 0: none".to_owned()));
        let row = json_row(&seeds);
        assert!((row["median"]["per_trade"].as_f64().unwrap() + 0.02).abs() < 1e-12, "{row}");
        assert_eq!((median(&[4.0, 1.0, 3.0]), row["seeds"][2]["seed"].as_u64()), (3.0, Some(7)));
    }
}
