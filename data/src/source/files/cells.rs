//! Columns and cells of bar files; errors name file, row and column.

use std::{
    any::Any,
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use jiff::civil::Date;

use crate::DataError;

/// Daily closes of a file.
#[derive(Default)]
pub(in crate::source) struct DailyColumns {
    pub(in crate::source) date: Vec<Date>,
    pub(in crate::source) close: Vec<f64>,
}

pub(in crate::source) fn require(path: &Path, found: &[String], names: &[&'static str]) -> Result<(), DataError> {
    match names.iter().find(|name| !found.iter().any(|column| column == *name)) {
        Some(column) => {
            Err(DataError::MissingColumn { path: path.display().to_string(), column, found: found.to_vec() })
        }
        None => Ok(()),
    }
}

pub(in crate::source) fn bad_cell(
    path: &Path,
    row: usize,
    column: &'static str,
    text: &str,
    expected: &'static str,
) -> DataError {
    DataError::Cell { path: path.display().to_string(), row, column, text: text.to_owned(), expected }
}

pub(in crate::source) fn unreadable(
    path: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> DataError {
    DataError::Read { path: path.display().to_string(), source: source.into() }
}

thread_local! {
    /// Whether this thread reads a file.
    static READS: Cell<bool> = const { Cell::new(false) };
}
/// Number of threads that read a file.
static READING: AtomicUsize = AtomicUsize::new(0);

/// Runs a reader of the file `path`. A panic of a library in it becomes an error with the file's name, and is not printed.
///
/// # Errors
/// Those of `read`, and [`DataError::Read`] where it panics.
pub(in crate::source) fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    silence_readers();
    let outer = READS.replace(true);
    READING.fetch_add(1, Ordering::SeqCst);
    let outcome = panic::catch_unwind(AssertUnwindSafe(read));
    READING.fetch_sub(1, Ordering::SeqCst);
    READS.set(outer);
    outcome.unwrap_or_else(|panicked| {
        Err(unreadable(
            path,
            format!("its reader stopped: {}; convert the file with another program", text(&*panicked)),
        ))
    })
}

/// Keeps the panics of readers from the screen, also those in threads of polars.
fn silence_readers() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            let of_polars = || thread::current().name().is_some_and(|name| name.starts_with("polars"));
            if !(READS.get() || READING.load(Ordering::SeqCst) > 0 && of_polars()) {
                usual(panicked);
            }
        }));
    });
}

fn text(panicked: &(dyn Any + Send)) -> &str {
    let text = panicked.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panicked.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_a_reader_is_an_error_with_the_name_of_the_file() {
        let panicking = || -> Result<(), DataError> { panic!("not implemented for dtype {}", "x") };
        let error = guarded(Path::new("SPY_1m.parquet"), panicking).unwrap_err();
        assert_eq!(error.to_string(), "cannot read SPY_1m.parquet");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(source, "its reader stopped: not implemented for dtype x; convert the file with another program");
        assert_eq!(guarded(Path::new("SPY_1m.parquet"), || Ok(7)).unwrap(), 7);
    }
}
