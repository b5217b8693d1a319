//! Output to terminals, logs and files, and the exit codes.

pub mod clock;
pub mod console;
pub mod exit_code;
pub(crate) mod memory;
pub mod output_file;
pub mod panic_report;
pub(crate) mod progress;
pub mod signals;
pub(crate) mod synthetic;
pub mod table;
pub(crate) mod wrap;
