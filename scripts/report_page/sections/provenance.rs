//! Section 12: the origin of everything on the page.

use maud::{Markup, html};

use crate::{artifacts::manifest, report_page::Page};

pub(super) fn body(page: &Page) -> Markup {
    let evaluation = &page.evaluation;
    html! {
        dl.provenance {
            dt { "Program" } dd { (manifest::VERSION.as_str()) }
            dt { "Data" } dd { (evaluation.unit.data.as_str()) }
            dt { "Option prices" } dd { @if evaluation.unit.modelled_prices { "modelled" } @else { "quotes of the contracts" } }
            @for (name, value) in &page.provenance { dt { (name) } dd { (value) } }
        }
        @if !evaluation.why.is_empty() {
            details { summary { "Figures that are not defined here" }
                dl.provenance { @for (key, why) in &evaluation.why { dt { code { (key) } } dd { (why) } } } }
        }
        details.raw { summary { "All figures as JSON" }
            pre tabindex="0" { (serde_json::to_string_pretty(evaluation).unwrap_or_default()) } }
    }
}
