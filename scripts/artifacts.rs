//! Files that a run writes and later commands read: models, records, trades, logs.

pub mod candidate;
pub mod files;
pub mod follow;
pub mod health_rows;
pub(crate) mod line_file;
pub mod manifest;
pub mod paths;
pub mod plan_file;
pub mod records;
pub mod registry;
pub mod run_folder;
pub mod run_lock;
pub mod saved_forecaster;
pub mod saved_model;
pub mod tensorboard;
pub mod trades;
