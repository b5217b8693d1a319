//! The benches: one binary, so that libtorch is linked once. `RESULTS.md` beside this file holds what was measured.
//!
//! `cargo bench` measures, `cargo bench -- --test` runs each body once, as CI does, so that they cannot rot.

#![allow(missing_docs, reason = "criterion's entry points")]

mod env;
mod update;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    env::step(&mut criterion);
    env::build(&mut criterion);
    update::advantage(&mut criterion);
    update::iteration(&mut criterion);
    criterion.final_summary();
}
