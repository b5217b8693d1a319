//! Level of sessions against the model: months at the money, and the interval that the configuration states.

use std::collections::BTreeMap;

use serde::Serialize;
use statistics::{mean, normal_quantile, share};

use super::{
    errors::{Bucket, ErrorStats, Print},
    measure::{Compared, Measured, SessionLevel},
};

/// Errors of the session's level, in percent of volatility. Without a session with enough prints, null.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct LevelReport {
    /// Sessions with enough prints near the money.
    pub sessions: usize,
    /// Standard deviation that the configuration states, for the fit alone.
    pub sd_pct: Option<f64>,
    /// Share of the sessions whose level lies inside the stated 95 % interval of the fit alone.
    pub coverage_95: Option<f64>,
    /// Root mean square error of the fit alone.
    pub fit_rms_pct: Option<f64>,
    /// Root mean square error with the level of earlier sessions.
    pub followed_rms_pct: Option<f64>,
}

impl LevelReport {
    pub(crate) fn of(measured: &[Measured]) -> Self {
        let levels: Vec<SessionLevel> =
            measured.iter().flat_map(|of| &of.compared).filter_map(|day| day.level).collect();
        let reach = normal_quantile(0.975);
        let inside = levels.iter().filter(|level| level.error.abs() <= reach * level.sd).count();
        let rms = |of: fn(&SessionLevel) -> f64| {
            (!levels.is_empty()).then(|| 100.0 * mean(levels.iter().map(|level| of(level).powi(2))).sqrt())
        };
        Self {
            sessions: levels.len(),
            sd_pct: rms(|level| level.sd),
            coverage_95: share(inside as u64, levels.len() as u64),
            fit_rms_pct: rms(|level| level.error),
            followed_rms_pct: rms(|level| level.error - level.followed),
        }
    }

    /// Returns the report as a sentence, if there are sessions.
    pub(crate) fn sentence(&self) -> Option<String> {
        let (sd, covered) = self.sd_pct.zip(self.coverage_95)?;
        let (fit, followed) = self.fit_rms_pct.zip(self.followed_rms_pct)?;
        Some(format!(
            "Level of {} sessions: the fit errs by {fit:.1} % of volatility (root mean square), with the level of earlier sessions \
             by {followed:.1} %; {:.1} % lie inside the stated 95 % interval of the fit, whose standard deviation is {sd:.1} %.",
            self.sessions,
            100.0 * covered
        ))
    }
}

/// Returns the errors at the money of every month.
pub(crate) fn by_month(measured: &[Measured], price: fn(Print) -> Print) -> Vec<Bucket> {
    let mut months: BTreeMap<String, Vec<Print>> = BTreeMap::new();
    for of in measured {
        for Compared { date, prints, .. } in &of.compared {
            let month = months.entry(date.strftime("%Y-%m").to_string()).or_default();
            month.extend(of.prints[prints.clone()].iter().filter(|print| print.is_at_the_money()).map(|&p| price(p)));
        }
    }
    let bucket = |(bucket, prints): (String, Vec<Print>)| Bucket { bucket, errors: ErrorStats::of(prints.iter()) };
    months.into_iter().filter(|(_, prints)| !prints.is_empty()).map(bucket).collect()
}

#[cfg(test)]
mod tests {
    use market_data::VolSource;

    use super::*;

    #[test]
    fn coverage_is_that_of_the_stated_interval() {
        let day = |error| Compared {
            date: jiff::civil::date(2025, 6, 2),
            source: VolSource::Realised,
            level: Some(SessionLevel { error, followed: 0.05, sd: 0.1 }),
            prints: 0..0,
        };
        let compared = [0.05, -0.195, 0.197, 0.15].map(day).into_iter().collect();
        let report = LevelReport::of(&[Measured { compared, ..Measured::default() }]);
        assert_eq!((report.sessions, report.coverage_95), (4, Some(0.75)));
        assert!((report.sd_pct.unwrap() - 10.0).abs() < 1e-9);
        let squares: f64 = [0.0, -0.245, 0.147, 0.1].map(|error: f64| error * error).iter().sum();
        assert!((report.followed_rms_pct.unwrap() - 100.0 * (squares / 4.0).sqrt()).abs() < 1e-9);
        assert!(LevelReport::of(&[]).sentence().is_none());
    }
}
