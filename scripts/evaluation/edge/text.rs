//! An evaluation as text of at most 80 columns: money first, then its uncertainty, then the verdict.

use crate::{
    evaluation::{
        details::{BreakEven, CapacityAt, Details},
        edge::{
            Evaluation, Looks, MatchedRandom,
            figures::{Dsr, MeanPerDate, Sharpe, TrialResult},
        },
    },
    output::{
        synthetic,
        table::{counted, decimals, dollars, dollars_and_cents, percent, thousands},
        wrap::wrap,
    },
};

/// Width of the labels.
const LABEL: usize = 15;
/// Trials that are listed by name.
const LISTED: usize = 20;
/// Scripted policies that are shown beside a trial.
const BEST_SCRIPTED: usize = 3;
/// Width of a trial's name.
const NAME: usize = 34;

/// Returns the lines of an evaluation.
pub fn lines(evaluation: &Evaluation) -> Vec<String> {
    let parts = [
        heading(evaluation),
        vec![String::new()],
        money(evaluation),
        statistics(evaluation),
        trials(evaluation),
        beside(evaluation),
        vec![String::new()],
        verdict(evaluation),
    ];
    parts.concat()
}

/// Breaks a row into lines; the text stands beside its label.
fn row(label: &str, text: &str) -> Vec<String> {
    let (first, rest) = (format!("{label:<LABEL$}"), " ".repeat(LABEL));
    wrap(text, &first, &rest, |line| line.chars().count() <= 80)
}

fn heading(evaluation: &Evaluation) -> Vec<String> {
    let unit = &evaluation.unit;
    let synthetic = synthetic::mark(unit.data.is_synthetic(), " (", ")");
    let seeds = counted(unit.seeds, "seed");
    let folds = if unit.folds > 1 { format!(", {} folds", unit.folds) } else { String::new() };
    let prices = if unit.modelled_prices { "modelled option prices" } else { "quoted option prices" };
    let basis = format!(
        "{}, {} a date, {seeds}{folds}, {}, {prices}",
        unit.symbols.join("+"),
        dollars(unit.capital_usd),
        counted(unit.trades as usize, "trade")
    );
    let dates = format!("{}, {} to {}{synthetic}", counted(unit.dates, "session date"), unit.first, unit.last);
    [row("EVALUATION", &dates), row("", &basis), row("judged", &shortened(&evaluation.judged, 80 - LABEL))].concat()
}

fn money(evaluation: &Evaluation) -> Vec<String> {
    let MeanPerDate { value, low, high, low_dates_only, high_dates_only, .. } = evaluation.mean_per_date_usd;
    let interval = |low: Option<f64>, high: Option<f64>| low.zip(high).map(|(low, high)| range(low, high, dollars));
    let wide = interval(low, high);
    let of_dates = interval(low_dates_only, high_dates_only);
    let several = evaluation.unit.seeds > 1;
    let per_date = match (&wide, several) {
        (Some(wide), true) => format!("{} {wide} 95 %, a new training", dollars(value)),
        (Some(wide), false) => format!("{} {wide} 95 %, this network", dollars(value)),
        (None, _) => format!("{}, without an interval: too few dates", dollars(value)),
    };
    let mut lines = row("net, a date", &per_date);
    if let Some(of_dates) = of_dates.filter(|_| several) {
        lines.extend(row("", &format!("{of_dates} 95 %, these networks")));
    }
    let total = value * evaluation.unit.dates as f64;
    lines.extend(row("all dates", &format!("{} (the mean of the seeds)", dollars(total))));
    if let Some(fall) = evaluation.drawdown {
        let text = format!(
            "{}; resampled: median {}, 95 % below {}",
            dollars(fall.usd),
            dollars(fall.resampled_median),
            dollars(fall.resampled_95)
        );
        lines.extend(row("drawdown", &text));
    }
    lines.extend(costs(evaluation));
    lines
}

/// Returns the spread at which fixed trades break even, and their money with more capital.
fn costs(evaluation: &Evaluation) -> Vec<String> {
    let Details { break_even, capacity, .. } = &evaluation.details;
    let mut lines = Vec::new();
    if let Some(BreakEven { multiple, low, high }) = break_even {
        let times = |multiple: f64| decimals(multiple, 2);
        let ends = low.zip(*high).map_or_else(String::new, |(low, high)| format!(" {}", range(low, high, times)));
        lines.extend(row("break-even", &format!("at {} times the spread{ends}, the trades kept", times(*multiple))));
    }
    if let [own, .., most] = &capacity[..] {
        let each = |at: &CapacityAt| at.mean_per_contract.map_or_else(|| "-".to_owned(), cents);
        let text = format!(
            "{} a contract with impact; at {} times the capital {}, {} of the orders filled",
            each(own),
            most.multiple,
            each(most),
            percent(most.filled_share)
        );
        lines.extend(row("capacity", &text));
    }
    lines
}

/// Formats dollars with cents.
fn cents(usd: f64) -> String {
    dollars_and_cents((usd * 100.0).round() as i64)
}

fn range(low: f64, high: f64, format: impl Fn(f64) -> String) -> String {
    format!("[{}, {}]", format(low), format(high))
}

fn statistics(evaluation: &Evaluation) -> Vec<String> {
    let decimal = |x: f64| decimals(x, 2);
    let mut lines = Vec::new();
    if let Some(Sharpe { annual, low, high, skew, kurtosis, rho1, .. }) = evaluation.sharpe {
        let moments = format!("skew {}, kurtosis {kurtosis:.1}, rho1 {}", decimals(skew, 1), decimal(rho1));
        lines.extend(row("Sharpe, a year", &format!("{} {}; {moments}", decimal(annual), range(low, high, decimal))));
    }
    if let Some(psr) = evaluation.psr {
        lines.extend(row("PSR", &format!("{psr:.3}, the probability of a Sharpe ratio above 0")));
    }
    if let Some(Dsr { value, trials, threshold, .. }) = evaluation.dsr {
        let year = statistics::SESSIONS_PER_YEAR.sqrt();
        let text =
            format!("{value:.3}, of one above {:.2} a year, the best of {trials} worthless trials", threshold * year);
        lines.extend(row("DSR", &text));
    }
    if let Some(pbo) = &evaluation.pbo {
        let text = format!(
            "{:.3}, the probability of overfitting by choosing among {} ({} halves)",
            pbo.value,
            pbo.candidates,
            thousands(pbo.combinations as i64)
        );
        lines.extend(row("PBO", &text));
    }
    if let Some((check, spa)) = evaluation.reality_check.zip(evaluation.spa) {
        let text = format!(
            "Reality Check p {:.3}, SPA p {:.3} ({:.3} to {:.3})",
            check.p, spa.consistent, spa.lower, spa.upper
        );
        lines.extend(row("best of all", &text));
    }
    let looks = match evaluation.looks {
        Some(Looks { configurations: 1, .. }) => "1 configuration has looked at these dates".to_owned(),
        Some(looks) => format!("{} configurations have looked at these dates", looks.configurations),
        None => "unknown, at least those of this evaluation".to_owned(),
    };
    lines.extend(row("looks", &looks));
    lines
}

/// Returns the table of all trials, the largest t first.
fn trials(evaluation: &Evaluation) -> Vec<String> {
    let mut rows: Vec<&TrialResult> = evaluation.romano_wolf.iter().collect();
    let stands_below = rows.len() == 1 && !evaluation.baselines.is_empty();
    if rows.is_empty() || stands_below {
        return Vec::new();
    }
    rows.sort_by(|a, b| b.t.total_cmp(&a.t));
    let mut lines = vec![
        String::new(),
        format!("{:<NAME$} {:>12} {:>8} {:>9} {:>11}", "trial", "net, a date", "t", "p", "adjusted p"),
    ];
    for TrialResult { name, mean_usd, t, p, p_adjusted } in rows.iter().take(LISTED) {
        let (name, mean) = (shortened(name, NAME), dollars(*mean_usd));
        lines.push(format!("{name:<NAME$} {mean:>12} {t:>8.2} {p:>9.4} {p_adjusted:>11.4}"));
    }
    if rows.len() > LISTED {
        lines.push(format!("and {} more", rows.len() - LISTED));
    }
    lines
}

/// Returns the policies without information beside the judged trial: those that act at random, that do nothing, that earn most, and
/// perfect foresight.
fn beside(evaluation: &Evaluation) -> Vec<String> {
    let Some((own, others)) = evaluation.baselines.split_first() else { return Vec::new() };
    let mut lines =
        vec![String::new(), format!("{:<NAME$} {:>12} {:>8} {:>11}", "beside it", "net, a date", "t", "adjusted p")];
    let with_t = |row: &TrialResult| {
        let (name, mean) = (shortened(&row.name, NAME), dollars(row.mean_usd));
        format!("{name:<NAME$} {mean:>12} {:>8.2} {:>11.4}", row.t, row.p_adjusted)
    };
    lines.push(with_t(own));
    if let Some(MatchedRandom { p, mean }) = evaluation.matched_random {
        lines.push(format!("{:<NAME$} {:>12} {:>8} {p:>11.4}", "random entries that match its own", dollars(mean), ""));
    }
    let mut rows: Vec<&TrialResult> = others.iter().collect();
    rows.sort_by(|a, b| b.t.total_cmp(&a.t));
    let named = |row: &&TrialResult| row.name == "random-legal" || row.name == "always-HOLD";
    let best = rows.iter().filter(|row| !named(row)).take(BEST_SCRIPTED);
    lines.extend(rows.iter().filter(|row| named(row)).chain(best).map(|row| with_t(row)));
    if let Some(ceiling) = evaluation.ceiling {
        lines.push(format!("{:<NAME$} {:>12}", "perfect foresight", dollars(ceiling)));
    }
    lines
}

/// Returns a name, or its end where it is longer than `width`.
fn shortened(name: &str, width: usize) -> String {
    let length = name.chars().count();
    let cut = length.saturating_sub(width - 1);
    if length <= width { name.to_owned() } else { format!("…{}", name.chars().skip(cut).collect::<String>()) }
}

fn verdict(evaluation: &Evaluation) -> Vec<String> {
    let verdict = &evaluation.verdict;
    let mut lines = row("VERDICT", &format!("{}. {}", verdict.word, verdict.sentence));
    verdict.evidence.iter().for_each(|evidence| lines.extend(row("", evidence)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::evaluation::EvaluationConfig,
        evaluation::{edge::Beside, sessions::tests::series},
    };

    #[test]
    fn lines_fit_a_terminal_and_begin_with_money() {
        let pnl = |seed: usize, scale: f64| {
            (0..80).map(|i| ((i * 37 + seed * 11) % 101) as f64 * scale - 900_000.0).collect()
        };
        let long = "models/a_very_long_name_of_a_model_in_a_deep_folder_of_reports.json";
        let trials = vec![(long, (0..5).map(|seed| pnl(seed, 9_000.0)).collect()), ("b", vec![pnl(9, 20.0)])];
        let config = EvaluationConfig { resamples: 199, ..EvaluationConfig::default() };
        let evaluation = Evaluation::of(&series(trials), &Beside::default(), &config, 1).unwrap();
        let lines = lines(&evaluation);
        let text = lines.join("\n");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} is missing in {text}"));
        assert!(at("net, a date") < at("Sharpe, a year") && at("PBO") < at("VERDICT"), "{text}");
        assert_eq!(shortened("short", NAME), "short");
        assert_eq!(shortened(long, NAME).chars().count(), NAME);
    }
}
