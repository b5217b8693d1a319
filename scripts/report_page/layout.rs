//! Frame of the page: head, table of contents, sections, style and script.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::sections::Section;
use crate::output::synthetic;

const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");
/// Nothing may be fetched: style and script stand inside, and the empty icon is a data address.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// Returns the whole document; `is_synthetic` marks the results of made-up bars.
pub(super) fn document(heading: &str, is_synthetic: bool, sections: &[Section]) -> String {
    let title = format!("{heading}{}", synthetic::title_mark(is_synthetic));
    let first = sections.first().map_or("", |section| section.id);
    let markup: Markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href=(format!("#{first}")) { "Skip to the " (first) }
                header {
                    h1 { (heading) }
                    @if let Some(notice) = synthetic::notice(is_synthetic) { p.synthetic { strong { (notice) } } }
                    nav aria-label="Sections" {
                        ol { @for section in sections { li { a href=(format!("#{}", section.id)) { (section.title) } } } }
                    }
                }
                main {
                    @for (number, section) in (1..).zip(sections) {
                        section id=(section.id) aria-labelledby=(format!("{}-title", section.id)) {
                            h2 id=(format!("{}-title", section.id)) { (number) ". " (section.title) }
                            (section.body)
                        }
                    }
                }
                script type="application/json" id="selfcheck" {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    markup.into_string() + "\n"
}
