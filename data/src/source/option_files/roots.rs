//! Roots of option series, and the time of day at which their contracts settle.
//!
//! Monthly contracts of an index root such as SPX settle at the open of their expiry and trade until the day before;
//! those of its second root, SPXW, settle at the close. Files of vendors name the root in the column `root` or
//! `underlying`, or both roots by the underlying alone.

use jiff::{
    ToSpan,
    civil::{Date, Weekday},
};

use super::columns::Columns;
use crate::{DataError, Settles, Symbol, calendar};

/// Roots whose contracts settle at the close, with the index whose own root settles at the open.
const AFTERNOON_ROOTS: [(&str, &str); 3] = [("SPXW", "SPX"), ("NDXP", "NDX"), ("RUTW", "RUT")];

/// Roots of the options on one underlying.
#[derive(Debug, Clone, Copy)]
pub(super) struct Roots<'a> {
    symbol: &'a str,
    afternoon: Option<&'static str>,
}

impl<'a> Roots<'a> {
    pub(super) fn of(symbol: &'a Symbol) -> Self {
        let symbol = symbol.as_str();
        let afternoon = AFTERNOON_ROOTS.iter().find(|(_, index)| *index == symbol).map(|(root, _)| *root);
        Self { symbol, afternoon }
    }

    /// Returns whether rows of a name in the column `underlying` belong to the underlying.
    pub(super) fn contains(&self, name: &str) -> bool {
        name == self.symbol || Some(name) == self.afternoon
    }

    /// Reads what a file says on the settlement of its rows. `ours` marks the rows of the underlying.
    pub(super) fn settlements(&self, columns: &Columns, ours: &[bool]) -> Result<Settlements, DataError> {
        let Some(afternoon) = self.afternoon else { return Ok(Settlements { rows: Vec::new() }) };
        let mut rows = vec![Stated::Nothing; ours.len()];
        let name = if columns.has("root") { "root" } else { "underlying" };
        columns.texts(name, |row, root| {
            rows[row] = if root == afternoon { Stated::AtClose } else { Stated::Nothing };
        })?;
        let two_roots = rows.iter().zip(ours).any(|(stated, ours)| *ours && *stated == Stated::AtClose);
        if two_roots || name == "root" {
            // The file tells the roots apart, so the other rows are those of the index's own root.
            rows.iter_mut().filter(|stated| **stated == Stated::Nothing).for_each(|stated| *stated = Stated::OwnRoot);
        }
        if columns.has("settlement") {
            columns.texts("settlement", |row, text| match text {
                "AM" | "am" | "A.M." => rows[row] = Stated::OwnRoot,
                "PM" | "pm" | "P.M." => rows[row] = Stated::AtClose,
                _ => {}
            })?;
        }
        Ok(Settlements { rows })
    }
}

/// Statement of a file on the settlement of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stated {
    /// None: the row may belong to either root.
    Nothing,
    /// The index's own root: monthly contracts settle at the open.
    OwnRoot,
    /// Settlement at the close.
    AtClose,
}

/// Settlement of the rows of a file; empty for an underlying whose contracts all settle at the close.
#[derive(Debug)]
pub(super) struct Settlements {
    rows: Vec<Stated>,
}

impl Settlements {
    /// Returns the settlement of a row on `date`.
    ///
    /// Without a statement a monthly contract counts as settling at the open while it still trades, on the days before
    /// its expiry: a price at the open of that day is another product than one at its close.
    pub(super) fn of(&self, row: usize, date: Date, expiry: Date) -> Settles {
        match self.rows.get(row) {
            Some(Stated::OwnRoot) if is_monthly(expiry) => Settles::AtOpen,
            Some(Stated::Nothing) if date < expiry && is_monthly(expiry) => Settles::AtOpen,
            _ => Settles::AtClose,
        }
    }
}

/// Returns whether monthly contracts expire on a date: the third Friday, or the session before it on a holiday.
fn is_monthly(expiry: Date) -> bool {
    let third = |date: Date| date.weekday() == Weekday::Friday && (15..=21).contains(&date.day());
    let next = expiry.saturating_add(1.day());
    third(expiry) || (third(next) && calendar::session(next).is_none())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn monthly_contracts_expire_on_the_third_friday() {
        assert!(is_monthly(date(2021, 1, 15)) && !is_monthly(date(2021, 1, 8)) && !is_monthly(date(2021, 1, 14)));
        assert!(is_monthly(date(2019, 4, 18)), "Good Friday was the third Friday of April 2019");
    }

    #[test]
    fn only_monthly_contracts_of_the_own_root_settle_at_the_open() {
        let rows = vec![Stated::OwnRoot, Stated::AtClose, Stated::Nothing];
        let settlements = Settlements { rows };
        let (monthly, weekly) = (date(2021, 1, 15), date(2021, 1, 13));
        let of = |row, day, expiry| settlements.of(row, date(2021, 1, day), expiry);
        assert_eq!((of(0, 4, monthly), of(0, 15, monthly)), (Settles::AtOpen, Settles::AtOpen));
        assert_eq!((of(0, 4, weekly), of(1, 4, monthly)), (Settles::AtClose, Settles::AtClose));
        assert_eq!((of(2, 14, monthly), of(2, 15, monthly)), (Settles::AtOpen, Settles::AtClose));
        assert_eq!(Settlements { rows: Vec::new() }.of(0, monthly, monthly), Settles::AtClose, "SPY");
    }
}
