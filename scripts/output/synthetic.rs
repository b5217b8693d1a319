//! Marks of results from synthetic bars.

use market_data::DataStamp;

/// The mark of titles, tables and logs.
pub(crate) const SYNTHETIC_DATA: &str = "SYNTHETIC DATA";

/// Returns the notice above results of synthetic bars.
pub(crate) fn notice(synthetic: bool) -> Option<String> {
    synthetic.then(|| format!("{SYNTHETIC_DATA}: made-up bars; nothing here says anything about a market"))
}

/// Returns the mark between two texts, such as brackets, for synthetic data; an empty string for real data.
pub(crate) fn mark(synthetic: bool, before: &str, after: &str) -> String {
    if synthetic { format!("{before}{SYNTHETIC_DATA}{after}") } else { String::new() }
}

/// Returns the mark that follows a title.
pub(crate) fn title_mark(synthetic: bool) -> String {
    mark(synthetic, " - ", "")
}

/// Returns a sentence about a model, such as "The model", trained on synthetic data; `None` for real data.
pub(crate) fn training_notice(model: &str, data: DataStamp) -> Option<String> {
    data.is_synthetic().then(|| format!("{model} was trained on {data} data"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_data_carry_no_mark() {
        assert_eq!(
            (notice(false), mark(false, " (", ")"), training_notice("The model", DataStamp::Market)),
            (None, String::new(), None)
        );
        let notice = notice(true).unwrap();
        assert_eq!(notice, "SYNTHETIC DATA: made-up bars; nothing here says anything about a market");
        assert_eq!(
            (mark(true, " (", ")").as_str(), title_mark(true).as_str()),
            (" (SYNTHETIC DATA)", " - SYNTHETIC DATA")
        );
        let said = training_notice("The model", DataStamp::Synthetic);
        assert_eq!(said.as_deref(), Some("The model was trained on SYNTHETIC data"));
    }
}
