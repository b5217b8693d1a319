//! Page of the demonstration: both results with their pictures, in one HTML file that needs no network.

use anyhow::Context as _;
use market_data::input_file;

use super::Demonstrated;
use crate::{artifacts::paths::Paths, output::synthetic::SYNTHETIC_DATA};

const STYLE: &str = "
  :root { color-scheme: light dark; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
  pre { overflow-x: auto; padding: 0.8rem; border: 1px solid #8886; border-radius: 6px; font-size: 0.85rem; }
  svg { max-width: 100%; height: auto; }
  .stamp { font-weight: 600; }
";

/// Returns the page; `money` is the picture of the money as SVG text.
///
/// # Errors
/// When a picture cannot be read.
pub(super) fn html(shown: &[Demonstrated], money: &str) -> anyhow::Result<String> {
    let sections = shown.iter().map(section).collect::<anyhow::Result<String>>()?;
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>zerodte demo</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>zerodte demo</h1>\n\
         <p class=\"stamp\">{SYNTHETIC_DATA}: made-up bars; nothing here says anything about a market.</p>\n\
         <p>Two policies learned on the first part of made-up minutes of SPY with options that expire the same day, and were \
         tested on the last part, which they never saw. All option prices are modelled. All costs are included.</p>\n{money}\n{sections}</body>\n</html>\n"
    ))
}

fn section(shown: &Demonstrated) -> anyhow::Result<String> {
    let picture = Paths::of(&shown.config.run).run.join("training.svg");
    let svg = input_file::read_text(&picture).with_context(|| format!("reading {}", picture.display()))?;
    let (title, text) = (escaped(shown.market.title), escaped(&shown.result.join("\n")));
    Ok(format!("<h2>{title}</h2>\n<pre>{text}</pre>\n{svg}\n"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escaped("a < b & c > d"), "a &lt; b &amp; c &gt; d");
    }
}
