//! Output to terminals, logs and files, and the exit codes.

pub mod clock;
pub mod console;
pub mod exit_code;
pub mod output_file;
pub(crate) mod progress;
pub(crate) mod synthetic;
pub mod table;
