//! Parquet file of one month: columns, and a record in the footer.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io,
    path::Path,
};

use jiff::civil::Date;
use polars_core::prelude::{Column, DataFrame, DataType, IntoColumn as _, NamedFrom as _, Series};
use polars_io::prelude::{KeyValueMetadata, ParquetReader, ParquetWriter, SerReader as _};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    DataError, input_file,
    source::{
        files::{cells::unreadable, parquet},
        vendor::VendorError,
    },
};

/// Key of the record in the footer.
const KEY: &str = "zerodte";

/// Reads the record of a month.
pub(super) fn read_record(path: &Path) -> Result<MonthRecord, DataError> {
    read_entry(path)
}

/// Reads the first requested date of a file of daily closes.
pub(super) fn read_asked_from(path: &Path) -> Result<Date, DataError> {
    read_entry(path)
}

fn read_entry<T: DeserializeOwned>(path: &Path) -> Result<T, DataError> {
    let file = input_file::open(path).map_err(|error| unreadable(path, error))?;
    let mut reader = ParquetReader::new(file);
    let metadata = reader.get_metadata().map_err(|error| unreadable(path, error))?;
    let entries = metadata.key_value_metadata.iter().flatten();
    let text = entries.filter(|entry| entry.key == KEY).find_map(|entry| entry.value.as_deref());
    let text = text.ok_or_else(|| unreadable(path, "its footer has no zerodte record; move the file away"))?;
    serde_json::from_str(text).map_err(|error| unreadable(path, error))
}

/// Writes a month to a temporary file and renames it.
pub(super) fn write(path: &Path, columns: &[Column], record: &MonthRecord) -> Result<(), VendorError> {
    write_table(path, columns.to_vec(), record)
}

/// Reads daily closes.
pub(super) fn read_daily(path: &Path) -> Result<Vec<(Date, f64)>, DataError> {
    let columns = parquet::daily(path)?;
    Ok(columns.date.into_iter().zip(columns.close).collect())
}

/// Writes daily closes.
pub(super) fn write_daily(path: &Path, days: &[(Date, f64)], asked_from: Date) -> Result<(), VendorError> {
    let dates: Vec<i32> = days.iter().map(|(date, _)| super::rows::days_since_1970(*date)).collect();
    let dates = Series::new("date".into(), dates).cast(&DataType::Date).map_err(|error| unreadable(path, error))?;
    let closes = Series::new("close".into(), days.iter().map(|(_, close)| *close).collect::<Vec<_>>());
    write_table(path, vec![dates.into_column(), closes.into_column()], &asked_from)
}

/// Replaces a file by what `write` writes: under an unpredictable name beside it, which is created exclusively, so that no link is
/// followed, and then renamed.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let part = path.with_extension(format!("part-{:016x}", RandomState::new().build_hasher().finish()));
    let file = OpenOptions::new().write(true).create_new(true).open(&part)?;
    let kept = write(&file).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&part, path));
    kept.inspect_err(|_| drop(fs::remove_file(&part)))
}

fn write_table(path: &Path, columns: Vec<Column>, record: &impl Serialize) -> Result<(), VendorError> {
    let fault = |doing| move |source| VendorError::Cache { path: path.to_owned(), doing, source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(fault("creating the folder"))?;
    }
    let text = serde_json::to_string(record).map_err(|error| unreadable(path, error))?;
    let entries = Some(KeyValueMetadata::from_static(vec![(KEY.to_owned(), text)]));
    let mut table = DataFrame::new_infer_height(columns).map_err(|error| unreadable(path, error))?;
    let write = |file: &File| {
        let written = ParquetWriter::new(file).with_key_value_metadata(entries).finish(&mut table);
        written.map(drop).map_err(io::Error::other)
    };
    replace(path, write).map_err(fault("writing"))
}

/// Record of one session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Rows of the session.
    pub rows: usize,
    /// Time of the fetch, RFC 3339.
    pub fetched: String,
    /// SHA-256 of the response bodies.
    pub bodies: Vec<String>,
    /// Requested contracts of an option series, those without trades included.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub contracts: BTreeSet<String>,
}

/// Record of one month.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MonthRecord {
    /// Name of the vendor.
    pub vendor: String,
    /// Adjustment of the prices.
    pub adjustment: String,
    /// The symbol, or the underlying.
    pub symbol: String,
    /// The complete sessions.
    pub sessions: BTreeMap<Date, SessionRecord>,
}
