//! Columns of the user beside the project's own features: of bar files, of files with times of publication, of other symbols.
//!
//! Every value has two times: that of its event, and that at which it was known. A row of a column at the close of a minute uses
//! values known by then. Transforms use the same session's earlier minutes and the sessions before it, so a row depends on no
//! training date and on nothing later: it is the same in every window, fold and split. The policy's normaliser standardises the
//! columns with moments of the training sessions, as all others.
//!
//! A value that is missing (none yet, or stale) is 0 in every transform. An empty cell and NaN are no news: the last value stands.

mod config;
mod cross;
mod known;
mod transform;

use std::collections::BTreeSet;

use crate::{Bars, DataError, SessionBars, Symbol, calendar::MINUTE_NS};

use self::{config::Shape, known::Known};
pub use self::{
    config::{ColumnFile, Length, OwnColumn, Transform},
    known::{KnownRow, KnownSeries, Validity},
};

/// Inputs of the columns, as a source returns them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnInputs {
    /// Values with their times, of bar files and of files of columns.
    pub series: Vec<KnownSeries>,
    /// Bars of other symbols.
    pub cross: Vec<Bars>,
}

/// Columns of one symbol beside the computed features, one row per minute, known at the minute's close.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AddedColumns {
    /// Their names, such as `my_signal.zscore`.
    pub names: Vec<String>,
    /// Rows of each session, `[bars, C]`; one entry per session of the symbol, empty without columns.
    pub days: Vec<Vec<f32>>,
}

impl AddedColumns {
    /// Returns the row of a minute of a session; empty without columns. `[C]`
    pub fn row(&self, day: usize, bar: usize) -> &[f32] {
        let width = self.names.len();
        self.days.get(day).map_or(&[][..], |rows| &rows[bar * width..(bar + 1) * width])
    }

    /// Returns the columns of some of the sessions.
    #[must_use]
    pub fn of_days(&self, days: std::ops::Range<usize>) -> Self {
        Self { names: self.names.clone(), days: self.days.get(days).map_or_else(Vec::new, <[_]>::to_vec) }
    }

    /// Computes the wanted columns of a symbol's sessions, the same names for every symbol.
    ///
    /// # Errors
    /// A column that the configuration names and the inputs lack.
    pub(crate) fn of(
        symbol: &Symbol,
        days: &[SessionBars],
        inputs: &ColumnInputs,
        wanted: &Wanted<'_>,
    ) -> Result<Self, DataError> {
        let mut table = Table { days, columns: Vec::new() };
        for column in wanted.own {
            let series = find(inputs, symbol, &column.name)?;
            table.add(Some(series), &column.shape(), &column.name);
            if column.age {
                table.add_age(Some(series), &column.name);
            }
        }
        for file in wanted.files {
            let series =
                |value: &String| file.serves(symbol).then(|| find(inputs, symbol, &file.column(value))).transpose();
            for value in &file.values {
                table.add(series(value)?, &file.shape(), &file.column(value));
            }
            if let Some(value) = file.values.first().filter(|_| file.age) {
                table.add_age(series(value)?, &file.name);
            }
        }
        for bars in &inputs.cross {
            table.columns.extend(cross::columns(bars, (bars.symbol() != symbol).then_some(bars), days));
        }
        Ok(table.rows())
    }
}

/// The columns that a configuration names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) own: &'a [OwnColumn],
    pub(crate) files: &'a [ColumnFile],
}

impl Wanted<'_> {
    /// Returns every fault, each with its path.
    pub(crate) fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let (mut names, mut groups) = (BTreeSet::new(), BTreeSet::new());
        for column in self.own {
            column.check(&mut faults);
            if !names.insert(column.shape().named(&column.name)) {
                faults.push(format!("data.own_columns: {} stands twice with the same transform and lag", column.name));
            }
        }
        for file in self.files {
            file.check(&mut faults);
            if !groups.insert(&file.name) {
                faults.push(format!("data.column_files: two files have the name {}", file.name));
            }
        }
        faults
    }
}

fn find<'a>(inputs: &'a ColumnInputs, symbol: &Symbol, name: &str) -> Result<&'a KnownSeries, DataError> {
    let found = inputs.series.iter().find(|series| series.name == name && series.serves(symbol));
    found.ok_or_else(|| DataError::NoColumn { symbol: symbol.clone(), name: name.to_owned() })
}

/// A column while it is computed: its name, and one list of values per session.
type Column = (String, Vec<Vec<f32>>);

/// The columns of one symbol while they are computed.
struct Table<'a> {
    days: &'a [SessionBars],
    columns: Vec<Column>,
}

impl Table<'_> {
    /// Adds a transformed series; without one, values that are all missing.
    fn add(&mut self, series: Option<&KnownSeries>, shape: &Shape, name: &str) {
        let values: Vec<Vec<Option<f64>>> = self.values(series, |known| known.map(|known| known.value));
        self.columns.push((shape.named(name), transform::apply(shape, &values)));
    }

    /// Adds the minutes since a series' last value was known. The age goes on where the value is stale.
    fn add_age(&mut self, series: Option<&KnownSeries>, name: &str) {
        let standing = series.map(|series| series.clone().stale_after(None));
        let ages = self.values(standing.as_ref(), |known| age(known.as_ref()));
        self.columns.push((format!("{name}.age"), ages));
    }

    fn values<T: Clone>(&self, series: Option<&KnownSeries>, of: impl Fn(Option<Known>) -> T) -> Vec<Vec<T>> {
        match series {
            Some(series) => {
                series.joined(self.days).into_iter().map(|day| day.into_iter().map(&of).collect()).collect()
            }
            None => self.days.iter().map(|day| vec![of(None); day.close.len()]).collect(),
        }
    }

    /// Returns the rows of all sessions; none without columns.
    fn rows(self) -> AddedColumns {
        if self.columns.is_empty() {
            return AddedColumns::default();
        }
        let of_day = |(index, day): (usize, &SessionBars)| {
            let columns = &self.columns;
            (0..day.close.len()).flat_map(|bar| columns.iter().map(move |(_, days)| days[index][bar])).collect()
        };
        let days = self.days.iter().enumerate().map(of_day).collect();
        AddedColumns { names: self.columns.into_iter().map(|(name, _)| name).collect(), days }
    }
}

/// Logarithm of the minutes since a value was known, as a share of that of fifteen days, 0 to 1; 1 without any value.
fn age(known: Option<&Known>) -> f32 {
    const MOST: f64 = 15.0 * 24.0 * 60.0;
    let minutes = known.map_or(MOST, |known| (known.age_ns as f64 / MINUTE_NS as f64).max(0.0));
    (minutes.ln_1p() / MOST.ln_1p()).min(1.0) as f32
}

#[cfg(test)]
mod tests;
