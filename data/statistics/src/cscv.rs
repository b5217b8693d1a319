//! Probability of backtest overfitting by combinatorially symmetric cross-validation (CSCV).

/// Score of a candidate on some dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Score {
    /// Sharpe ratio per date; 0 for a candidate without variance.
    Sharpe,
    /// Mean P&L per date.
    Mean,
}

/// Result of a cross-validation over all halves of the blocks.
#[derive(Debug, Clone, PartialEq)]
pub struct Overfitting {
    /// Probability of backtest overfitting: the share of halves in which the best candidate inside ranks in the lower
    /// half outside.
    pub value: f64,
    /// Blocks of neighbouring dates.
    pub blocks: usize,
    /// Candidates.
    pub candidates: usize,
    /// Share of halves in which the best candidate inside loses outside.
    pub loss: f64,
    /// Slope of the regression of the score outside on that inside; negative by construction.
    pub slope: f64,
    /// Intercept of that regression.
    pub intercept: f64,
    /// Logit of the relative rank outside, one per half; 0 or less where the choice failed.
    pub logits: Vec<f64>,
}

/// Returns the number of blocks for so many dates: 16 from 128 dates on, 10 from 60, 8 from 40; `None` for fewer.
pub fn blocks_for(dates: usize) -> Option<usize> {
    [(128, 16), (60, 10), (40, 8)].into_iter().find(|&(least, _)| dates >= least).map(|(_, blocks)| blocks)
}

/// Count, sum and sum of squares of a candidate in a block.
type Sums = [f64; 3];

impl Score {
    fn of(self, [n, sum, squares]: Sums) -> f64 {
        let mean = sum / n;
        let spread = squares - sum * mean;
        match self {
            Self::Mean => mean,
            // The rounding of equal values leaves a sum of this order.
            Self::Sharpe if spread <= 1e-12 * squares => 0.0,
            Self::Sharpe => mean / (spread / (n - 1.0)).sqrt(),
        }
    }
}

impl Overfitting {
    /// Cross-validates candidates, of which `series` `[N][n]` holds the P&L by date, on all halves of `blocks` blocks.
    /// The first dates that fill no block are dropped. It judges the choosing, not the profit: among good twins it is
    /// near one half. Returns `None` for fewer than two candidates, an odd number of blocks, more than 20 of them, or
    /// fewer than two dates per block.
    ///
    /// # Panics
    /// If the series differ in length.
    ///
    /// # Source
    /// Bailey, Borwein, López de Prado & Zhu 2017, "The probability of backtest overfitting".
    pub fn of(series: &[Vec<f64>], blocks: usize, score: Score) -> Option<Self> {
        let n = series.first()?.len();
        assert!(series.iter().all(|x| x.len() == n), "candidates have the same dates");
        if series.len() < 2 || !blocks.is_multiple_of(2) || !(2..=20).contains(&blocks) || n < 2 * blocks {
            return None;
        }
        let sums: Vec<Vec<Sums>> = series.iter().map(|x| block_sums(&x[n % blocks..], blocks)).collect();
        let halves: Vec<Half> = (0..1_u32 << blocks)
            .filter(|mask| mask.count_ones() as usize == blocks / 2)
            .map(|mask| Half::of(&sums, mask, score))
            .collect();
        let share =
            |bad: fn(&Half) -> bool| halves.iter().filter(|half| bad(half)).count() as f64 / halves.len() as f64;
        let (slope, intercept) = line(&halves);
        Some(Self {
            value: share(|half| half.logit <= 0.0),
            blocks,
            candidates: series.len(),
            loss: share(|half| half.outside < 0.0),
            slope,
            intercept,
            logits: halves.iter().map(|half| half.logit).collect(),
        })
    }
}

fn block_sums(pnl: &[f64], blocks: usize) -> Vec<Sums> {
    let sums = |block: &[f64]| [block.len() as f64, block.iter().sum(), block.iter().map(|x| x * x).sum()];
    pnl.chunks(pnl.len() / blocks).map(sums).collect()
}

/// Scores of the candidate that is best on one half of the blocks.
struct Half {
    inside: f64,
    outside: f64,
    logit: f64,
}

impl Half {
    fn of(sums: &[Vec<Sums>], mask: u32, score: Score) -> Self {
        let scores = |inside: bool| -> Vec<f64> {
            let add = |mut total: Sums, part: &Sums| {
                total.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
                total
            };
            let chosen = |block: usize| (mask >> block & 1 == 1) == inside;
            let total = |of: &Vec<Sums>| {
                of.iter().enumerate().filter(|&(block, _)| chosen(block)).map(|(_, sums)| sums).fold([0.0; 3], add)
            };
            sums.iter().map(|of| score.of(total(of))).collect()
        };
        let (inside, outside) = (scores(true), scores(false));
        let best = (1..inside.len()).fold(0, |best, k| if inside[k] > inside[best] { k } else { best });
        let below = outside.iter().filter(|&&x| x < outside[best]).count() as f64;
        let equal = outside.iter().filter(|&&x| x == outside[best]).count() as f64;
        let share = (below + (equal + 1.0) / 2.0) / (outside.len() as f64 + 1.0);
        Self { inside: inside[best], outside: outside[best], logit: (share / (1.0 - share)).ln() }
    }
}

/// Returns slope and intercept of the scores outside over those inside.
fn line(halves: &[Half]) -> (f64, f64) {
    let n = halves.len() as f64;
    let mean = |of: fn(&Half) -> f64| halves.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|half| half.inside), mean(|half| half.outside));
    let product: f64 = halves.iter().map(|half| (half.inside - x) * (half.outside - y)).sum();
    let square: f64 = halves.iter().map(|half| (half.inside - x).powi(2)).sum();
    let slope = if square > 0.0 { product / square } else { 0.0 };
    (slope, y - slope * x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        goldens::{b, near},
        mean,
    };

    #[test]
    fn all_halves_are_scored_as_in_the_reference() {
        let check = |blocks, score, failed: usize, of: usize, logit| {
            let found = Overfitting::of(&b(), blocks, score).unwrap();
            assert_eq!(found.logits.len(), of);
            near(found.value, failed as f64 / of as f64, 1e-12);
            near(mean(&found.logits), logit, 1e-9);
            found
        };
        near(check(4, Score::Sharpe, 2, 6, -0.008_874_085_753).loss, 2.0 / 6.0, 1e-12);
        let six = check(6, Score::Sharpe, 3, 20, 0.358_529_615_6);
        near(six.loss, 3.0 / 20.0, 1e-12);
        near(six.slope, -0.978_847_13, 1e-8);
        near(six.intercept, 0.415_319_55, 1e-8);
        let ten = check(10, Score::Sharpe, 76, 252, 0.105_787_452_849_867);
        near(ten.loss, 70.0 / 252.0, 1e-12);
        near(ten.slope, -0.899_476_94, 1e-8);
        near(ten.intercept, 0.364_553_54, 1e-8);
        check(6, Score::Mean, 3, 20, 0.232_807_883_687_365);
    }

    #[test]
    fn the_first_dates_are_dropped_and_flat_candidates_score_zero() {
        let series = b();
        let longer: Vec<Vec<f64>> = series.iter().map(|x| [&[1e6, -1e6], &x[..]].concat()).collect();
        assert_eq!(Overfitting::of(&longer, 6, Score::Sharpe), Overfitting::of(&series, 6, Score::Sharpe));
        assert_eq!(Score::Sharpe.of([3.0, 0.3, 0.03]), 0.0, "equal values");
        assert_eq!(Overfitting::of(&[vec![0.0; 40], vec![0.0; 40]], 4, Score::Sharpe).unwrap().value, 1.0);
    }

    #[test]
    fn too_little_to_cross_validate_has_no_result() {
        let series = b();
        for (series, blocks) in [(&series[..1], 4), (&series[..], 5), (&series[..], 40), (&series[..], 0), (&[], 4)] {
            assert_eq!(Overfitting::of(series, blocks, Score::Sharpe), None);
        }
        assert_eq!([39, 40, 60, 128].map(blocks_for), [None, Some(8), Some(10), Some(16)]);
    }
}
