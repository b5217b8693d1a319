//! Text forms of numbers in logs and reports: percentages, dollars, thousands.

use std::fmt::Write as _;

pub(crate) fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("writing to a string cannot fail");
}

/// Formats a share as a percentage with one decimal; `None` and non-finite shares give a dash.
pub fn percent(share: Option<f64>) -> String {
    share.filter(|share| share.is_finite()).map_or_else(|| "-".into(), |share| decimals(100.0 * share, 1) + "%")
}

/// Formats a number with so many decimals; one that rounds to zero has no sign.
pub fn decimals(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let is_zero = text.bytes().all(|byte| matches!(byte, b'-' | b'.' | b'0'));
    if is_zero { text.trim_start_matches('-').to_owned() } else { text }
}

/// Formats a number of things, such as "1 session" or "1,204 sessions"; the noun takes an s.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number))
}

pub(crate) fn decimal(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| decimals(value, 1))
}

/// Formats an amount of cents as dollars and cents, with the sign before the currency.
pub fn dollars(cents: i64) -> String {
    let (sign, size) = (if cents < 0 { "-" } else { "" }, cents.unsigned_abs());
    format!("{sign}${}.{:02}", thousands(size / 100), size % 100)
}

/// Formats a whole number with commas between thousands.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
