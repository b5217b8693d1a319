//! Chart `training.svg`: action shares, net return per trade and verdict of every interval.

mod verdict_strip;

use plotters::style::RGBColor;
use ppo_agent::health::OverfitGap;

use crate::{
    artifacts::{health_rows::HealthRow, records::Row},
    chart::{
        captions::Heading,
        panel::{Mark, Panel, Series, Ticks, padded_range},
        style::{CALL, GAIN, HOLD, INK, LOSS, PUT, STRONG_BUY, WIDTH, percent_label, picture, steps_label},
        thin::thin_line,
    },
    output::table::percent,
    training::training_chart::verdict_strip::VerdictStrip,
};

/// Heights of the panels, in pixels.
const SHARES: u32 = 290;
const RETURNS: u32 = 430;

/// Most dots of validation replays that are told apart.
const MOST_DOTS: usize = 200;

/// Lines of the upper panel: label, key of the diagnostics row, colour.
const LINES: [(&str, &str, RGBColor); 4] = [
    ("HOLD", "actions/frac_hold", HOLD),
    ("BUY_CALL", "actions/frac_buy_call", CALL),
    ("BUY_PUT", "actions/frac_buy_put", PUT),
    ("BUY on strong setups", "actions_strong/buy", STRONG_BUY),
];
const TRADE_RETURN: &str = "env/mean_trade_return";
const TRADE_RETURN_ERROR: &str = "env/mean_trade_return_error";
/// Half-width of the band around the return per trade, in standard errors.
const BAND_ERRORS: f64 = 2.0;

/// Data of the chart of a run. Returns are fractions of the premium and fees paid at the entry.
#[derive(Debug, Clone)]
pub struct TrainingChart<'a> {
    /// Model, symbols and training dates.
    pub title: String,
    /// Diagnostics rows by step.
    pub rows: &'a [Row],
    /// Verdicts by step.
    pub verdicts: &'a [HealthRow],
    /// Validation replays at checkpoints, by step.
    pub validation: &'a [OverfitGap],
    /// Mean cost of a round trip at the money, as a fraction of the premium.
    pub cost: f64,
    /// Mean net return of random-legal trades on the training dates; `None` without any.
    pub random_legal: Option<f64>,
}

impl TrainingChart<'_> {
    /// Returns whether the chart shows a value of the diagnostics rows.
    pub fn shows(key: &str) -> bool {
        LINES.iter().map(|line| line.1).chain([TRADE_RETURN, TRADE_RETURN_ERROR]).any(|shown| shown == key)
    }

    /// Draws the chart as SVG text.
    ///
    /// # Errors
    /// When the drawing library fails, which no input is known to cause.
    pub fn draw(&self) -> anyhow::Result<String> {
        let heading = Heading::new(&self.title, &[self.summary()], WIDTH);
        let strip = VerdictStrip::new(self.verdicts, self.last_step());
        let size = (WIDTH, heading.height() + SHARES + RETURNS + strip.height());
        picture(size, |root| {
            heading.draw(root)?;
            let (_, below) = root.split_vertically(heading.height());
            let (shares, below) = below.split_vertically(SHARES);
            let (returns, below) = below.split_vertically(RETURNS);
            self.shares().draw(&shares)?;
            self.returns().draw(&returns)?;
            strip.draw(&below)
        })
    }

    /// Returns what the middle panel shows at its end, as a sentence.
    fn summary(&self) -> String {
        let value = |key: &str| *self.rows.last()?.values.get(key)?;
        let error = value(TRADE_RETURN_ERROR).map(|error| format!(" (standard error {})", percent(Some(error))));
        let last = value(TRADE_RETURN).map_or_else(
            || "No trade was closed in the last interval".to_owned(),
            |mean| format!("Last interval: {} per trade{}", percent(Some(mean)), error.unwrap_or_default()),
        );
        let random = self.random_legal.map(|mean| format!(", random-legal trades return {}", percent(Some(mean))));
        format!("{last}. A round trip costs {}{}.", percent(Some(self.cost)), random.unwrap_or_default())
    }

    /// Returns the end of the axis: the last interval, or a validation replay after it.
    fn last_step(&self) -> f64 {
        let (row, gap) = (self.rows.last().map(|row| row.step), self.validation.last().map(|gap| gap.step));
        row.max(gap).map_or(1.0, |step| step as f64)
    }

    /// Returns the values of a key in percent, by step.
    fn points(&self, key: &str) -> Vec<(f64, f64)> {
        let point = |row: &Row| Some((row.step as f64, 100.0 * (*row.values.get(key)?)?));
        self.rows.iter().filter_map(point).collect()
    }

    fn shares(&self) -> Panel {
        let line = |(label, key, color)| Series::new(label, color, Mark::Curve(self.points(key)));
        Panel {
            x_ticks: Ticks::Hidden,
            y_ticks: Ticks::Text(percent_label),
            y_title: "share when flat",
            ..Panel::new("", 0.0..self.last_step(), 0.0..100.0, LINES.map(line).to_vec())
        }
    }

    fn returns(&self) -> Panel {
        let end = self.last_step();
        let earned = self.points(TRADE_RETURN);
        let validation = self.validation.iter().map(|gap| (gap.step as f64, 100.0 * gap.validation)).collect();
        let validation = thin_line(validation, MOST_DOTS / 2);
        let levels = [Some(0.0), Some(-self.cost), self.random_legal].into_iter().flatten();
        let shown = earned.iter().chain(&validation).map(|point| point.1).chain(levels.map(|level| 100.0 * level));
        let y = padded_range(shown);
        let level = |name: &str, value: f64, color| {
            let line = Mark::Dashed(vec![(0.0, 100.0 * value), (end, 100.0 * value)]);
            Series::new(format!("{name}: {}", percent(Some(value))), color, line)
        };
        let mut series = vec![
            Series::new("break-even", GAIN, Mark::Line(vec![(0.0, 0.0), (end, 0.0)])),
            level("-cost of a round trip", -self.cost, LOSS),
        ];
        series.extend(self.random_legal.map(|mean| level("random-legal", mean, HOLD)));
        series.push(Series::new("training", INK, Mark::Curve(earned)));
        let band = Some(self.band()).filter(|band| !band.is_empty());
        series.extend(band.map(|band| Series::new("± 2 standard errors", INK, Mark::Band(band, 0.14))));
        let validation = Some(validation).filter(|points| !points.is_empty());
        series.extend(validation.map(|points| Series::new("validation", PUT, Mark::Points(points))));
        Panel {
            x_title: "steps",
            y_title: "net return per trade, %",
            x_ticks: Ticks::Text(steps_label),
            ..Panel::new("", 0.0..end, y, series)
        }
    }

    /// Returns the band around the return per trade, in percent; empty for rows without standard errors.
    fn band(&self) -> Vec<(f64, f64, f64)> {
        let edges = |row: &Row| {
            let [mean, error] = [TRADE_RETURN, TRADE_RETURN_ERROR].map(|key| row.values.get(key).copied().flatten());
            let (mean, half) = (100.0 * mean?, 100.0 * BAND_ERRORS * error?);
            Some((row.step as f64, mean - half, mean + half))
        };
        self.rows.iter().filter_map(edges).collect()
    }
}

#[cfg(test)]
mod tests {
    use market_data::DataStamp;

    use super::{verdict_strip::tests::verdict, *};
    use crate::{
        artifacts::records::{RowKind, row},
        chart::style::tests::assert_house_style,
    };

    fn rows() -> [Row; 2] {
        let values = |hold: f64, mean: f64, error: f64| {
            let mut values: Vec<_> = LINES.iter().map(|line| (line.1.to_owned(), hold)).collect();
            values.push((TRADE_RETURN.to_owned(), mean));
            values.push((TRADE_RETURN_ERROR.to_owned(), error));
            values
        };
        let row = |step, values| row(RowKind::Diagnostics, DataStamp::Market, step, &values);
        [row(5_000, values(0.4, -0.05, 0.01)), row(10_000, values(0.3, -0.034, 0.004))]
    }

    fn chart(rows: &[Row]) -> TrainingChart<'_> {
        let title = "tune1 on SPY - SYNTHETIC DATA".to_owned();
        TrainingChart { title, rows, verdicts: &[], validation: &[], cost: 0.038, random_legal: Some(-0.041) }
    }

    fn gap(step: u64) -> OverfitGap {
        let (train_random, validation_random) = (-0.03, -0.06);
        OverfitGap { step, train: -0.03, validation: -0.06, train_random, validation_random, error: 0.01, limit: 3.0 }
    }

    #[test]
    fn every_series_is_drawn_and_named() {
        let rows = rows();
        let verdicts = [verdict(5_000, "healthy"), verdict(10_000, "collapsed:HOLD")];
        let validation = [gap(10_000)];
        let svg = TrainingChart { verdicts: &verdicts, validation: &validation, ..chart(&rows) }.draw().unwrap();
        assert_house_style(&svg);
        for part in [
            "SYNTHETIC DATA",
            "BUY_PUT",
            "BUY on strong setups",
            "net return per trade, %",
            "break-even",
            "-cost of a round trip: -3.8%",
            "random-legal: -4.1%",
            "validation",
            "± 2 standard errors",
            "10,000",
            "healthy",
            "collapsed:HOLD",
        ] {
            assert!(svg.contains(part), "{part} is missing");
        }
        assert!(svg.matches("<polyline").count() >= LINES.len() + 2);
    }

    #[test]
    fn the_summary_names_the_last_interval_and_its_yardsticks() {
        let rows = rows();
        assert_eq!(
            chart(&rows).summary(),
            "Last interval: -3.4% per trade (standard error 0.4%). A round trip costs 3.8%, random-legal trades return -4.1%."
        );
        let nothing = TrainingChart { random_legal: None, ..chart(&[]) };
        assert_eq!(nothing.summary(), "No trade was closed in the last interval. A round trip costs 3.8%.");
        assert!(nothing.draw().unwrap().contains("</svg>"));
    }

    #[test]
    fn the_chart_of_a_very_long_run_stays_small() {
        let values = |i: u64| {
            let mut values: Vec<_> =
                LINES.iter().map(|line| (line.1.to_owned(), (i * 7919 % 100) as f64 / 100.0)).collect();
            values.push((TRADE_RETURN.to_owned(), (i * 104_729 % 100) as f64 / 1000.0));
            values.push((TRADE_RETURN_ERROR.to_owned(), 0.01));
            values
        };
        let rows: Vec<Row> =
            (1..=20_000).map(|i| row(RowKind::Diagnostics, DataStamp::Market, 5_000 * i, &values(i))).collect();
        let verdicts: Vec<_> =
            (1..=20_000).map(|i| verdict(5_000 * i, if i % 3 == 0 { "healthy" } else { "drifting" })).collect();
        let gap = |i: u64| OverfitGap { step: 50_000 * i, validation: (i % 10) as f64 / 100.0, ..gap(0) };
        let validation: Vec<_> = (1..=2_000).map(gap).collect();
        let svg = TrainingChart { verdicts: &verdicts, validation: &validation, ..chart(&rows) }.draw().unwrap();
        assert!(svg.len() < 300_000, "{} bytes", svg.len());
    }

    #[test]
    fn the_axis_reaches_a_validation_replay_after_the_last_interval() {
        let rows = rows();
        let validation = [gap(10_240)];
        let late = TrainingChart { validation: &validation, ..chart(&rows) };
        assert_eq!((late.last_step(), chart(&rows).last_step(), chart(&[]).last_step()), (10_240.0, 10_000.0, 1.0));
        assert!(late.returns().y.contains(&-6.0));
        assert!(chart(&rows).returns().series.iter().all(|series| series.name != "validation"), "there is none");
    }

    #[test]
    fn the_returns_show_every_level_and_the_band() {
        let rows = rows();
        let panel = chart(&rows).returns();
        assert!(panel.y.contains(&0.0) && panel.y.contains(&-4.1) && panel.y.contains(&-5.0));
        let [first, second] = chart(&rows).band()[..] else { panic!("two rows") };
        assert!((first.1 + 7.0).abs() < 1e-9 && (second.2 + 2.6).abs() < 1e-9, "{first:?} {second:?}");
        let [mut older, _] = rows;
        older.values.remove(TRADE_RETURN_ERROR);
        assert!(chart(&[older]).band().is_empty(), "rows of earlier versions lack the error");
    }
}
