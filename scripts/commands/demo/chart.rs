//! Picture of the demonstration: the money of both policies on the test dates, beside random entries and doing nothing.

use jiff::{ToSpan as _, civil::Date};

use super::Demonstrated;
use crate::{
    artifacts::trades::{EPOCH, days_since_epoch},
    chart::{
        panel::{Axis, Mark, Panel, Series, Ticks, level_line, padded_range, page},
        style::{CALL, LOSS},
    },
    output::{synthetic::title_mark, table::dollars},
};

/// Days between two ticks of the axis of dates.
const TICK_DAYS: f64 = 28.0;

/// Draws the picture as SVG text.
///
/// # Errors
/// When the drawing library fails, which no input is known to cause.
pub(super) fn draw(shown: &[Demonstrated]) -> anyhow::Result<String> {
    let panels: Vec<Panel> = shown.iter().map(panel).collect();
    page(&format!("P&L on the test dates, after all costs{}", title_mark(true)), &panels)
}

fn panel(shown: &Demonstrated) -> Panel {
    let curve = |name| shown.tested.of(name).map_or(Vec::new(), |money| cumulated(&money.daily));
    let (policy, random) = (curve("greedy"), curve("random-legal"));
    let y = padded_range(policy.iter().chain(&random).map(|point| point.1).chain([0.0]));
    let x = policy.first().map_or(0.0, |point| point.0)..policy.last().map_or(1.0, |point| point.0);
    let series = vec![
        level_line(0.0, &x, &y),
        Series::new("random entries", LOSS, Mark::Line(random)),
        Series::new("this policy", CALL, Mark::Line(policy)),
    ];
    Panel {
        x: Axis { range: x.clone(), step: Some(TICK_DAYS) },
        x_ticks: Ticks::Text(date_label),
        y_ticks: Ticks::Text(|pnl| dollars(*pnl)),
        ..Panel::new(shown.market.title, x, y, series)
    }
}

/// Returns the running sum by date, each date as days since 1970.
fn cumulated(daily: &[(Date, f64)]) -> Vec<(f64, f64)> {
    let mut sum = 0.0;
    let point = |(date, pnl): &(Date, f64)| {
        sum += pnl;
        (f64::from(days_since_epoch(*date)), sum)
    };
    daily.iter().map(point).collect()
}

fn date_label(days: &f64) -> String {
    EPOCH.checked_add((days.round() as i64).days()).map_or(String::new(), |date| date.to_string())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn money_adds_up_along_real_dates() {
        let points = cumulated(&[(date(2024, 9, 3), 10.0), (date(2024, 9, 5), -4.0)]);
        assert_eq!(points.iter().map(|point| point.1).collect::<Vec<_>>(), [10.0, 6.0]);
        assert_eq!(points[1].0 - points[0].0, 2.0);
        assert_eq!(date_label(&points[1].0), "2024-09-05");
    }
}
