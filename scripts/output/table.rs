//! Text tables: the boxed table of Stable-Baselines3, for tail and grep, and plain aligned columns.

use std::fmt::Write as _;

pub use ppo_agent::format::{decimals, dollars as dollars_and_cents, percent};

/// Formats a number of things, such as "1 session" or "1,204 sessions"; the noun takes an s.
pub fn counted(number: usize, noun: &str) -> String {
    ppo_agent::format::counted(number as u64, noun)
}

/// Formats a number like C's `%.3g`, as Stable-Baselines3 does.
pub fn significant(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() { "nan".to_owned() } else { format!("{}inf", if value < 0.0 { "-" } else { "" }) };
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.2e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..3).contains(&exponent) {
        let decimals = usize::try_from(2 - exponent).unwrap_or(0);
        trim_zeros(&format!("{value:.decimals$}")).to_owned()
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim_zeros(mantissa), exponent.abs())
    }
}

fn trim_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Draws key-value pairs like Stable-Baselines3: keys `group/name`, sorted, one heading line per group.
pub fn boxed(values: &[(String, String)]) -> String {
    let mut values: Vec<_> = values.iter().collect();
    values.sort();
    let mut rows: Vec<(String, &str)> = Vec::new();
    let mut group = "";
    for (key, value) in values {
        let (of, name) = key.split_once('/').unwrap_or(("", key));
        if of != group {
            rows.push((format!("{of}/"), ""));
            group = of;
        }
        rows.push((if of.is_empty() { name.to_owned() } else { format!("   {name}") }, value));
    }
    let width = |of: fn(&(String, &str)) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (keys, texts) = (width(|row| row.0.chars().count()), width(|row| row.1.chars().count()));
    let rule = "-".repeat(keys + texts + 7);
    let mut out = format!("{rule}\n");
    for (key, value) in rows {
        let _ = writeln!(out, "| {key:keys$} | {value:texts$} |");
    }
    out + &rule
}

/// Draws rows of cells as columns with a heading: the first column to the left, numbers to the right. A table wider than
/// the terminal is broken into several, each with the first column.
pub fn columns(heading: &[&str], rows: &[Vec<String>]) -> String {
    columns_within(terminal_width(), heading, rows)
}

/// Returns the width of the terminal in columns; unlimited where stdout is none.
fn terminal_width() -> usize {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(usize::MAX, |(width, _)| usize::from(width.0))
}

/// Blanks between two columns.
const GAP: usize = 2;

fn columns_within(limit: usize, heading: &[&str], rows: &[Vec<String>]) -> String {
    let width =
        |i: usize| rows.iter().map(|row| row[i].chars().count()).chain([heading[i].chars().count()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let tables = parts(limit, &widths).into_iter().map(|part| {
        let line = |cell: &dyn Fn(usize) -> String| -> String {
            let cells = part.iter().enumerate().map(|(at, &i)| (at, cell(i), widths[i]));
            let cells = cells.map(|(at, cell, w)| if at == 0 { format!("{cell:<w$}") } else { format!("{cell:>w$}") });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let mut lines = vec![line(&|i| heading[i].to_owned()), line(&|i| "-".repeat(widths[i]))];
        lines.extend(rows.iter().map(|row| line(&|i| row[i].clone())));
        lines.join("\n")
    });
    tables.collect::<Vec<_>>().join("\n\n")
}

/// Distributes columns to tables of at most `limit` columns of text; every table begins with the first column.
fn parts(limit: usize, widths: &[usize]) -> Vec<Vec<usize>> {
    let first = widths.first().copied().unwrap_or(0);
    let (mut parts, mut used) = (vec![vec![0]], first);
    for (i, width) in widths.iter().enumerate().skip(1) {
        let part = parts.last().map_or(0, Vec::len);
        if used + GAP + width > limit && part > 1 {
            parts.push(vec![0]);
            used = first;
        }
        used += GAP + width;
        parts.last_mut().into_iter().for_each(|part| part.push(i));
    }
    parts
}

/// Formats a whole number with commas between thousands.
pub fn thousands(value: i64) -> String {
    let digits = ppo_agent::format::thousands(value.unsigned_abs());
    if value < 0 { format!("-{digits}") } else { digits }
}

/// Formats an amount in whole dollars, with its sign before the currency.
pub fn dollars(value: f64) -> String {
    let text = format!("${}", thousands(value.abs().round() as i64));
    if value.round() < 0.0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_match_c_printf() {
        let cases = [
            (8250.4, "8.25e+03"),
            (-45.3, "-45.3"),
            (0.2, "0.2"),
            (3e-5, "3e-05"),
            (-0.000282, "-0.000282"),
            (2.134e-6, "2.13e-06"),
            (0.99999, "1"),
            (999.6, "1e+03"),
            (102.0, "102"),
            (0.0, "0"),
            (f64::NAN, "nan"),
        ];
        for (value, text) in cases {
            assert_eq!(significant(value), text);
        }
    }

    #[test]
    fn boxed_tables_match_stable_baselines() {
        let rows = [
            ("time/fps", "102"),
            ("rollout/ep_rew_mean", "-45.3"),
            ("rollout/ep_len_mean", "8.25e+03"),
            ("train/policy_gradient_loss", "-0.000282"),
        ];
        let rows: Vec<_> = rows.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        let expected = "\
---------------------------------------
| rollout/                |           |
|    ep_len_mean          | 8.25e+03  |
|    ep_rew_mean          | -45.3     |
| time/                   |           |
|    fps                  | 102       |
| train/                  |           |
|    policy_gradient_loss | -0.000282 |
---------------------------------------";
        assert_eq!(boxed(&rows), expected);
    }

    #[test]
    fn a_table_wider_than_the_terminal_is_broken_up() {
        let rows = [vec!["greedy".to_owned(), "1,204".to_owned(), "-3.1%".to_owned(), "$12".to_owned()]];
        let text = columns_within(20, &["policy", "trades", "mean", "fees"], &rows);
        assert_eq!(
            text,
            "policy  trades\n------  ------\ngreedy   1,204\n\npolicy   mean  fees\n------  -----  ----\ngreedy  -3.1%   $12"
        );
        assert_eq!(
            columns_within(3, &["policy", "trades"], &[]),
            "policy  trades\n------  ------",
            "at least two columns"
        );
    }

    #[test]
    fn money_shares_and_columns_are_readable() {
        assert_eq!(
            (thousands(1_234_567), thousands(-999), dollars(-1234.5)),
            ("1,234,567".into(), "-999".into(), "-$1,235".into())
        );
        assert_eq!((dollars(-0.2), percent(Some(0.3567)), percent(None)), ("$0".into(), "35.7%".into(), "-".into()));
        assert_eq!([percent(Some(-0.0004)), percent(Some(-0.0006)), decimals(-0.004, 2)], ["0.0%", "-0.1%", "0.00"]);
        assert_eq!([counted(1, "symbol"), counted(1_204, "session")], ["1 symbol", "1,204 sessions"]);
        let text =
            columns(&["policy", "trades"], &[vec!["sampled".into(), "1,204".into()], vec!["hold".into(), "0".into()]]);
        assert_eq!(text, "policy   trades\n-------  ------\nsampled   1,204\nhold          0");
    }
}
