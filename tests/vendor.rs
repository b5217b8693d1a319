//! Tests of market-data vendors against fake ones on a local port.

pub(crate) mod cache;
pub(crate) mod commands;
pub(crate) mod errors;
pub(crate) mod fake_vendor;
pub(crate) mod faults;
pub(crate) mod fetch;
pub(crate) mod fetch_fixture;
pub(crate) mod fixtures;
pub(crate) mod history;
pub(crate) mod options;
pub(crate) mod other_vendors;
pub(crate) mod shadow;
