//! `zerodte calibrate --fit`: fits the pricing parameters to the prints of the given dates, evaluates the model form
//! walk-forward by month, and writes a configuration.

use jiff::civil::Date;
use market_data::{Dataset, DateRange, History, VolSource};
use market_env::{LEVEL_PRINTS, PricingConfig, VolModel};
use rayon::prelude::*;
use statistics::quantile;

use super::{
    errors::{BY_TWO_HOURS, Bucket, ErrorStats, Print},
    fit::{Sample, fit, samples},
    pair::Pair,
};
use crate::{
    config::{RunConfig, annotate::annotate},
    inputs,
    output::table::thousands,
};

/// Fewest months that a walk-forward model is fitted on.
const FIRST_MONTHS: usize = 8;
/// Months between the walk-forward models of the volatility inputs after the best one.
const STEP_OF_OTHERS: usize = 3;

/// Sessions of a month.
const MONTH: usize = 20;

/// Volatility inputs, best first.
const SOURCES: [VolSource; 4] =
    [VolSource::Vix1dMinute, VolSource::VixMinute, VolSource::VixDaily, VolSource::Realised];

/// Walk-forward errors of a model form: each month is priced by a model fitted on all earlier months.
#[derive(Debug, Clone)]
pub(crate) struct WalkForward {
    /// First and last month evaluated, as dates.
    dates: DateRange,
    /// All months together.
    near_money: ErrorStats,
    /// The same at the money.
    at_the_money: ErrorStats,
    /// At the money by month.
    money_by_month: Vec<Bucket>,
    /// By minutes to the close, in two hours.
    by_two_hours: Vec<Bucket>,
    /// By month.
    by_month: Vec<Bucket>,
    /// Level errors of all sessions after the fits.
    levels: LevelErrors,
}

/// Level errors of sessions after the fits that judge them.
#[derive(Debug, Clone, Copy, PartialEq)]
struct LevelErrors {
    /// Pairs of a fit and a later session.
    count: usize,
    /// Root mean square, in percent of volatility.
    sd_pct: f64,
    /// Mean product of two errors of a fit 1 to 20 sessions apart, over the mean square; 0 to 1.
    persistence: f64,
}

impl LevelErrors {
    /// Measures the errors of several fits, each by date; `None` without any.
    fn of(fits: impl Iterator<Item = Vec<f64>>) -> Option<Self> {
        let (mut squares, mut count, mut products, mut pairs) = (0.0, 0, 0.0, 0);
        for errors in fits {
            squares += errors.iter().map(|error| error * error).sum::<f64>();
            count += errors.len();
            for apart in 1..=MONTH.min(errors.len().saturating_sub(1)) {
                products += errors.iter().zip(&errors[apart..]).map(|(a, b)| a * b).sum::<f64>();
                pairs += errors.len() - apart;
            }
        }
        let square = statistics::ratio(squares, count as f64)?;
        let persistence = statistics::ratio(products, pairs as f64).map_or(0.0, |product| product / square);
        Some(Self { count, sd_pct: 100.0 * square.sqrt(), persistence: persistence.clamp(0.0, 1.0) })
    }

    /// Writes the errors into the pricing parameters.
    fn store(&self, pricing: &mut PricingConfig, source: VolSource) {
        *pricing.level_sd_pct.of_mut(source) = (self.sd_pct * 10.0).round() / 10.0;
    }
}

/// Prints of one volatility input, by date.
struct Evidence {
    days: Vec<(Date, Vec<Sample>)>,
}

impl Evidence {
    /// Collects the prints whose volatility input in `history` is `source`.
    fn of(source: VolSource, history: &History, config: &RunConfig, pairs: &[Pair]) -> anyhow::Result<Self> {
        let dataset = Dataset::build(history, &config.run.window(), &config.data)?;
        let mut days = Vec::new();
        for (sessions, pair) in dataset.symbols.iter().zip(pairs) {
            let spec = config.market.contract(&sessions.symbol)?;
            days.extend(samples(sessions, &pair.options, &spec, source, &config.market.pricing));
        }
        days.retain(|(_, samples): &(Date, Vec<Sample>)| !samples.is_empty());
        days.sort_by_key(|(date, _)| *date);
        Ok(Self { days })
    }

    fn between(&self, keep: impl Fn(Date) -> bool) -> Vec<Sample> {
        let days = self.days.iter().filter(|(date, _)| keep(*date));
        days.flat_map(|(_, samples)| samples.iter().copied()).collect()
    }

    fn dates(&self) -> Option<DateRange> {
        Some(DateRange { first: self.days.first()?.0, last: self.days.last()?.0 })
    }

    /// Fits a model to all months before every `step`th month that has enough of them; returns the months with their models.
    fn models(&self, half_life: u32, step: usize) -> Vec<(Date, VolModel)> {
        let mut months: Vec<Date> = self.days.iter().map(|(date, _)| date.first_of_month()).collect();
        months.dedup();
        let judged = months.into_iter().skip(FIRST_MONTHS).step_by(step);
        judged.map(|month| (month, fit(&self.between(|date| date < month), half_life))).collect()
    }

    /// Returns the level errors of the sessions from a model's month on, by date.
    fn levels(&self, month: Date, model: &VolModel) -> Vec<f64> {
        let later: Vec<_> = self.days.iter().filter(|(date, _)| *date >= month).collect();
        let of_day = |(_, samples): &&(Date, Vec<Sample>)| {
            let mut errors: Vec<f64> = samples.iter().filter_map(|sample| sample.level_error(model)).collect();
            (errors.len() >= LEVEL_PRINTS).then(|| quantile(&mut errors, 0.5))
        };
        later.par_iter().filter_map(of_day).collect()
    }

    fn walk_forward(&self, models: &[(Date, VolModel)]) -> Option<WalkForward> {
        let (mut by_month, mut money_by_month) = (Vec::new(), Vec::new());
        let mut all: Vec<Print> = Vec::new();
        for &(month, ref model) in models {
            let judged = self.between(|date| date.first_of_month() == month);
            let prints = judged.iter().map(|sample| sample.print(model));
            let prints: Vec<Print> = prints.filter(Print::is_near_money).collect();
            let bucket = month.strftime("%Y-%m").to_string();
            let money = prints.iter().filter(|print| print.is_at_the_money());
            money_by_month.push(Bucket { bucket: bucket.clone(), errors: ErrorStats::of(money) });
            by_month.push(Bucket { bucket, errors: ErrorStats::of(prints.iter()) });
            all.extend(prints);
        }
        let dates = DateRange { first: models.first()?.0, last: self.dates()?.last };
        let by_two_hours = BY_TWO_HOURS.buckets(all.iter());
        let near_money = ErrorStats::of(all.iter());
        let at_the_money = ErrorStats::of(all.iter().filter(|print| print.is_at_the_money()));
        let levels = LevelErrors::of(models.iter().map(|(month, model)| self.levels(*month, model)))?;
        Some(WalkForward { dates, near_money, at_the_money, money_by_month, by_two_hours, by_month, levels })
    }
}

/// Result of a fit.
#[derive(Debug, Clone)]
pub(crate) struct FitReport {
    /// Symbols of the prints.
    symbols: Vec<String>,
    /// Number of prints of the best volatility input.
    prints: usize,
    /// First and last date of these prints.
    dates: DateRange,
    /// Days after which the weight of a session has halved.
    half_life: u32,
    /// Walk-forward errors; absent with fewer than nine months.
    walk_forward: Option<WalkForward>,
}

/// Fits one model per volatility input and returns the pricing parameters; see [`fit`] for `half_life`.
///
/// # Errors
/// When bars cannot be loaded, or when there are no prints to fit to.
pub(crate) fn fit_pricing(
    pairs: &[Pair],
    config: &RunConfig,
    half_life: u32,
) -> anyhow::Result<(PricingConfig, FitReport)> {
    let mut pricing = config.market.pricing.clone();
    let mut report = None;
    let mut history = inputs::history(config)?;
    for source in SOURCES {
        // Best first: series dropped for one source are not needed by the next.
        history.volatility = history.volatility.at_best(source);
        let evidence = Evidence::of(source, &history, config, pairs)?;
        let Some(dates) = evidence.dates() else { continue };
        let all = evidence.between(|_| true);
        *model_of(&mut pricing, source) = rounded(&fit(&all, half_life));
        let models = evidence.models(half_life, if report.is_none() { 1 } else { STEP_OF_OTHERS });
        let walk_forward = evidence.walk_forward(&models);
        if let Some(walk) = &walk_forward {
            walk.levels.store(&mut pricing, source);
        }
        if report.is_none() {
            if let Some(walk) = &walk_forward {
                pricing.level_persistence = (walk.levels.persistence * 100.0).round() / 100.0;
            }
            (pricing.fitted_from, pricing.fitted_to) = (Some(dates.first), Some(dates.last));
            let symbols = pairs.iter().map(|pair| pair.sessions.symbol.to_string()).collect();
            report = Some(FitReport { symbols, prints: all.len(), dates, half_life, walk_forward });
        }
    }
    let report = report.ok_or_else(|| anyhow::anyhow!("--fit: no same-day prints to fit to on these dates"))?;
    Ok((pricing, report))
}

fn model_of(pricing: &mut PricingConfig, source: VolSource) -> &mut VolModel {
    match source {
        VolSource::Vix1dMinute => &mut pricing.vix1d,
        VolSource::VixMinute => &mut pricing.vix,
        VolSource::VixDaily => &mut pricing.vix_daily,
        VolSource::Realised => &mut pricing.realised,
    }
}

/// Rounds to four decimals, a hundredth of a percent of volatility.
fn rounded(model: &VolModel) -> VolModel {
    let (level, smile) = model.parameters();
    let round = |value: f64| (value * 1e4).round() / 1e4;
    VolModel::from_parameters(&level.map(round), &smile.map(round))
}

/// Returns the parameters as a configuration file, with the report as its leading comment.
///
/// # Errors
/// When a value cannot be written as TOML.
pub(crate) fn config_file(pricing: &PricingConfig, report: &FitReport) -> anyhow::Result<String> {
    let head = report.lines().into_iter().map(|line| format!("# {line}\n")).collect::<String>();
    let value = toml::Value::try_from(pricing)?;
    let market = toml::Table::from_iter([("pricing".to_owned(), value)]);
    let root = toml::Table::from_iter([("market".to_owned(), toml::Value::Table(market))]);
    Ok(head + "\n" + &annotate(&toml::to_string(&root)?))
}

impl FitReport {
    /// Returns the report as lines of text.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "Volatility models fitted by `zerodte calibrate --fit` to {} prints of {}, {}, the weight of a session halving in {} days",
            thousands(self.prints as i64),
            self.symbols.join(", "),
            self.dates,
            self.half_life
        )];
        if let Some(walk) = &self.walk_forward {
            let sentence = |what: &str, errors: &ErrorStats| {
                format!(
                    "{what}: median |error| {:.1} %, 90th percentile {:.1} %, bias {:+.1} % in the median and {:+.1} % in the mean ({} prints)",
                    errors.median_abs_pct,
                    errors.p90_abs_pct,
                    errors.bias_pct,
                    errors.mean_bias_pct,
                    thousands(errors.count as i64)
                )
            };
            lines.push(format!(
                "Walk-forward errors near the money, {}, each month priced by a fit to all earlier months:",
                walk.dates
            ));
            lines.push(sentence("  all", &walk.near_money));
            lines.extend(
                walk.by_two_hours.iter().map(|b| sentence(&format!("  {} minutes to the close", b.bucket), &b.errors)),
            );
            lines.extend(walk.by_month.iter().map(|b| sentence(&format!("  {}", b.bucket), &b.errors)));
            let LevelErrors { count, sd_pct, persistence } = walk.levels;
            lines.push(format!(
                "Level of a session after the fit: {sd_pct:.1} % of volatility (root mean square of {count} pairs of a fit and a later \
                 session), {:.0} % of its variance common to sessions of a month",
                100.0 * persistence
            ));
            lines.push("The same at the money, within 0.08 % of spot:".to_owned());
            lines.push(sentence("  all", &walk.at_the_money));
            lines.extend(walk.money_by_month.iter().map(|b| sentence(&format!("  {}", b.bucket), &b.errors)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bias_persists_and_noise_does_not() {
        let noise: Vec<f64> = (0..400).map(|i| if i * i % 7 < 4 { 0.1 } else { -0.1 }).collect();
        let biased = LevelErrors::of(std::iter::once(vec![0.1; 40])).unwrap();
        assert!((biased.sd_pct - 10.0).abs() < 1e-9 && (biased.persistence - 1.0).abs() < 1e-9 && biased.count == 40);
        let alternating: Vec<f64> = (0..400).map(|i| if i % 2 == 0 { 0.1 } else { -0.1 }).collect();
        let noisy = LevelErrors::of([alternating, noise].into_iter()).unwrap();
        assert!((noisy.sd_pct - 10.0).abs() < 1e-9 && noisy.persistence < 0.2, "{noisy:?}");
        assert_eq!(LevelErrors::of(std::iter::once(Vec::new())), None);
    }
}
