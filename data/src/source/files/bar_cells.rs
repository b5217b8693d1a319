//! Bars of one file before zone and stamp are applied, and the step to columns of bars.

use std::path::Path;

use super::clock::FileTimes;
use crate::{BarColumns, BarFormat, BarStamp, DataError};

/// Cells of a file of bars, before zone and stamp are applied.
pub(super) struct BarCells {
    pub(super) times: FileTimes,
    /// Open, high, low, close, and volume unless the file has none.
    pub(super) numbers: Vec<Vec<f64>>,
    /// Columns that have another name than the project's.
    pub(super) renamed: Option<String>,
    /// Columns that are not read.
    pub(super) unused: Vec<String>,
}

impl BarCells {
    /// Returns the columns with the starts of the bars in UTC, and a note on their form.
    ///
    /// # Errors
    /// Times that need a zone, or stand for no instant in theirs.
    pub(super) fn bars(self, path: &Path, format: &BarFormat) -> Result<(BarColumns, String), DataError> {
        let (mut ts_ns, form) = self.times.into_utc(path, format.zone.as_ref())?;
        format.stamp.to_starts(&mut ts_ns);
        let stamp = (format.stamp == BarStamp::End).then(|| "stamps of the end moved to the start".to_owned());
        let notes: Vec<String> =
            [Some(format!("timestamps: {form}")), stamp, self.renamed].into_iter().flatten().collect();
        Ok((bar_columns(ts_ns, self.numbers), notes.join("; ")))
    }
}

/// Assembles the columns; an absent volume is zero.
fn bar_columns(ts_ns: Vec<i64>, mut numbers: Vec<Vec<f64>>) -> BarColumns {
    numbers.resize_with(5, || vec![0.0; ts_ns.len()]);
    let [open, high, low, close, volume] = <[Vec<f64>; 5]>::try_from(numbers).expect("resized to five columns");
    BarColumns { ts_ns, open, high, low, close, volume }
}
