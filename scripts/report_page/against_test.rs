//! Chart of validation against test money.

use super::{figure::Plot, text::short_dollars};
use crate::output::table::dollars;

/// Draws dots at the money of a date on validation (x) and on test (y), and the line on which both are equal. `what` is the noun of
/// the numbers, such as fold.
pub(super) fn plot(what: &str, pairs: &[(f64, f64, usize)]) -> Plot {
    let low = pairs.iter().flat_map(|pair| [pair.0, pair.1]).fold(0.0, f64::min);
    let high = pairs.iter().flat_map(|pair| [pair.0, pair.1]).fold(0.0, f64::max);
    let margin = 0.06 * (high - low);
    let range = (low - margin, high + margin);
    let mut plot = Plot::new(300.0, range, range)
        .y_axis(short_dollars)
        .x_axis(short_dollars)
        .line("dashed hold", &[(range.0, range.0), (range.1, range.1)])
        .rule("zero", 0.0, "");
    for (validation, test, number) in pairs {
        let title = format!("{what} {number}: validation {}, test {}", dollars(*validation), dollars(*test));
        let class = if *test < 0.0 { "loss" } else { "gain" };
        plot = plot.dot(class, (*validation, *test), &title).note((*validation, *test), &number.to_string());
    }
    plot
}
