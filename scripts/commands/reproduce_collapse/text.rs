//! Report as a table: two rows per moment, the interval and below it the average that hides it.

use super::report::{CollapseReport, Look, ProfileReport, Spread, WindowFigures};
use crate::output::{
    synthetic::mark,
    table::{columns, dollars, thousands},
};

const HEADING: [&str; 10] = [
    "profile",
    "step",
    "window",
    "HOLD %",
    "CALL %",
    "PUT %",
    "BUY %",
    "strong BUY %",
    "reward",
    "net P&L after costs",
];

/// Returns the whole Markdown document for `--out`.
pub(crate) fn markdown(report: &CollapseReport) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heading = HEADING.map(str::to_owned);
    let rule = HEADING.map(|_| "---".to_owned());
    let rows: String = rows(report).iter().map(|cells| line(cells)).collect();
    let about = about(report).join("\n");
    format!("{about}\n\n{}{}{rows}", line(&heading), line(&rule))
}

/// Returns the same table for the terminal.
pub(crate) fn screen(report: &CollapseReport) -> String {
    format!("{}\n\n{}", about(report).join("\n"), columns(&HEADING, &rows(report)))
}

/// Describes the trainings and the columns of the table.
fn about(report: &CollapseReport) -> Vec<String> {
    let synthetic = mark(report.data.is_synthetic(), "", ": ");
    let profiles = report.profiles.iter().map(|profile| {
        let ProfileReport { profile, ent_coef, pnl_scale, setup_threshold, lanes, .. } = profile;
        format!("{profile}: entropy {ent_coef}, P&L x {pnl_scale}, strong = {setup_threshold} of 4, {lanes} lanes")
    });
    let mut lines = vec![format!(
        "{synthetic}{} trainings of {} steps per profile on {}, {}: {} sessions.",
        report.seeds.len(),
        thousands(report.timesteps as i64),
        report.symbols.join(", "),
        report.train,
        report.sessions,
    )];
    lines.extend(profiles.map(|profile| profile + "."));
    lines.push(format!(
        "Medians over the seeds (and range). Shares are of the decisions of flat accounts: in the last {} steps, and since \
         step 0.",
        thousands(report.interval_steps as i64)
    ));
    lines.push("Reward and P&L are sums over all lanes in the same window.".to_owned());
    lines
}

fn rows(report: &CollapseReport) -> Vec<Vec<String>> {
    let of = |profile: &'_ ProfileReport| {
        let looks = profile.looks().flat_map(|look| look_rows(&profile.profile, look));
        looks.collect::<Vec<_>>()
    };
    report.profiles.iter().flat_map(of).collect()
}

fn look_rows(profile: &str, look: &Look) -> [Vec<String>; 2] {
    let row = |window: &str, figures: &WindowFigures<Option<Spread>>| {
        let mut cells = vec![profile.to_owned(), thousands(look.step as i64), window.to_owned()];
        let shares = [figures.hold, figures.buy_call, figures.buy_put, figures.buy, figures.strong_buy];
        cells.extend(shares.map(|share| cell(share, "-", &|value| format!("{:.1}", 100.0 * value))));
        cells.push(cell(figures.reward, " to ", &|value| thousands(value.round() as i64)));
        cells.push(cell(figures.net_pnl_usd, " to ", &dollars));
        cells
    };
    [row("interval", &look.shown.interval), row("cumulative", &look.shown.cumulative)]
}

/// Formats a median with its range, if it has one; a missing figure is a dash.
fn cell(spread: Option<Spread>, to: &str, write: &dyn Fn(f64) -> String) -> String {
    let Some(Spread { median, low, high }) = spread else { return "-".to_owned() };
    let [median, low, high] = [median, low, high].map(write);
    if low == high { median } else { format!("{median} ({low}{to}{high})") }
}

#[cfg(test)]
mod tests {
    use market_data::DataStamp;

    use super::*;
    use crate::commands::reproduce_collapse::report::tests::report;

    #[test]
    fn the_table_shows_the_interval_above_the_average() {
        let text = markdown(&report());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "2 trainings of 12,000 steps per profile on SPY, 2025-04-01 to 2025-04-30: 20 sessions.");
        assert_eq!(lines[1], "tune2: entropy 0.08, P&L x 3, strong = 4 of 4, 8 lanes.");
        let table: Vec<&&str> = lines.iter().filter(|line| line.starts_with('|')).collect();
        assert_eq!(
            *table[2],
            "| tune2 | 5,000 | interval | 40.0 (30.0-50.0) | 20.0 | - | 60.0 | 70.0 | -1,500 | -$10 |"
        );
        assert!(table[3].starts_with("| tune2 | 5,000 | cumulative | 45.0 | "), "{}", table[3]);
        let steps: Vec<&str> = table[2..].iter().map(|line| line.split(" | ").nth(1).unwrap()).collect();
        assert_eq!(steps, ["5,000", "5,000", "10,000", "10,000", "12,000", "12,000"], "documented ones, and the last");
        assert!(screen(&report()).contains("40.0 (30.0-50.0)"));
        let made_up = CollapseReport { data: DataStamp::Synthetic, ..report() };
        assert!(markdown(&made_up).starts_with("SYNTHETIC DATA: 2 trainings"));
    }
}
