//! Reports of backtests as trials on the same session dates.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use jiff::civil::Date;
use market_data::{DataStamp, input_file};
use serde::Deserialize;

use crate::{
    artifacts::files::sha256_of,
    evaluation::{
        edge::WIDER_SPREAD,
        sessions::{SessionSeries, Trial},
    },
    output::exit_code::UsageError,
};

/// Trades by the origin of their prices.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Prices {
    modelled: usize,
}

/// Result at one multiple of the spread.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Cost {
    multiple: f64,
    net_pnl_usd: f64,
}

/// Results at several multiples.
#[derive(Debug, Clone, Deserialize)]
struct Costs {
    multiples: Vec<Cost>,
}

/// What an evaluation reads in a report of `zerodte backtest --json`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Report {
    #[serde(skip)]
    path: PathBuf,
    model: String,
    data: DataStamp,
    behaviour: String,
    symbols: Vec<String>,
    in_sample_dates: usize,
    capital_usd: f64,
    trades: u64,
    #[serde(default)]
    prices: Prices,
    daily_pnl_usd: BTreeMap<Date, f64>,
    /// Hash of the settings; absent in reports of earlier versions.
    #[serde(default)]
    configuration: Option<String>,
    /// Seed of the training; absent in reports of earlier versions.
    #[serde(default)]
    training_seed: Option<u64>,
    #[serde(default)]
    cost_sensitivity: Option<Costs>,
}

/// Reads the reports that files and folders hold; files of a folder that are no report are left out.
///
/// # Errors
/// [`UsageError`] if there is none; a file that cannot be read.
pub(crate) fn read(sources: &[PathBuf]) -> anyhow::Result<Vec<Report>> {
    let mut reports = Vec::new();
    for source in sources {
        if source.is_dir() {
            reports.extend(of_folder(source)?);
        } else {
            let report = parse(source)?;
            let reason = "it has no daily_pnl_usd: write it with zerodte backtest --json";
            reports.push(report.with_context(|| format!("{} is no report of a backtest; {reason}", source.display()))?);
        }
    }
    if reports.is_empty() {
        let places = sources.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        let sentence =
            format!("there is no report of a backtest in {places}; write one with zerodte backtest --json FILE");
        return Err(UsageError::one(sentence).into());
    }
    Ok(reports)
}

fn of_folder(folder: &Path) -> anyhow::Result<Vec<Report>> {
    let list = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = list().with_context(|| format!("listing {}", folder.display()))?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    paths.sort();
    Ok(paths.iter().map(|path| parse(path)).collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// Reads a report; `None` for JSON that has no P&L by date.
fn parse(path: &Path) -> anyhow::Result<Option<Report>> {
    let read = || -> anyhow::Result<Option<Report>> {
        let value: serde_json::Value = serde_json::from_slice(&input_file::read(path)?)?;
        if value.get("daily_pnl_usd").is_none() {
            return Ok(None);
        }
        Ok(Some(Report { path: path.to_owned(), ..serde_json::from_value(value)? }))
    };
    read().with_context(|| format!("reading the report {}", path.display()))
}

/// The trials of some reports, with the hash of each trial's configuration.
pub(crate) struct Trials {
    pub(crate) sessions: SessionSeries,
    pub(crate) configurations: Vec<String>,
    /// Mean P&L of a date at the wider spread by trial, where all of its reports have it, in dollars.
    pub(crate) at_wider_spread: Vec<Option<f64>>,
}

impl Report {
    /// Returns the hash of the settings; for a report without one, that of its model's name, so that it is a trial of its own.
    fn configuration(&self) -> String {
        let of_name = || format!("model-{}", sha256_of(&self.model)[..16].to_owned());
        self.configuration.clone().unwrap_or_else(of_name)
    }

    /// Returns what makes reports seeds of one trial.
    fn trial(&self) -> (String, &str) {
        (self.configuration(), &self.behaviour)
    }

    fn name(&self) -> String {
        let stem = Path::new(&self.model).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if self.behaviour == "greedy" { stem } else { format!("{stem}, {}", self.behaviour) }
    }

    fn at_wider_spread(&self) -> Option<f64> {
        let lines = &self.cost_sensitivity.as_ref()?.multiples;
        let line = lines.iter().find(|line| (line.multiple - WIDER_SPREAD).abs() < 1e-9)?;
        Some(line.net_pnl_usd / self.daily_pnl_usd.len() as f64)
    }

    /// Refuses a report of other dates, symbols, capital or bars than the first.
    fn check_like(&self, first: &Self) -> anyhow::Result<()> {
        let both = format!("{} and {}", first.path.display(), self.path.display());
        let (mine, theirs) = (&self.daily_pnl_usd, &first.daily_pnl_usd);
        let only = mine
            .keys()
            .find(|date| !theirs.contains_key(date))
            .or_else(|| theirs.keys().find(|date| !mine.contains_key(date)));
        if let Some(date) = only {
            anyhow::bail!("{both} cover other dates: only one has {date}; backtest all models on the same dates");
        }
        ensure!(self.symbols == first.symbols, "{both} replay other symbols; backtest all models on the same ones");
        ensure!(self.capital_usd == first.capital_usd, "{both} start with another capital");
        ensure!(self.data == first.data, "{both} replay {} and {} bars", first.data, self.data);
        Ok(())
    }
}

impl Trials {
    /// Groups reports into trials: those of one configuration and behaviour are its seeds.
    ///
    /// # Errors
    /// Reports of other dates, symbols, capital or bars; two reports of one training.
    pub(crate) fn of(reports: &[Report]) -> anyhow::Result<Self> {
        let first = &reports[0];
        reports.iter().try_for_each(|report| report.check_like(first))?;
        let mut groups: Vec<Vec<&Report>> = Vec::new();
        for report in reports {
            match groups.iter_mut().find(|group| group[0].trial() == report.trial()) {
                Some(group) => group.push(report),
                None => groups.push(vec![report]),
            }
        }
        groups.iter().try_for_each(|group| check_seeds(group))?;
        let seeds = |count: usize| if count > 1 { format!(", {count} seeds") } else { String::new() };
        let names: Vec<String> = groups.iter().map(|group| group[0].name() + &seeds(group.len())).collect();
        let unique = names.iter().collect::<BTreeSet<_>>().len() == names.len();
        let name = |k: usize| if unique { names[k].clone() } else { groups[k][0].path.display().to_string() };
        let sessions = SessionSeries {
            dates: first.daily_pnl_usd.keys().copied().collect(),
            folds: vec![0; first.daily_pnl_usd.len()],
            symbols: first.symbols.clone(),
            capital_usd: first.capital_usd * first.symbols.len() as f64,
            data: first.data,
            modelled_prices: reports.iter().any(|report| report.prices.modelled > 0),
            in_sample_dates: reports.iter().map(|report| report.in_sample_dates).max().unwrap_or(0),
            baselines: Vec::new(),
            trials: groups.iter().enumerate().map(|(k, group)| trial(name(k), group)).collect(),
        };
        let at_wider_spread = |group: &Vec<&Report>| {
            let found = group.iter().map(|report| report.at_wider_spread()).collect::<Option<Vec<_>>>()?;
            Some(statistics::mean(&found))
        };
        Ok(Self {
            sessions,
            configurations: groups.iter().map(|group| group[0].configuration()).collect(),
            at_wider_spread: groups.iter().map(at_wider_spread).collect(),
        })
    }

    /// Returns the seed of the resamples: the first bytes of a hash of dates and P&L.
    pub(crate) fn seed(&self) -> u64 {
        let dates = self.sessions.dates.iter().map(ToString::to_string).collect::<String>();
        let pnl = self.sessions.trials.iter().flat_map(|trial| trial.pnl_usd.iter().flatten());
        let bytes: Vec<u8> = pnl.flat_map(|x| x.to_le_bytes()).collect();
        let digits = sha256_of([dates.as_bytes(), &bytes].concat());
        u64::from_str_radix(&digits[..15], 16).unwrap_or(0)
    }
}

fn trial(name: String, group: &[&Report]) -> Trial {
    Trial {
        name,
        seeds: group.iter().map(|report| report.training_seed.unwrap_or(0)).collect(),
        pnl_usd: group.iter().map(|report| report.daily_pnl_usd.values().copied().collect()).collect(),
        trades: group.iter().map(|report| report.trades).sum(),
    }
}

/// Refuses two reports of one training: they would count as two seeds.
fn check_seeds(group: &[&Report]) -> anyhow::Result<()> {
    for (at, report) in group.iter().enumerate() {
        if let Some(same) = group[..at].iter().find(|other| other.training_seed == report.training_seed) {
            let seed = report.training_seed.map_or_else(|| "an unknown seed".to_owned(), |seed| format!("seed {seed}"));
            anyhow::bail!(
                "{} and {} are reports of the same training ({}, {seed}); give one of them",
                same.path.display(),
                report.path.display(),
                report.model
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(model: &str, configuration: &str, seed: u64) -> Report {
        let value = json!({
            "model": model, "data": "market", "behaviour": "greedy", "symbols": ["SPY", "QQQ"], "in_sample_dates": 0,
            "capital_usd": 10_000.0, "trades": 5, "prices": { "modelled": 5, "real": 0 },
            "daily_pnl_usd": { "2025-07-01": 10.0 * seed as f64, "2025-07-02": 0.0 },
            "configuration": configuration, "training_seed": seed,
            "cost_sensitivity": { "multiples": [{ "multiple": 1.5, "net_pnl_usd": -8.0 }] },
        });
        Report { path: PathBuf::from(format!("{model}.json")), ..serde_json::from_value(value).unwrap() }
    }

    #[test]
    fn reports_of_one_configuration_are_its_seeds() {
        let reports = [report("models/a1", "x", 1), report("b", "y", 1), report("models/a2", "x", 2)];
        let trials = Trials::of(&reports).unwrap();
        let sessions = &trials.sessions;
        sessions.check().unwrap();
        assert_eq!((sessions.trials.len(), sessions.capital_usd, sessions.modelled_prices), (2, 20_000.0, true));
        assert_eq!((sessions.trials[0].name.as_str(), &sessions.trials[0].seeds), ("a1, 2 seeds", &vec![1, 2]));
        assert_eq!(sessions.trials[0].pnl_usd, [[10.0, 0.0], [20.0, 0.0]]);
        assert_eq!(
            (trials.configurations, trials.at_wider_spread),
            (vec!["x".into(), "y".into()], vec![Some(-4.0); 2])
        );
    }

    #[test]
    fn older_reports_are_trials_of_their_own() {
        let older = |model: &str| Report { configuration: None, training_seed: None, ..report(model, "", 1) };
        let trials = Trials::of(&[older("a"), older("b")]).unwrap();
        assert_eq!(trials.sessions.trials.len(), 2);
        assert!(trials.configurations[0].starts_with("model-") && trials.configurations[0] != trials.configurations[1]);
        let twice = Trials::of(&[older("a"), older("a")]).map(|_| ()).unwrap_err().to_string();
        assert_eq!(twice, "a.json and a.json are reports of the same training (a, an unknown seed); give one of them");
    }

    #[test]
    fn reports_that_cannot_be_compared_are_refused() {
        let first = report("a", "x", 1);
        let fault = |change: &dyn Fn(&mut Report)| {
            let mut other = report("b", "y", 1);
            change(&mut other);
            Trials::of(&[first.clone(), other]).map(|_| ()).unwrap_err().to_string()
        };
        let dates = fault(&|x| _ = x.daily_pnl_usd.pop_last());
        assert_eq!(
            dates,
            "a.json and b.json cover other dates: only one has 2025-07-02; backtest all models on the same dates"
        );
        assert!(fault(&|x| x.symbols.truncate(1)).contains("replay other symbols"));
        assert!(fault(&|x| x.capital_usd = 1.0).contains("another capital"));
        assert!(fault(&|x| x.data = DataStamp::Synthetic).contains("market and SYNTHETIC bars"));
        assert!(fault(&|x| x.configuration = Some("x".to_owned())).contains("seed 1"));
    }

    #[test]
    fn a_folder_is_searched_and_what_is_no_report_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("evaluation.json"), "{}").unwrap();
        let none = read(&[folder.path().to_owned()]).unwrap_err();
        assert!(none.downcast_ref::<UsageError>().is_some() && none.to_string().contains("no report of a backtest"));
        let named = read(&[folder.path().join("evaluation.json")]).unwrap_err().to_string();
        assert!(named.contains("is no report of a backtest; it has no daily_pnl_usd"), "{named}");
    }
}
