//! Short texts of the page.

use maud::{Markup, html};

use crate::{
    evaluation::edge::figures::TrialResult,
    output::table::{decimals, dollars},
};

/// Returns a paragraph that says why a figure is absent.
pub(super) fn absent(text: &str) -> Markup {
    html! { p.absent { (text) } }
}

/// Formats an amount with its interval.
pub(super) fn with_ends(value: f64, ends: Option<(f64, f64)>) -> String {
    ends.map_or_else(
        || dollars(value),
        |(low, high)| format!("{} [{}, {}]", dollars(value), dollars(low), dollars(high)),
    )
}

/// Formats dollars for an axis: $1.5M, -$20k, $300.
pub(super) fn short_dollars(value: f64) -> String {
    let (sign, size) = (if value <= -0.05 { "-" } else { "" }, value.abs());
    let text = |size: f64, unit: &str| {
        let digits = format!("{size:.1}");
        format!("{sign}${}{unit}", digits.strip_suffix(".0").unwrap_or(&digits))
    };
    match size {
        size if size >= 999_950.0 => text(size / 1e6, "M"),
        size if size >= 999.5 => text(size / 1e3, "k"),
        size if size >= 99.95 => format!("{sign}${size:.0}"),
        size => text(size, ""),
    }
}

/// Formats a p-value.
pub(super) fn p_text(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

/// Returns the rows of results in a stepdown test: name, mean of a date, t, p, and p adjusted for the family.
pub(super) fn result_rows<'a>(results: impl IntoIterator<Item = &'a TrialResult>) -> Vec<Vec<String>> {
    let row = |of: &TrialResult| {
        vec![of.name.clone(), dollars(of.mean_usd), decimals(of.t, 1), p_text(of.p), p_text(of.p_adjusted)]
    };
    results.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let texts = [1_500_000.0, -20_000.0, 300.4, 0.0, -2.5, -0.04, 999_990.0].map(short_dollars);
        assert_eq!(texts, ["$1.5M", "-$20k", "$300", "$0", "-$2.5", "$0", "$1M"]);
        assert_eq!([p_text(0.0001), p_text(0.05)], ["< 0.001", "0.050"]);
        assert_eq!(with_ends(-3.0, Some((-5.0, 1.0))), "-$3 [-$5, $1]");
    }
}
