//! The compiled half of the Python package `zerodte`: market, batched environment, policies and trainer.
//!
//! It is the end of the chain data → env → agent, beside the program: a second consumer of the same crates, built without
//! libtorch and polars. Arguments are checked before the GIL is released, so that no panic reaches Python.

mod arrays;
mod env;
mod error;
mod evaluate;
mod frames;
mod lanes;
mod live;
mod market;
mod policy;
mod settings;
mod table;
mod threads;
mod trainer;

use pyo3::prelude::*;

/// The module `zerodte._core`; import `zerodte` instead.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<market::PyMarket>()?;
    module.add_class::<env::PyBatchEnv>()?;
    module.add_class::<policy::PyPolicy>()?;
    module.add_class::<trainer::PyTrainer>()?;
    module.add_function(wrap_pyfunction!(env::hold_in_rust, module)?)?;
    module.add_function(wrap_pyfunction!(live::session, module)?)?;
    module.add_function(wrap_pyfunction!(live::decide, module)?)?;
    module.add_function(wrap_pyfunction!(evaluate::evaluate_policy, module)?)
}
