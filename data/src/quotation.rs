//! Text of files in messages: without control characters, and cut to a length that a screen shows.

use std::{borrow::Cow, fmt::Write as _};

/// Most characters of a quoted text.
const LONGEST: usize = 200;

/// Returns the text of a file as a message quotes it: control characters and other invisible ones are written as escapes, and
/// only the first 200 characters are shown.
#[must_use]
pub fn quoted(text: &str) -> Cow<'_, str> {
    let long = text.char_indices().nth(LONGEST);
    let shown = long.map_or(text, |(end, _)| &text[..end]);
    let escaped = printable(shown);
    match long {
        Some(_) => Cow::Owned(format!("{escaped}… ({} bytes)", text.len())),
        None => escaped,
    }
}

/// Returns a text with its control characters, line ends among them, written as escapes such as `\u{1b}`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(hides) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        // Writing to a string cannot fail.
        let _ = if hides(c) { write!(out, "{}", c.escape_default()) } else { out.write_char(c) };
    }
    Cow::Owned(out)
}

/// Returns whether a character moves the cursor or changes the direction of what follows instead of being seen.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_texts_cut() {
        assert_eq!(quoted("close é 📊"), "close é 📊");
        assert_eq!(quoted("a\u{1b}[2J\nb\t\u{202e}"), r"a\u{1b}[2J\nb\t\u{202e}");
        assert_eq!(quoted(&"é".repeat(200)), "é".repeat(200));
        let cut = quoted(&"é".repeat(5_000_000)).into_owned();
        assert_eq!(cut, format!("{}… (10000000 bytes)", "é".repeat(200)));
    }
}
