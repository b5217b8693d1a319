//! A forecaster as it lies on disk: layout of its parameters, files, and transfer of its encoder into a policy.

pub(crate) mod forecaster;
pub(crate) mod layout;
mod transfer;
