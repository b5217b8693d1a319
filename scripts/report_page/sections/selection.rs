//! Section 5: the choice among trials and its corrections.

use maud::{Markup, html};
use statistics::{DeflatedSharpe, Moments};

use super::{absent, p_text, result_rows};
use crate::{
    evaluation::edge::{
        Evaluation,
        figures::{Dsr, Pbo},
    },
    output::table::{decimals, dollars, thousands},
    report_page::{
        Folds, Page, Series, against_test,
        figure::{Plot, figure, table},
    },
    walk_forward::{FoldResult, session_row::Part},
};

/// Largest number of trials in the chart of the deflated Sharpe ratio, as a power of ten.
const MOST_TRIALS: i32 = 4;

pub(super) fn body(page: &Page, series: &Series) -> Markup {
    let evaluation = &page.evaluation;
    html! {
        (trials(evaluation))
        @if let Some(folds) = &page.folds { (folds_against_test(folds)) (scores(folds)) }
        @match (evaluation.dsr, Moments::of(&series.mean)) {
            (Some(dsr), Some(moments)) => (deflated(&dsr, &moments)),
            _ => (missing(evaluation, "dsr", "Deflated Sharpe ratio")),
        }
        @match &evaluation.pbo {
            Some(pbo) => (overfitting(pbo)),
            None => (missing(evaluation, "pbo", "Probability of backtest overfitting")),
        }
    }
}

fn missing(evaluation: &Evaluation, key: &str, name: &str) -> Markup {
    let why = evaluation.why.get(key).map_or("not measured", String::as_str);
    absent(&format!("{name}: {why}."))
}

fn trials(evaluation: &Evaluation) -> Markup {
    let rows = result_rows(&evaluation.romano_wolf);
    let tests = [
        evaluation.psr.map(|psr| format!("PSR, the probability of a Sharpe ratio above 0: {psr:.3}")),
        evaluation.reality_check.map(|check| format!("Reality Check of the best trial: p {}", p_text(check.p))),
        evaluation.spa.map(|spa| {
            format!("SPA: p {} (lower {}, upper {})", p_text(spa.consistent), p_text(spa.lower), p_text(spa.upper))
        }),
        (evaluation.min_backtest_years > 0.0).then(|| {
            format!(
                "A backtest shorter than {:.1} years is expected to show an annual Sharpe ratio of 1 by luck alone: the best of its \
                 trials would",
                evaluation.min_backtest_years
            )
        }),
    ];
    html! {
        @if !rows.is_empty() { (table("Trials in one family", &["trial", "a date", "t", "p", "p, Romano-Wolf"], &rows)) }
        ul { @for line in tests.into_iter().flatten() { li { (line) "." } } }
        p.muted { (thousands(evaluation.resamples as i64)) " resamples; a p of 0.05 has a Monte Carlo error of "
            (format!("{:.4}", evaluation.p_error)) "." }
    }
}

/// Draws validation against test money of the chosen candidate of each fold.
fn folds_against_test(folds: &Folds) -> Markup {
    let pair =
        |fold: &FoldResult| Some((fold.per_date(Part::Validation)?, fold.per_date(Part::Test)?, fold.fold.number));
    let pairs: Vec<(f64, f64, usize)> = folds.results.iter().filter_map(pair).collect();
    let mean = |of: fn(&(f64, f64, usize)) -> f64| statistics::mean(pairs.iter().map(of).collect::<Vec<_>>());
    let finding = format!(
        "The chosen candidates earned {} a date on validation (x) and {} on test (y), mean over {} folds; on the dashed line both \
         are equal.",
        dollars(mean(|pair| pair.0)),
        dollars(mean(|pair| pair.1)),
        pairs.len()
    );
    figure(&finding, against_test::plot("fold", &pairs), &[], None)
}

fn scores(folds: &Folds) -> Markup {
    let heading = ["fold", "candidate", "validation, a date", "standard error", "trades, a date", "chosen"];
    let rows = folds.results.iter().flat_map(|fold| {
        fold.scores.iter().map(|score| {
            vec![
                fold.fold.number.to_string(),
                score.candidate.clone(),
                dollars(score.mean_usd),
                score.error_usd.map_or_else(|| "–".to_owned(), |error| format!("± {}", dollars(error))),
                format!("{:.1}", score.trades),
                if score.chosen { "✓" } else { "" }.to_owned(),
            ]
        })
    });
    html! { details { summary { "Validation scores of all candidates" }
    (table("Candidates by fold", &heading, &rows.collect::<Vec<_>>())) } }
}

/// Draws the deflated Sharpe ratio over the number of trials.
fn deflated(dsr: &Dsr, moments: &Moments) -> Markup {
    let at = |power: f64| {
        DeflatedSharpe::with_variance(moments, dsr.variance, 10f64.powf(power).round().max(2.0) as usize).value
    };
    let points: Vec<(f64, f64)> = (0..=10 * MOST_TRIALS)
        .map(|tenth| f64::from(tenth) / 10.0)
        .filter(|power| *power >= 0.3)
        .map(|power| (power, at(power)))
        .collect();
    let finding = format!(
        "Deflated Sharpe ratio {:.3} for {} trials: the probability that the true Sharpe ratio exceeds that of the best of as many \
         worthless trials. It falls with every further trial.",
        dsr.value, dsr.trials
    );
    let plot = Plot::new(200.0, (0.3, f64::from(MOST_TRIALS)), (0.0, 1.0))
        .y_axis(|share| format!("{share:.1}"))
        .x_labels(
            (1..=MOST_TRIALS)
                .map(|power| (f64::from(power), format!("{} trials", thousands(10i64.pow(power.unsigned_abs()))))),
        )
        .line("dashed hold", &[(0.3, 0.95), (f64::from(MOST_TRIALS), 0.95)])
        .line("strong", &points)
        .rule("rule", (dsr.trials as f64).log10(), "trials made");
    figure(&finding, plot, &[], None)
}

/// Draws the logits of cross-validated choices.
fn overfitting(pbo: &Pbo) -> Markup {
    let finding = format!(
        "In {:.0}% of {} halves of the dates the best candidate inside ranks in the lower half outside (logit 0 or below); in \
         {:.0}% it loses outside.",
        100.0 * pbo.value,
        thousands(pbo.combinations as i64),
        100.0 * pbo.loss
    );
    figure(&finding, histogram(&pbo.logits, None, |logit| decimals(logit, 1)), &[], None)
}

/// Draws a histogram with a mark at a value.
pub(super) fn histogram(values: &[f64], mark: Option<(f64, &str)>, label: impl Fn(f64) -> String) -> Plot {
    let all = || values.iter().copied().chain(mark.map(|(value, _)| value));
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let (low, high) = if high > low { (low, high) } else { (low - 1.0, low + 1.0) };
    let bins = (values.len() as f64).sqrt().ceil().clamp(5.0, 40.0);
    let width = (high - low) / bins;
    let mut counts = vec![0usize; bins as usize];
    let bin = |value: f64| (((value - low) / width) as usize).min(bins as usize - 1);
    values.iter().for_each(|value| counts[bin(*value)] += 1);
    let most = counts.iter().max().copied().unwrap_or(0) as f64;
    let mut plot = Plot::new(200.0, (low - width, high + width), (0.0, 1.1 * most)).y_axis(|count| format!("{count}"));
    for (i, count) in counts.iter().enumerate() {
        let (from, to) = (low + i as f64 * width, low + (i + 1) as f64 * width);
        plot = plot.bar("bar hold", (from, to), *count as f64, &format!("{} to {}: {count}", label(from), label(to)));
    }
    if let Some((value, text)) = mark {
        plot = plot.rule("rule", value, text);
    }
    plot.x_axis(label)
}
