//! Values of a session in progress, after those of earlier sessions.

use super::{IndexSeries, Volatility};
use crate::Bars;

impl Volatility {
    /// Returns the series with the minutes of a session in progress. Minutes up to the newest known one are left out.
    #[must_use]
    pub fn followed_by(mut self, vix1d: Option<&Bars>, vix: Option<&Bars>) -> Self {
        for (series, minutes) in [(&mut self.vix1d, vix1d), (&mut self.vix, vix)] {
            let Some(minutes) = minutes else { continue };
            series.get_or_insert_with(IndexSeries::default).append(&IndexSeries::new(minutes));
        }
        self
    }
}

impl IndexSeries {
    fn append(&mut self, later: &Self) {
        let newest = self.known_ns.last().copied().unwrap_or(i64::MIN);
        let first = later.known_ns.partition_point(|known| *known <= newest);
        self.known_ns.extend_from_slice(&later.known_ns[first..]);
        self.value.extend_from_slice(&later.value[first..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BarColumns, Symbol, calendar};

    fn levels(date: &str, minutes: std::ops::Range<i64>) -> Bars {
        let open_ns = calendar::session(date.parse().unwrap()).unwrap().open_ns;
        let close: Vec<f64> = minutes.clone().map(|minute| 15.0 + 0.1 * (minute % 7) as f64).collect();
        let columns = BarColumns {
            ts_ns: minutes.map(|minute| open_ns + minute * calendar::MINUTE_NS).collect(),
            open: close.clone(),
            high: close.clone(),
            low: close.clone(),
            volume: vec![0.0; close.len()],
            close,
        };
        Bars::new(Symbol::new("VIX1D").unwrap(), "levels", columns).unwrap()
    }

    #[test]
    fn minutes_of_today_follow_as_if_they_were_one_series() {
        let (before, today) = (levels("2025-07-01", 1..390), levels("2025-07-02", 1..50));
        let joined = Volatility::new(Some(&before.followed_by(&today).unwrap()), None, None);
        let followed = Volatility::new(Some(&before), None, None).followed_by(Some(&today), None);
        assert_eq!(followed, joined);
        assert_eq!(followed.clone().followed_by(Some(&today), None), joined, "known minutes count once");
        assert_eq!(Volatility::default().followed_by(Some(&today), None), Volatility::new(Some(&today), None, None));
    }
}
