//! Choice of the model that a training leaves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Policy that becomes the model of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The last one.
    #[default]
    Last,
    /// The checkpoint whose money on the validation dates has the highest lower bound.
    Best,
}
