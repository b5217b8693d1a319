//! Files of values with two times per row: that of the event and that at which the row was known.

use crate::{
    DataError, FileRecord, Zone,
    columns::{ColumnFile, KnownRow, KnownSeries, Validity},
    source::files::named::NamedColumns,
};

/// Reads the files of columns of a configuration. `zone` is that of times that state none.
///
/// # Errors
/// A file or column that is missing, a bad cell, a row known before its event, two versions of an event of the same time; the
/// message names file, row and column.
pub fn load(files: &[ColumnFile], zone: Option<&Zone>) -> Result<(Vec<KnownSeries>, Vec<FileRecord>), DataError> {
    let (mut series, mut records) = (Vec::new(), Vec::new());
    for file in files {
        let rows = read(file, zone, &mut series)?;
        let record = FileRecord::new(&file.file, rows, format!("columns {}", file.values.join(", ")));
        if !records.contains(&record) {
            records.push(record);
        }
    }
    Ok((series, records))
}

/// Reads one file, adds its series, and returns its number of rows.
fn read(file: &ColumnFile, zone: Option<&Zone>, series: &mut Vec<KnownSeries>) -> Result<usize, DataError> {
    let key = format!("data.column_files ({})", file.name);
    let columns = NamedColumns::open(&file.file, &key)?;
    let events = columns.events(&file.event, zone)?;
    let later = |length: i64| events.iter().map(|event| event.saturating_add(length)).collect();
    let (known, validity): (Vec<i64>, Validity) = match (&file.known, file.delay, file.bar) {
        (Some(name), ..) => (columns.times(name, zone)?, Validity::After),
        (None, Some(delay), _) => (later(delay.ns()), Validity::After),
        (None, None, Some(bar)) => (later(bar.ns()), Validity::From),
        (None, None, None) => {
            return Err(DataError::Config { faults: vec![format!("{key}: no time at which it was known")] });
        }
    };
    for value in &file.values {
        let numbers = columns.numbers(value)?;
        let rows = events.iter().zip(&known).zip(numbers);
        let rows = rows.map(|((&event_ns, &known_ns), value)| KnownRow { event_ns, known_ns, value }).collect();
        let path = file.file.display().to_string();
        let read = KnownSeries::new(file.column(value), file.symbol.clone(), &path, validity, rows)?;
        series.push(read.stale_after(file.stale_after.map(|after| after.ns())));
    }
    Ok(events.len())
}

#[cfg(test)]
mod tests {
    use polars_core::prelude::{Column, DataFrame, DataType, IntoColumn, NamedFrom, Series};
    use polars_io::prelude::ParquetWriter;
    use tempfile::TempDir;

    use super::*;

    /// Reads a CSV file as the rest of its configuration says.
    fn read(text: &str, rest: &str) -> Result<(Vec<KnownSeries>, Vec<FileRecord>), String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nq.csv");
        std::fs::write(&path, text).unwrap();
        load(&[config(&path, rest)], None)
            .map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
    }

    fn config(path: &std::path::Path, rest: &str) -> ColumnFile {
        let json = format!(r#"{{"name": "nq", "file": {path:?}, "values": ["ret"], {rest}}}"#);
        serde_json::from_str(&json).unwrap()
    }

    fn expected(rows: &[(i64, i64, f64)], validity: Validity) -> KnownSeries {
        let second = 1_000_000_000;
        let row = |&(event, known, value)| KnownRow { event_ns: event * second, known_ns: known * second, value };
        KnownSeries::new("nq.ret".into(), None, "", validity, rows.iter().map(row).collect()).unwrap()
    }

    const OPEN: i64 = 1_748_871_000;

    #[test]
    fn the_three_ways_to_say_when_a_row_was_known() {
        let text =
            "timestamp,published,ret\n1748871000,1748871090,0.5\n1748871060,1748871095,\n1748871120,1748871150,-1\n";
        let (series, files) = read(text, r#""known": "published""#).unwrap();
        // The second cell is empty: no news.
        let rows = [(OPEN, OPEN + 90, 0.5), (OPEN + 120, OPEN + 150, -1.0)];
        assert_eq!(series, [expected(&rows, Validity::After)]);
        assert_eq!((files[0].rows, files[0].note.as_str()), (3, "columns ret"));
        let rows = [(OPEN, OPEN + 900, 0.5), (OPEN + 120, OPEN + 1_020, -1.0)];
        assert_eq!(read(text, r#""delay": "15m""#).unwrap().0, [expected(&rows, Validity::After)]);
        let rows = [(OPEN, OPEN + 60, 0.5), (OPEN + 120, OPEN + 180, -1.0)];
        assert_eq!(read(text, r#""bar": "1m""#).unwrap().0, [expected(&rows, Validity::From)]);
    }

    #[test]
    fn dates_are_midnights_in_new_york_and_parquet_reads_as_csv() {
        let midnight = OPEN - 9 * 3_600 - 1_800;
        let wanted = expected(&[(midnight, midnight + 18 * 3_600, 2.0)], Validity::After);
        let rest = r#""event": "day", "delay": "18h""#;
        assert_eq!(read("day,ret\n2025-06-02,2\n", rest).unwrap().0, std::slice::from_ref(&wanted));
        let dir: TempDir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nq.parquet");
        let columns: Vec<Column> = vec![
            Series::new("day".into(), [20_241_i32]).cast(&DataType::Date).unwrap().into_column(),
            Series::new("ret".into(), [2.0]).into_column(),
        ];
        let mut table = DataFrame::new_infer_height(columns).unwrap();
        ParquetWriter::new(std::fs::File::create(&path).unwrap()).finish(&mut table).unwrap();
        assert_eq!(load(&[config(&path, rest)], None).unwrap().0, [wanted]);
    }

    #[test]
    fn faults_name_file_row_and_column() {
        let fault = |text: &str, rest: &str| read(text, rest).unwrap_err();
        let header = "timestamp,published,ret\n";
        let cases = [
            (
                format!("{header}1748871000,1748870000,1\n"),
                r#""known": "published""#,
                "FILE: row 1, column nq.ret: it was known before its event",
            ),
            (
                format!("{header}1748871000,1748871060,x\n"),
                r#""bar": "1m""#,
                "FILE: row 1, column ret: \"x\"; expected a number",
            ),
            (format!("{header}1748871000,,1\n"), r#""known": "published""#, "column published: "),
            (
                "timestamp,ret\n1748871000,1\n".to_owned(),
                r#""known": "published""#,
                "FILE: no column \"published\", which data.column_files (nq) names; the file has: timestamp, ret",
            ),
            (
                "timestamp,published,ret\n2025-06-02T13:30:00Z,2025-06-02,1\n".to_owned(),
                r#""known": "published""#,
                "column published: \"2025-06-02\"; expected RFC 3339",
            ),
        ];
        for (text, rest, part) in cases {
            let message = fault(&text, rest);
            assert!(message.contains(part), "{message} lacks {part}");
        }
    }
}
