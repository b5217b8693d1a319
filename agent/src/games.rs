//! Small environments with known solutions, for tests and the learning self-test.

#[cfg(test)]
pub(crate) mod best_row;
pub mod cartpole;
#[cfg(all(test, feature = "torch"))]
pub(crate) mod cue;
