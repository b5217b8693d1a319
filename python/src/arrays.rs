//! Arrays of numpy that steps write into.

use numpy::{PyArray1, PyArray2, PyArrayMethods as _, PyReadonlyArray1, PyUntypedArrayMethods as _};
use pyo3::{intern, prelude::*, types::PyDict};
use rayon::ThreadPool;

use crate::{
    error,
    lanes::{Arrays, Lanes},
};
use market_env::RewardTerm;

/// The arrays of an environment, its own or the caller's.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// `[N, I]`
    pub(crate) observations: Py<PyArray2<f32>>,
    /// `[N, K]`
    pub(crate) masks: Py<PyArray2<bool>>,
    /// `[N]`
    pub(crate) rewards: Py<PyArray1<f32>>,
    /// `[N]`
    pub(crate) terminated: Py<PyArray1<bool>>,
}

impl Buffers {
    /// Takes the caller's arrays and allocates the others; the shape is lanes, inputs, actions.
    ///
    /// # Errors
    /// `ValueError` for an array of another name, type, shape or layout.
    pub(crate) fn new(py: Python<'_>, shape: [usize; 3], given: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        const NAMES: [&str; 4] = ["observations", "masks", "rewards", "terminated"];
        let [lanes, inputs, actions] = shape;
        for name in given.iter().flat_map(|given| given.keys()) {
            let name = name.str()?.to_string();
            if !NAMES.contains(&name.as_str()) {
                return Err(error::value(format!("buffers: {name} is none of {}", NAMES.join(", "))));
            }
        }
        Ok(Self {
            observations: table(py, given, NAMES[0], [lanes, inputs])?,
            masks: table(py, given, NAMES[1], [lanes, actions])?,
            rewards: list(py, given, NAMES[2], lanes)?,
            terminated: list(py, given, NAMES[3], lanes)?,
        })
    }

    /// Writes the current observation of all lanes.
    ///
    /// # Errors
    /// `RuntimeError` when an array is read-only or in use.
    pub(crate) fn show(&self, py: Python<'_>, lanes: &Lanes) -> PyResult<()> {
        let mut observations = self.observations.bind(py).try_readwrite().map_err(error::runtime)?;
        let mut masks = self.masks.bind(py).try_readwrite().map_err(error::runtime)?;
        let observations = observations.as_slice_mut().map_err(error::runtime)?;
        let masks = masks.as_slice_mut().map_err(error::runtime)?;
        py.detach(|| lanes.show(observations, masks));
        Ok(())
    }

    /// Advances the lanes without the GIL, in a pool if there is one.
    ///
    /// # Errors
    /// As [`Buffers::show`].
    pub(crate) fn step(&self, py: Python<'_>, lanes: &mut Lanes, pool: Option<&ThreadPool>) -> PyResult<()> {
        let mut observations = self.observations.bind(py).try_readwrite().map_err(error::runtime)?;
        let mut masks = self.masks.bind(py).try_readwrite().map_err(error::runtime)?;
        let mut rewards = self.rewards.bind(py).try_readwrite().map_err(error::runtime)?;
        let mut terminated = self.terminated.bind(py).try_readwrite().map_err(error::runtime)?;
        let mut arrays = Arrays {
            observations: observations.as_slice_mut().map_err(error::runtime)?,
            masks: masks.as_slice_mut().map_err(error::runtime)?,
            rewards: rewards.as_slice_mut().map_err(error::runtime)?,
            terminated: terminated.as_slice_mut().map_err(error::runtime)?,
        };
        py.detach(|| match pool {
            Some(pool) => pool.install(|| lanes.step(&mut arrays)),
            None => lanes.step(&mut arrays),
        });
        Ok(())
    }

    /// Replaces the rewards by those of a callable; lanes that waited for a reset before the step earn nothing.
    ///
    /// # Errors
    /// The callable's own, or `ValueError` for a result of another shape.
    pub(crate) fn replace_rewards(
        &self,
        py: Python<'_>,
        lanes: &Lanes,
        reward: &Bound<'_, PyAny>,
        waited: &[bool],
    ) -> PyResult<()> {
        let terms = PyArray2::<f32>::zeros(py, [waited.len(), RewardTerm::COUNT], false);
        lanes.write_terms(terms.try_readwrite().map_err(error::runtime)?.as_slice_mut().map_err(error::runtime)?);
        let numpy = py.import(intern!(py, "numpy"))?;
        let result = numpy.call_method1(intern!(py, "asarray"), (reward.call1((terms,))?, intern!(py, "float32")))?;
        let result: PyReadonlyArray1<'_, f32> = result
            .extract()
            .map_err(|_| error::value(format!("reward: the callable must return [{}]", waited.len())))?;
        if result.len() != waited.len() {
            return Err(error::value(format!(
                "reward: the callable returned {} numbers for {} lanes",
                result.len(),
                waited.len()
            )));
        }
        let mut rewards = self.rewards.bind(py).try_readwrite().map_err(error::runtime)?;
        let rewards = rewards.as_slice_mut().map_err(error::runtime)?;
        for ((to, &from), &waited) in rewards.iter_mut().zip(result.as_array()).zip(waited) {
            *to = if waited { 0.0 } else { from };
        }
        Ok(())
    }
}

/// Returns the caller's array of this name, or a new one.
fn table<T: numpy::Element>(
    py: Python<'_>,
    given: Option<&Bound<'_, PyDict>>,
    name: &str,
    shape: [usize; 2],
) -> PyResult<Py<PyArray2<T>>> {
    let Some(array) = given.map(|given| given.get_item(name)).transpose()?.flatten() else {
        return Ok(PyArray2::zeros(py, shape, false).unbind());
    };
    let array = array.cast_into::<PyArray2<T>>().map_err(|_| unfit(name, &shape))?;
    if array.shape() != shape || !array.is_c_contiguous() {
        return Err(unfit(name, &shape));
    }
    Ok(array.unbind())
}

fn list<T: numpy::Element>(
    py: Python<'_>,
    given: Option<&Bound<'_, PyDict>>,
    name: &str,
    lanes: usize,
) -> PyResult<Py<PyArray1<T>>> {
    let Some(array) = given.map(|given| given.get_item(name)).transpose()?.flatten() else {
        return Ok(PyArray1::zeros(py, [lanes], false).unbind());
    };
    let array = array.cast_into::<PyArray1<T>>().map_err(|_| unfit(name, &[lanes]))?;
    if array.len() != lanes || !array.is_c_contiguous() {
        return Err(unfit(name, &[lanes]));
    }
    Ok(array.unbind())
}

fn unfit(name: &str, shape: &[usize]) -> PyErr {
    let kind = if matches!(name, "masks" | "terminated") { "bool" } else { "float32" };
    error::value(format!("buffers: {name} must be a C-contiguous array of {kind}, {shape:?}"))
}
