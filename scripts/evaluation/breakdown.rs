//! P&L by groups of trades, such as hours or regimes: descriptive, with one Romano-Wolf stepdown per table.
//!
//! The unit is the session date. A group's P&L of a date is the sum of its trades, mean over seeds; a date of the group without
//! such a trade counts as 0. Groups that no rule fixed before the test are found by looking, so a table proves nothing.

use jiff::civil::Date;
use market_env::Trade;
use serde::{Deserialize, Serialize};
use statistics::{BlockLength, Blocks, DateSum, Resamples, romano_wolf, studentised_interval};

/// Resamples of a table.
const RESAMPLES: usize = 1_999;
/// Dates with a trade below which a group has no interval.
pub const FEW_DATES: usize = 20;

/// One group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Name.
    pub key: String,
    /// Dates of the group, with or without a trade.
    pub n: usize,
    /// Dates with a trade of the group.
    pub traded_dates: usize,
    /// Trades, all seeds together.
    pub trades: usize,
    /// Total P&L, in cents, all seeds together.
    pub net_cents: i64,
    /// Mean P&L of a date of the group, in dollars.
    pub mean: f64,
    /// Lower end of its 95 % interval; null for few dates.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// One-sided p-value of a gain, adjusted for all groups of the table; null for few dates.
    pub p_adjusted: Option<f64>,
}

impl Group {
    /// Returns whether too few dates have a trade for an interval.
    pub fn is_small(&self) -> bool {
        self.traded_dates < FEW_DATES
    }
}

/// Trades to break down.
#[derive(Debug)]
pub struct Grouping<'a> {
    dates: &'a [Date],
    trades: &'a [Vec<Trade>],
    resamples: Resamples,
}

impl<'a> Grouping<'a> {
    /// `dates` are all session dates, ascending; `trades` one list per seed; `pnl_usd` the P&L of each date, whose dependence sets
    /// the length of the blocks.
    pub fn new(dates: &'a [Date], trades: &'a [Vec<Trade>], pnl_usd: &[f64], seed: u64) -> Self {
        let block = Blocks::Stationary(BlockLength::for_sessions(pnl_usd));
        Self { dates, trades, resamples: Resamples::draw(dates.len(), RESAMPLES, block, seed) }
    }

    /// Breaks the trades down, in the order of the keys; a group without a trade is there, too. `group` names the group of a trade,
    /// or none; `owns` whether a date belongs to a group.
    pub fn table(
        &self,
        keys: &[String],
        group: impl Fn(&Trade) -> Option<usize>,
        owns: impl Fn(usize, Date) -> bool,
    ) -> Vec<Group> {
        let mut cells = vec![vec![(0i64, 0usize); self.dates.len()]; keys.len()];
        for trade in self.trades.iter().flatten() {
            let (Some(of), Ok(date)) = (group(trade), self.dates.binary_search(&trade.date)) else { continue };
            cells[of][date].0 += trade.net_pnl_cents;
            cells[of][date].1 += 1;
        }
        let usd = |cents: i64| cents as f64 / 100.0 / self.trades.len().max(1) as f64;
        let series: Vec<Vec<f64>> = cells.iter().map(|row| row.iter().map(|cell| usd(cell.0)).collect()).collect();
        let stepdown = romano_wolf(&series, &self.resamples);
        let one = |(of, key): (usize, &String)| {
            let own: Vec<bool> = self.dates.iter().map(|date| owns(of, *date)).collect();
            let traded = cells[of].iter().filter(|cell| cell.1 > 0).count();
            let sums: Vec<DateSum> =
                series[of].iter().zip(&own).map(|(usd, own)| [*usd, f64::from(u8::from(*own))]).collect();
            let interval = (traded >= FEW_DATES).then(|| studentised_interval(&sums, &self.resamples)).flatten();
            let dates = own.iter().filter(|own| **own).count();
            Group {
                key: key.clone(),
                n: dates,
                traded_dates: traded,
                trades: cells[of].iter().map(|cell| cell.1).sum(),
                net_cents: cells[of].iter().map(|cell| cell.0).sum(),
                mean: series[of].iter().sum::<f64>() / dates.max(1) as f64,
                low: interval.map(|found| found.low),
                high: interval.map(|found| found.high),
                p_adjusted: (traded >= FEW_DATES).then(|| stepdown[of].p_adjusted),
            }
        };
        keys.iter().enumerate().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::{performance::tests::trade, sessions::tests::dates};

    #[test]
    fn groups_add_up_to_all_trades_and_few_dates_have_no_interval() {
        let dates = dates(40);
        let made = |date: usize, cents: i64, contracts: u32| Trade {
            date: dates[date],
            net_pnl_cents: cents,
            contracts,
            ..trade(0, 0.0, 1)
        };
        let rare = (0..10).map(|date| made(date, 700, 2));
        let often: Vec<Trade> = (0..40).map(|date| made(date, if date % 2 == 0 { 900 } else { -500 }, 1)).collect();
        let trades = vec![often.iter().cloned().chain(rare).collect::<Vec<_>>(), often.clone()];
        let grouping = Grouping::new(&dates, &trades, &vec![1.0; 40], 1);
        let keys = ["one", "two", "three"].map(str::to_owned);
        let table = grouping.table(&keys, |trade| Some(trade.contracts as usize - 1), |_, _| true);
        let total: i64 = trades.iter().flatten().map(|trade| trade.net_pnl_cents).sum();
        assert_eq!(table.iter().map(|group| group.net_cents).sum::<i64>(), total);
        let [one, two, three] = &table[..] else { panic!("three groups") };
        assert_eq!((one.trades, one.traded_dates, one.mean), (80, 40, 2.0), "both seeds earn 2 dollars a date");
        assert!(one.low.unwrap() < 2.0 && one.high.unwrap() > 2.0 && !one.is_small());
        assert_eq!((two.traded_dates, two.low, two.p_adjusted), (10, None, None));
        assert_eq!((two.mean, three.trades, three.mean), (0.875, 0, 0.0), "70 dollars, 2 seeds, 40 dates");
    }

    #[test]
    fn the_mean_of_a_group_is_over_its_own_dates() {
        let dates = dates(40);
        let trades = vec![vec![Trade { date: dates[3], net_pnl_cents: 1_000, ..trade(0, 0.0, 1) }]];
        let grouping = Grouping::new(&dates, &trades, &vec![1.0; 40], 1);
        let early = |_: usize, date: Date| date < dates[10];
        let table = grouping.table(&["early".to_owned()], |_| Some(0), early);
        assert_eq!((table[0].n, table[0].mean), (10, 1.0));
    }
}
